"""The vector engine's choosing instructions: by a predicate, by rank, by value."""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.alu import AluOp, ReduceCommand
from isa.dtypes import INT8, INT16, UINT8, UINT16, UINT32, from_fp32
from isa.hardware import Hardware
from isa.instructions.costs import at_least, bandwidth_cost, not_both_in_psum, same_shape
from isa.memory import PSUM, SBUF, Engine
from isa.order_of_floats import descending, first_matches
from isa.spec import Instruction, flag, instruction, result, rule, scalar, source
from isa.tiles import Scalar, Tile

PREDICATES = frozenset({UINT8, UINT16, UINT32})
NARROW_PREDICATES = frozenset({INT8, UINT8, INT16, UINT16})


@instruction("tensor_copy_predicated", opcode=0x2C, engines=(Engine.VECTOR,))
class TensorCopyPredicated(Instruction):
    """dst := src where predicate is not zero, elsewhere dst stays; `inverse` swaps the two.

    Bit exact between equal types, else through FP32.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    predicate: Tile = source(SBUF, PSUM, slot="C", dtypes=PREDICATES)
    inverse: bool = flag(bit=0)

    @rule("tensor_copy_predicated-C1")
    def inputs_not_both_in_psum(self, hw: Hardware) -> Any:
        """The input and the predicate are not both in PSUM."""
        return not_both_in_psum(self.src, self.predicate)

    @rule("tensor_copy_predicated-C2")
    def same_free_size(self, hw: Hardware) -> Any:
        """The input, the predicate and the result have as many free elements."""
        return same_shape(self.dst, self.src, self.predicate)

    def keeps_result(self) -> Any:
        return True

    def execute(self, state: Any) -> None:
        chosen = (state.patterns(self.predicate) != 0) ^ self.inverse
        new = state.read_as(self.src, self.dst.dtype)
        state.write_raw(self.dst, np.where(chosen, new, state.read_raw(self.dst)))

    def occupancy(self, hw: Hardware) -> Any:
        mixed = (self.src.memory == PSUM) ^ (self.predicate.memory == PSUM)
        n = self.src.free * np.where(mixed, 1, 2)
        return at_least(hw, n * bandwidth_cost(hw, self.src, self.predicate, self.dst))


@instruction("fill_predicated", opcode=0x2D, engines=(Engine.VECTOR,))
class FillPredicated(Instruction):
    """dst := value where predicate is not zero, elsewhere dst stays; `inverse` swaps the two.

    The documented tensor_copy_predicated with a constant in place of a tensor.
    """

    dst: Tile = result(SBUF, PSUM)
    predicate: Tile = source(SBUF, PSUM, slot="C", dtypes=PREDICATES)
    value: Scalar = scalar(0)
    inverse: bool = flag(bit=0)

    @rule("fill_predicated-C1")
    def same_free_size(self, hw: Hardware) -> Any:
        """The predicate and the result have as many free elements."""
        return same_shape(self.dst, self.predicate)

    def keeps_result(self) -> Any:
        return True

    def execute(self, state: Any) -> None:
        chosen = (state.patterns(self.predicate) != 0) ^ self.inverse
        new = from_fp32(state.scalar(self.value, self.dst.partitions), self.dst.dtype)
        state.write_raw(self.dst, np.where(chosen, new, state.read_raw(self.dst)))

    def occupancy(self, hw: Hardware) -> Any:
        n = np.where(self.predicate.memory == PSUM, 1, 2) * self.dst.free
        return at_least(hw, n * bandwidth_cost(hw, self.predicate, self.dst))


@instruction("select_reduce", opcode=0x2E, engines=(Engine.VECTOR,))
class SelectReduce(Instruction):
    """dst := on_true where predicate is not zero, else on_false; `inverse` swaps the two.

    With `reduce`, the row's reduce register := max over the row of what was selected, in FP32.
    """

    dst: Tile = result(SBUF, PSUM)
    on_true: Tile = source(SBUF, PSUM, slot="B")
    predicate: Tile = source(SBUF, PSUM, slot="C", dtypes=NARROW_PREDICATES)
    on_false: Scalar = scalar(0)
    inverse: bool = flag(bit=0)
    reduce: bool = flag(bit=1)

    @rule("select_reduce-C1")
    def inputs_not_both_in_psum(self, hw: Hardware) -> Any:
        """The tensor and the predicate are not both in PSUM."""
        return not_both_in_psum(self.on_true, self.predicate)

    @rule("select_reduce-C2")
    def same_free_size(self, hw: Hardware) -> Any:
        """The tensor, the predicate and the result have as many free elements."""
        return same_shape(self.dst, self.on_true, self.predicate)

    def execute(self, state: Any) -> None:
        chosen = (state.patterns(self.predicate) != 0) ^ self.inverse
        other = state.scalar(self.on_false, self.dst.partitions)
        y = np.where(chosen, state.read(self.on_true), other)
        command = ReduceCommand.RESET_REDUCE if self.reduce else ReduceCommand.IDLE
        state.reduce_registers(Engine.VECTOR, command, y, AluOp.MAX)
        state.write(self.dst, y)

    def occupancy(self, hw: Hardware) -> Any:
        # not published; assumed as tensor_copy_predicated, plus a read-out when it reduces
        n = 2 * self.dst.free * bandwidth_cost(hw, self.on_true, self.predicate, self.dst)
        return at_least(hw, n) + np.where(self.reduce, hw.engine_min_interval, 0)


@instruction("max8", opcode=0x2F, engines=(Engine.VECTOR,))
class Max8(Instruction):
    """dst[p] := the eight greatest values of the row, in descending order, repeats kept.

    NaN counts as greater than every number, +0 as greater than -0.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")

    @rule("max8-C1")
    def row_fits(self, hw: Hardware) -> Any:
        """The input has 8 to 16384 free elements."""
        return (self.src.free >= 8) & (self.src.free <= 16384)

    @rule("max8-C2")
    def eight_results(self, hw: Hardware) -> Any:
        """The result has eight free elements."""
        return self.dst.free == 8

    def execute(self, state: Any) -> None:
        x = state.read(self.src)
        state.write(self.dst, np.take_along_axis(x, descending(x)[:, :8], axis=1))

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, self.src.free)


