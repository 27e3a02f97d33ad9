"""The gpsimd engine (NeuronCore-v2 on): eight processors of 16 partitions each, SBUF only.

It also executes the vector engine's two-tensor, scalar, copy and memset instructions. What only it
has: gathers, cross-partition reduction, ranking; `gpsimd_affine.py`, `gpsimd_integer.py`.
Costs in GpSimd cycles (neuron-facts 2.4); where none is published the assumption stands beside it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from isa.alu import AluOp
from isa.alu_reference import apply, apply_bits, power
from isa.dtypes import BF16, FP32, INT32, UINT16, UINT32
from isa.errors import TrapError
from isa.hardware import Hardware
from isa.instructions.costs import at_least, element_bytes, same_shape
from isa.memory import SBUF, Engine
from isa.order_of_floats import descending, rank_keys
from isa.spec import Instruction, choice, flag, instruction, number, result, rule, source
from isa.tiles import Tile

GPSIMD = (Engine.GPSIMD,)
V2 = (2, 3)
GROUP = 16  # partitions of one processor
ELEMENTS_PER_INDEX = (1, 2, 4, 8, 16, 32)


def out_of_range(what: str, found: int, limit: int) -> TrapError:
    """The error for an index past what it indexes."""
    return TrapError(
        "SYS-R005",
        "a run-time place lies inside the operand's declared extent",
        found=f"{what} {found}; there are {limit}",
    )


@instruction("local_gather", opcode=0x42, engines=GPSIMD, generations=V2)
class LocalGather(Instruction):
    """dst[p, k, :] := src[p, index[k], :] for k < valid; 16 partitions share their indices.

    Rows are seen as blocks of `block` elements. A group's index k stands at its partition k mod 16,
    element k div 16 (this arrangement is ours). Bit exact.
    """

    dst: Tile = result(SBUF)
    src: Tile = source(SBUF, slot="B")
    index: Tile = source(SBUF, slot="C", dtypes=frozenset({UINT16}))
    block: int = number(6, bit=0, default=1)
    valid: int = number(13, bit=6)

    @rule("local_gather-C1")
    def block_size(self, hw: Hardware) -> Any:
        """A block has 1, 2, 4, 8, 16 or 32 elements, and a row of the input whole blocks."""
        whole = self.src.free % np.maximum(self.block, 1) == 0
        return np.isin(self.block, ELEMENTS_PER_INDEX) & whole

    @rule("local_gather-C2")
    def whole_groups(self, hw: Hardware) -> Any:
        """The tiles have a multiple of 16 partitions."""
        return self.src.partitions % GROUP == 0

    @rule("local_gather-C3")
    def indices_are_there(self, hw: Hardware) -> Any:
        """A group has at least `valid` indices, of which there are 1 to 4096."""
        bounded = (self.valid >= 1) & (self.valid <= 4096)
        return bounded & (self.valid <= GROUP * self.index.free)

    @rule("local_gather-C4")
    def result_fits(self, hw: Hardware) -> Any:
        """The result has `valid` blocks, of the input's data type."""
        return (self.dst.free == self.valid * self.block) & (self.dst.dtype == self.src.dtype)

    def execute(self, state: Any) -> None:
        x, index = state.read_raw(self.src), state.read_raw(self.index)
        blocks = x.reshape(len(x), -1, self.block)
        y = np.empty((len(x), self.valid, self.block), x.dtype)
        for first in range(0, len(x), GROUP):
            group = slice(first, first + GROUP)
            places = index[group].T.reshape(-1)[: self.valid].astype(np.int64)
            if places.max() >= blocks.shape[1]:
                raise out_of_range("index", int(places.max()), blocks.shape[1])
            y[group] = blocks[group][:, places]
        state.write_raw(self.dst, y.reshape(len(x), -1))

    def occupancy(self, hw: Hardware) -> Any:
        # start + N / C, C = ((28 + 4e) / 4e) / min(4 / bytes, e), as printed (neuron-facts 2.4)
        rate = np.minimum(4 // element_bytes(self.src), self.block)
        t = 4 * self.block
        return hw.pool_start + -(-self.valid * self.block * t * rate // (28 + t))


@instruction("n_gather", opcode=0x43, engines=GPSIMD, generations=V2)
class NGather(Instruction):
    """dst[p, i] := src[p, index[p, i]], each partition with its own indices, bit exact."""

    dst: Tile = result(SBUF)
    src: Tile = source(SBUF, slot="B")
    index: Tile = source(SBUF, slot="C", dtypes=frozenset({UINT32}))

    @rule("n_gather-C1")
    def an_index_each(self, hw: Hardware) -> Any:
        """The result has as many free elements as the indices, and the input's data type."""
        return same_shape(self.dst, self.index) & (self.dst.dtype == self.src.dtype)

    def execute(self, state: Any) -> None:
        x, index = state.read_raw(self.src), state.read_raw(self.index).astype(np.int64)
        if index.max() >= x.shape[1]:
            raise out_of_range("index", int(index.max()), x.shape[1])
        state.write_raw(self.dst, np.take_along_axis(x, index, axis=1))

    def occupancy(self, hw: Hardware) -> Any:
        # not published; it lowers to a group for every 512 elements: a start each, then N (assumed)
        return hw.pool_start * -(-self.index.free // 512) + self.index.free


@instruction("tensor_partition_reduce", opcode=0x44, engines=GPSIMD, generations=V2)
class TensorPartitionReduce(Instruction):
    """dst[0, i] := op over the partitions p of src[p, i], in order from the first.

    `average` divides the sum by the partition count, one FP32 division.
    """

    lanewise: ClassVar[bool] = False

    dst: Tile = result(SBUF)
    src: Tile = source(SBUF, slot="B")
    op: AluOp = choice(AluOp, 5, bit=0, default=AluOp.ADD)
    average: bool = flag(bit=5)

    @rule("tensor_partition_reduce-C1")
    def one_row(self, hw: Hardware) -> Any:
        """The result has one partition and the input's free elements."""
        return (self.dst.partitions == 1) & same_shape(self.src, self.dst)

    @rule("tensor_partition_reduce-C2")
    def operator_reduces(self, hw: Hardware) -> Any:
        """The operator is add, max, and, or; average goes with add."""
        plain = np.isin(self.op, (AluOp.ADD, AluOp.MAX, AluOp.AND, AluOp.OR))
        return plain & (np.logical_not(self.average) | (self.op == AluOp.ADD))

    @rule("tensor_partition_reduce-C3")
    def bit_vectors_are_integers(self, hw: Hardware) -> Any:
        """And and or take and give INT32 or UINT32."""
        words = (INT32, UINT32)
        fits = np.isin(self.src.dtype, words) & np.isin(self.dst.dtype, words)
        return (self.op < AluOp.INVERT) | fits

    def execute(self, state: Any) -> None:
        if self.op in (AluOp.AND, AluOp.OR):
            bits = state.patterns(self.src)
            held = bits[:1]
            for row in bits[1:]:
                held = apply_bits(self.op, held, row[None, :])
            state.write_patterns(self.dst, held)
            return
        x = state.read(self.src)
        acc = x[:1]
        for values in x[1:]:
            acc = apply(self.op, acc, values[None, :])
        with np.errstate(all="ignore"):
            mean = acc / np.float32(len(x))
        state.write(self.dst, mean if self.average else acc)

    def occupancy(self, hw: Hardware) -> Any:
        # not published; assumed: a processor folds its 16 partitions, then 8 partial rows fold
        return hw.pool_start + (GROUP + 8) * self.src.free


@instruction("sequence_bounds", opcode=0x45, engines=GPSIMD, generations=V2)
class SequenceBounds(Instruction):
    """dst := first position of each element's segment id, then one past its last; [1, 2n].

    An element of id 0 is padding: n and -1 (ours; the corner is not in our facts).
    """

    dst: Tile = result(SBUF, dtypes=frozenset({INT32, FP32}))
    src: Tile = source(SBUF, slot="B", dtypes=frozenset({INT32, FP32}))

    @rule("sequence_bounds-C1")
    def one_row(self, hw: Hardware) -> Any:
        """The tiles have one partition, the result twice the input's free elements."""
        return (self.src.partitions == 1) & (self.dst.free == 2 * self.src.free)

    def execute(self, state: Any) -> None:
        ids = state.read_raw(self.src)[0]
        equal = ids[:, None] == ids[None, :]
        n = len(ids)
        first = np.where(ids == 0, n, equal.argmax(axis=1))
        end = np.where(ids == 0, -1, n - equal[:, ::-1].argmax(axis=1))
        state.write_integers(self.dst, np.concatenate([first, end])[None, :])

    def occupancy(self, hw: Hardware) -> Any:
        # not published; assumed one pass in each direction
        return hw.pool_start + 2 * self.src.free


@instruction("topk", opcode=0x46, engines=GPSIMD, generations=V2)
class TopK(Instruction):
    """dst, index := the K largest of src in ascending order, and where they stand.

    src holds n = 16c elements over 16 partitions, dst K: element e lies in column e div 16, going
    down the partitions in even columns and up in odd ones (our reading of the documented snake).
    Of equal elements the first are taken, and stay in order. NaN counts as greater than all.
    """

    dst: Tile = result(SBUF, dtypes=frozenset({BF16}))
    src: Tile = source(SBUF, slot="B", dtypes=frozenset({BF16}))
    index: Tile = result(SBUF, slot="C", dtypes=frozenset({UINT32}))

    @rule("topk-C1")
    def one_group(self, hw: Hardware) -> Any:
        """The tiles have 16 partitions, and the input fewer than 65536 elements."""
        return (self.src.partitions == GROUP) & (GROUP * self.src.free < 65536)

    @rule("topk-C2")
    def results_fit(self, hw: Hardware) -> Any:
        """Values and indices are as many, and no more than the elements of the input."""
        return same_shape(self.dst, self.index) & (self.dst.free <= self.src.free)

    def execute(self, state: Any) -> None:
        x = snake_order(state.read(self.src))
        chosen = descending(x[None, :])[0, : GROUP * self.dst.free]
        ascending = chosen[np.lexsort((chosen, rank_keys(x[chosen])))]
        state.write(self.dst, snake_rows(x[ascending]))
        state.write_raw(self.index, snake_rows(ascending.astype(np.uint32)))

    def occupancy(self, hw: Hardware) -> Any:
        return 4 * GROUP * self.src.free + GROUP * self.dst.free


def snake_order(rows: Any) -> Any:
    """[16, c] -> [16c]: down even columns, up odd ones."""
    columns = np.array(rows.T)
    columns[1::2] = columns[1::2, ::-1]
    return columns.reshape(-1)


def snake_rows(values: Any) -> Any:
    """The inverse of `snake_order`."""
    columns = np.array(values.reshape(-1, GROUP))
    columns[1::2] = columns[1::2, ::-1]
    return np.ascontiguousarray(columns.T)


@instruction("tensor_power", opcode=0x47, engines=GPSIMD, generations=V2)
class TensorPower(Instruction):
    """dst := a ^ b, elementwise, by the ALU's `power`."""

    dst: Tile = result(SBUF)
    a: Tile = source(SBUF, slot="B")
    b: Tile = source(SBUF, slot="C")

    @rule("tensor_power-C1")
    def same_free_size(self, hw: Hardware) -> Any:
        """The inputs and the result have as many free elements."""
        return same_shape(self.dst, self.a, self.b)

    def execute(self, state: Any) -> None:
        state.write(self.dst, power(state.read(self.a), state.read(self.b)))

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, 2 * self.dst.free)
