"""Models for the tests of the container: random ones by Hypothesis, and a small fixed one."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from isa.dtypes import DType
from isa.memory import Engine
from isa.program import BufferKind, DramBuffer, Program
from neff import ModelTensor, Neff, Section

STREAMS = [0, 1, 2, 3, 4, 5, 6, 12, 20]
NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12
)


def small() -> Neff:
    """One section, three buffers, two streams."""
    rng = np.random.default_rng(7)
    buffers = (
        DramBuffer("x", BufferKind.INPUT, 0, 256, DType.BF16, (4, 32)),
        DramBuffer("w", BufferKind.CONSTANT, 256, 100, DType.UINT8, (100,)),
        DramBuffer("t", BufferKind.SCRATCH, 512, 64),
        DramBuffer("y", BufferKind.OUTPUT, 640, 128, DType.FP32, (4, 8)),
    )
    words = {
        int(s): rng.integers(0, 2**64, (n, 16), dtype=np.uint64)
        for s, n in ((Engine.TENSOR, 3), (Engine.DMA, 5))
    }
    debug = {0: np.array([0, 1, -1], dtype=np.int32)}
    program = Program(words, buffers, debug, ("conv1", "relu1"))
    return Neff.single(
        "small",
        "inf1",
        program,
        {"w": rng.integers(0, 256, 100, dtype=np.uint8)},
        inputs=(ModelTensor("image", "float32", (4, 32), "x"),),
        outputs=(ModelTensor("scores", "float32", (4, 8), "y"),),
        metadata={"options": {"auto-cast": "all"}, "bound_ratio": 1.25},
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def sections(draw: Any) -> Section:
    """A section with random streams, buffers of every kind, constants and a debug map."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    names = draw(st.lists(NAMES, max_size=6, unique=True))
    address, buffers = 0, []
    for name in names:
        address += draw(st.integers(0, 100))
        dtype = draw(st.sampled_from(list(DType)))
        shape = tuple(draw(st.lists(st.integers(1, 5), max_size=4)))
        size = int(np.prod(shape)) * dtype.size_bytes + draw(st.integers(0, 3))
        kind = draw(st.sampled_from(list(BufferKind)))
        buffers.append(DramBuffer(name, kind, address, size, dtype, shape))
        address += size
    constants = {
        b.name: rng.integers(0, 256, b.size_bytes, dtype=np.uint8)
        for b in buffers
        if b.kind is BufferKind.CONSTANT
    }
    layers = tuple(draw(st.lists(NAMES, max_size=4)))
    lengths = draw(st.dictionaries(st.sampled_from(STREAMS), st.integers(0, 9), max_size=5))
    streams = {s: rng.integers(0, 2**64, (n, 16), dtype=np.uint64) for s, n in lengths.items()}
    mapped = [s for s in lengths if draw(st.booleans())]
    debug = {s: rng.integers(-1, len(layers), lengths[s]).astype(np.int32) for s in mapped}
    pinned = rng.integers(0, 2**64, (draw(st.integers(0, 3)), 16), dtype=np.uint64)
    return Section(Program(streams, tuple(buffers), debug, layers, pinned), constants)


@st.composite
def neffs(draw: Any) -> Neff:
    """A sound model."""
    parts = tuple(draw(st.lists(sections(), min_size=1, max_size=2)))
    tensors: dict[BufferKind, list[ModelTensor]] = {k: [] for k in BufferKind}
    for index, part in enumerate(parts):
        for b in part.program.buffers:
            name = f"{index}/{b.name}"
            tensors[b.kind].append(ModelTensor(name, "float32", b.shape or (1,), b.name, index))
    return Neff(
        draw(NAMES | st.just("ü" * 400)),
        draw(st.sampled_from(["inf1", "trn2"])),
        parts,
        tuple(tensors[BufferKind.INPUT]),
        tuple(tensors[BufferKind.OUTPUT]),
        draw(st.dictionaries(NAMES, JSON, max_size=3)),
        draw(st.integers(1, 64)),
    )


def same(a: Neff, b: Neff) -> bool:
    """Equal in everything that a file keeps."""
    facts = ("name", "target", "inputs", "outputs", "metadata", "cores", "build_version", "links")
    return (
        all(getattr(a, f) == getattr(b, f) for f in facts)
        and len(a.sections) == len(b.sections)
        and all(map(_same_section, a.sections, b.sections))
    )


def _same_section(a: Section, b: Section) -> bool:
    p, q = a.program, b.program
    return (
        p.buffers == q.buffers
        and p.layers == q.layers
        and _same_arrays(p.streams, q.streams)
        and _same_arrays(p.debug, q.debug)
        and _same_arrays(a.constants, b.constants)
        and np.array_equal(p.pinned, q.pinned)
    )


def _same_arrays(a: Any, b: Any) -> bool:
    return set(a) == set(b) and all(
        a[k].dtype == b[k].dtype and np.array_equal(a[k], b[k]) for k in a
    )
