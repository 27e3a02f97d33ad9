"""Vectors whose blocks lie side by side on the partitions are stored as what they are."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.lowering.lower import lower
from isa.columns import Columns
from isa.hardware import load_target
from isa.instructions.dma import DmaCopy
from isa.instructions.vector_move import VectorTranspose
from isa.memory import DRAM
from tests.compiler.device_run import error_on_device


@pytest.mark.parametrize("size", [511, 512, 1000, 1023, 1025, 1160, 5000, 16384, 16500])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_vector_is_stored_in_order(size: int, dtype: type[np.generic]) -> None:
    rng = np.random.default_rng(size)
    b = GraphBuilder("vector")
    x = b.input("x", (1, size, 1, 1), np.dtype(dtype))
    b.output(b.emit("add", x, x), "y")
    graph = b.finish()
    inputs = {"x": rng.integers(-1000, 1000, (1, size, 1, 1)).astype(dtype)}
    assert error_on_device(graph, inputs, auto_cast="none") == 0.0
    if size >= 512:
        hw = load_target("inf1")
        program = lower(graph, hw).program
        assert (program.opcodes == VectorTranspose.opcode).any()
        copies = Columns(program.words[program.opcodes == DmaCopy.opcode], DmaCopy)
        count, _ = copies.descriptors(hw)
        assert count[copies.dst.memory == DRAM].sum() <= -(-size // 128) + 33
