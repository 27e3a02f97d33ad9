"""The vector engine's movement across partitions, copies at run-time places, random numbers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from isa import rng
from isa.dtypes import INT32, INTEGERS, UINT32
from isa.errors import TrapError
from isa.hardware import Hardware
from isa.instructions.costs import VECTOR_LIKE, at_least, bandwidth_cost, num, same_shape
from isa.memory import PSUM, SBUF, Engine
from isa.spec import Instruction, instruction, number, result, rule, scalar, source
from isa.tiles import Scalar, Tile

BANK = 32  # partitions that the engine's reshape unit works on (neuron-facts 1.3)
LEAVE = 63  # a shuffle entry that leaves its partition alone (the documents print 255)
ENTRY_BITS = 6


@instruction("vector_transpose", opcode=0x32, engines=(Engine.VECTOR,))
class VectorTranspose(Instruction):
    """dst[32a + i, 32b + j] := src[32a + j, 32b + i]: each 32x32 block transposed, bit exact.

    A tile of at most 32x32 is one block: dst[i, j] := src[j, i].
    """

    lanewise: ClassVar[bool] = False

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")

    @rule("vector_transpose-C1")
    def whole_blocks(self, hw: Hardware) -> Any:
        """The input is one block of at most 32x32, turned, or a whole number of 32x32 blocks."""
        p, f = self.src.partitions, self.src.free
        turned = (self.dst.partitions == f) & (self.dst.free == p)
        small = (p <= BANK) & (f <= BANK) & turned
        kept = (self.dst.partitions == p) & (self.dst.free == f)
        return small | ((p % BANK == 0) & (f % BANK == 0) & kept)

    @rule("vector_transpose-C2")
    def one_type(self, hw: Hardware) -> Any:
        """The input and the result have one data type."""
        return self.src.dtype == self.dst.dtype

    def execute(self, state: Any) -> None:
        x = state.read_raw(self.src)
        p, f = x.shape
        if p <= BANK and f <= BANK:
            state.write_raw(self.dst, x.T)
            return
        blocks = x.reshape(p // BANK, BANK, f // BANK, BANK)
        state.write_raw(self.dst, blocks.transpose(0, 3, 2, 1).reshape(p, f))

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, self.src.free * bandwidth_cost(hw, self.src, self.dst))


def shuffle_words(mask: list[int]) -> tuple[int, int, int, int]:
    """The four mask numbers of a shuffle from its 32 entries, 0 to 31 or `LEAVE`."""
    words = [0, 0, 0, 0]
    for i, entry in enumerate(mask):
        words[i // 8] |= entry << ENTRY_BITS * (i % 8)
    return words[0], words[1], words[2], words[3]


@instruction("stream_shuffle", opcode=0x33, engines=(Engine.VECTOR,))
class StreamShuffle(Instruction):
    """dst[32q + i] := src[32q + mask[i]] in every quadrant q, bit exact; an entry of 63 leaves dst.

    The mask's 32 entries lie eight to a number, six bits each, the first lowest.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    mask0: int = number(48, bit=0, word=10)
    mask1: int = number(48, bit=0, word=11)
    mask2: int = number(48, bit=0, word=12)
    mask3: int = number(48, bit=0, word=13)

    @rule("stream_shuffle-C1")
    def whole_quadrants(self, hw: Hardware) -> Any:
        """The tiles have 32, 64, 96 or 128 partitions."""
        return self.src.partitions % BANK == 0

    @rule("stream_shuffle-C2")
    def same_form(self, hw: Hardware) -> Any:
        """The input and the result have as many free elements and one data type."""
        return same_shape(self.src, self.dst) & (self.src.dtype == self.dst.dtype)

    @rule("stream_shuffle-C3")
    def entries_name_partitions(self, hw: Hardware) -> Any:
        """An entry is 0 to 31, or 63."""
        holds: Any = True
        for entry in self.entries():
            holds = holds & ((entry < BANK) | (entry == LEAVE))
        return holds

    def entries(self) -> list[Any]:
        """The 32 entries of the mask."""
        masks = (self.mask0, self.mask1, self.mask2, self.mask3)
        return [masks[i // 8] >> ENTRY_BITS * (i % 8) & LEAVE for i in range(BANK)]

    def keeps_result(self) -> Any:
        keeps: Any = False
        for entry in self.entries():
            keeps = keeps | (entry == LEAVE)
        return keeps

    def execute(self, state: Any) -> None:
        x, y = state.read_raw(self.src), state.read_raw(self.dst)
        for first in range(0, len(x), BANK):
            for i, entry in enumerate(self.entries()):
                if entry != LEAVE:
                    y[first + i] = x[first + entry]
        state.write_raw(self.dst, y)

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, self.src.free * bandwidth_cost(hw, self.src, self.dst))


def chosen_place(state: Any, register: int, tile: Tile) -> Tile:
    """The part of a tile that a register chooses along the outermost dimension of four."""
    place, (step, places) = int(state.registers[state.stream, register]), tile.dims[0]
    if place >= places:
        raise TrapError(
            "SYS-R005",
            "a run-time place lies inside the operand's declared extent",
            found=f"register {register} holds {place}; the outermost dimension has {places}",
        )
    address = tile.address + place * step * tile.dtype.size_bytes
    return Tile(tile.memory, tile.start, tile.partitions, address, tile.dtype, tile.dims[1:])


@instruction("tensor_copy_dynamic_src", opcode=0x34, engines=VECTOR_LIKE)
class TensorCopyDynamicSrc(Instruction):
    """dst := src[reg[register]], which the outermost of the four dimensions of src counts.

    The whole of src is the declared extent that the register may choose from.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    register: int = number(6, bit=0)

    @rule("tensor_copy_dynamic_src-C1")
    def one_place_fits(self, hw: Hardware) -> Any:
        """The result has as many free elements as the three inner dimensions of the input."""
        return self.dst.free * num(self.src, 0) == self.src.free

    def execute(self, state: Any) -> None:
        chosen = chosen_place(state, self.register, self.src)
        state.write_raw(self.dst, state.read_as(chosen, self.dst.dtype))

    def occupancy(self, hw: Hardware) -> Any:
        return np.maximum(hw.dynamic_interval, self.dst.free)


@instruction("tensor_copy_dynamic_dst", opcode=0x35, engines=VECTOR_LIKE)
class TensorCopyDynamicDst(Instruction):
    """dst[reg[register]] := src; the outermost of the four dimensions of dst counts the places.

    The whole of dst is the declared extent that the register may choose from; the rest stays.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    register: int = number(6, bit=0)

    @rule("tensor_copy_dynamic_dst-C1")
    def one_place_fits(self, hw: Hardware) -> Any:
        """The input has as many free elements as the three inner dimensions of the result."""
        return self.src.free * num(self.dst, 0) == self.dst.free

    def keeps_result(self) -> Any:
        return True

    def execute(self, state: Any) -> None:
        chosen = chosen_place(state, self.register, self.dst)
        state.write_raw(chosen, state.read_as(self.src, self.dst.dtype))

    def occupancy(self, hw: Hardware) -> Any:
        return np.maximum(hw.dynamic_interval, self.src.free)


@instruction("dropout", opcode=0x36, engines=(Engine.VECTOR,))
class Dropout(Instruction):
    """dst := 0 where u < probability, else src; u is the lane's next random number in [0, 1).

    u is the top 24 bits of the number over 2^24. A NaN probability drops nothing.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    probability: Scalar = scalar(0)

    @rule("dropout-C1")
    def same_free_size(self, hw: Hardware) -> Any:
        """The input and the result have as many free elements."""
        return same_shape(self.src, self.dst)

    def execute(self, state: Any) -> None:
        x = state.read(self.src)
        drawn = rng.numbers(state.rng[: len(x)], x.shape[1])
        u = (drawn >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
        drop = u < state.scalar(self.probability, len(x))
        state.write(self.dst, np.where(drop, np.float32(0), x))

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, self.src.free * bandwidth_cost(hw, self.src, self.dst))


@instruction("rng", opcode=0x37, engines=(Engine.VECTOR,))
class Rng(Instruction):
    """dst[p, i] := the low bits of lane p's next random number, i in element order."""

    dst: Tile = result(SBUF, PSUM, dtypes=INTEGERS)

    def execute(self, state: Any) -> None:
        drawn = rng.numbers(state.rng[: self.dst.partitions], self.dst.free)
        width = self.dst.dtype.size_bytes
        state.write_patterns(self.dst, drawn.astype(f"u{width}"))

    def occupancy(self, hw: Hardware) -> Any:
        # not published; assumed one number a lane and cycle
        return at_least(hw, self.dst.free)


@instruction("set_rng_seed", opcode=0x38, engines=(Engine.VECTOR,))
class SetRngSeed(Instruction):
    """state of lane p := mix(seed, p) for all 128 lanes; the seed is a 1x1 tile."""

    seed: Tile = source(SBUF, PSUM, slot="B", dtypes=frozenset({INT32, UINT32}))

    @rule("set_rng_seed-C1")
    def one_element(self, hw: Hardware) -> Any:
        """The seed is one element."""
        return (self.seed.partitions == 1) & (self.seed.free == 1)

    def execute(self, state: Any) -> None:
        state.rng[:] = rng.seeded(int(state.patterns(self.seed)[0, 0]), len(state.rng))
