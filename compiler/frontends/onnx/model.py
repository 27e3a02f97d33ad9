"""Read a model: a file, bytes or a ModelProto becomes a checked ModelProto.

Nothing in the file is trusted: the protobuf may be garbage, external data may point outside the
model's folder, the graph may break ONNX's rules. Each has its own code.
"""

from __future__ import annotations

import mmap
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from compiler.errors import UnsupportedError
from compiler.frontends.onnx.other_files import told_apart
from compiler.frontends.onnx.wire import skeleton_of
from isa.errors import MalformedError

STANDARD_DOMAINS = ("", "ai.onnx")
OLDEST_OPSET = 7


@dataclass(frozen=True)
class Model:
    """A checked model.

    Attributes:
        proto: the model; the initializers in `data` have none of their own.
        opsets: the version of the operator set of each domain.
        folder: where external data lie.
        data: the raw data of large initializers of the main graph, by their index, where they were
            left in the file (or the bytes) that the model was given as.
    """

    proto: onnx.ModelProto
    opsets: dict[str, int]
    folder: Path | None
    data: dict[int, memoryview] = field(default_factory=dict)


def read_model(model: str | Path | bytes | onnx.ModelProto) -> Model:
    """Read and check a model.

    Raises:
        MalformedError: unreadable (SYS-F001, F002), or against ONNX's rules (F003, F004, F016,
            F017).
        UnsupportedError: an opset older than 7 or newer than the onnx package (F201, F202).
    """
    folder = Path(model).parent if isinstance(model, str | Path) else None
    kept: dict[int, memoryview] = {}
    if isinstance(model, onnx.ModelProto):
        proto = model
    else:
        data = _read(model)
        found = skeleton_of(data)
        proto = _parse(data if found is None else found.model, _place(model))
        if found is not None and _stands_alone(proto, found.data):
            kept = found.data
        elif found is not None:
            proto = _parse(data, _place(model))
    _check_names(proto.graph)
    _check_unique(proto)
    opsets = {_domain(entry.domain): entry.version for entry in proto.opset_import}
    _check_opset(opsets)
    _check_rules(proto, kept, Path(model) if isinstance(model, str | Path) else None)
    return Model(proto, opsets, folder, kept)


def _stands_alone(proto: onnx.ModelProto, kept: dict[int, memoryview]) -> bool:
    """Whether the checker can take the model with inputs in place of the initializers in `kept`.

    Before version 4 of the format every initializer had to be an input as well.
    """
    inputs = {i.name for i in proto.graph.input}
    listed = all(proto.graph.initializer[i].name in inputs for i in kept)
    return listed or proto.ir_version >= 4


def _place(model: str | Path | bytes) -> str:
    return "bytes" if isinstance(model, bytes) else f"file {Path(model).name or model}"


def _read(model: str | Path | bytes) -> memoryview:
    """The serialised model, mapped where it is a file."""
    if isinstance(model, bytes):
        return memoryview(model)
    try:
        _require_plain(Path(model))
        with Path(model).open("rb") as file:
            if file.seek(0, 2) == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise MalformedError(
            "SYS-F001",
            "the model file can be read",
            found=getattr(error, "strerror", None) or str(error),
            at=_place(model),
            hint="check the path and its permissions",
        ) from error


