"""What the public instruction list has and this specification leaves out, with the reason.

In    nothing
Out   `LEFT_OUT`, and `ELSEWHERE`: documented names whose meaning stands under another name here
Read  `isa/instructions/` for what there is

Names are those of the public documents (neuron-facts 2.1 to 2.6).
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A documented instruction or option, and why or where."""

    name: str
    section: str
    text: str


_V3 = "first in NeuronCore-v3 or v4; the targets need none of it yet"
_COLLECTIVE = "collectives run on cores of their own, which are not part of the machine yet"
_LOADER = "a pseudo-instruction that the real runtime rewrites at load time; ours has no such step"

# ruff: noqa: E501
# fmt: off
LEFT_OUT: tuple[Entry, ...] = (
    Entry("INT8 matmul with INT32 accumulation", "1.2", "a capability of v1 that neuron-cc never exposed; no operand rule is public"),
    Entry("nc_matmul tile_position, tile_size", "2.1", "several matmuls at once in parts of the array; how parts share a load is not public"),
    Entry("nc_matmul perf_mode double_row", "2.1", _V3),
    Entry("nc_matmul_mx", "2.1", _V3),
    Entry("nc_transpose on the tensor engine, bit exact", "2.1", _V3),
    Entry("activate2", "2.2", _V3),
    Entry("range_select", "2.3", _V3),
    Entry("rand_set_state, rand_get_state, rand2", "2.3", _V3),
    Entry("exponential", "2.3", _V3),
    Entry("quantize_mx", "2.3", _V3),
    Entry("nc_match_replace8 index output", "2.3", "find_index8 gives the same positions; an instruction has three tile operands"),
    Entry("nonzero_with_count", "2.4", _V3),
    Entry("custom op", "2.4", "a user's C++ on the gpsimd processors: there is no model of those processors"),
    Entry("dma_copy priority, hwdge", "2.5", _V3),
    Entry("dma_transpose indirect", "2.5", _V3),
    Entry("dma_compute scales, and sources at unrelated addresses", "2.5", "scales other than 1 do not exist; sources here follow one access pattern"),
    Entry("sendrecv, core_barrier", "2.5", _V3),
    Entry("all_reduce and the other collectives", "2.5", _COLLECTIVE),
    Entry("EVENT_SEMAPHORE events", "2.6", "the 256 events a core: semaphores do all that a compiler needs from them"),
    Entry("SET_ORDERING_MODE, MODIFY_POOL_CONFIG", "2.6", "named in profiles; their meaning is not public"),
    Entry("PSEUDO_DMA_TRIGGER, DMA_ADVANCE, WRITE", "2.6", _LOADER),
    Entry("PSEUDO_CORE_BARRIER, PseudoTriggerCollective2", "2.6", _COLLECTIVE),
    Entry("stochastic rounding", "2.8", "results would not be the same on every machine; nearest even is the default everywhere"),
    Entry("FP8 e3m4, e4m3fn, e8m0, 64-bit integers, x4-packed types", "2.8", "no target needs them; e3m4 has no public definition of its corners"),
)

ELSEWHERE: tuple[Entry, ...] = (
    Entry("nc_matmul", "2.1", "load_stationary, then matmul; accumulate is the absence of start"),
    Entry("nc_matmul is_stationary_onezero, is_moving_onezero", "2.1", "matmul onezero"),
    Entry("nc_transpose (Tensor)", "2.1", "matmul with the identity as the moving tile"),
    Entry("tensor_copy (Scalar)", "2.2", "act_tensor_copy from v3; before it activation with copy"),
    Entry("tensor_scalar (Scalar)", "2.2", "act_tensor_scalar from v3; before it activation with scale and bias"),
    Entry("tensor_tensor power", "2.3", "tensor_power on the gpsimd engine"),
    Entry("tensor_copy_predicated with a constant", "2.3", "fill_predicated"),
    Entry("nc_find_index8, nc_match_replace8, nc_transpose (Vector), nc_stream_shuffle", "2.3", "find_index8, match_replace8, vector_transpose, stream_shuffle"),
    Entry("nc_n_gather", "2.4", "n_gather"),
    Entry("tensor_tensor, tensor_scalar on int32 (GpSimd)", "2.4", "integer_tensor_tensor, integer_tensor_scalar"),
    Entry("dma_copy with vector_offset", "2.5", "dma_gather, dma_scatter"),
    Entry("dma_copy with scalar_offset", "2.5", "dma_gather with one row"),
    Entry("dma_copy dst_rmw_op=add", "2.5", "dma_accumulate"),
    Entry("register_alloc, register_move, register_load, register_store", "2.6", "reg_move, reg_load, reg_store; registers are named by number"),
    Entry("COMPARE_BRANCH", "2.6", "branch"),
    Entry("EVENT_SEMAPHORE", "2.6", "the waits and the signal in every instruction's header"),
    Entry("EVENT_SEMAPHORE_RANGE_CLEAR", "2.6", "sem_clear, one for each semaphore"),
)
# fmt: on
