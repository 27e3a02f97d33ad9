"""DMA queues: copies between memories, by descriptors.

NeuronCore-v1 copies bytes and no more; casts, arithmetic, transposes and gathers come with v2
(neuron-facts 1.2, 2.5).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.hardware import Hardware
from isa.memory import Engine
from isa.spec import Instruction, dma_result, dma_source, instruction, rule
from isa.tiles import DmaTile


@instruction("dma_copy", opcode=0x60, engines=(Engine.DMA,))
class DmaCopy(Instruction):
    """Copy elements in order: the i-th element of dst := the i-th element of src.

    A descriptor moves one run of bytes that is contiguous on both sides. Partitions are walked
    outermost and never run on into each other.
    """

    dst: DmaTile = dma_result()
    src: DmaTile = dma_source()

    @rule("dma_copy-C1")
    def as_many_elements(self, hw: Hardware) -> Any:
        """Source and destination have as many elements."""
        return self.dst.elements == self.src.elements

    @rule("dma_copy-C2")
    def casts_from_v2(self, hw: Hardware) -> Any:
        """NeuronCore-v1 copies bytes: source and destination have one data type."""
        return (self.dst.dtype == self.src.dtype) | (hw.generation >= 2)

    def execute(self, state: Any) -> None:
        state.dma_write(self.dst, state.dma_read(self.src), self.src.dtype)

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


def descriptors(copies: Any, hw: Hardware) -> tuple[Any, Any]:
    """Descriptors of each copy, and the bytes of each descriptor (the larger side's).

    Args:
        copies: columns of `dma_copy` instructions.
    Returns:
        (count, bytes a descriptor), int64 [n] each.
    """
    runs = np.gcd(
        contiguous_run(copies.src.nums, copies.src.steps),
        contiguous_run(copies.dst.nums, copies.dst.steps),
    )
    size = np.maximum(copies.src.size_bytes, copies.dst.size_bytes)
    run_bytes = runs * size
    pieces = -(-run_bytes // hw.dma_max_descriptor_bytes)
    return copies.src.elements // runs * pieces, -(-run_bytes // pieces)
