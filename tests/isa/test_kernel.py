"""Kernels: whatever the order and the placement, the program does what was written, in order."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from isa.activation.functions import ActivationFunction
from isa.alu import AluOp
from isa.dtypes import BF16, FP32, DType
from isa.encoding import decode
from isa.errors import IllegalError
from isa.hardware import load_target
from isa.instructions.vector import TensorScalar
from isa.kernel import Ap, Buffer, DmaAp, Kernel, VirtualProgram, synchronize
from isa.kernel.dependencies import Dependencies, dependencies
from isa.kernel.synchronize import placed_words, sequential_addresses
from isa.memory import DRAM, PSUM, Engine
from isa.program import BufferKind, Program
from isa.semantics import Machine, interpret_order
from isa.state import State
from isa.tiles import Immediate
from isa.verify import verify

HW = load_target("inf1")
ROWS, SIZE = 64, 256  # of every SBUF buffer: partitions, bytes
Ints = NDArray[np.int64]


def part(rng: np.random.Generator, buffer: Buffer, n: int, rows: int, dtype: DType = FP32) -> Ap:
    """Some `n` elements of `rows` partitions, at any legal start and step."""
    step = int(rng.integers(1, 3))
    room = SIZE // dtype.size_bytes - (n - 1) * step
    offset = int(rng.integers(0, room)) * dtype.size_bytes
    start = int(rng.integers(0, ROWS // 32)) * 32 if rows <= 32 else 0
    return Ap(buffer, start, rows, offset, dtype, ((step, n),))


def random_kernel(seed: int, steps: int = 60) -> Kernel:
    """Engines and queues over parts of a few buffers, which overlap in every way."""
    rng = np.random.default_rng(seed)
    k = Kernel(HW)
    buffers = [k.sbuf(ROWS, SIZE, f"b{i}") for i in range(4)]
    for i, b in enumerate(buffers):
        k.memset(Ap(b, 0, ROWS, 0, FP32, ((1, SIZE // 4),)), float(i + 1))
    for step in range(steps):
        k.set_layer(f"layer{step // 8}")
        _step(k, rng, [buffers[i] for i in rng.integers(0, 4, 3)])
    for i, b in enumerate(buffers):
        out = k.dram(f"out{i}", ROWS * SIZE, BufferKind.OUTPUT, FP32, (ROWS, SIZE // 4))
        whole = DmaAp(b, 0, ROWS, 0, FP32, ((1, SIZE // 4),))
        k.dma(DmaAp(out, 0, 1, 0, FP32, ((1, ROWS * SIZE // 4),)), whole, queue=i % 3)
    return k


def _step(k: Kernel, rng: np.random.Generator, buffers: list[Buffer]) -> None:
    n, rows = int(rng.integers(1, 17)), int(rng.choice([8, 32, 64]))
    a, b, c = (part(rng, buffer, n, rows) for buffer in buffers)
    kind = int(rng.integers(0, 6))
    if kind == 0:
        k.memset(a, float(rng.integers(-4, 5)))
    elif kind == 1:
        k.activation(a, b, ActivationFunction.RELU, 0.5)
    elif kind == 2:
        op = AluOp.ADD if rng.integers(2) else AluOp.MAX
        k.tensor_tensor(a, b, c, op)
    elif kind == 3:
        column = Ap(buffers[2], b.start, rows, c.offset, FP32, ((1, 1),))
        k.tensor_scalar(a, b, AluOp.MIN, column, AluOp.MULTIPLY, 0.25)
    elif kind == 4:
        if buffers[0] is not buffers[1]:
            moved = [DmaAp(x.buffer, x.start, rows, x.offset, FP32, x.dims) for x in (a, b)]
            k.dma(moved[0], moved[1], queue=int(rng.integers(0, 3)))
    else:
        made = [x for x in k.buffers if x.memory is PSUM]
        psum = made[int(rng.integers(6))] if len(made) == 6 else k.psum(16, "product")
        m = Ap(psum, 0, 16, 0, FP32, ((1, n),))
        k.matmul(m, Ap(buffers[2], 0, 32, 0, FP32, ((1, 16),)),
                 Ap(buffers[1], 0, 32, b.offset, FP32, b.dims), start=True, stop=True)  # fmt: skip
        k.tensor_scalar(Ap(a.buffer, 0, 16, a.offset, FP32, a.dims), m, AluOp.MULTIPLY, 2.0**-6)


def outputs(program: VirtualProgram, address: Ints, dram: NDArray[np.uint8]) -> list[bytes]:
    """The bytes of every DRAM buffer."""
    return [
        dram[address[b.id] : address[b.id] + b.size_bytes].tobytes()
        for b in program.buffers
        if b.memory is DRAM
    ]


def as_written(program: VirtualProgram) -> list[bytes]:
    """What the instructions leave, one after the other in the order they were written."""
    address = sequential_addresses(program, HW)
    top = max(int(address[b.id]) + b.size_bytes for b in program.buffers if b.memory is DRAM)
    state = State(HW, top)
    for row in placed_words(program, address):
        decode(row.tolist()).execute(state)
    return outputs(program, address, state.dram)


def shuffled(virtual: VirtualProgram, deps: Dependencies, rng: np.random.Generator) -> Ints:
    """A random order that keeps every dependency, and the tensor engine's own order: what a
    matmul finds in the array is no buffer."""
    n = len(deps.start) - 1
    waits = np.diff(deps.start)
    after: list[list[int]] = [[] for _ in range(n)]
    for i in range(n):
        for j in deps.preds[deps.start[i] : deps.start[i + 1]]:
            after[j].append(i)
    tensor = np.flatnonzero(virtual.streams == Engine.TENSOR).tolist()
    for i, j in pairwise(tensor):
        after[i].append(j)
        waits[j] += 1
    ready, order = [i for i in range(n) if waits[i] == 0], []
    while ready:
        i = ready.pop(int(rng.integers(len(ready))))
        order.append(i)
        for j in after[i]:
            waits[j] -= 1
            if waits[j] == 0:
                ready.append(j)
    return np.array(order)


def shared_addresses(program: VirtualProgram, order: Ints) -> Ints:
    """Sequential addresses, but PSUM buffers take turns in as few banks as their lives allow."""
    address = sequential_addresses(program, HW)
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    boxes = program.boxes
    free = [-1] * 6  # when each bank's last holder was last accessed
    spans = []
    for b in program.buffers:
        if b.memory is PSUM:
            at = position[boxes.instruction[boxes.buffer == b.id]]
            spans.append((int(at.min()), int(at.max()), b.id))
    for first, last, buffer in sorted(spans):
        bank = next(i for i, busy_until in enumerate(free) if busy_until < first)
        free[bank] = last
        address[buffer] = bank * HW.psum_bank_bytes
    return address


def left_by(program: Program, virtual: VirtualProgram, address: Ints, seed: int) -> list[bytes]:
    """What the program leaves when its streams take turns at random."""
    rng = np.random.default_rng(seed)
    machine = Machine(program, HW)
    state = interpret_order(machine, lambda runnable: runnable[int(rng.integers(len(runnable)))])
    return outputs(virtual, address, state.dram)


@pytest.mark.parametrize("seed", range(12))
def test_a_built_kernel_is_sound_and_does_what_was_written(seed: int) -> None:
    kernel = random_kernel(seed)
    virtual, program = kernel.virtual(), kernel.build()
    assert verify(program, HW) == []
    wanted = as_written(virtual)
    address = sequential_addresses(virtual, HW)
    for turn in range(3):
        assert left_by(program, virtual, address, turn) == wanted


@pytest.mark.parametrize("seed", range(12))
def test_any_order_that_keeps_the_dependencies_does_the_same(seed: int) -> None:
    virtual = random_kernel(seed + 100).virtual()
    deps = dependencies(virtual)
    wanted = as_written(virtual)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        order = shuffled(virtual, deps, rng)
        address = shared_addresses(virtual, order)
        program = synchronize(virtual, deps, order, address, HW)
        assert verify(program, HW) == []
        assert left_by(program, virtual, address, seed) == wanted


def test_dependencies_are_what_the_boxes_say() -> None:
    """By closure: i reaches j exactly if a chain of overlapping accesses, one a write, does."""
    virtual = random_kernel(7, steps=30).virtual()
    deps, n = dependencies(virtual), len(virtual)
    direct = np.zeros((n, n), bool)
    for i in range(n):
        direct[i, deps.preds[deps.start[i] : deps.start[i + 1]]] = True
    assert np.array_equal(_closure(direct), _closure(_conflicts(virtual)))


def _conflicts(virtual: VirtualProgram) -> NDArray[np.bool_]:
    b, n = virtual.boxes, len(virtual)
    found = np.zeros((n, n), bool)
    for x in range(len(b.buffer)):
        for y in range(x):
            apart = b.buffer[x] != b.buffer[y] or not (b.write[x] or b.write[y])
            apart = apart or b.p1[y] <= b.p0[x] or b.p1[x] <= b.p0[y]
            apart = apart or b.b1[y] <= b.b0[x] or b.b1[x] <= b.b0[y]
            if not apart and b.instruction[x] != b.instruction[y]:
                found[b.instruction[x], b.instruction[y]] = True
    return found


def _closure(direct: NDArray[np.bool_]) -> NDArray[np.bool_]:
    reach = direct.copy()
    for i in range(len(reach)):  # predecessors come before, and are closed already
        for j in np.flatnonzero(direct[i]):
            reach[i] |= reach[j]
    return reach


def test_an_immediate_keeps_its_bits() -> None:
    k = Kernel(HW)
    b = k.sbuf(1, 64)
    x = Ap(b, 0, 1, 0, DType.INT32, ((1, 4),))
    k.tensor_scalar(x, x, AluOp.XOR, Immediate(0x7F800001))
    made = decode(k.virtual().words[0].tolist())
    assert isinstance(made, TensorScalar)
    assert made.operand0 == Immediate(0x7F800001)


def test_buffers_that_do_not_fit_are_refused() -> None:
    k = Kernel(HW)
    b = [k.sbuf(128, HW.sbuf_partition_bytes // 2 + 64) for _ in range(2)]
    for x in b:
        k.memset(Ap(x, 0, 128, 0, BF16, ((1, 4),)), 0.0)
    with pytest.raises(IllegalError, match="SYS-K001"):
        k.build()


def test_a_buffer_that_nobody_uses_takes_no_place() -> None:
    k = Kernel(HW)
    k.sbuf(128, 2 * HW.sbuf_partition_bytes)
    k.memset(Ap(k.sbuf(128, 8), 0, 128, 0, BF16, ((1, 4),)), 0.0)
    virtual = k.virtual()
    deps = dependencies(virtual)
    order, address = np.arange(len(virtual)), np.zeros(len(virtual.buffers), np.int64)
    program = synchronize(virtual, deps, order, address, HW)
    assert verify(program, HW) == []
