"""The general rules: what is legal for every instruction, operand and buffer.

A rule has a label and a docstring, the sentence that user and manual read, and works on columns:
one call judges every instruction of a kind in a stream. `legality.py` applies them.

    O-n  D-n   every operand of every instruction (neuron-facts 2.0, 3.1)
    E-n  S-n   the stream, the engine, the semaphores
    P-n        the program's DRAM buffers

PSUM operands may span banks: the documented free limit of 4 K elements is a whole partition of
FP32; only a matmul's product is held to one bank, by its own rule. And partitions can move by
halves or quadrants only (neuron-facts 3.1): O-4 and O-8 leave no other way to move them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from isa.columns import BoolColumn, Columns, Header
from isa.dtypes import DType
from isa.footprints import OperandColumns, main_operand, operands
from isa.hardware import Hardware
from isa.memory import DRAM, PSUM, SBUF, Engine, engine_of
from isa.program import BufferKind, Program
from isa.spec import Role, Rule, ScalarField

SBUF_FREE_MAX = 65536  # elements a partition (neuron-facts 2.0)
PSUM_FREE_MAX = 4096
# v1's documents do not name the unsigned types either; predicates and indices need them: assumed
V2_DTYPES = tuple(int(d) for d in (DType.TF32, DType.FP8_E4M3, DType.FP8_E5M2))
DMA_ELEMENTS_MAX = 1 << 32  # ours: keeps every count exact
NEWEST_GENERATION = 3  # of the declarations; a newer core has what this one has


@dataclass(frozen=True)
class Place:
    """Where columns stand: what general rules may ask besides the operand."""

    hw: Hardware
    stream: int
    program: Program
    columns: Columns

    @property
    def header(self) -> Header:
        """Waits and signals of the columns."""
        return Header(self.columns.words)


OPERAND_RULES: list[Rule] = []
KIND_RULES: list[Rule] = []
BUFFER_RULES: list[Rule] = []


def _enter(rules: list[Rule], label: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        rules.append(Rule(label, " ".join((function.__doc__ or "").split()), function))
        return function

    return enter


# --- every operand -------------------------------------------------------------------------------


@_enter(OPERAND_RULES, "O-1")
def memory_is_reachable(o: OperandColumns, at: Place) -> Any:
    """An operand lies in a memory that its instruction can reach."""
    return np.isin(o.memory, [int(m) for m in o.memories])


@_enter(OPERAND_RULES, "O-2")
def data_type_is_allowed(o: OperandColumns, at: Place) -> Any:
    """An operand has a data type that its instruction takes."""
    return np.isin(o.dtype, [int(d) for d in o.dtypes])


@_enter(OPERAND_RULES, "O-3")
def partitions_exist(o: OperandColumns, at: Place) -> Any:
    """An operand's partitions end at the last partition or before it."""
    return (o.memory == DRAM) | (o.start + o.partitions <= at.hw.partitions)


@_enter(OPERAND_RULES, "O-4")
def start_partition_suits_the_count(o: OperandColumns, at: Place) -> Any:
    """An engine's operand of more than 64 partitions starts at partition 0, of more than 32 at 0 or
    64, else at 0, 32, 64 or 96.
    """
    grain = np.where(o.partitions > 64, 128, np.where(o.partitions > 32, 64, 32))
    return o.is_dma | (o.start % grain == 0)


@_enter(OPERAND_RULES, "O-5")
def stays_in_its_partitions(o: OperandColumns, at: Place) -> Any:
    """An operand's bytes lie inside the partition: none below 0, none past its end."""
    end = np.where(o.memory == SBUF, at.hw.sbuf_partition_bytes, at.hw.psum_partition_bytes)
    return (o.memory == DRAM) | ((o.low >= 0) & (o.high <= end))


@_enter(OPERAND_RULES, "O-6")
def address_is_aligned(o: OperandColumns, at: Place) -> Any:
    """An operand's address is a multiple of its element size (assumed: no rule is public)."""
    return o.address % np.maximum(o.size_bytes, 1) == 0


@_enter(OPERAND_RULES, "O-7")
def free_size_is_bounded(o: OperandColumns, at: Place) -> Any:
    """An engine's operand has at most 65536 elements a partition in SBUF, 4096 in PSUM."""
    return o.is_dma | (o.free <= np.where(o.memory == PSUM, PSUM_FREE_MAX, SBUF_FREE_MAX))


@_enter(OPERAND_RULES, "O-8")
def partition_counts_agree(o: OperandColumns, at: Place) -> Any:
    """Operands of an instruction that works partition by partition have as many partitions each."""
    kind = at.columns.kind
    if o.is_dma or o.is_column or not kind.lanewise:
        return True
    return o.partitions == getattr(at.columns, main_operand(kind)).partitions


@_enter(OPERAND_RULES, "O-10")
def generation_has_the_type(o: OperandColumns, at: Place) -> Any:
    """An operand of TF32 or FP8 needs NeuronCore-v2 or later (neuron-facts 1.1)."""
    return (at.hw.generation >= 2) | ~np.isin(o.dtype, V2_DTYPES)


@_enter(OPERAND_RULES, "D-1")
def dram_access_is_inside_a_buffer(o: OperandColumns, at: Place) -> Any:
    """An access to DRAM lies inside one declared buffer."""
    return (o.memory != DRAM) | _within(o, at, lambda kind: True)


