"""Everything that a NEFF says of itself, as a JSON-ready mapping."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

import isa.instructions  # noqa: F401  (fills the registry)
from isa.memory import stream_name
from isa.program import Words
from isa.spec import REGISTRY
from neff.header import content_uuid
from neff.layout import FEATURES, HEADER_FIELDS, HOST_SECTIONS, LIMITS, Limits, section_name
from neff.model import ModelTensor, Section
from neff.partitioned import DevicePart, HostPart, PartitionedNeff, PartTensor, partitioned_of
from neff.reader import Contents, model_of, open_contents


def inspect(
    path: str | Path, *, check_hash: bool = True, limits: Limits = LIMITS
) -> dict[str, Any]:
    """Header, archive members, sections with streams, opcodes and buffers, tensors, metadata.

    Raises as `neff.reader.read`: a file that cannot be read cannot be inspected either.
    """
    contents = open_contents(path, check_hash=check_hash, limits=limits)
    outside = {
        "header": _header(contents),
        "compressed": contents.compressed,
        "hash_checked": check_hash,
        "members": [
            {"name": m.name, "offset": m.offset, "size_bytes": m.size}
            for m in contents.members.values()
        ],
    }
    if contents.header.feature_bits & HOST_SECTIONS:
        return outside | _partitioned(partitioned_of(contents))
    neff = model_of(contents)
    return outside | {
        "name": neff.name,
        "target": neff.target,
        "cores": neff.cores,
        "inputs": [_tensor(t) for t in neff.inputs],
        "outputs": [_tensor(t) for t in neff.outputs],
        "links": [
            [f"{section_name(i)}/{name}" for i, name in (k.source, k.target)] for k in neff.links
        ],
        "sections": [_section(s, section_name(i)) for i, s in enumerate(neff.sections)],
        "metadata": dict(neff.metadata),
    }


def _partitioned(model: PartitionedNeff) -> dict[str, Any]:
    """The same of a model in sections: those of the device as `sections`, and the host's."""
    return {
        "name": model.name,
        "target": model.target,
        "cores": max(neff.cores for neff in model.device),
        "inputs": [_outer(t) for t in model.inputs],
        "outputs": [_outer(t) for t in model.outputs],
        "sections": [
            _section(section, f"section{i:02d}/{section_name(j)}")
            for i, part in enumerate(model.parts)
            if isinstance(part, DevicePart)
            for j, section in enumerate(part.neff.sections)
        ],
        "host_sections": [
            {
                "name": f"section{i:02d}",
                "engine": part.engine,
                "own_process": part.apart,
                "takes": list(part.takes),
                "gives": list(part.gives),
                "size_bytes": len(part.model),
            }
            for i, part in enumerate(model.parts)
            if isinstance(part, HostPart)
        ],
        "metadata": dict(model.metadata),
    }


def _outer(tensor: PartTensor) -> dict[str, Any]:
    shape = None if tensor.shape is None else list(tensor.shape)
    return {"name": tensor.name, "dtype": tensor.dtype or None, "shape": shape}


def _header(contents: Contents) -> dict[str, Any]:
    header = contents.header
    raw = header.to_bytes()
    shown: dict[str, Any] = {}
    for spec in HEADER_FIELDS:
        value = getattr(header, spec.name, None)
        shown[spec.name] = value.hex() if isinstance(value, bytes) else value
    del shown["pad"]
    bits = header.feature_bits
    return shown | {
        "uuid": str(UUID(bytes=content_uuid(raw))),
        "tpb_per_node": list(header.tpb_per_node),
        "features": [name for bit, name in FEATURES.items() if bits & bit],
    }


def _tensor(tensor: ModelTensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "buffer": tensor.buffer,
        "section": section_name(tensor.section),
    }


def _section(section: Section, name: str) -> dict[str, Any]:
    program = section.program
    return {
        "name": name,
        "instructions": program.instructions,
        "dram_bytes": program.dram_bytes,
        "constant_bytes": sum(b.size_bytes for b in section.constant_buffers()),
        "pinned_instructions": len(program.pinned),
        "layers": len(program.layers),
        "streams": {
            stream_name(s): {"instructions": len(words), "opcodes": opcode_histogram(words)}
            for s, words in sorted(program.streams.items())
        },
        "buffers": [
            {
                "name": b.name,
                "kind": b.kind.value,
                "address": b.address,
                "size_bytes": b.size_bytes,
                "dtype": b.dtype.text,
                "shape": list(b.shape),
            }
            for b in program.buffers
        ],
    }


def opcode_histogram(words: Words) -> dict[str, int]:
    """How often each mnemonic stands in a stream; an unknown opcode shows as its number."""
    codes, counts = np.unique(words[:, 0] & np.uint64(0xFF), return_counts=True)
    found = {}
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        kind = REGISTRY.get(code)
        found[kind.mnemonic if kind is not None else f"0x{code:02x}"] = count
    return found
