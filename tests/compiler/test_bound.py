"""The bounds, against programs small enough to work out by hand."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np

from compiler.bound import bound
from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import Graph
from isa.hardware import load_target

HW = load_target("inf1")
BF16 = np.dtype(ml_dtypes.bfloat16)
SBUF_BYTES = HW.partitions * HW.sbuf_partition_bytes


def chain(*columns: int, rows: int = 1) -> Graph:
    """Products one behind the other: [rows, columns[0]] x [columns[0], columns[1]] x ..."""
    b = GraphBuilder("chain")
    value = b.input("x", (rows, columns[0]), BF16)
    for k, (inner, outer) in enumerate(itertools.pairwise(columns)):
        zeros = np.broadcast_to(np.zeros((), BF16), (inner, outer))
        value = b.emit("matmul", value, b.constant(zeros, name=f"w{k}"))
    b.output(value, "y")
    return b.finish()


def test_a_wide_product_is_bound_by_the_array() -> None:
    limits = bound(chain(4096, 4096, rows=4096), HW)
    assert limits.macs == 4096**3
    assert limits.cycles == 4096**3 // HW.macs_per_cycle


def test_weights_that_follow_much_work_cannot_all_wait_in_sbuf() -> None:
    """4096 rows x 1024 x 1024 of work, then one row's worth of 96 MiB of weights."""
    b = GraphBuilder("funnel")
    x = b.input("x", (4096, 1024), BF16)
    w = b.constant(np.broadcast_to(np.zeros((), BF16), (1024, 1024)), name="w")
    early = b.emit("matmul", x, w)
    one = b.emit("slice", early, starts=(0, 0), sizes=(1, 1024), steps=(1, 1))
    large = (1024, 48 * 1024)
    v = b.constant(np.broadcast_to(np.zeros((), BF16), large), name="v")
    b.output(b.emit("matmul", one, v), "y")
    limits = bound(b.finish(), HW)
    array = 4096 * 1024 * 1024 // HW.macs_per_cycle
    rest = 2 * large[0] * large[1] - SBUF_BYTES
    late = array + -(-rest * HW.base_clock_hz // HW.core_dram_bytes_per_s)
    assert limits.sbuf_cycles == late > limits.cycles


def test_weights_that_fit_or_come_first_are_no_matter() -> None:
    for graph in (chain(1024, 1024, 1024, rows=128), chain(48 * 1024, 1024, 1024)):
        limits = bound(graph, HW)
        assert limits.sbuf_cycles == limits.cycles


def test_an_element_takes_a_column_for_a_whole_cycle() -> None:
    """Of 16 terms as long as of 128, of 130 as long as of 256."""
    for inner, cycles in ((16, 1), (128, 1), (130, 2)):
        limits = bound(chain(inner, 64, rows=4096), HW)
        assert limits.array_cycles == 4096 * cycles
        assert limits.column_cycles == max(limits.cycles, 4096 * cycles)


def test_what_crosses_counts_in_the_machines_type() -> None:
    """INT64 is INT32 in DRAM, a boolean is a byte."""
    b = GraphBuilder("types")
    table = b.constant(np.zeros((8, 4), np.float32), name="table")
    rows = b.emit("gather", table, b.input("i", (3,), np.dtype(np.int64)), axis=0)
    b.output(b.emit("select", b.input("c", (3, 1), np.dtype(bool)), rows, rows), "y")
    assert bound(b.finish(), HW).dram_bytes == 3 * 4 + 3 + 3 * 4 * 4 + 3 * 4 * 4
