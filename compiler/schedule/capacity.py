"""What does not fit, told: the fullest moment, who fills it, what would help."""

from __future__ import annotations

import numpy as np

from compiler.errors import CapacityError
from compiler.schedule.demand import QUADRANTS
from compiler.schedule.tables import (
    FIRST_USE,
    LAST_USE,
    MEMORY,
    Q0,
    Q1,
    SIZE,
    Ints,
    Tables,
)
from compiler.schedule.units import Units
from isa.hardware import Hardware
from isa.kernel.virtual import VirtualProgram
from isa.memory import DRAM

NAMES = ("SBUF", "PSUM")
SHOWN = 4


def require_canonical_fits(
    program: VirtualProgram, units: Units, tables: Tables, demand: Ints, hw: Hardware
) -> None:
    """Raise CapacityError SYS-S001 or SYS-S002 when the sequential order itself does not fit."""
    capacities = (hw.sbuf_partition_bytes, hw.psum_partition_bytes)
    for memory, capacity in enumerate(capacities):
        curves = demand[memory * QUADRANTS : (memory + 1) * QUADRANTS]
        if not curves.size or curves.max() <= capacity:
            continue
        quadrant, moment = np.unravel_index(int(np.argmax(curves)), curves.shape)
        needed = int(curves[quadrant, moment])
        b = tables.buffer
        live = (b[:, MEMORY] == memory) & (b[:, Q0] <= quadrant) & (quadrant < b[:, Q1])
        live &= (b[:, FIRST_USE] >= 0) & (b[:, FIRST_USE] <= moment) & (moment <= b[:, LAST_USE])
        raise CapacityError(
            f"SYS-S00{memory + 1}",
            f"what is live at once fits in {NAMES[memory]}",
            found=f"{needed} bytes a partition are needed, {capacity} there are; "
            f"largest: {_largest(program, tables, np.flatnonzero(live))}",
            at=_moment(program, units, int(moment)),
            hint="compile for a smaller batch or shape, or for a target with more memory",
        )


def no_packing(program: VirtualProgram, units: Units, demand: Ints, hw: Hardware) -> CapacityError:
    """The error of a program that fits by its bytes but was not packed."""
    sbuf = demand[:QUADRANTS].max(axis=0)
    moment = int(np.argmax(sbuf))
    return CapacityError(
        "SYS-S004",
        "every buffer finds a place in SBUF and PSUM",
        found=f"at most {int(sbuf[moment])} of {hw.sbuf_partition_bytes} bytes a partition of SBUF "
        "are live at once, but their places leave gaps that nothing fits in",
        at=_moment(program, units, moment),
        hint="compile for a smaller batch or shape, or for a target with more memory",
    )


def dram_overflow(program: VirtualProgram, needed: int, hw: Hardware) -> CapacityError:
    """The error of a program whose DRAM buffers do not fit."""
    dram = [b for b in program.buffers if b.memory is DRAM]
    largest = sorted(dram, key=lambda b: (-b.size_bytes, b.id))[:SHOWN]
    return CapacityError(
        "SYS-S003",
        "weights, inputs, outputs and scratch fit in DRAM",
        found=f"{needed} bytes are needed, {hw.dram_bytes} there are; largest: "
        + ", ".join(f"{b.name or b.id} {b.size_bytes}" for b in largest),
        hint="use a smaller model or data type, or a target with more memory",
    )


def _moment(program: VirtualProgram, units: Units, unit: int) -> str:
    instruction = int(units.member[units.first[unit]])
    layer = int(program.layer[instruction])
    name = f'layer "{program.layers[layer]}", ' if layer >= 0 else ""
    return f"{name}instruction {instruction} of the sequential order"


def _largest(program: VirtualProgram, tables: Tables, live: Ints) -> str:
    size = tables.buffer[:, SIZE]
    by_size = live[np.argsort(-size[live], kind="stable")]
    named = [f"{program.buffers[b].name or f'buffer {b}'} {int(size[b])}" for b in by_size[:SHOWN]]
    rest = len(by_size) - SHOWN
    return ", ".join(named) + (f" and {rest} more" if rest > 0 else "")
