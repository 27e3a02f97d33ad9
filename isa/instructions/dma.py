"""DMA queues: copies between memories, by descriptors.

NeuronCore-v1 copies bytes and no more; casts, arithmetic, transposes and gathers come with v2
(neuron-facts 1.2, 2.5).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.hardware import Hardware
from isa.memory import Engine
from isa.spec import Instruction, dma_result, dma_source, instruction, number, rule
from isa.tiles import DmaTile


@instruction("dma_copy", opcode=0x60, engines=(Engine.DMA,))
class DmaCopy(Instruction):
    """Copy elements in order: the i-th element of dst := the i-th element of src.

    A descriptor moves one run of bytes that is contiguous on both sides. Partitions are walked
    outermost and never run on into each other. Who writes the descriptors may cut runs shorter, so
    that a transfer of few runs is shared by more engines: `longest` is the most bytes that a
    descriptor of this copy moves, 0 stands for the hardware's own limit.
    """

    dst: DmaTile = dma_result()
    src: DmaTile = dma_source()
    longest: int = number(17, bit=0)

    @rule("dma_copy-C1")
    def as_many_elements(self, hw: Hardware) -> Any:
        """Source and destination have as many elements."""
        return self.dst.elements == self.src.elements

    @rule("dma_copy-C2")
    def casts_from_v2(self, hw: Hardware) -> Any:
        """NeuronCore-v1 copies bytes: source and destination have one data type."""
        return (self.dst.dtype == self.src.dtype) | (hw.generation >= 2)

    @rule("dma_copy-C3")
    def cut_in_range(self, hw: Hardware) -> Any:
        """Runs are cut at 512 bytes or more, and at no more than the longest descriptor."""
        within = (self.longest >= 512) & (self.longest <= hw.dma_max_descriptor_bytes)
        return (self.longest == 0) | within

    def execute(self, state: Any) -> None:
        state.dma_write(self.dst, state.dma_read(self.src), self.src.dtype)

    def descriptors(self, hw: Hardware) -> tuple[Any, Any]:
        """A descriptor for each contiguous run, or for each piece that it is cut into."""
        most = np.where(self.longest > 0, self.longest, hw.dma_max_descriptor_bytes)
        return descriptors(self, hw, np.minimum(most, hw.dma_max_descriptor_bytes))

    def occupancy(self, hw: Hardware) -> Any:
        return hw.control_interval


def contiguous_run(nums: Any, steps: Any) -> Any:
    """Elements of the innermost contiguous run. nums, steps: [n, rank], outermost first."""
    run = np.ones(len(nums), dtype=np.int64)
    alive = np.ones(len(nums), dtype=bool)
    for d in range(nums.shape[1] - 1, -1, -1):
        joins = (nums[:, d] == 1) | (steps[:, d] == run)
        alive &= joins
        run = np.where(alive, run * nums[:, d], run)
    return run


def descriptors(copies: Any, hw: Hardware, longest: Any = None) -> tuple[Any, Any]:
    """Descriptors of each copy, and the bytes of each descriptor (the larger side's).

    Args:
        copies: columns of instructions that copy from `src` to `dst`.
        longest: the most bytes of a descriptor; the hardware's limit if not given.
    Returns:
        (count, bytes a descriptor), int64 [n] each.
    """
    runs = np.gcd(
        contiguous_run(copies.src.nums, copies.src.steps),
        contiguous_run(copies.dst.nums, copies.dst.steps),
    )
    size = np.maximum(copies.src.size_bytes, copies.dst.size_bytes)
    run_bytes = runs * size
    pieces = -(-run_bytes // (hw.dma_max_descriptor_bytes if longest is None else longest))
    return copies.src.elements // runs * pieces, -(-run_bytes // pieces)
