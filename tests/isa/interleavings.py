"""Every interleaving of a small program, and random small programs to try it on.

The explorer shares nothing with the verifier: it decodes instructions, runs each as one step on
symbolic bytes (a written byte remembers who wrote it and everything that one had read), and visits
every reachable state. What it finds is the definition of what the verifier has to prove.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from isa.dtypes import BF16, FP32
from isa.encoding import decode_all, encode_all
from isa.hardware import Hardware, load_target
from isa.instructions.dma import DmaCopy
from isa.instructions.scalar import Activation
from isa.instructions.sync import Nop, SemClear
from isa.instructions.vector import Memset, TensorCopy
from isa.memory import SBUF
from isa.program import Program
from isa.spec import Instruction, Signal, Wait
from isa.tiles import DmaTile, Immediate, Tile, offsets_of

PE, ACT, DVE, Q0, Q1 = 0, 1, 2, 5, 6
Cell = tuple[int, int]
Place = tuple[int, ...]  # the next instruction of each stream
Explored = tuple[Place, frozenset[tuple[int, int]], frozenset[tuple[Cell, int]]]


def small_core() -> Hardware:
    """inf1 with 64 bytes a partition, so that states are cheap to copy and compare."""
    return replace(load_target("inf1"), sbuf_partition_bytes=64, psum_partition_bytes=2048)


@dataclass(frozen=True)
class Step:
    """An instruction as the explorer sees it."""

    waits: tuple[tuple[int, int], ...]
    signal: tuple[int, int] | None
    clear: int | None
    reads: frozenset[Cell]
    writes: frozenset[Cell]


@dataclass
class Answer:
    """What every interleaving together shows."""

    finals: set[object] = field(default_factory=set)
    deadlock: bool = False
    race: bool = False
    unwritten: bool = False
    clear_race: bool = False
    states: int = 0

    @property
    def sound(self) -> bool:
        """Whether the verifier has to accept the program."""
        return not (self.deadlock or self.race or self.unwritten or self.clear_race)


def cells_of(tile: Tile | DmaTile) -> frozenset[Cell]:
    """(quadrant, half-word) of everything that a tile names; our tiles never split either."""
    size = tile.dtype.size_bytes
    assert tile.start % 32 + tile.partitions % 32 + tile.address % 2 == 0
    quadrants = range(tile.start // 32, (tile.start + tile.partitions) // 32)
    offsets = offsets_of(tile.dims) * size + tile.address
    halves = {int(o + b) // 2 for o in offsets for b in range(0, size, 2)}
    return frozenset((q, h) for q in quadrants for h in halves)


def step_of(instruction: Instruction) -> Step:
    """The explorer's view of an instruction."""
    reads = [getattr(instruction, n) for n in ("src", "a", "b") if hasattr(instruction, n)]
    writes = [instruction.dst] if hasattr(instruction, "dst") else []
    signal = instruction.signal
    return Step(
        waits=tuple((w.semaphore, w.value) for w in instruction.waits),
        signal=(signal.semaphore, signal.amount) if signal else None,
        clear=instruction.semaphore if isinstance(instruction, SemClear) else None,
        reads=frozenset().union(*(cells_of(t) for t in reads)),
        writes=frozenset().union(*(cells_of(t) for t in writes)),
    )


def explore(program: Program) -> Answer:
    """Visit every state that some interleaving reaches."""
    streams = [
        [step_of(i) for i in decode_all(program.streams[s])] for s in sorted(program.streams)
    ]
    answer = Answer()
    start: Explored = ((0,) * len(streams), frozenset(), frozenset())
    seen, stack = {start}, [start]
    while stack:
        at, semaphores, memory = state = stack.pop()
        answer.states += 1
        heads = [s[i] if i < len(s) else None for s, i in zip(streams, at, strict=True)]
        values = dict(semaphores)
        able = [
            k
            for k, head in enumerate(heads)
            if head is not None and all(values.get(s, 0) >= v for s, v in head.waits)
        ]
        _judge(answer, heads, able, dict(memory))
        if not able:
            answer.finals.add((at, memory))
            answer.deadlock |= any(head is not None for head in heads)
        for k in able:
            after = _run(state, k, streams[k][at[k]])
            if after not in seen:
                seen.add(after)
                stack.append(after)
    return answer


def _judge(
    answer: Answer, heads: list[Step | None], able: list[int], memory: dict[Cell, int]
) -> None:
    for k in able:
        one = heads[k]
        assert one is not None
        answer.unwritten |= any(cell not in memory for cell in one.reads)
        for m, other in enumerate(heads):
            if m == k or other is None:
                continue
            if m in able:
                touched = other.reads | other.writes
                answer.race |= bool(one.writes & touched or other.writes & one.reads)
            if one.clear is not None:
                looks = any(s == one.clear for s, _ in other.waits)
                acts = other.signal is not None and other.signal[0] == one.clear
                acts |= other.clear == one.clear
                answer.clear_race |= looks or (m in able and acts)


