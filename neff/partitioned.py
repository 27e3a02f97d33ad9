"""A model in sections, in one file: NEFFs for the device, ONNX models for the host.

    header            as a NEFF's, with the feature bit `host-sections`
    partition.json    name, target, the sections in order, the model's inputs and outputs, metadata
    section00.onnx    a host section: an ONNX model, and who runs it
    section01.neff    a device section: a whole NEFF, its tensors under the model's own names

The same model gives the same bytes. What reads a plain NEFF refuses such a file by its feature bit
and says so; this reads both kinds' header with the same distrust.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from isa.errors import IllegalError
from isa.files import whole_file
from neff.archive import archive_chunks
from neff.header import Header
from neff.layout import (
    BUILD_VERSION,
    HEADER_BYTES,
    HOST_SECTIONS,
    LIMITS,
    MAX_NODES,
    PARTITION,
    REQUIRED_FEATURES,
    VERSION,
    Limits,
    malformed,
    part_name,
)
from neff.model import Neff
from neff.reader import Contents, contents_of, from_bytes, map_file
from neff.strict_json import Node, dump
from neff.writer import to_bytes

ENGINES = ("onnxruntime", "reference")


@dataclass(frozen=True)
class PartTensor:
    """An input or output of the model.

    Attributes:
        dtype: numpy's name; "" for what is no tensor of numbers, or not known before it runs.
        shape: None where it is known only at run time.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class HostPart:
    """A host section.

    Attributes:
        model: a serialised ONNX model.
        takes, gives: its inputs and outputs, by the whole model's tensor names.
        engine: one of `ENGINES`.
        apart: whether it runs in a process of its own.
    """

    model: bytes | memoryview
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    engine: str
    apart: bool


@dataclass(frozen=True)
class DevicePart:
    """A device section: its NEFF's inputs and outputs bear the whole model's tensor names."""

    neff: Neff

    @property
    def takes(self) -> tuple[str, ...]:
        """The tensors that it needs."""
        return tuple(t.name for t in self.neff.inputs)

    @property
    def gives(self) -> tuple[str, ...]:
        """The tensors that it makes."""
        return tuple(t.name for t in self.neff.outputs)


