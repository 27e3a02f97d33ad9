"""The archive's JSON documents: model <-> JSON, in the public vocabulary where it has a word.

neff.json   the graph: name, target, sections, inputs and outputs, what sections hand on (`links`)
info.json   metadata
sgNN/def.json
    var        the DRAM buffers: input, output, file (a constant), virtual (scratch), as the public
               format has them; `address` in the core's DRAM window, `dtype`, `shape` and
               `file_offset` are ours. A virtual's backing_variable_off is its address.
    dma_queue  a set for each queue. Here a queue runs a program of its own, `program`, whose
               instructions hold the descriptors; engines trigger it by semaphores. A set that is
               `pinned` runs once, when the model is loaded.
    engine     an instruction file for each engine
debug_info/layers.json   the layers' names, section by section
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isa.dtypes import DType
from isa.memory import FIRST_QUEUE
from isa.program import BufferKind, DramBuffer
from neff.layout import (
    CONSTANT_ALIGNMENT,
    MAX_NODES,
    MAX_QUEUES,
    PINNED,
    VERSION,
    is_section,
    malformed,
    section_name,
    stream_file,
    stream_of_file,
)
from neff.model import TENSOR_DTYPES, Link, ModelTensor, Neff, Section
from neff.strict_json import Node

_VAR_TYPE = {
    BufferKind.INPUT: "input",
    BufferKind.OUTPUT: "output",
    BufferKind.CONSTANT: "file",
    BufferKind.SCRATCH: "virtual",
}
_KIND_OF = {text: kind for kind, text in _VAR_TYPE.items()}
_DTYPE_OF = {d.text: d for d in DType}
_HUGE = 1 << 62  # sizes are held against the limits of `verify`; this bounds the number itself


# --- neff.json -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Graph:
    """What neff.json says."""

    name: str
    target: str
    build_version: str
    cores: int
    sections: int
    inputs: tuple[ModelTensor, ...]
    outputs: tuple[ModelTensor, ...]
    links: tuple[Link, ...]


def graph_json(neff: Neff) -> dict[str, Any]:
    """The content of neff.json."""
    links = [[[section_name(i), b] for i, b in (k.source, k.target)] for k in neff.links]
    return {
        "format": "systola",
        "version": list(VERSION),
        "name": neff.name,
        "target": neff.target,
        "build_version": neff.build_version,
        "cores": neff.cores,
        "sections": [section_name(i) for i in range(len(neff.sections))],
        "inputs": [_tensor_json(t) for t in neff.inputs],
        "outputs": [_tensor_json(t) for t in neff.outputs],
        **({"links": links} if links else {}),
    }


def parse_graph(root: Node) -> Graph:
    """neff.json, checked. Raises MalformedError SYS-N021."""
    names = ("format", "version", "name", "target", "build_version", "cores")
    f = root.fields(*names, "sections", "inputs", "outputs", optional=("links",))
    f["format"].choice("systola")
    if f["version"].value != list(VERSION):
        raise f["version"].wrong(str(list(VERSION)))
    sections = f["sections"].sequence(MAX_NODES)
    for index, node in enumerate(sections):
        node.choice(section_name(index))
    limit = root.limits.buffers
    return Graph(
        f["name"].text(),
        f["target"].text(),
        f["build_version"].text(),
        f["cores"].integer(1, 1 << 16),
        len(sections),
        tuple(_tensor(n) for n in f["inputs"].sequence(limit)),
        tuple(_tensor(n) for n in f["outputs"].sequence(limit)),
        tuple(_link(n) for n in f["links"].sequence(limit)) if "links" in f else (),
    )


def _link(node: Node) -> Link:
    ends = node.sequence(2)
    if len(ends) != 2:
        raise node.wrong("a pair of [section, buffer]")
    source, target = (_end(n) for n in ends)
    return Link(source, target)


def _end(node: Node) -> tuple[int, str]:
    pair = node.sequence(2)
    if len(pair) != 2:
        raise node.wrong("[section, buffer]")
    return _section_number(pair[0]), pair[1].text()


def _section_number(node: Node) -> int:
    section = node.text()
    if not is_section(section):
        raise node.wrong("the name of a section")
    return int(section[2:])


def _tensor_json(tensor: ModelTensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "section": section_name(tensor.section),
        "buffer": tensor.buffer,
    }


def _tensor(node: Node) -> ModelTensor:
    f = node.fields("name", "dtype", "shape", "section", "buffer")
    return ModelTensor(
        f["name"].text(),
        f["dtype"].choice(*TENSOR_DTYPES),
        _shape(f["shape"]),
        f["buffer"].text(),
        _section_number(f["section"]),
    )


def _shape(node: Node) -> tuple[int, ...]:
    return tuple(n.integer(0, _HUGE) for n in node.sequence(node.limits.rank))


# --- def.json ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Definition:
    """What a section's def.json says: buffers, the length of each stream, pinned transfers."""

    buffers: tuple[DramBuffer, ...]
    instructions: dict[int, int]
    pinned: int


def definition_json(section: Section) -> dict[str, Any]:
    """The content of a section's def.json."""
    program = section.program
    files = {
        stream_file(s): {"program": f"{stream_file(s)}.bin", "instructions": len(words)}
        for s, words in program.streams.items()
    }
    queues = {stream_file(s) for s in program.streams if s >= FIRST_QUEUE}
    sets = {q: {"type": "data", "num_queues": 1, **files[q]} for q in queues}
    if len(program.pinned):
        loads = {"program": f"{PINNED}.bin", "instructions": len(program.pinned)}
        sets[PINNED] = {"type": "data", "num_queues": 1, "pinned": True, **loads}
    return {
        "var": _variables(program.buffers),
        "dma_queue": sets,
        "engine": {e: entry for e, entry in files.items() if e not in queues},
    }


