"""Transfers of few runs, cut so that every DMA engine has a share of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from isa.columns import Columns
from isa.hardware import Hardware
from isa.instructions.dma import DmaCopy
from isa.kernel.virtual import VirtualProgram

SHORTEST = 2048
"""Bytes: a shorter descriptor costs more than it gains (neuron-facts 3.4: at least 2 KiB)."""

ALIGNMENT = 64
"""Bytes: pieces are cut at multiples, so that none begins within a word of DRAM."""


def share_out(program: VirtualProgram, hw: Hardware) -> VirtualProgram:
    """The program with `longest` set on copies of fewer runs than there are DMA engines."""
    at = np.flatnonzero(program.opcodes == DmaCopy.opcode)
    if not at.size:
        return program
    copies = Columns(program.words[at], DmaCopy)
    runs, run_bytes = copies.descriptors(hw)
    wanted = -(-hw.dma_engines // np.maximum(runs, 1))
    pieces = np.minimum(wanted, run_bytes // SHORTEST)
    longest = -(-run_bytes // np.maximum(pieces, 1))
    longest = np.minimum(-(-longest // ALIGNMENT) * ALIGNMENT, hw.dma_max_descriptor_bytes)
    words = program.words.copy()
    cut = pieces > 1
    words[at[cut], 2] |= longest[cut].astype(np.uint64)
    return replace(program, words=words)
