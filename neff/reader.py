"""Bytes -> model. Nothing is believed before it is checked.

In this order: the header, its uuid, the payload's hash, the archive's structure, the documents,
the sizes that documents and members state of each other, and the model as a whole. A file is
mapped, so its weights cost memory only when they are used.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isa.program import DramBuffer, Program, Words
from isa.spec import INSTRUCTION_BYTES, WORDS
from neff.archive import Member, expand, list_members
from neff.documents import (
    Definition,
    Graph,
    constant_offsets,
    constants_bytes,
    parse_definition,
    parse_graph,
    parse_layers,
)
from neff.header import Header, parse_header
from neff.layout import (
    GRAPH,
    GZIP_MAGIC,
    HEADER_BYTES,
    HOST_SECTIONS,
    INFO,
    LAYERS,
    LIMITS,
    PINNED,
    Limits,
    malformed,
    section_name,
    stream_file,
)
from neff.model import Bytes, Neff, Section
from neff.strict_json import Node, parse
from neff.verify import require_sound


@dataclass(frozen=True)
class Contents:
    """A file whose structure holds: header, archive, and where each member lies in it."""

    header: Header
    archive: memoryview
    members: dict[str, Member]
    compressed: bool
    limits: Limits = LIMITS

    def data(self, name: str) -> memoryview:
        """A member's bytes, as a view. Raises MalformedError SYS-N016 when there is none."""
        member = self.members.get(name)
        if member is None:
            message = "an archive has the members that its documents name"
            raise malformed("SYS-N016", message, found=f"no {name}", at="archive")
        return self.archive[member.offset : member.offset + member.size]

    def document(self, name: str) -> Node:
        """A JSON member's root."""
        return parse(bytes(self.data(name)), name, self.limits)


def read(path: str | Path, *, check_hash: bool = True, limits: Limits = LIMITS) -> Neff:
    """A model from its file. Constants are views of the file, which stays mapped while they live.

    So the file is to be replaced (as `write` does) or removed, never changed in place, while the
    model is in use; `from_bytes` takes a copy.

    Args:
        check_hash: compare the payload with the header's hash; costs one pass over the file.
    Raises:
        MalformedError: SYS-N001 .. SYS-N021, what cannot be read.
        IllegalError: SYS-N030 .. SYS-N035, what can be read and does not fit together.
    """
    return model_of(contents_of(map_file(path), check_hash, limits))


def from_bytes(
    data: bytes | memoryview, *, check_hash: bool = True, limits: Limits = LIMITS
) -> Neff:
    """A model from a file's bytes. Raises as `read`."""
    return model_of(contents_of(memoryview(data).cast("B"), check_hash, limits))


def open_contents(
    path: str | Path, *, check_hash: bool = True, limits: Limits = LIMITS
) -> Contents:
    """The file's parts, before its documents are read. Raises MalformedError SYS-N001 .. N015."""
    return contents_of(map_file(path), check_hash, limits)


