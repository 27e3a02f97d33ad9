"""Kernel: allocate a buffer, emit an instruction; one method an instruction, in program order.

    k = Kernel(hw)
    x, y = k.dram_input("x", (128, 512)), k.dram_output("y", (128, 512))
    t = k.sbuf(128, 512 * 4)
    k.dma(t.dma(FP32, (1, 512)), x.rows(FP32, 128, 512))
    k.activation(t.ap(FP32, (1, 512)), t.ap(FP32, (1, 512)), ActivationFunction.RELU)
    ...
    program = k.build()

The compiler's code generator, tests and a user's own kernels all use it. Rows are packed to words
at once, so that a kernel of a hundred thousand instructions is built in about a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from isa.activation.functions import ActivationFunction
from isa.alu import AluOp
from isa.dtypes import DType
from isa.encoding import COLUMN, PRESENT, Row, encode
from isa.errors import IllegalError
from isa.hardware import Hardware
from isa.kernel.dependencies import dependencies
from isa.kernel.synchronize import sequential_addresses, synchronize
from isa.kernel.virtual import NO_BUFFER, OPERANDS, Buffer, VirtualProgram
from isa.memory import DRAM, FIRST_QUEUE, PSUM, SBUF, Engine, Memory
from isa.program import BufferKind, Program
from isa.spec import BY_MNEMONIC, Instruction
from isa.tiles import Dim, Immediate

Dims = tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class Ap:
    """An engine operand: partitions and dimensions relative to a buffer. See `isa.tiles.Tile`."""

    buffer: Buffer
    start: int
    partitions: int
    offset: int
    dtype: DType
    dims: Dims

    @property
    def free(self) -> int:
        """Elements a partition."""
        return math.prod(n for _, n in self.dims)


@dataclass(frozen=True, slots=True)
class DmaAp:
    """A DMA operand relative to a buffer. See `isa.tiles.DmaTile`."""

    buffer: Buffer
    start: int
    partitions: int
    offset: int
    dtype: DType
    dims: Dims


Scalar = float | Immediate | Ap | None


def tile_words(ap: Ap) -> tuple[int, int, int]:
    """The three words of a tile operand."""
    dims = ap.dims
    packed = [(s & 0xFFFF) | n << 16 for s, n in dims]
    packed = [1 << 16] * (4 - len(packed)) + packed
    if (packed[0] | packed[1] | packed[2] | packed[3]) >> 32:
        raise IllegalError(
            "SYS-I001", "a dimension of a tile has at most 65535 elements", found=f"{dims}"
        )
    head = (
        PRESENT
        | ap.offset
        | ap.start << 24
        | (ap.partitions - 1) << 31
        | ap.dtype << 38
        | ap.buffer.memory << 43
    )
    return head, packed[0] | packed[1] << 32, packed[2] | packed[3] << 32


LoadRow = tuple[Row, int]
"""A LoadStationary and the buffer that it reads."""
MovingWords = tuple[int, int, int, int]
"""The words of a moving tile and its buffer."""


def load_row(stationary: Ap) -> LoadRow:
    """The LoadStationary of a tile [K, M], for `Kernel.matmuls`."""
    w0, w1, w2 = tile_words(stationary)
    return [_LOAD, 0, 0, 0, 0, 0, 0, w0, w1, w2, 0, 0, 0, 0, 0, 0], stationary.buffer.id


def moving_words(moving: Ap) -> MovingWords:
    """A moving tile [K, N], for `Kernel.matmuls`."""
    return *tile_words(moving), moving.buffer.id


def _scalar_word(value: Scalar) -> int:
    if value is None:
        return 0
    if isinstance(value, Ap):
        head = value.offset | value.start << 24 | value.dtype << 38
        return PRESENT | COLUMN | head | value.buffer.memory << 43
    return PRESENT | (value if isinstance(value, Immediate) else Immediate.of(value)).bits


def _dma_words(ap: DmaAp) -> list[int]:
    packed = [(s & 0xFFFFFFFF) | n << 32 for s, n in ap.dims]
    head = (
        PRESENT
        | ap.offset
        | ap.start << 40
        | (ap.partitions - 1) << 47
        | ap.dtype << 54
        | ap.buffer.memory << 59
    )
    return [head, *([1 << 32] * (5 - len(packed))), *packed]


def _opcode(mnemonic: str) -> int:
    return BY_MNEMONIC[mnemonic].opcode


_LOAD, _MATMUL = _opcode("load_stationary"), _opcode("matmul")
_ACTIVATION, _DMA, _MEMSET = _opcode("activation"), _opcode("dma_copy"), _opcode("memset")
_ACTIVATION_REDUCE = _opcode("activation_reduce")
_TENSOR_TENSOR, _TENSOR_SCALAR = _opcode("tensor_tensor"), _opcode("tensor_scalar")
_SELECT = _opcode("tensor_copy_predicated")
_SCALAR_TENSOR = _opcode("scalar_tensor_tensor")
_REDUCE, _COPY, _RECIPROCAL = (
    _opcode("tensor_reduce"),
    _opcode("tensor_copy"),
    _opcode("reciprocal"),
)


class Kernel:
    """A program under construction."""

    def __init__(self, hw: Hardware) -> None:
        self.hw = hw
        self.buffers: list[Buffer] = []
        self.layers: list[str] = []
        self._layer = -1
        self._names: dict[str, int] = {}
        self._rows: list[Row] = []
        self._streams: list[int] = []
        self._operands: list[tuple[int, int, int, int, int]] = []
        self._layer_of: list[int] = []

    # --- buffers ---------------------------------------------------------------------------------

    def _buffer(
        self, memory: Memory, partitions: int, size: int, name: str, **more: object
    ) -> Buffer:
        made = Buffer(len(self.buffers), memory, partitions, size, name, **more)  # type: ignore[arg-type]
        self.buffers.append(made)
        return made

    def sbuf(self, partitions: int, size_bytes: int, name: str = "", start: int = 0) -> Buffer:
        """A buffer of `partitions` x `size_bytes` in SBUF."""
        return self._buffer(SBUF, partitions, size_bytes, name, start=start)

    def psum(self, partitions: int = 128, name: str = "", size_bytes: int = 0) -> Buffer:
        """A buffer in PSUM: one bank unless more bytes are asked for; placed at a bank's start."""
        bank = self.hw.psum_bank_bytes
        size = max(bank, -(-size_bytes // bank) * bank)
        return self._buffer(PSUM, partitions, size, name, align=bank)

    def dram(
        self,
        name: str,
        size_bytes: int,
        kind: BufferKind,
        dtype: DType = DType.UINT8,
        shape: tuple[int, ...] = (),
    ) -> Buffer:
        """A buffer in DRAM. A name that is taken gets a number behind it."""
        self._names[name] = self._names.get(name, 0) + 1
        if self._names[name] > 1:
            name = f"{name}#{self._names[name]}"
        return self._buffer(DRAM, 1, size_bytes, name, kind=kind, dtype=dtype, shape=shape)

    def set_layer(self, name: str) -> None:
        """The model layer that the next instructions serve."""
        if not self.layers or self.layers[-1] != name:
            self.layers.append(name)
        self._layer = len(self.layers) - 1

    # --- instructions ----------------------------------------------------------------------------

    def _emit(self, stream: int, row: Row, operands: tuple[int, int, int, int, int]) -> int:
        self._rows.append(row)
        self._streams.append(stream)
        self._operands.append(operands)
        self._layer_of.append(self._layer)
        return len(self._rows) - 1

    def emit(self, stream: int, instruction: Instruction, **buffers: Buffer) -> int:
        """Any instruction: its tiles are relative to the buffers given by field name."""
        places = [NO_BUFFER] * OPERANDS
        for name, buffer in buffers.items():
            spec = instruction.fields[name]
            word = spec.word
            place = {4: 0, 7: 1, 10: 1 if not hasattr(spec, "slot") else 2, 13: 3, 14: 4}[word]
            places[place] = buffer.id
        return self._emit(stream, encode(instruction), tuple(places))  # type: ignore[arg-type]

    def matmul(self, dst: Ap, stationary: Ap, moving: Ap, *, start: bool, stop: bool) -> None:
        """LoadStationary and MultiplyMoving: dst [M, N] (+)= stationary [K, M] x moving [K, N]."""
        w0, w1, w2 = tile_words(stationary)
        load = [_LOAD, 0, 0, 0, 0, 0, 0, w0, w1, w2, 0, 0, 0, 0, 0, 0]
        self._emit(Engine.TENSOR, load, (-1, stationary.buffer.id, -1, -1, -1))
        d0, d1, d2 = tile_words(dst)
        m0, m1, m2 = tile_words(moving)
        flags = int(start) | int(stop) << 1
        row = [_MATMUL, 0, flags, 0, d0, d1, d2, m0, m1, m2, 0, 0, 0, 0, 0, 0]
        self._emit(Engine.TENSOR, row, (dst.buffer.id, moving.buffer.id, -1, -1, -1))

    def matmuls(self, dst: Ap, stationary: list[LoadRow], moving: list[MovingWords]) -> None:
        """dst := the sum of stationary[i] x moving[i], as one accumulation; see `matmul`."""
        d0, d1, d2 = tile_words(dst)
        here, count = dst.buffer.id, len(moving)
        rows, operands = self._rows, self._operands
        for i, ((load, held), (m0, m1, m2, there)) in enumerate(
            zip(stationary, moving, strict=True)
        ):
            flags = int(i == 0) | int(i == count - 1) << 1
            rows.append(load)
            rows.append([_MATMUL, 0, flags, 0, d0, d1, d2, m0, m1, m2, 0, 0, 0, 0, 0, 0])
            operands.append((-1, held, -1, -1, -1))
            operands.append((here, there, -1, -1, -1))
        self._streams.extend([int(Engine.TENSOR)] * (2 * count))
        self._layer_of.extend([self._layer] * (2 * count))

    def activation(
        self,
        dst: Ap,
        src: Ap,
        function: ActivationFunction,
        scale: Scalar = 1.0,
        bias: Scalar = None,
        alpha: float = 0.0,
    ) -> None:
        """dst := function(src * scale + bias) on the scalar engine."""
        row = [_ACTIVATION, 0, int(function), 0, *tile_words(dst), *tile_words(src), 0, 0, 0]
        row += [_scalar_word(scale), _scalar_word(bias), Immediate.of(alpha).bits]
        self._emit(Engine.SCALAR, row, (dst.buffer.id, src.buffer.id, -1, _id(scale), _id(bias)))

    def activation_reduce(
        self,
        dst: Ap,
        src: Ap,
        function: ActivationFunction,
        sums: Ap,
        scale: Scalar = 1.0,
        bias: Scalar = None,
    ) -> None:
        """dst := function(src * scale + bias), and its row sums, on the scalar engine."""
        row = [_ACTIVATION_REDUCE, 0, int(function), 0]
        row += [*tile_words(dst), *tile_words(src), *tile_words(sums)]
        row += [_scalar_word(scale), _scalar_word(bias), Immediate.of(0.0).bits]
        operands = (dst.buffer.id, src.buffer.id, sums.buffer.id, _id(scale), _id(bias))
        self._emit(Engine.SCALAR, row, operands)

    def tensor_tensor(
        self, dst: Ap, a: Ap, b: Ap, op: AluOp, engine: Engine = Engine.VECTOR
    ) -> None:
        """dst := a op b."""
        row = [_TENSOR_TENSOR, 0, int(op), 0, *tile_words(dst), *tile_words(a), *tile_words(b)]
        self._emit(engine, [*row, 0, 0, 0], (dst.buffer.id, a.buffer.id, b.buffer.id, -1, -1))

    def tensor_scalar(
        self,
        dst: Ap,
        src: Ap,
        op0: AluOp,
        operand0: Scalar,
        op1: AluOp = AluOp.BYPASS,
        operand1: Scalar = None,
        *,
        reverse0: bool = False,
        reverse1: bool = False,
        engine: Engine = Engine.VECTOR,
    ) -> None:
        """dst := (src op0 operand0) op1 operand1."""
        bits = int(op0) | int(op1) << 5 | int(reverse0) << 10 | int(reverse1) << 11
        row = [_TENSOR_SCALAR, 0, bits, 0, *tile_words(dst), *tile_words(src), 0, 0, 0]
        row += [_scalar_word(operand0), _scalar_word(operand1), 0]
        self._emit(engine, row, (dst.buffer.id, src.buffer.id, -1, _id(operand0), _id(operand1)))

    def scalar_tensor_tensor(
        self,
        dst: Ap,
        src: Ap,
        op0: AluOp,
        operand0: Scalar,
        op1: AluOp,
        other: Ap,
        *,
        reverse0: bool = False,
        reverse1: bool = False,
    ) -> None:
        """dst := (src op0 operand0) op1 other."""
        bits = int(op0) | int(op1) << 5 | int(reverse0) << 10 | int(reverse1) << 11
        row = [_SCALAR_TENSOR, 0, bits, 0]
        row += [
            *tile_words(dst),
            *tile_words(src),
            *tile_words(other),
            _scalar_word(operand0),
            0,
            0,
        ]
        ids = (dst.buffer.id, src.buffer.id, other.buffer.id, _id(operand0), -1)
        self._emit(Engine.VECTOR, row, ids)

    def tensor_reduce(self, dst: Ap, src: Ap, op: AluOp, axes: int, negate: bool = False) -> None:
        """Reduce the `axes` innermost of src's four dimensions."""
        bits = int(op) | axes << 5 | int(negate) << 8
        row = [_REDUCE, 0, bits, 0, *tile_words(dst), *tile_words(src), 0, 0, 0, 0, 0, 0]
        self._emit(Engine.VECTOR, row, (dst.buffer.id, src.buffer.id, -1, -1, -1))

    def tensor_copy(self, dst: Ap, src: Ap, engine: Engine = Engine.VECTOR) -> None:
        """dst := src, converted."""
        row = [_COPY, 0, 0, 0, *tile_words(dst), *tile_words(src), 0, 0, 0, 0, 0, 0]
        self._emit(engine, row, (dst.buffer.id, src.buffer.id, -1, -1, -1))

    def reciprocal(self, dst: Ap, src: Ap) -> None:
        """dst := 1 / src."""
        row = [_RECIPROCAL, 0, 0, 0, *tile_words(dst), *tile_words(src), 0, 0, 0, 0, 0, 0]
        self._emit(Engine.VECTOR, row, (dst.buffer.id, src.buffer.id, -1, -1, -1))

    def select(self, dst: Ap, src: Ap, predicate: Ap) -> None:
        """dst := src where predicate is not zero; elsewhere dst stays."""
        row = [_SELECT, 0, 0, 0, *tile_words(dst), *tile_words(src), *tile_words(predicate)]
        ids = (dst.buffer.id, src.buffer.id, predicate.buffer.id, -1, -1)
        self._emit(Engine.VECTOR, [*row, 0, 0, 0], ids)

    def memset(self, dst: Ap, value: float, engine: Engine = Engine.VECTOR) -> None:
        """dst := value."""
        row = [_MEMSET, 0, 0, 0, *tile_words(dst), 0, 0, 0, 0, 0, 0, _scalar_word(value), 0, 0]
        self._emit(engine, row, (dst.buffer.id, -1, -1, -1, -1))

    def dma(self, dst: DmaAp, src: DmaAp, queue: int = 0) -> None:
        """Copy elements in order through a DMA queue."""
        row = [_DMA, 0, 0, 0, *_dma_words(dst), *_dma_words(src)]
        self._emit(FIRST_QUEUE + queue, row, (dst.buffer.id, src.buffer.id, -1, -1, -1))

    # --- results ---------------------------------------------------------------------------------

    def build(self) -> Program:
        """The program in the order written, one buffer after the other in each memory."""
        virtual = self.virtual()
        order = np.arange(len(virtual))
        address = sequential_addresses(virtual, self.hw)
        return synchronize(virtual, dependencies(virtual), order, address, self.hw)

    def virtual(self) -> VirtualProgram:
        """What was written so far."""
        n = len(self._rows)
        return VirtualProgram(
            words=np.array(self._rows, dtype=np.uint64).reshape(n, 16),
            streams=np.array(self._streams, dtype=np.int32),
            operands=np.array(self._operands, dtype=np.int32).reshape(n, OPERANDS),
            layer=np.array(self._layer_of, dtype=np.int32),
            buffers=tuple(self.buffers),
            layers=tuple(self.layers),
        )


def _id(value: Scalar) -> int:
    return value.buffer.id if isinstance(value, Ap) else NO_BUFFER


def narrowed(ap: Ap, **changes: object) -> Ap:
    """An operand with some fields changed."""
    return replace(ap, **changes)  # type: ignore[arg-type]  # field names are the caller's
