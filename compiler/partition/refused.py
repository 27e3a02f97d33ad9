"""What is refused of a model in sections: the calls that it comes from, and how that reads."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.errors import ShapeError, UnsupportedError
from compiler.graph.graph import Node
from compiler.partition.calls import Call
from compiler.partition.model import HostOp
from compiler.partition.probe import Probed
from compiler.partition.types import static


def calls_behind(bad: Sequence[tuple[Node, str]], probed: Probed) -> dict[str, str]:
    """The calls that refused nodes came from."""
    known = {c.name for c in probed.calls} - set(probed.host)
    found: dict[str, str] = {}
    for node, reason in bad:
        name = next((s.name for s in node.sources if s.name in known), None)
        if name is None:  # a cast that a pass has put in, say: whoever reads it in the model
            name = _maker_of(node, known, probed)
        found.setdefault(name, reason)
    return found


def _maker_of(node: Node, known: set[str], probed: Probed) -> str:
    """The call whose tensor the node's first output is named after."""
    names = [v.name for v in (*node.outputs, *node.inputs)]
    for call in probed.calls:
        if call.name in known and any(n.startswith(w) for w in call.writes for n in names):
            return call.name
    readers = (c.name for c in probed.calls if c.name in known and set(names) & set(c.reads))
    found = next(readers, None)
    assert found is not None, "every core op comes from a node of the model"
    return found


def _listed(host_ops: tuple[HostOp, ...]) -> str:
    groups: dict[tuple[str, str], list[str]] = {}
    for op in host_ops:
        groups.setdefault((op.op, op.reason), []).append(op.node)
    lines = [
        f"{operator} ({reason}): {', '.join(map(repr, nodes[:8]))}"
        + (f" and {len(nodes) - 8} more" if len(nodes) > 8 else "")
        for (operator, reason), nodes in groups.items()
    ]
    shown = lines[:12]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more kinds")
    return "\n         ".join(shown)


def unsupported(
    code: str, message: str, host_ops: tuple[HostOp, ...], hint: str
) -> UnsupportedError:
    """The error that names every operation of the host, with its reason."""
    error = UnsupportedError(code, message, found=_listed(host_ops), hint=hint)
    error.missing = [(op.op, op.node, op.reason) for op in host_ops]
    return error


def depends_on_data(probed: Probed) -> ShapeError:
    """The error that names the tensor, the dimension, the node that made it, and the option."""
    name = next(c.name for c in probed.calls if c.name in probed.dynamic)
    maker = next(c for c in probed.calls if c.name == name)
    cause = next((c for c in probed.calls if _opens(c, probed) and c.name in probed.host), maker)
    tensor = next((w for w in cause.writes if _open_shape(probed, w)), cause.writes[0])
    return ShapeError(
        "SYS-P002",
        "every shape is known at compile time",
        found=f"tensor {tensor!r}: {_dimensions(probed, tensor)}; {probed.host[name]}",
        at=f'node "{cause.name}" ({cause.op})',
        hint="fix the model's free dimensions with --shape or --batch, or leave what depends on "
        "data to the host: --host-dynamic",
    )


def _open_shape(probed: Probed, tensor: str) -> bool:
    kind = static(probed.types.get(tensor))
    return isinstance(kind, str) and "run time" in kind


def _opens(call: Call, probed: Probed) -> bool:
    return any(_open_shape(probed, w) for w in call.writes) and not any(
        _open_shape(probed, r) for r in call.reads
    )


def _dimensions(probed: Probed, tensor: str) -> str:
    kind = probed.types.get(tensor)
    if kind is None or not kind.tensor_type.HasField("shape"):
        return "its rank is known only at run time"
    dims = kind.tensor_type.shape.dim
    free = [i for i, d in enumerate(dims) if not d.HasField("dim_value")]
    return f"dimension {', '.join(map(str, free)) or '?'} of {len(dims)} is known only at run time"