def map_file(path: str | Path) -> memoryview:
    """A file's bytes, mapped read-only. Raises MalformedError SYS-N001."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _cannot_open(path, "it is not a plain file")
            if status.st_size == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(descriptor, status.st_size, access=mmap.ACCESS_READ))
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise _cannot_open(path, getattr(error, "strerror", None) or str(error)) from None


def _cannot_open(path: str | Path, found: str) -> Exception:
    hint = "give the path of a NEFF, as `systola compile` writes it"
    return malformed("SYS-N001", "the file cannot be opened", found=found, at=str(path), hint=hint)


def contents_of(view: memoryview, check_hash: bool, limits: Limits) -> Contents:
    header = parse_header(bytes(view[:HEADER_BYTES]), len(view))
    payload = view[HEADER_BYTES:]
    if check_hash:
        _check_hash(payload, header)
    zipped = payload[:2] == GZIP_MAGIC
    archive = expand(payload, limits) if zipped else payload
    return Contents(header, archive, list_members(archive, limits), zipped, limits)


def _check_hash(payload: memoryview, header: Header) -> None:
    digest = hashlib.sha256(payload).digest()
    if digest != header.hash:
        raise malformed(
            "SYS-N008",
            "the payload has the hash that the header states, so one of the two was changed",
            found=f"{digest.hex()}; the header has {header.hash.hex()}",
            at=f"byte {HEADER_BYTES}, payload",
        )


def model_of(contents: Contents) -> Neff:
    """The model of a plain NEFF. Raises as `read`."""
    if contents.header.feature_bits & HOST_SECTIONS:
        raise malformed(
            "SYS-N005",
            "a plain NEFF has no sections on the host",
            found="the feature bit host-sections",
            at="byte 544, header field feature_bits",
            hint="read it with neff.read_model, or systola.load",
        )
    graph = parse_graph(contents.document(GRAPH))
    metadata = contents.document(INFO).fields("metadata")["metadata"].mapping()
    layers = parse_layers(contents.document(LAYERS), graph.sections)
    used = {GRAPH, INFO, LAYERS}
    sections = tuple(_section(contents, i, layers[i], used) for i in range(graph.sections))
    unused = sorted(set(contents.members) - used)
    if unused:
        message = "an archive has no member that its documents do not name"
        raise malformed("SYS-N016", message, found=unused[0], at="archive")
    neff = Neff(
        graph.name,
        graph.target,
        sections,
        graph.inputs,
        graph.outputs,
        metadata,
        graph.cores,
        graph.build_version,
        graph.links,
    )
    _check_agreement(contents.header, neff, graph)
    require_sound(neff, contents.limits)
    return neff


def _check_agreement(header: Header, neff: Neff, graph: Graph) -> None:
    expected = Header(
        header.data_size,
        header.hash,
        neff.name,
        neff.build_version,
        graph.sections,
        graph.cores,
        b"\x01" * graph.sections,
    )
    if expected.to_bytes() != header.to_bytes():
        found = f"{expected} against {header}"
        message = f"the header agrees with {GRAPH}"
        raise malformed("SYS-N003", message, found=found[:400], at="byte 0, header")


def _section(contents: Contents, index: int, layers: tuple[str, ...], used: set[str]) -> Section:
    folder = section_name(index)
    name = f"{folder}/def.json"
    definition = parse_definition(contents.document(name))
    used.add(name)
    streams: dict[int, Words] = {}
    debug = {}
    for stream, length in definition.instructions.items():
        name = f"{folder}/{stream_file(stream)}.bin"
        used.add(name)
        streams[stream] = _words(contents.data(name), length, name)
        name = f"debug_info/{name}"
        if name in contents.members:
            used.add(name)
            debug[stream] = _debug_map(contents.data(name), length, name)
    pinned = np.zeros((0, WORDS), np.uint64)
    if definition.pinned:
        name = f"{folder}/{PINNED}.bin"
        used.add(name)
        pinned = _words(contents.data(name), definition.pinned, name)
    program = Program(streams, definition.buffers, debug, layers, pinned)
    return Section(program, _constants(contents, folder, definition, used))


def _words(data: memoryview, length: int, name: str) -> Words:
    if len(data) != length * INSTRUCTION_BYTES:
        raise malformed(
            "SYS-N030",
            f"a stream has {INSTRUCTION_BYTES} bytes for each of its instructions",
            found=f"{len(data)} bytes; def.json says {length} instructions",
            at=name,
        )
    return np.frombuffer(data, dtype="<u8").reshape(-1, WORDS).astype(np.uint64)


def _debug_map(
    data: memoryview, length: int, name: str
) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    if len(data) != length * 4:
        raise malformed(
            "SYS-N034",
            "a debug map has 4 bytes for each instruction",
            found=f"{len(data)} bytes; the stream has {length} instructions",
            at=name,
        )
    return np.frombuffer(data, dtype="<i4").astype(np.int32)


def _constants(
    contents: Contents, folder: str, definition: Definition, used: set[str]
) -> dict[str, Bytes]:
    size = constants_bytes(definition.buffers)
    if not size:
        return {}
    name = f"{folder}/constants.bin"
    used.add(name)
    data = contents.data(name)
    if len(data) != size:
        raise malformed(
            "SYS-N032",
            "the constants' file is as large as their buffers, each aligned",
            found=f"{len(data)} bytes; the buffers need {size}",
            at=name,
        )
    whole = np.frombuffer(data, dtype=np.uint8)
    sizes: dict[str, DramBuffer] = {b.name: b for b in definition.buffers}
    offsets = constant_offsets(definition.buffers)
    return {n: whole[at : at + sizes[n].size_bytes] for n, at in offsets.items()}