@_enter(OPERAND_RULES, "D-2")
def inputs_and_constants_are_kept(o: OperandColumns, at: Place) -> Any:
    """A program never writes to a buffer of an input or a constant."""
    if o.role is not Role.RESULT:
        return True
    kept = (BufferKind.INPUT, BufferKind.CONSTANT)
    return (o.memory != DRAM) | ~_within(o, at, lambda kind: kind in kept)


@_enter(OPERAND_RULES, "D-3")
def dram_has_no_partitions(o: OperandColumns, at: Place) -> Any:
    """An operand in DRAM starts at partition 0 and has one partition."""
    return (o.memory != DRAM) | ((o.start == 0) & (o.partitions == 1))


@_enter(OPERAND_RULES, "D-4")
def transfer_is_bounded(o: OperandColumns, at: Place) -> Any:
    """A DMA operand names at most 2**32 elements (assumed: a bound that keeps counts exact)."""
    return (not o.is_dma) | (o.free * o.partitions <= DMA_ELEMENTS_MAX)


def _within(o: OperandColumns, at: Place, chosen: Callable[[BufferKind], bool]) -> BoolColumn:
    """Whether each access lies in one of the chosen buffers."""
    buffers = [b for b in sorted(at.program.buffers, key=lambda b: b.address) if chosen(b.kind)]
    starts = np.array([b.address for b in buffers], dtype=np.float64)
    ends = np.array([b.end for b in buffers] or [0], dtype=np.float64)
    place = np.searchsorted(starts, o.low, side="right") - 1
    inside: BoolColumn = (place >= 0) & (o.high <= ends[np.maximum(place, 0)])
    return inside


# --- the stream, the engine, the semaphores ------------------------------------------------------


@_enter(KIND_RULES, "E-1")
def engine_can_execute_it(at: Place) -> Any:
    """An instruction stands in the stream of an engine that can execute it."""
    return engine_of(at.stream) in at.columns.kind.engines


@_enter(KIND_RULES, "E-2")
def generation_has_it(at: Place) -> Any:
    """An instruction exists on the target's generation of the core."""
    return min(at.hw.generation, NEWEST_GENERATION) in at.columns.kind.generations


@_enter(KIND_RULES, "E-3")
def target_has_the_stream(at: Place) -> Any:
    """A stream belongs to an engine or a queue that the target has."""
    return at.hw.has_stream(at.stream)


@_enter(KIND_RULES, "E-4")
def gpsimd_reaches_sbuf_only(at: Place) -> Any:
    """An operand of the gpsimd engine lies in SBUF."""
    holds: Any = True
    if at.stream == Engine.GPSIMD:
        for o in operands(at.columns):
            holds = holds & (~o.present | (o.memory == SBUF))
    return holds


@_enter(KIND_RULES, "O-9")
def scalar_is_of_a_declared_form(at: Place) -> Any:
    """A scalar operand is an immediate or a column only where its instruction takes that form."""
    holds: Any = True
    for name, spec in at.columns.kind.fields.items():
        if isinstance(spec, ScalarField):
            field = getattr(at.columns, name)
            holds = (
                holds & (spec.immediate | ~field.is_immediate) & (spec.column | ~field.is_column)
            )
    return holds


@_enter(KIND_RULES, "S-1")
def semaphores_exist(at: Place) -> Any:
    """Waits and signals name semaphores that the target has."""
    h = at.header
    waits = ~h.wait_on | (h.wait_semaphore < at.hw.semaphores)
    return waits.all(axis=1) & (~h.signal_on | (h.signal_semaphore < at.hw.semaphores))


@_enter(KIND_RULES, "S-2")
def semaphore_values_are_reachable(at: Place) -> Any:
    """A wait's value and a signal's amount are at most the greatest value of a semaphore."""
    h = at.header
    waits = ~h.wait_on | (h.wait_value <= at.hw.semaphore_max)
    return waits.all(axis=1) & (~h.signal_on | (h.signal_amount <= at.hw.semaphore_max))


# --- the program's buffers -----------------------------------------------------------------------


@_enter(BUFFER_RULES, "P-1")
def buffers_are_apart(program: Program, hw: Hardware) -> Any:
    """Buffers have names of their own and do not overlap."""
    holds = [True] * len(program.buffers)
    names: set[str] = set()
    end = 0
    for i in sorted(range(len(holds)), key=lambda i: program.buffers[i].address):
        buffer = program.buffers[i]
        holds[i] = buffer.address >= end and buffer.name not in names
        names.add(buffer.name)
        end = max(end, buffer.end)
    return holds


@_enter(BUFFER_RULES, "P-2")
def buffers_fit_the_memory(program: Program, hw: Hardware) -> Any:
    """A buffer ends within the device's DRAM."""
    return [
        b.address >= 0 and b.size_bytes >= 0 and b.end <= hw.dram_bytes for b in program.buffers
    ]


@_enter(BUFFER_RULES, "P-3")
def buffers_hold_their_shape(program: Program, hw: Hardware) -> Any:
    """A buffer with a shape has room for it."""
    return [
        int(np.prod(b.shape, dtype=object)) * b.dtype.size_bytes <= b.size_bytes
        if b.shape
        else True
        for b in program.buffers
    ]