@instruction("find_index8", opcode=0x30, engines=(Engine.VECTOR,))
class FindIndex8(Instruction):
    """dst[p, j] := where values[p, j] stands first in the row, all ones if it does not.

    Compared as FP32 numbers: -0 equals +0, NaN equals nothing.
    """

    dst: Tile = result(SBUF, PSUM, dtypes=frozenset({UINT16, UINT32}))
    src: Tile = source(SBUF, PSUM, slot="B")
    values: Tile = source(SBUF, PSUM, slot="C")

    @rule("find_index8-C1")
    def row_fits(self, hw: Hardware) -> Any:
        """The input has 8 to 16384 free elements."""
        return (self.src.free >= 8) & (self.src.free <= 16384)

    @rule("find_index8-C2")
    def eight_values(self, hw: Hardware) -> Any:
        """The values and the result have eight free elements."""
        return (self.values.free == 8) & (self.dst.free == 8)

    def execute(self, state: Any) -> None:
        x, values = state.read(self.src), state.read(self.values)
        equal = x[:, None, :] == values[:, :, None]
        first = np.where(equal.any(axis=2), equal.argmax(axis=2), -1)
        state.write_raw(self.dst, first.astype(self.dst.dtype.numpy))

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, self.src.free)


@instruction("match_replace8", opcode=0x31, engines=(Engine.VECTOR,))
class MatchReplace8(Instruction):
    """dst := src, the first occurrence of each of eight values replaced by an immediate.

    Values are taken from column 7 down to 0; each replaces its first occurrence that no column
    before it took, so repeated values replace repeated elements. Compared as `find_index8` does.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    values: Tile = source(SBUF, PSUM, slot="C")
    replacement: Scalar = scalar(0, column=False)

    @rule("match_replace8-C1")
    def row_fits(self, hw: Hardware) -> Any:
        """The input has 8 to 16384 free elements, the result as many."""
        fits = (self.src.free >= 8) & (self.src.free <= 16384)
        return fits & same_shape(self.src, self.dst)

    @rule("match_replace8-C2")
    def eight_values(self, hw: Hardware) -> Any:
        """The values have eight free elements."""
        return self.values.free == 8

    def execute(self, state: Any) -> None:
        x = state.read(self.src)
        taken = first_matches(x, state.read(self.values))
        state.write(self.dst, np.where(taken, state.scalar(self.replacement, len(x)), x))

    def occupancy(self, hw: Hardware) -> Any:
        # printed as min(MIN_II, N) in the documents; max is surely meant (neuron-facts 2.3)
        return at_least(hw, self.src.free)
