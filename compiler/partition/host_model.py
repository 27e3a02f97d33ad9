"""A host section as an ONNX model of its own: its nodes as they stand, constants taken in.

Large constants are put into the serialised message as they are: a message made of them by the
protobuf library would copy an embedding table four times over. The same section gives the same
bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compiler.errors import CapacityError
from compiler.frontends.onnx.model import Model
from compiler.frontends.onnx.wire import DATA_TYPE, GRAPH, INITIALIZER, LENGTH, NAME, RAW_DATA
from compiler.graph.graph import Array
from compiler.partition.calls import Call, operators
from compiler.partition.cut import Border

LARGEST_BYTES = (1 << 31) - 1  # of a serialised protobuf message
LARGE_BYTES = 1 << 16  # constants from this size on bypass the protobuf library
KNOWN_OPSET = 21  # of every engine; what is newer is asked for only where an operator needs it
NEWEST_IR = 11  # what the calls of a model need is in their operator set, not in this
_LITTLE_KINDS = "fiub"  # numpy kinds whose bytes are the message's own


@dataclass(frozen=True)
class HostModel:
    """A serialised model, and the same with its large constants as inputs: cheap to try out."""

    whole: bytes
    outline: bytes


def host_model(
    model: Model,
    calls: Sequence[Call],
    border: Border,
    types: Mapping[str, onnx.TypeProto],
    constants: Mapping[str, Array],
) -> HostModel:
    """The model of a section.

    Raises:
        CapacityError: SYS-P003, its constants are more than one message holds.
    """
    original = {t.name: t for t in model.proto.graph.initializer}
    read = dict.fromkeys(r for c in calls for r in c.reads)
    small, large = [], {}
    for name in read:
        array = constants.get(name)
        if array is None:
            if name in original:  # text: no array of ours
                small.append(original[name])
        elif array.nbytes >= LARGE_BYTES and array.dtype.kind in _LITTLE_KINDS:
            large[name] = np.ascontiguousarray(array)
        else:
            small.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
    _check_size(large)
    graph = helper.make_graph(
        [c.proto for c in calls],
        model.proto.graph.name or "host",
        [_info(n, types) for n in border.takes],
        [_info(n, types) for n in border.gives],
        small,
        sparse_initializer=[
            s for s in model.proto.graph.sparse_initializer if s.values.name in read
        ],
    )
    versions = {**model.opsets, "": opset_of(calls, model.opsets[""])} if "" in model.opsets \
        else model.opsets  # fmt: skip
    entries = [helper.make_opsetid(domain, v) for domain, v in sorted(versions.items())]
    shell = helper.make_model(
        onnx.GraphProto(),
        opset_imports=entries,
        functions=list(model.proto.functions),
        ir_version=min(model.proto.ir_version or NEWEST_IR, NEWEST_IR),
        producer_name="systola",
    )
    shell.ClearField("graph")
    outside = shell.SerializeToString(deterministic=True)
    inside = graph.SerializeToString(deterministic=True)
    whole = _message(outside, [inside, *_initializers(large)])
    graph.input.extend(_info(n, types) for n in large)
    return HostModel(whole, _message(outside, [graph.SerializeToString(deterministic=True)]))


def opset_of(calls: Sequence[Call], version: int) -> int:
    """The version of ONNX's operators to ask for: an engine that knows none as new as the model's
    may well know all that its operators have, which are the same since an earlier one."""
    names = {name for call in calls for name in operators(call.proto)}
    since = [
        onnx.defs.get_schema(name, version).since_version
        for name in names
        if onnx.defs.has(name, version)
    ]
    return max(min(version, KNOWN_OPSET), *since) if since else version


def _initializers(arrays: Mapping[str, Array]) -> Iterable[bytes | memoryview]:
    """The graph's field for each array: its tensor, the data as they lie in memory."""
    for name, array in arrays.items():
        head = onnx.TensorProto(dims=array.shape).SerializeToString(deterministic=True)
        head += _tag(DATA_TYPE, 0) + _varint(helper.np_dtype_to_tensor_dtype(array.dtype))
        text = name.encode("utf-8")
        head += _tag(NAME, LENGTH) + _varint(len(text)) + text
        head += _tag(RAW_DATA, LENGTH) + _varint(array.nbytes)
        yield _tag(INITIALIZER, LENGTH) + _varint(len(head) + array.nbytes) + head
        yield array.reshape(-1).view(np.uint8).data


def _message(outside: bytes, inside: Sequence[bytes | memoryview]) -> bytes:
    """A model with the pieces of its graph behind the other fields."""
    size = sum(len(piece) for piece in inside)
    return b"".join([outside, _tag(GRAPH, LENGTH), _varint(size), *inside])


def _tag(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _info(name: str, types: Mapping[str, onnx.TypeProto]) -> onnx.ValueInfoProto:
    kind = types.get(name)
    known = kind is not None and kind.WhichOneof("value") is not None
    return onnx.ValueInfoProto(name=name, type=kind if known else None)


def _check_size(large: Mapping[str, Array]) -> None:
    size = sum(a.nbytes for a in large.values())
    if size > LARGEST_BYTES:
        name = max(large, key=lambda n: large[n].nbytes)
        raise CapacityError(
            "SYS-P003",
            "the constants of a section of the host fit in one ONNX message",
            found=f"{size} bytes, of which {large[name].nbytes} are {name!r}; "
            f"at most {LARGEST_BYTES}",
            hint="keep the operations that read it on the device, or cut the model",
        )