@dataclass(frozen=True)
class PartitionedNeff:
    """A compiled model in sections, in the order in which they run."""

    name: str
    target: str
    parts: tuple[HostPart | DevicePart, ...]
    inputs: tuple[PartTensor, ...]
    outputs: tuple[PartTensor, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    build_version: str = BUILD_VERSION

    @property
    def device(self) -> list[Neff]:
        """The NEFFs of the device sections, in order."""
        return [p.neff for p in self.parts if isinstance(p, DevicePart)]


def require_connected(model: PartitionedNeff) -> None:
    """Every tensor is there before it is taken, and comes from one place.

    Raises:
        IllegalError: SYS-N037.
    """
    known = {t.name for t in model.inputs}
    if len(known) != len(model.inputs) or not 1 <= len(model.parts) <= MAX_NODES:
        raise _apart(f"{len(model.inputs)} inputs, {len(model.parts)} sections", "the model")
    for index, part in enumerate(model.parts):
        for name in part.takes:
            if name not in known:
                raise _apart(f"{name[:60]!r} is made by no earlier section", f"section {index}")
        for name in part.gives:
            if name in known:
                raise _apart(f"{name[:60]!r} is made twice", f"section {index}")
            known.add(name)
    for tensor in model.outputs:
        if tensor.name not in known:
            raise _apart(f"{tensor.name[:60]!r} is made by no section", "the model's outputs")
    if not model.device:
        raise _apart("no section of the device", "the model")


def _apart(found: str, at: str) -> IllegalError:
    return IllegalError(
        "SYS-N037",
        "the sections of a model hand on all that the later ones take",
        found=found,
        at=at,
        hint="compile the model again",
    )


# --- writing -------------------------------------------------------------------------------------


def write_partitioned(model: PartitionedNeff, path: str | Path) -> Header:
    """Write a file, whole or not at all.

    Raises:
        IllegalError: SYS-N030 .. SYS-N037, the model is not sound.
        SystolaError: SYS-F001, the file cannot be written.
    """
    with whole_file(path) as file:
        return _write(model, file)


def partitioned_bytes(model: PartitionedNeff) -> bytes:
    """The file's bytes. Raises as `write_partitioned`."""
    file = io.BytesIO()
    _write(model, file)
    return file.getvalue()


def _write(model: PartitionedNeff, file: BinaryIO) -> Header:
    require_connected(model)
    members = [(PARTITION, dump(_document(model)))]
    for index, part in enumerate(model.parts):
        data = part.model if isinstance(part, HostPart) else to_bytes(part.neff)
        members.append((part_name(index, isinstance(part, HostPart)), bytes(data)))
    digest, size = hashlib.sha256(), 0
    file.write(bytes(HEADER_BYTES))
    for chunk in archive_chunks((name, len(data), [data]) for name, data in members):
        file.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    header = _header(model, size, digest.digest())
    file.seek(0)
    file.write(header.to_bytes())
    return header


def _header(model: PartitionedNeff, size: int, digest: bytes) -> Header:
    cores = max(neff.cores for neff in model.device)
    return Header(
        data_size=size,
        hash=digest,
        name=model.name,
        neff_build_version=model.build_version,
        requested_tpb_count=cores,
        feature_bits=REQUIRED_FEATURES | HOST_SECTIONS,
    )


def _document(model: PartitionedNeff) -> dict[str, Any]:
    return {
        "format": "systola-partition",
        "version": list(VERSION),
        "name": model.name,
        "target": model.target,
        "build_version": model.build_version,
        "inputs": [_tensor_json(t) for t in model.inputs],
        "outputs": [_tensor_json(t) for t in model.outputs],
        "sections": [_part_json(p) for p in model.parts],
        "metadata": model.metadata,
    }


def _tensor_json(tensor: PartTensor) -> dict[str, Any]:
    shape = None if tensor.shape is None else list(tensor.shape)
    return {"name": tensor.name, "dtype": tensor.dtype, "shape": shape}


def _part_json(part: HostPart | DevicePart) -> dict[str, Any]:
    if isinstance(part, DevicePart):
        return {"on": "device"}
    return {
        "on": "host",
        "takes": list(part.takes),
        "gives": list(part.gives),
        "engine": part.engine,
        "apart": int(part.apart),
    }


# --- reading -------------------------------------------------------------------------------------


def read_model(
    path: str | Path, *, check_hash: bool = True, limits: Limits = LIMITS
) -> Neff | PartitionedNeff:
    """A model from its file, of either kind.

    Raises:
        MalformedError, IllegalError: as `neff.read`, and SYS-N037.
    """
    return model_from_bytes(map_file(path), check_hash=check_hash, limits=limits)


def model_from_bytes(
    data: bytes | memoryview, *, check_hash: bool = True, limits: Limits = LIMITS
) -> Neff | PartitionedNeff:
    """A model from a file's bytes. Raises as `read_model`."""
    view = memoryview(data).cast("B")
    contents = contents_of(view, check_hash, limits)
    if not contents.header.feature_bits & HOST_SECTIONS:
        return from_bytes(view, check_hash=False, limits=limits)
    return partitioned_of(contents)


def partitioned_of(contents: Contents) -> PartitionedNeff:
    """The model in sections of an opened file. Raises as `read_model`."""
    names = ("format", "version", "name", "target", "build_version")
    f = contents.document(PARTITION).fields(*names, "inputs", "outputs", "sections", "metadata")
    f["format"].choice("systola-partition")
    if f["version"].value != list(VERSION):
        raise f["version"].wrong(str(list(VERSION)))
    parts = tuple(
        _part(contents, index, node) for index, node in enumerate(f["sections"].sequence(MAX_NODES))
    )
    model = PartitionedNeff(
        f["name"].text(),
        f["target"].text(),
        parts,
        tuple(_tensor(n) for n in f["inputs"].sequence(contents.limits.buffers)),
        tuple(_tensor(n) for n in f["outputs"].sequence(contents.limits.buffers)),
        f["metadata"].mapping(),
        f["build_version"].text(),
    )
    used = {PARTITION, *(part_name(i, isinstance(p, HostPart)) for i, p in enumerate(parts))}
    unused = sorted(set(contents.members) - used)
    if unused:
        message = "an archive has no member that its documents do not name"
        raise malformed("SYS-N016", message, found=unused[0], at="archive")
    require_connected(model)
    expected = _header(model, contents.header.data_size, contents.header.hash)
    if expected.to_bytes() != contents.header.to_bytes():
        found = f"{expected} against {contents.header}"[:400]
        message = f"the header agrees with {PARTITION}"
        raise malformed("SYS-N003", message, found=found, at="byte 0, header")
    return model


def _part(contents: Contents, index: int, node: Node) -> HostPart | DevicePart:
    on_host = _side(node) == "host"
    data = contents.data(part_name(index, on_host))
    if not on_host:
        node.fields("on")
        return DevicePart(from_bytes(data, check_hash=False, limits=contents.limits))
    f = node.fields("on", "takes", "gives", "engine", "apart")
    return HostPart(
        data,
        _texts(f["takes"]),
        _texts(f["gives"]),
        f["engine"].choice(*ENGINES),
        bool(f["apart"].integer(0, 1)),
    )


def _side(node: Node) -> str:
    f = node.fields("on", optional=("takes", "gives", "engine", "apart"))
    return f["on"].choice("host", "device")


def _texts(node: Node) -> tuple[str, ...]:
    return tuple(n.text() for n in node.sequence(node.limits.buffers))


def _tensor(node: Node) -> PartTensor:
    f = node.fields("name", "dtype", "shape")
    shape = None
    if f["shape"].value is not None:
        shape = tuple(n.integer(0, 1 << 62) for n in f["shape"].sequence(node.limits.rank))
    dtype = f["dtype"].value
    return PartTensor(f["name"].text(), f["dtype"].text() if dtype else "", shape)
