"""The verifier's steps in order. A step that finds faults keeps later ones from running when they
could not mean anything then: places need legal instructions, the walk needs places and an order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np

from isa.epochs import split_at_clears
from isa.errors import IllegalError, MalformedError
from isa.footprints import Accesses, accesses
from isa.hardware import Hardware
from isa.layout import require_well_formed
from isa.legality import BUFFERS, check
from isa.memory import FIRST_QUEUE, SBUF, Engine, stream_name
from isa.order import Order, events_of, order_of
from isa.program import Program
from isa.spec import WORDS
from isa.verify.accesses import Ints, buffers_of, joined, runs_of, spaces_of
from isa.verify.bounds import (
    Rows,
    faults_of_places,
    faults_of_transfers,
    overlapping_buffers,
)
from isa.verify.cells import cells_of
from isa.verify.faults import Fault, place
from isa.verify.flow import paths_of
from isa.verify.registers import faults_of_registers
from isa.verify.report import Report
from isa.verify.semaphores import faults_of_semaphores
from isa.verify.tensor import faults_of_stationary, groups_of
from isa.verify.walk import walk

MOST_FAULTS = 100


def require_sound(program: Program, hw: Hardware) -> None:
    """Raise IllegalError with the first fault of a program, naming the instructions."""
    for fault in verify(program, hw, limit=1):
        raise IllegalError(
            fault.code, fault.message, found=fault.found, at=fault.at, hint=fault.hint
        )


def verify(program: Program, hw: Hardware, limit: int = MOST_FAULTS) -> list[Fault]:
    """The faults of a program on a target, at most `limit`; an empty list means it is sound."""
    found: list[Fault] = []
    try:
        for step in _steps(program, hw):
            for fault in step:
                if fault not in found:
                    found.append(fault)
                if len(found) >= limit:
                    return found
            if found:
                return found
    except IllegalError as refusal:
        return [Fault(refusal.code, refusal.found, hint=refusal.hint)]
    return found


def _steps(program: Program, hw: Hardware) -> Iterator[Iterator[Fault]]:
    if len(program.pinned):
        yield _loading(program.loading, hw)
    yield _absent_engines(program, hw)
    yield overlapping_buffers(program)
    rows = _rows(program)
    yield _malformed(program)
    touched = _accesses(program, rows, hw)
    buffer = buffers_of(touched, program)
    yield _all(
        faults_of_places(program, hw, rows, touched, buffer),
        faults_of_transfers(program, rows, touched),
    )
    yield _illegal(program, hw)
    events, epochs = split_at_clears(events_of(program, paths_of(program)))
    order = order_of(events)
    yield faults_of_semaphores(program, hw, order, epochs)
    yield _all(faults_of_stationary(program, events), faults_of_registers(program, events))
    yield _walked(program, hw, rows, order, (touched, buffer))


def _walked(
    program: Program, hw: Hardware, rows: Rows, order: Order, placed: tuple[Accesses, Ints]
) -> Iterator[Fault]:
    """Every byte in one legal order. `placed`: accesses, and the DRAM buffer of each."""
    events, spaces = order.events, spaces_of(program, hw)
    runs = runs_of(placed[0], len(rows.words), placed[1], spaces)
    loads = accesses(program.pinned, hw)
    loaded = runs_of(loads, len(program.pinned), buffers_of(loads, program), spaces)
    bounds = [
        end + int(shift)
        for b, shift, watched in zip(program.buffers, spaces.shift, spaces.watched, strict=True)
        for end in (b.address, b.end)
        if watched
    ]
    cells = cells_of(joined(runs, loaded), spaces, bounds)
    starts = np.array([rows.first[rows.streams.index(s)] for s in events.streams], dtype=np.int64)
    row = events.row + np.repeat(starts, np.diff(events.first))
    found = walk(order, row, runs, cells, groups_of(rows, runs), loaded)
    report = Report(program, order, cells, spaces)
    yield from report.faults(found)
    yield from report.unwritten_outputs(found)


def _all(*parts: Iterator[Fault]) -> Iterator[Fault]:
    for part in parts:
        yield from part


def _loading(program: Program, hw: Hardware) -> Iterator[Fault]:
    """The pinned transfers by themselves: a sound program that writes nothing but SBUF."""
    for fault in verify(program, hw):
        yield replace(fault, found=f"while the program is loaded: {fault.found}")
    for stream, words in program.streams.items():
        touched = accesses(words, hw)
        for i in np.unique(touched.instruction[touched.is_write & ~touched.of(SBUF)]).tolist():
            found = "while the program is loaded: a write to another memory"
            yield Fault("SYS-V034", found, (place(program, stream, i),))


def _absent_engines(program: Program, hw: Hardware) -> Iterator[Fault]:
    for stream in sorted(program.streams):
        if not len(program.streams[stream]):
            continue
        absent = stream >= FIRST_QUEUE + hw.dma_queues or stream < 0
        absent |= stream == Engine.GPSIMD and not hw.has_gpsimd
        if absent:
            found = f"stream {stream_name(stream)}; {hw.name} has {hw.dma_queues} queues"
            found += "" if hw.has_gpsimd else " and no POOL"
            yield Fault("SYS-V002", found, (place(program, stream, 0),))


def _rows(program: Program) -> Rows:
    streams = tuple(sorted(program.streams))
    words = [program.streams[s] for s in streams]
    first = np.cumsum([0, *(len(w) for w in words)], dtype=np.int64)
    every = np.concatenate(words) if words else np.zeros((0, WORDS), dtype=np.uint64)
    return Rows(streams, first, every)


def _accesses(program: Program, rows: Rows, hw: Hardware) -> Accesses:
    """Accesses of all streams, `instruction` counting rows over all of them."""
    parts = []
    for k, stream in enumerate(rows.streams):
        part = accesses(program.streams[stream], hw)
        parts.append(replace(part, instruction=part.instruction + rows.first[k]))
    names = [f.name for f in fields(Accesses)]
    if not parts:
        return accesses(rows.words, hw)
    return Accesses(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def _malformed(program: Program) -> Iterator[Fault]:
    for stream in sorted(program.streams):
        try:
            require_well_formed(program.streams[stream], f"{stream_name(stream)} stream")
        except MalformedError as error:
            found = f"{error.code}: {error.message}: {error.found}; {error.at}"
            yield Fault("SYS-V001", found, label=error.code)


def _illegal(program: Program, hw: Hardware) -> Iterator[Fault]:
    for broken in check(program, hw):
        found = f"{broken.label}: {broken.sentence} {broken.found}"
        in_stream = broken.stream != BUFFERS
        places = (place(program, broken.stream, broken.index),) if in_stream else ()
        yield Fault("SYS-V001", found, places, label=broken.label)
