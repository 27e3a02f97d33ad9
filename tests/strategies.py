"""Hypothesis strategies: operands, instructions and programs, anywhere in what can be encoded."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from isa.dtypes import DType
from isa.encoding import encode_all
from isa.memory import Memory
from isa.printing import REQUIRED, defaults
from isa.program import BufferKind, DramBuffer, Program
from isa.spec import REGISTRY, AnyField, BitsField, DmaField, Instruction, Signal, TileField, Wait
from isa.tiles import Column, DmaTile, Immediate, Tile

memories = st.sampled_from(Memory)
dtypes = st.sampled_from(DType)
starts = st.integers(0, 127)
counts = st.integers(1, 128)
addresses = st.integers(0, (1 << 24) - 1)


def dims(rank: int, bits: int) -> SearchStrategy[tuple[tuple[int, int], ...]]:
    """Up to `rank` dimensions of steps and counts in `bits` bits, contiguous ones among them."""
    step = st.one_of(
        st.sampled_from([0, 1, -1]), st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)
    )
    num = st.one_of(st.sampled_from([1, 2, 8]), st.integers(1, (1 << bits) - 1))
    return st.lists(st.tuples(step, num), max_size=rank).map(tuple)


tiles = st.builds(Tile, memories, starts, counts, addresses, dtypes, dims(4, 16))
columns = st.builds(Column, memories, starts, addresses, dtypes)
immediates = st.one_of(
    st.builds(Immediate, st.integers(0, (1 << 32) - 1)),
    st.floats(width=32).map(Immediate.of),
)
dma_tiles = st.builds(
    DmaTile,
    memories,
    st.integers(0, (1 << 40) - 1),
    dtypes,
    dims(5, 32),
    start=starts,
    partitions=counts,
)
semaphores = st.integers(0, 255)
waits = st.lists(st.builds(Wait, semaphores, st.integers(0, (1 << 32) - 1)), max_size=2).map(tuple)
signals = st.one_of(st.none(), st.builds(Signal, semaphores, st.integers(0, (1 << 16) - 1)))


def values(spec: AnyField) -> SearchStrategy[Any]:
    """Values of a field."""
    if isinstance(spec, BitsField):
        return _numbers(spec)
    if isinstance(spec, DmaField):
        return dma_tiles
    present: SearchStrategy[Any] = tiles if isinstance(spec, TileField) else columns | immediates
    return st.one_of(st.none(), present) if spec.optional else present


def _numbers(spec: BitsField) -> SearchStrategy[Any]:
    if spec.flag:
        return st.booleans()
    if spec.enum is not None:
        return st.sampled_from(spec.enum)
    if spec.signed:
        return st.integers(-(1 << spec.width - 1), (1 << spec.width - 1) - 1)
    return st.integers(0, (1 << spec.width) - 1)


def instructions_of(kind: type[Instruction]) -> SearchStrategy[Instruction]:
    """Encodable instructions of a kind, defaults drawn often."""
    fields = {}
    for name, default in defaults(kind.opcode).items():
        drawn = values(kind.fields[name])
        fields[name] = drawn if default is REQUIRED else st.one_of(st.just(default), drawn)
    return st.builds(kind, **fields, waits=waits, signal=signals)


kinds = st.sampled_from([REGISTRY[opcode] for opcode in sorted(REGISTRY)])
instructions = kinds.flatmap(instructions_of)


@st.composite
def buffers(draw: st.DrawFn) -> tuple[DramBuffer, ...]:
    """Buffers one behind the other, with and without gaps, some larger than their shape."""
    made: list[DramBuffer] = []
    end = 0
    names = st.one_of(st.sampled_from(["x", "conv1.weight", "a b", 'quo"te', "é/:0"]), st.text())
    for name in draw(st.lists(names, max_size=4, unique=True)):
        kind, dtype = draw(st.sampled_from(BufferKind)), draw(dtypes)
        shape = tuple(draw(st.lists(st.integers(0, 64), max_size=3)))
        least = int(np.prod(shape, dtype=object)) * dtype.size_bytes
        address = end + draw(st.sampled_from([0, 64, 4096]))
        made.append(
            DramBuffer(name, kind, address, least + draw(st.sampled_from([0, 3])), dtype, shape)
        )
        end = made[-1].end
    return tuple(made)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Programs of a few short streams, with buffers and layers; encodable, rarely legal."""
    layers = tuple(draw(st.lists(st.text(), max_size=3)))
    streams, debug = {}, {}
    for stream in draw(st.lists(st.integers(0, 20), max_size=3, unique=True)):
        lines = draw(st.lists(instructions, max_size=3))
        streams[stream] = encode_all(lines)
        if draw(st.booleans()):
            served = st.integers(-1, len(layers) - 1)
            drawn = draw(st.lists(served, min_size=len(lines), max_size=len(lines)))
            debug[stream] = np.array(drawn, np.int32)
    pinned = encode_all(draw(st.lists(instructions, max_size=2)))
    return Program(streams, draw(buffers()), debug, layers, pinned.reshape(-1, 16))


def same_program(a: Program, b: Program) -> bool:
    """Whether two programs are equal to the bit."""
    return (
        dataclasses.replace(a, streams={}, debug={}) == dataclasses.replace(b, streams={}, debug={})
        and _same_arrays(a.streams, b.streams)
        and _same_arrays(a.debug, b.debug)
        and np.array_equal(a.pinned, b.pinned)
    )


def _same_arrays(a: dict[int, Any], b: dict[int, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[s], b[s]) for s in a)
