"""Where a product's result goes when its reader stands behind transposes and reshapes.

    out [.., heads, rows, columns] -> transpose, reshape -> y [.., rows, heads columns]

y is laid as its reader wants it, and out is a view of y: its columns on partitions, the heads
beside each other. Nothing moves between the two.
"""

from __future__ import annotations

from compiler.graph.attrs import integers
from compiler.graph.graph import Node, Value
from compiler.lowering.context import Lowering, device_dtype
from compiler.lowering.layout import best
from compiler.tiles.iterate import legal_start
from compiler.tiles.view import View


def home_for_reader(lo: Lowering, value: Value) -> View | None:
    """A view for a value about to be made, its last dimension on partitions; None without one."""
    chain = _moves_behind(lo, value)
    if not chain:
        return None
    end = chain[-1].output
    spec = best(lo.wanted, end)
    if not any(weight > 0 for weight in lo.wanted.get(end.id, {}).values()):
        return None
    if end.id in lo.parts or end.id in lo.halos:
        return None
    view: View | None = lo.allocate(end.shape, device_dtype(end.dtype), spec, end.name)
    for node in reversed(chain):
        if view is None:
            break
        if node.op == "reshape":
            view = view.reshape(node.inputs[0].shape)
        else:
            perm = integers(node, "perm")
            view = view.permute(tuple(perm.index(d) for d in range(len(perm))))
    return view if view is not None and _writable(view) else None


def _moves_behind(lo: Lowering, value: Value) -> list[Node]:
    """Transposes and reshapes, each the only reader of the one before."""
    readers = lo.readers
    kept = {v.id for v in lo.graph.outputs}
    chain: list[Node] = []
    while value.id not in kept and len(readers.get(value.id, [])) == 1:
        node = readers[value.id][0]
        if node.op not in ("transpose", "reshape"):
            break
        chain.append(node)
        value = node.output
    return chain


def _writable(view: View) -> bool:
    """Whether engines can write the last dimension, with its neighbours on partitions, at once."""
    last = [f for f in view.factors[-1] if f.extent > 1]
    if len(last) != 1 or not last[0].part or last[0].stride != 1 or view.ragged(-1):
        return False
    others = [f for fs in view.factors[:-1] for f in fs if f.part and f.extent > 1]
    count = view.shape[-1]
    if others and (len(others) > 1 or others[0].stride != count):
        return False
    if others:
        count *= others[0].extent
        if view.shape[-1] % 32:
            return False
    return legal_start(view.start + view.buffer.start, count)
