"""Random programs that are legal and free of races, over memories full of awkward values.

An instruction is drawn from its declaration (`isa.examples`), then its access patterns are bent
(turned round, spread, reversed, repeated) and its constants replaced by special values, and it is
kept if it is still legal. Instructions of a program stand in one order over all streams: each
signals its stream's semaphore, and waits for the one before it where that ran elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from isa.dtypes import DType
from isa.encoding import encode
from isa.examples import BUFFER, legal_rows, streams_of
from isa.hardware import Hardware, load_target
from isa.instructions.tensor import MATMUL_DTYPES, LoadStationary, MultiplyMoving
from isa.legality import legal_mask
from isa.memory import PSUM, SBUF, Engine
from isa.program import Program
from isa.spec import BY_MNEMONIC, REGISTRY, DmaField, Instruction, ScalarField, TileField
from isa.state import State
from isa.tiles import Tile, contiguous

Words = NDArray[np.uint64]
DRAM_USED = 1 << 16  # bytes of the window with interesting values
POOL = 96  # instructions of a kind
# loads and matmuls rarely suit each other (`matmuls` do); random indices rarely lie inside
OFTEN_TRAP = [
    BY_MNEMONIC[name].opcode
    for name in (
        "load_stationary",
        "matmul",
        "dma_gather",
        "dma_scatter",
        "local_gather",
        "n_gather",
    )
]
# fmt: off
SPECIAL = np.array([
    0x0, 0x80000000, 0x1, 0x80000001, 0x7FFFFF, 0x800000, 0x3F800000, 0xBF800000, 0x7F7FFFFF,
    0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00001, 0x7F800001, 0x4B000000, 0x4F000000,
    0xCF000000, 0x4F800000, 0x7FFFFFFF, 0xFFFFFFFF, 0x00010001, 0x7FFF8000, 0x3F808000, 0x3F818000,
    0x477FE000, 0x477FF000, 0x33000000, 0x38800000, 0xFF80FF7F,
], np.uint32)
# fmt: on


def small_target(name: str) -> Hardware:
    """A target with little SBUF, so that whole memories are quickly compared."""
    return replace(load_target(name), sbuf_partition_bytes=8192)


def awkward_words(rng: np.random.Generator, n: int) -> NDArray[np.uint32]:
    """Special values, ordinary numbers in FP32 and in BF16, small integers, any bits."""
    kind = rng.integers(0, 6, n)
    numbers = (rng.standard_normal(n) * 4).astype(np.float32).view(np.uint32)
    halves = (numbers >> np.uint32(16)) * np.uint32(0x10001)
    found = rng.integers(0, 2**32, n, dtype=np.uint32)
    found = np.where(kind == 0, rng.choice(SPECIAL, n), found)
    found = np.where((kind == 1) | (kind == 2), numbers, found)
    found = np.where(kind == 3, halves, found)
    small = rng.integers(0, 9, n, dtype=np.uint32)
    return np.where(kind == 4, small, found).astype(np.uint32)


def awkward_state(hw: Hardware, seed: int) -> State:
    """A state with awkward values in all memories and reduce registers."""
    rng = np.random.default_rng(seed)
    state = State(hw, BUFFER.size_bytes)
    pattern = awkward_words(rng, 1 << 14).view(np.uint8)
    for memory in (state.sbuf.reshape(-1), state.psum.reshape(-1), state.dram[:DRAM_USED]):
        first = int(rng.integers(0, 1 << 14)) * 4
        memory[:] = np.resize(np.roll(pattern, first), len(memory))
    for sums in state.reduce.values():
        sums[:] = rng.standard_normal(len(sums)).astype(np.float32)
    return state


def _bent(words: Words, kind: type[Instruction], rng: np.random.Generator) -> Words:
    """Rows with other walks and constants; not all are legal."""
    words = words.copy()
    for spec in kind.fields.values():
        if isinstance(spec, TileField | DmaField):
            for row in words:
                _bend(row, spec.word, isinstance(spec, DmaField), rng)
        elif isinstance(spec, ScalarField):
            immediate = words[:, spec.word] >> np.uint64(62) == 2
            changed = immediate & (rng.random(len(words)) < 0.5)
            bits = awkward_words(rng, len(words)).astype(np.uint64)
            kept = words[:, spec.word] & np.uint64(3 << 62)
            words[:, spec.word] = np.where(changed, kept | bits, words[:, spec.word])
    return words


def _bend(row: Words, word: int, is_dma: bool, rng: np.random.Generator) -> None:
    """Change the walk of one operand in place; its element count stays."""
    width, rank = (32, 5) if is_dma else (16, 4)
    limit = 1 << width
    places = [
        (word + 1 + i, 0) if is_dma else (word + 1 + i // 2, 32 * (i % 2)) for i in range(rank)
    ]
    dims = []
    for w, bit in places:
        both = int(row[w]) >> bit
        step, num = both % limit, (both >> width) % limit
        dims.append([step - limit if step >= limit // 2 else step, num])
    change = rng.integers(0, 8)
    if change == 0:  # another order of the dimensions
        dims = [dims[i] for i in rng.permutation(rank)]
    elif change == 1:  # spread
        by = int(rng.integers(2, 5))
        dims = [[step * by, num] for step, num in dims]
    elif change == 2:  # backwards along one dimension
        d = int(rng.integers(0, rank))
        address_bits = 40 if is_dma else 24
        size = DType(int(row[word]) >> (54 if is_dma else 38) & 31).size_bytes
        shift = dims[d][0] * (dims[d][1] - 1) * size
        address = int(row[word]) % (1 << address_bits)
        if 0 <= address + shift < 1 << address_bits:
            row[word] += np.uint64(shift) if shift >= 0 else np.uint64(0)
            dims[d][0] = -dims[d][0] if shift >= 0 else dims[d][0]
    elif change == 3:  # repeated along one dimension
        dims[int(rng.integers(0, rank))][0] = 0
    for (w, bit), (step, num) in zip(places, dims, strict=True):
        pair = (step % limit) | num << width
        mask = (1 << 2 * width) - 1
        row[w] = np.uint64((int(row[w]) & ~(mask << bit)) | pair << bit)


@cache
def pool(target: str, opcode: int, stream: int) -> Words:
    """Legal instructions of a kind for a stream of a small target, without waits and signals."""
    hw, kind = small_target(target), REGISTRY[opcode]
    rng = np.random.default_rng([opcode, stream])
    plain = legal_rows(kind, stream, hw, seed=opcode, n=POOL)
    if kind.mnemonic == "branch":
        plain[:, 2] &= np.uint64(0xFFFFFFFF)
        plain[:, 2] |= rng.integers(0, 24, len(plain)).astype(np.uint64) << np.uint64(32)
    if kind.mnemonic == "sem_clear":
        plain[:, 2] |= np.uint64(16)
    bent = _bent(plain, kind, rng)
    program = Program({}, (BUFFER,))
    mask = legal_mask(program, hw, stream, bent)
    return np.where(mask[:, None], bent, plain)


@cache
def matmuls(target: str) -> Words:
    """Loads and matmuls that suit each other, [pairs, 2, 16], all legal."""
    hw, rng = small_target(target), np.random.default_rng(7)
    dtypes = sorted(MATMUL_DTYPES)
    pairs = []
    for _ in range(POOL):
        k = int(rng.choice([1, 2, 5, 32, 64, 128]))
        m = int(rng.choice([1, 3, 8, 17, hw.pe_columns]))
        n = int(rng.choice([1, 2, 7, 16, 64, 300]))
        wide = rng.random() < 0.3
        kinds = [d for d in dtypes if (d.size_bytes == 4) == wide]
        a, b = (DType(rng.choice(kinds)) for _ in range(2))
        start = 0 if k > 64 else int(rng.choice([0, 64]))
        out = 0 if m > 64 else int(rng.choice([0, 64]))
        steps = [contiguous(m), ((2, m),), ((-1, m),)][rng.integers(0, 3)]
        load = Tile(SBUF, start, k, 4 * int(rng.integers(64, 512)), a, steps)
        flow = [contiguous(n), ((2, n),), ((0, n),)][rng.integers(0, 3)]
        moving = Tile(SBUF, start, k, 4 * int(rng.integers(0, 512)), b, flow)
        walk = [contiguous(n), contiguous(n), ((1, n),) if n > 200 else ((2, n),)]
        dst = Tile(
            PSUM, out, m, 2048 * int(rng.integers(0, 8)), DType.FP32, walk[rng.integers(0, 3)]
        )
        first, last = (bool(f) for f in rng.integers(0, 2, 2))
        pairs.append(
            [encode(LoadStationary(load)), encode(MultiplyMoving(dst, moving, first, last))]
        )
    words = np.array(pairs, np.uint64)
    mask = legal_mask(Program({}, (BUFFER,)), hw, Engine.TENSOR, words.reshape(-1, 16))
    return words[mask.reshape(-1, 2).all(axis=1)]


@cache
def kinds_of(target: str) -> list[tuple[int, list[int]]]:
    """Opcodes that a target has, with a stream or two for each."""
    hw = small_target(target)
    found = []
    for opcode, kind in sorted(REGISTRY.items()):
        streams = streams_of(kind, hw)
        if min(hw.generation, 3) in kind.generations and streams:
            found.append((opcode, [s for s in streams if s <= 6]))
    return found


def random_program(target: str, seed: int, length: int = 12) -> Program:
    """A program; with branches only where it has one stream."""
    rng = np.random.default_rng(seed)
    kinds = kinds_of(target)
    alone = rng.random() < 0.2
    one = int(rng.integers(0, 7))
    chosen: list[tuple[int, Words]] = []
    while len(chosen) < length:
        opcode, streams = kinds[rng.integers(0, len(kinds))]
        if rng.random() < 0.1 and (not alone or one == Engine.TENSOR):
            pairs = matmuls(target)
            chosen += [(int(Engine.TENSOR), row) for row in pairs[rng.integers(0, len(pairs))]]
            continue
        usable = [s for s in streams if s == one] if alone else streams
        if not usable:
            if alone and not any(one in each for _, each in kinds):
                one = int(Engine.VECTOR)
            continue
        if opcode == BY_MNEMONIC["branch"].opcode and not alone:
            continue
        if opcode in OFTEN_TRAP and rng.random() < 0.9:
            continue
        stream = usable[0] if alone else usable[rng.integers(0, len(usable))]
        rows = pool(target, opcode, stream)
        if len(rows):
            chosen.append((stream, rows[rng.integers(0, len(rows))]))
    return Program(_chained(chosen), (BUFFER,))


def _chained(chosen: list[tuple[int, Words]]) -> dict[int, Words]:
    """Streams in which every instruction waits for the one before it in the list."""
    streams: dict[int, list[Words]] = {}
    before = None
    for stream, row in chosen:
        row = row.copy()
        if before is not None and before != stream:
            row[0] |= np.uint64(1 << 8 | before << 9)
            row[1] |= np.uint64(len(streams[before]))
        row[0] |= np.uint64(1 << 26 | stream << 27 | 1 << 35)
        streams.setdefault(stream, []).append(row)
        before = stream
    return {s: np.array(rows, np.uint64) for s, rows in sorted(streams.items())}
