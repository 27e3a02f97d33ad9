"""Architectural state: everything that an instruction can read or write.

In    a target's numbers and the size of the program's DRAM window
Out   byte memories and registers, and the reads and writes that `execute` methods are written in
Read  `semantics.py` for who calls them in which order

An instruction reads all its inputs before it writes. The elements of a tile are in access-pattern
order, innermost dimension fastest, [partitions, free]; where a result names an element twice, the
last write stays. Memories start as zeros (a verified program never reads what it has not written).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.access import Raw, bytes_of, column_tile, last_of_each, recast, run_of
from isa.alu import AluOp, ReduceCommand
from isa.alu_reference import BitPatterns, apply, apply_bits, fold, is_bitwise
from isa.dtypes import DType, Fp32Array, from_fp32, to_fp32
from isa.errors import TrapError
from isa.hardware import Hardware
from isa.memory import DRAM, Engine, Memory, engine_of
from isa.tiles import Column, DmaTile, Immediate, Scalar, Tile

Bytes = NDArray[np.uint8]
REGISTERS = 64  # 32-bit, private to a sequencer (neuron-facts 1.3)
RNG_SEED = 1  # of every lane until set_rng_seed: ours
UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32}


class State:
    """What a core holds.

    Attributes:
        memories: uint8 arrays: SBUF and PSUM [128, bytes a partition], DRAM [bytes of the window].
        stationary: FP32 [K, M] in the tensor engine's array, None before the first load.
        reduce: engine -> its 128 FP32 reduce registers (ACT, DVE).
        rng: uint32 [128], one generator a lane of the vector engine (`rng.py`).
        registers: stream -> uint32 [64].
        semaphores: int64 [semaphores].
        notifications: stream -> values that `notify` has sent to the host.
        stream: the stream whose instruction executes now.
        branch_target: where a branch wants its stream to go on; None to fall through.
    """

    def __init__(self, hw: Hardware, dram: Bytes | int = 0) -> None:
        window = np.zeros(dram, np.uint8) if isinstance(dram, int) else np.array(dram, np.uint8)
        self.hw = hw
        self.memories: dict[Memory, Bytes] = {
            m: np.zeros((hw.partitions, hw.partition_bytes(m)), np.uint8)
            for m in Memory
            if m is not DRAM
        }
        self.memories[DRAM] = window.reshape(-1)
        self._shared: set[Memory] = set()
        self.stationary: Fp32Array | None = None
        self.stationary_tile: Tile | None = None
        lanes = hw.partitions
        self.reduce = {e: np.zeros(lanes, np.float32) for e in (Engine.SCALAR, Engine.VECTOR)}
        self.rng = np.full(lanes, RNG_SEED, np.uint32)
        self.registers = np.zeros((hw.streams, REGISTERS), np.uint32)
        self.semaphores = np.zeros(hw.semaphores, np.int64)
        self.notifications: dict[int, tuple[int, ...]] = {}
        self.stream = 0
        self.branch_target: int | None = None

    @property
    def sbuf(self) -> Bytes:
        """uint8 [128, bytes a partition]."""
        return self.memories[Memory.SBUF]

    @property
    def psum(self) -> Bytes:
        """uint8 [128, bytes a partition]."""
        return self.memories[Memory.PSUM]

    @property
    def dram(self) -> Bytes:
        """uint8 [bytes of the window]."""
        return self.memories[DRAM]

    @property
    def engine(self) -> Engine:
        """The engine whose instruction executes now."""
        return engine_of(self.stream)

    def copy(self) -> State:
        """An independent copy. Memories are shared until either side writes to them."""
        other = object.__new__(State)
        other.__dict__.update(self.__dict__)
        other.memories = dict(self.memories)
        self._shared = set(self.memories)
        other._shared = set(self.memories)
        other.reduce = {e: r.copy() for e, r in self.reduce.items()}
        other.rng = self.rng.copy()
        other.registers, other.semaphores = self.registers.copy(), self.semaphores.copy()
        other.notifications = dict(self.notifications)
        return other

    # --- engine operands -------------------------------------------------------------------------

    def read_raw(self, tile: Tile) -> Raw:
        """Stored elements, a fresh array [partitions, free] of the tile's NumPy type."""
        rows, columns = self._place(tile)
        size = tile.dtype.size_bytes
        found = self.memories[tile.memory][rows][:, run_of(columns)].copy()
        return np.ascontiguousarray(found).view(tile.dtype.numpy).reshape(-1, len(columns) // size)

    def read(self, tile: Tile) -> Fp32Array:
        """The elements as FP32, [partitions, free]."""
        return to_fp32(self.read_raw(tile), tile.dtype)

    def read_as(self, tile: Tile, dtype: DType) -> Raw:
        """Elements as stored in `dtype`: bit exact from the same type, else through FP32."""
        return recast(self.read_raw(tile), tile.dtype, dtype)

    def write_raw(self, tile: Tile, values: Raw) -> None:
        """Store elements of the tile's type, bit for bit. values: [partitions, free]."""
        rows, columns = self._place(tile)
        data = np.ascontiguousarray(values).view(np.uint8).reshape(tile.partitions, -1)
        if data.shape[1] != len(columns):
            raise TrapError(
                "SYS-R002",
                "a result has as many elements as its tile",
                found=f"{values.shape} into {tile.partitions} partitions of {tile.free} elements",
            )
        kept, index = last_of_each(columns)
        self._own(tile.memory)[rows][:, kept] = data[:, index]

    def write(self, tile: Tile, values: Fp32Array) -> None:
        """Round FP32 to the tile's type and store it. values: [partitions, free]."""
        self.write_raw(tile, from_fp32(values, tile.dtype))

    def write_integers(self, tile: Tile, values: NDArray[np.int32]) -> None:
        """Store int32 values: 32-bit integers bit for bit, narrower saturated, floats by FP32."""
        if tile.dtype.is_float:
            self.write(tile, values.astype(np.float32))
            return
        if tile.dtype.size_bytes < 4:
            info = np.iinfo(tile.dtype.numpy)
            values = np.clip(values, info.min, info.max)
        self.write_raw(tile, values.astype(tile.dtype.numpy))

    def scalar(self, operand: Scalar, partitions: int) -> Fp32Array:
        """An immediate or a column as FP32, [partitions, 1]."""
        if isinstance(operand, Immediate):
            return np.full((partitions, 1), operand.bits, np.uint32).view(np.float32)
        return self.read(column_tile(operand, partitions))

    def scalar_bits(self, operand: Scalar, partitions: int, size_bytes: int) -> BitPatterns:
        """An immediate or a column as bit patterns of a width, [partitions, 1]."""
        unsigned = UNSIGNED[size_bytes]
        if isinstance(operand, Immediate):
            bits = operand.bits & ((1 << 8 * size_bytes) - 1)
            return np.full((partitions, 1), bits, unsigned)
        return self.patterns(column_tile(operand, partitions))

    def column_integers(self, column: Column, partitions: int) -> Any:
        """A column of integers, [partitions]."""
        return self.read_raw(column_tile(column, partitions))[:, 0]

    def write_column(self, column: Column, values: Fp32Array) -> None:
        """Round FP32 [partitions] to the column's type and store it."""
        self.write(column_tile(column, len(values)), values.reshape(-1, 1))

    # --- DMA operands ----------------------------------------------------------------------------

    def dma_read(self, tile: DmaTile) -> Raw:
        """Stored elements in order, partitions outermost. Shape [elements]."""
        memory, index = self._dma_place(tile)
        return memory[run_of(index)].copy().view(tile.dtype.numpy)

    def dma_write(self, tile: DmaTile, values: Raw, dtype: DType) -> None:
        """Store elements of `dtype` in order, cast through FP32 to the tile's own type."""
        values = recast(values, dtype, tile.dtype)
        self._own(tile.memory)
        memory, index = self._dma_place(tile)
        kept, chosen = last_of_each(index)
        memory[kept] = np.ascontiguousarray(values).view(np.uint8).reshape(-1)[chosen]

    # --- the tensor engine -----------------------------------------------------------------------

    def stationary_for(self, matmul: Any) -> Fp32Array:
        """The stationary FP32 [K, M] that a matmul meets. Raises TrapError SYS-R003, SYS-R004."""
        held, tile = self.stationary, self.stationary_tile
        if held is None or tile is None:
            raise TrapError("SYS-R003", "a stationary tile is loaded before a matmul", found="none")
        moving = matmul.moving
        if (moving.start, moving.partitions) != (tile.start, tile.partitions):
            raise TrapError(
                "SYS-R004",
                "the moving tile lies on the partitions of the stationary one",
                found=f"moving {moving.start}..{moving.start + moving.partitions}, "
                f"stationary {tile.start}..{tile.start + tile.partitions}",
            )
        if matmul.dst.partitions != held.shape[1]:
            raise TrapError(
                "SYS-R004",
                "the product has a partition for each stationary column",
                found=f"{matmul.dst.partitions} partitions, {held.shape[1]} columns",
            )
        full = (DType.FP32, DType.TF32)
        if (moving.dtype in full) != (tile.dtype in full):
            raise TrapError(
                "SYS-R004",
                "both matmul operands are 32-bit types or neither is",
                found=f"moving {moving.dtype.text}, stationary {tile.dtype.text}",
            )
        return held

    # --- the ALU ---------------------------------------------------------------------------------

    def alu_tiles(self, dst: Tile, op: AluOp, a: Tile, b: Tile) -> None:
        """dst := a op b."""
        if is_bitwise(op):
            self.write_patterns(dst, apply_bits(op, self.patterns(a), self.patterns(b)))
        else:
            self.write(dst, apply(op, self.read(a), self.read(b)))

    def alu_scalars(self, i: Any) -> None:
        """dst := (src op0 operand0) op1 operand1, sides swapped where `reverse` says so."""
        if is_bitwise(i.op0, i.op1):
            size = i.src.dtype.size_bytes
            bits = self.patterns(i.src)
            for op, operand, swap in i.steps():
                other = self.scalar_bits(operand, i.src.partitions, size)
                bits = apply_bits(op, other, bits) if swap else apply_bits(op, bits, other)
            self.write_patterns(i.dst, bits)
            return
        x = self.read(i.src)
        for op, operand, swap in i.steps():
            other_fp32 = self.scalar(operand, i.src.partitions)
            x = apply(op, other_fp32, x) if swap else apply(op, x, other_fp32)
        self.write(i.dst, x)

    def alu_scalar_tensor(self, i: Any) -> None:
        """dst := (src op0 operand0) op1 other."""
        x, operand = self.read(i.src), self.scalar(i.operand0, i.src.partitions)
        x = apply(i.op0, operand, x) if i.reverse0 else apply(i.op0, x, operand)
        other = self.read(i.other)
        self.write(i.dst, apply(i.op1, other, x) if i.reverse1 else apply(i.op1, x, other))

    def reduce_tile(self, i: Any) -> None:
        """dst[., r] := op over the reduced dimensions of src, in order from the first element."""
        shape = (i.dst.partitions, i.kept(), -1)
        step: Any = apply_bits if is_bitwise(i.op) else apply
        values = (self.patterns(i.src) if is_bitwise(i.op) else self.read(i.src)).reshape(shape)
        acc = values[:, :, 0]
        for j in range(1, values.shape[2]):
            acc = step(i.op, acc, values[:, :, j])
        if is_bitwise(i.op):
            self.write_patterns(i.dst, acc)
        else:
            self.write(i.dst, -acc if i.negate else acc)

    def patterns(self, tile: Tile) -> BitPatterns:
        """The elements as unsigned bit patterns, [partitions, free]."""
        bits: BitPatterns = self.read_raw(tile).view(UNSIGNED[tile.dtype.size_bytes])
        return bits

    def write_patterns(self, tile: Tile, bits: Any) -> None:
        """Store unsigned bit patterns of the tile's width."""
        self.write_raw(tile, bits.view(tile.dtype.numpy))

    def load_registers(self, engine: Engine, initial: Scalar | None, rows: int) -> None:
        """Reduce registers 0 .. rows-1 := the operand, where there is one."""
        if initial is not None:
            self.reduce[engine][:rows] = self.scalar(initial, rows)[:, 0]

    def reduce_registers(
        self, engine: Engine, command: ReduceCommand, y: Fp32Array, op: AluOp = AluOp.ADD
    ) -> None:
        """Fold the rows of y into the engine's reduce registers; register i takes row i.

        reset sets them to the operator's identity, reduce goes on from what they hold, reset_reduce
        does both; idle leaves them.
        """
        held = self.reduce[engine][: len(y)]
        if command in (ReduceCommand.RESET, ReduceCommand.RESET_REDUCE):
            held[:] = IDENTITY[op]
        if command in (ReduceCommand.REDUCE, ReduceCommand.RESET_REDUCE, ReduceCommand.LOAD_REDUCE):
            held[:] = fold(op, held, y)

    # --- where things lie ------------------------------------------------------------------------

    def _own(self, memory: Memory) -> Bytes:
        if memory in self._shared:
            self.memories[memory] = self.memories[memory].copy()
            self._shared.discard(memory)
        return self.memories[memory]

    def _place(self, tile: Tile) -> tuple[slice, NDArray[np.int64]]:
        """Rows of the memory, and byte columns of every element in order."""
        if tile.memory is DRAM:
            raise TrapError("SYS-R001", "an engine's operand lies in SBUF or PSUM", found="DRAM")
        self._check(tile, self.hw.partition_bytes(tile.memory))
        return slice(tile.start, tile.start + tile.partitions), bytes_of(tile)

    def _dma_place(self, tile: DmaTile) -> tuple[Bytes, NDArray[np.int64]]:
        """A memory as flat bytes, and the bytes of every element in order."""
        width = len(self.dram) if tile.memory is DRAM else self.hw.partition_bytes(tile.memory)
        self._check(tile, width)
        starts = (tile.start + np.arange(tile.partitions, dtype=np.int64)) * width
        index = (starts[:, None] + bytes_of(tile)).reshape(-1)
        return self.memories[tile.memory].reshape(-1), index

    def _check(self, tile: Tile | DmaTile, width: int) -> None:
        rows = 1 if tile.memory is DRAM else self.hw.partitions
        if tile.low < 0 or tile.high > width or tile.start + tile.partitions > rows:
            raise TrapError(
                "SYS-R001",
                "an operand lies inside its memory",
                found=f"{tile.memory.name} partitions {tile.start}.."
                f"{tile.start + tile.partitions} of {rows}, "
                f"bytes {tile.low}..{tile.high} of {width}",
            )


IDENTITY = {
    AluOp.ADD: np.float32(0),
    AluOp.SUBTRACT: np.float32(0),
    AluOp.MULTIPLY: np.float32(1),
    AluOp.MAX: np.float32(-np.inf),
    AluOp.MIN: np.float32(np.inf),
}