def _variables(buffers: tuple[DramBuffer, ...]) -> dict[str, Any]:
    offsets = constant_offsets(buffers)
    found = {}
    for index, buffer in enumerate(buffers):
        entry: dict[str, Any] = {
            "type": _VAR_TYPE[buffer.kind],
            "var_id": index,
            "size": buffer.size_bytes,
            "address": buffer.address,
            "dtype": buffer.dtype.text,
            "shape": list(buffer.shape),
        }
        if buffer.kind is BufferKind.CONSTANT:
            entry |= {"file_name": "constants.bin", "file_offset": offsets[buffer.name]}
        if buffer.kind is BufferKind.SCRATCH:
            entry |= {"backing_variable_off": buffer.address}
        found[buffer.name] = entry
    return found


def constant_offsets(buffers: tuple[DramBuffer, ...]) -> dict[str, int]:
    """Where each constant starts in constants.bin, in address order, each aligned."""
    offsets, at = {}, 0
    for buffer in buffers:
        if buffer.kind is BufferKind.CONSTANT:
            offsets[buffer.name] = at
            at += buffer.size_bytes + -buffer.size_bytes % CONSTANT_ALIGNMENT
    return offsets


def constants_bytes(buffers: tuple[DramBuffer, ...]) -> int:
    """Size of constants.bin."""
    sizes = [b.size_bytes for b in buffers if b.kind is BufferKind.CONSTANT]
    return sum(n + -n % CONSTANT_ALIGNMENT for n in sizes)


def parse_definition(root: Node) -> Definition:
    """A def.json, checked. Raises MalformedError SYS-N021."""
    f = root.fields("var", "dma_queue", "engine")
    entries = [_variable(name, node) for name, node in f["var"].items(root.limits.buffers)]
    entries.sort(key=lambda entry: entry[0])
    if [index for index, _, _ in entries] != list(range(len(entries))):
        raise f["var"].wrong("entries whose var_id count from 0")
    buffers = tuple(buffer for _, buffer, _ in entries)
    offsets = constant_offsets(buffers)
    for _, buffer, node in entries:
        if "file_offset" in node.value and node.value["file_offset"] != offsets[buffer.name]:
            raise node.fields(*node.value)["file_offset"].wrong(str(offsets[buffer.name]))
    lengths: dict[int, int] = {}
    pinned = 0
    for key, queue in (("engine", False), ("dma_queue", True)):
        for name, node in f[key].items(FIRST_QUEUE + MAX_QUEUES + 1):
            if queue and name == PINNED:
                pinned = _pinned(node)
                continue
            stream, length = _stream(name, node, queue)
            lengths[stream] = length
    return Definition(buffers, dict(sorted(lengths.items())), pinned)


def _variable(name: str, node: Node) -> tuple[int, DramBuffer, Node]:
    kinds = ("file_name", "file_offset", "backing_variable_off")
    f = node.fields("type", "var_id", "size", "address", "dtype", "shape", optional=kinds)
    kind = _KIND_OF[f["type"].choice(*_KIND_OF)]
    address = f["address"].integer(0, _HUGE)
    extra = {
        BufferKind.CONSTANT: {"file_name", "file_offset"},
        BufferKind.SCRATCH: {"backing_variable_off"},
    }.get(kind, set())
    if extra != set(f) & set(kinds):
        raise node.wrong(f"{kind.value} buffers with {sorted(extra)}")
    if kind is BufferKind.CONSTANT:
        f["file_name"].choice("constants.bin")
        f["file_offset"].integer(0, _HUGE)
    if kind is BufferKind.SCRATCH and f["backing_variable_off"].integer(0, _HUGE) != address:
        raise f["backing_variable_off"].wrong(f"the address, {address}")
    buffer = DramBuffer(
        Node(name, node.path).text(),
        kind,
        address,
        f["size"].integer(1, _HUGE),
        _DTYPE_OF[f["dtype"].choice(*_DTYPE_OF)],
        _shape(f["shape"]),
    )
    return f["var_id"].integer(0, node.limits.buffers), buffer, node


def _pinned(node: Node) -> int:
    f = node.fields("type", "num_queues", "pinned", "program", "instructions")
    f["type"].choice("data")
    f["num_queues"].integer(1, 1)
    f["program"].choice(f"{PINNED}.bin")
    if f["pinned"].value is not True:
        raise f["pinned"].wrong("true")
    return f["instructions"].integer(1, _HUGE)


def _stream(name: str, node: Node, queue: bool) -> tuple[int, int]:
    stream = stream_of_file(name)
    if stream is None or (stream >= FIRST_QUEUE) is not queue:
        found = f"{name[:60]!r}; allowed are engines, or queues q0 to q{MAX_QUEUES - 1}"
        message = "a document follows its schema"
        raise malformed("SYS-N021", message, found=found, at=node.path)
    if queue:
        f = node.fields("type", "num_queues", "program", "instructions")
        f["type"].choice("data")
        f["num_queues"].integer(1, 1)
    else:
        f = node.fields("program", "instructions")
    f["program"].choice(f"{name}.bin")
    return stream, f["instructions"].integer(0, _HUGE)


# --- debug_info/layers.json ----------------------------------------------------------------------


def layers_json(neff: Neff) -> dict[str, Any]:
    """The content of debug_info/layers.json."""
    return {section_name(i): list(s.program.layers) for i, s in enumerate(neff.sections)}


def parse_layers(root: Node, sections: int) -> list[tuple[str, ...]]:
    """debug_info/layers.json, checked. Raises MalformedError SYS-N021."""
    names = [section_name(i) for i in range(sections)]
    f = root.fields(*names)
    return [tuple(n.text() for n in f[s].sequence(root.limits.layers)) for s in names]