def _run(state: Explored, k: int, step: Step) -> Explored:
    """The state behind the next step of stream k."""
    at, semaphores, memory = state
    values, cells = dict(semaphores), dict(memory)
    seen = tuple(sorted((c, cells.get(c)) for c in step.reads))
    for cell in step.writes:
        cells[cell] = hash((k, at[k], seen))
    if step.clear is not None:
        values[step.clear] = 0
    if step.signal is not None:
        values[step.signal[0]] = values.get(step.signal[0], 0) + step.signal[1]
    moved = (*at[:k], at[k] + 1, *at[k + 1 :])
    return moved, frozenset(values.items()), frozenset(cells.items())


# --- random programs -----------------------------------------------------------------------------

READY = 9  # the semaphore by which the first stream says that memory is initialised
STREAMS = (DVE, ACT, Q0)


def random_program(rng: np.random.Generator, *, clears: bool = False, busy: float = 0.5) -> Program:
    """Two or three streams of two to five instructions over a few overlapping tiles."""
    chosen = STREAMS[: int(rng.integers(2, 4))]
    semaphores = int(rng.integers(1, 4))
    tiles = [_random_tile(rng) for _ in range(int(rng.integers(2, 5)))]
    initialise = rng.random() < 0.8
    bodies: dict[int, list[Instruction]] = {}
    for stream in chosen:
        body = [
            _random_instruction(rng, stream, tiles, semaphores, clears, busy)
            for _ in range(int(rng.integers(2, 6 if len(chosen) == 2 else 5)))
        ]
        if initialise and stream == DVE:
            whole = Tile(SBUF, 0, 128, 0, FP32, ((1, 12),))
            body.insert(0, Memset(whole, Immediate.of(1.0), signal=Signal(READY)))
        elif initialise:
            body[0] = replace(body[0], waits=(Wait(READY, 1), *body[0].waits[:1]))
        bodies[stream] = body
    if rng.random() < 0.75:
        _make_reachable(rng, bodies)
    return Program({stream: encode_all(body) for stream, body in bodies.items()})


def _make_reachable(rng: np.random.Generator, bodies: dict[int, list[Instruction]]) -> None:
    """Lower waits to what one random interleaving reaches, so that it does not get stuck."""
    order = rng.permutation([s for s, body in bodies.items() for _ in body]).tolist()
    at, values = dict.fromkeys(bodies, 0), dict.fromkeys(range(16), 0)
    order.remove(DVE)
    order.insert(0, DVE)  # memory is initialised first
    for stream in order:
        one = bodies[stream][at[stream]]
        kept = [w for w in one.waits if values[w.semaphore] > 0]
        lowered = tuple(
            replace(w, value=min(w.value, int(rng.integers(1, values[w.semaphore] + 1))))
            for w in kept
        )
        bodies[stream][at[stream]] = replace(one, waits=lowered)
        at[stream] += 1
        if isinstance(one, SemClear):
            values[one.semaphore] = 0
        if one.signal is not None:
            values[one.signal.semaphore] += one.signal.amount


def _random_tile(rng: np.random.Generator) -> Tile:
    dtype = (BF16, FP32)[int(rng.integers(2))]
    step, num = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    address = dtype.size_bytes * int(rng.integers(0, 5))
    start, partitions = ((0, 1), (0, 2), (1, 1), (0, 3))[int(rng.integers(4))]
    return Tile(
        SBUF, 32 * start, 32 * partitions if start == 0 else 32, address, dtype, ((step, num),)
    )


def _random_instruction(
    rng: np.random.Generator,
    stream: int,
    tiles: list[Tile],
    semaphores: int,
    clears: bool,
    busy: float,
) -> Instruction:
    waits = tuple(
        Wait(int(rng.integers(semaphores)), int(rng.integers(1, 5)))
        for _ in range(int(rng.choice(3, p=(1 - busy, busy * 0.8, busy * 0.2))))
    )
    signal = Signal(int(rng.integers(semaphores)), int(rng.integers(1, 3)))
    signals = rng.random() < 0.7
    dst, src = (tiles[int(rng.integers(len(tiles)))] for _ in range(2))
    if rng.random() < 0.6:
        dst = tiles[STREAMS.index(stream) % len(tiles)]
    if clears and stream != Q0 and rng.random() < 0.25:
        made: Instruction = SemClear(int(rng.integers(semaphores)))
    else:
        made = _random_work(rng, stream, dst, src)
    return replace(made, waits=waits, signal=signal if signals else None)


def _random_work(rng: np.random.Generator, stream: int, dst: Tile, src: Tile) -> Instruction:
    if rng.random() < 0.4:
        return Nop()
    if stream == DVE:
        if rng.random() < 0.4:
            return Memset(dst, Immediate.of(float(rng.integers(1, 9))))
        return TensorCopy(dst, _like(src, dst))
    if stream == ACT:
        return Activation(dst, _like(src, dst))
    return DmaCopy(_dma(dst), _dma(_like(src, dst)))


def _like(src: Tile, dst: Tile) -> Tile:
    """`src` with as many elements and partitions as `dst`, of its type."""
    return replace(dst, address=src.address - src.address % dst.dtype.size_bytes)


def _dma(tile: Tile) -> DmaTile:
    return DmaTile(tile.memory, tile.address, tile.dtype, tile.dims, tile.start, tile.partitions)


def random_programs(seed: int, count: int, **options: object) -> list[Program]:
    """`count` programs, the same for a seed on every machine."""
    rng = np.random.default_rng(seed)
    return [random_program(rng, **options) for _ in range(count)]  # type: ignore[arg-type]