def _require_plain(path: Path) -> None:
    """Opening a pipe that nobody writes would wait for ever. Raises OSError."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError(None, "it is a folder" if stat.S_ISDIR(mode) else "it is not a plain file")


def _parse(data: bytes | memoryview, where: str) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise _not_onnx(data, f"that do not parse ({error})", where) from error
    if not proto.HasField("graph") or not proto.opset_import:
        missing = "graph" if not proto.HasField("graph") else "operator set"
        raise _not_onnx(data, f"with no {missing}", where)
    return proto


def _not_onnx(data: bytes | memoryview, what: str, where: str) -> MalformedError:
    kind, hint = told_apart(data)
    found = f"{len(data):,} bytes: {kind}" if kind else f"{len(data):,} bytes {what}"
    return MalformedError(
        "SYS-F002", "the model is an ONNX protobuf", found=found, at=where, hint=hint
    )


def _check_names(graph: onnx.GraphProto) -> None:
    """Names are text; protobuf hands over bytes where they are not UTF-8."""
    names = [graph.name, *(i.name for i in graph.input), *(t.name for t in graph.initializer)]
    names += [o.name for o in graph.output]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        for attribute in node.attribute:
            names.append(attribute.name)
            if attribute.type == onnx.AttributeProto.GRAPH:
                _check_names(attribute.g)
    for name in names:
        if not isinstance(name, str):
            raise MalformedError(
                "SYS-F014", "names are UTF-8 text", found=repr(name), hint="export the model again"
            )


def _check_unique(proto: onnx.ModelProto) -> None:
    """What onnx's checker lets pass: two versions of an operator set, an output twice or none."""
    imported = {(_domain(entry.domain), entry.version) for entry in proto.opset_import}
    if len({domain for domain, _ in imported}) != len(imported):
        versions = ", ".join(f"{e.domain or 'ai.onnx'} {e.version}" for e in proto.opset_import)
        raise MalformedError(
            "SYS-F016",
            "a model imports one version of an operator set",
            found=versions,
            hint="keep the version that the model was exported for",
        )
    outputs = [o.name for o in proto.graph.output]
    if not outputs or len(set(outputs)) != len(outputs):
        raise MalformedError(
            "SYS-F017",
            "a model has outputs, each under a name of its own",
            found=", ".join(map(repr, outputs)) or "none",
            at=f"graph {proto.graph.name!r}",
            hint="name each output once when exporting",
        )


def _domain(domain: str) -> str:
    return "" if domain in STANDARD_DOMAINS else domain


def _check_opset(opsets: dict[str, int]) -> None:
    version = opsets.get("")
    newest = onnx.defs.onnx_opset_version()
    if version is None:
        return
    if version < OLDEST_OPSET:
        raise UnsupportedError(
            "SYS-F201",
            f"the model's operator set is at least {OLDEST_OPSET}",
            found=f"opset {version}",
            hint=f"convert it: onnx.version_converter.convert_version(model, {OLDEST_OPSET + 6})",
        )
    if version > newest:
        raise UnsupportedError(
            "SYS-F202",
            "the model's operator set is known to the installed onnx package",
            found=f"opset {version}; onnx {onnx.__version__} knows up to {newest}",
            hint="install a newer onnx, or export with an older opset",
        )


def _untyped(proto: onnx.ModelProto) -> bool:
    return not all(o.type.tensor_type.HasField("shape") for o in proto.graph.output)


def _for_checker(proto: onnx.ModelProto, kept: Collection[int]) -> onnx.ModelProto:
    """The model with a type for outputs that have none, which we infer and the checker asks for,
    and inputs in place of the initializers in `kept`."""
    if not _untyped(proto) and not kept:
        return proto
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    graph, inputs = made.graph, {i.name for i in made.graph.input}
    for i in kept:
        tensor = graph.initializer[i]
        if tensor.name not in inputs:
            info = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            graph.input.append(info)
    for i in sorted(kept, reverse=True):
        del graph.initializer[i]
    for output in graph.output:
        if output.type.WhichOneof("value") in (None, "tensor_type"):
            kind = output.type.tensor_type
            kind.elem_type = kind.elem_type or onnx.TensorProto.FLOAT
            kind.shape.SetInParent()
    return made


def _external(proto: onnx.ModelProto) -> list[int]:
    """The initializers whose data lie in files of their own."""
    external = onnx.TensorProto.EXTERNAL
    return [i for i, t in enumerate(proto.graph.initializer) if t.data_location == external]


def _check_rules(proto: onnx.ModelProto, kept: dict[int, memoryview], path: Path | None) -> None:
    """onnx's own checker: on the file for external data, else on the message. (Whether such data
    are there and where they may be, `tensors.py` asks once more.)"""
    external = [] if path is None else _external(proto)
    try:
        if external and not _untyped(proto):
            onnx.checker.check_model(str(path))
        else:
            onnx.checker.check_model(_for_checker(proto, {*kept, *external}))
    except onnx.checker.ValidationError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise MalformedError(
            "SYS-F003",
            "the model obeys ONNX's rules",
            found=lines[0] if lines else "the checker refused it",
            at="; ".join(line for line in lines[1:] if line.startswith("==>")),
            hint="onnx.checker.check_model(model) says the same; mend the exporter",
        ) from error
    except (RuntimeError, ValueError, OSError, UnicodeDecodeError) as error:
        raise MalformedError(
            "SYS-F004",
            "the model obeys ONNX's rules",
            found=(str(error).splitlines() or [type(error).__name__])[0],
            hint="onnx.checker.check_model(model) says the same; mend the exporter",
        ) from error
