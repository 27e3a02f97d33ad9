"""Trace: a run as a whole. Events, allocations, names, units, and what was counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import isa.instructions  # noqa: F401  (fills the registry)
from isa.hardware import Hardware
from isa.memory import Engine, stream_name
from isa.program import Program
from isa.spec import REGISTRY
from traces.events import (
    EVENT_DTYPES,
    MEMORY_DTYPES,
    Events,
    MemoryUse,
    WaitCause,
    columns,
    memory_use,
    no_memory_use,
)
from traces.liveness import memory_use_of


@dataclass(frozen=True)
class Trace:
    """A run.

    Attributes:
        name, target: the model, and the hardware it ran on.
        ticks_per_s, base_clock_hz: the units of time: ticks, and the cycles that people count.
        total_ticks: from the start of the run to its end.
        events: what happened.
        layers: names of the model's own layers.
        mnemonics: opcode -> name.
        counters: what the simulator counted, by the names of `utilization.sums`, and whatever else.
        memory: who had which part of SBUF and PSUM.
        limits: what the target has, by the names of isa.hardware: sbuf_bytes, psum_bytes,
            psum_bank_bytes, dram_bytes_per_s.
        metadata: JSON-able: report, options.
    """

    name: str
    target: str
    ticks_per_s: int
    base_clock_hz: int
    total_ticks: int
    events: Events
    layers: tuple[str, ...] = ()
    mnemonics: Mapping[int, str] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    memory: MemoryUse = field(default_factory=no_memory_use)
    limits: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_arrays(
        cls,
        *,
        name: str,
        target: str,
        ticks_per_s: int,
        start: ArrayLike,
        memory: Mapping[str, ArrayLike] | None = None,
        memory_names: tuple[str, ...] = (),
        base_clock_hz: int | None = None,
        total_ticks: int | None = None,
        layers: tuple[str, ...] = (),
        mnemonics: Mapping[int, str] | None = None,
        counters: Mapping[str, int] | None = None,
        limits: Mapping[str, int] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **event_columns: ArrayLike,
    ) -> Trace:
        """A trace from plain arrays.

        Args:
            start: and `event_columns`, by the names of `Events`; those left out are zero, or -1.
            memory: columns by the names of `MemoryUse`; `memory_names` its buffers.
            total_ticks: by default the last `end` or `visible`.
        Raises:
            ValueError: the columns do not fit each other.
        """
        n = len(np.asarray(start))
        events = Events(**columns(EVENT_DTYPES, n, {"start": start, **event_columns}))
        use = dict(memory or {})
        m = len(np.asarray(use["start"])) if use else 0
        allocated = memory_use(use, m, memory_names)
        last = max(int(events.end.max()), int(events.visible.max())) if n else 0
        trace = cls(
            name,
            target,
            ticks_per_s,
            base_clock_hz or ticks_per_s,
            last if total_ticks is None else total_ticks,
            events,
            layers,
            _mnemonics() if mnemonics is None else mnemonics,
            counters or {},
            allocated,
            limits or {},
            metadata or {},
        )
        require_consistent(trace)
        return trace

    @classmethod
    def from_program(
        cls, program: Program, hw: Hardware, *, name: str, start: ArrayLike, **others: Any
    ) -> Trace:
        """A trace of one core's program; `others` as in `from_arrays`.

        Args:
            start: and every event column: one row an instruction, the streams in ascending order,
                as `simulator.timing` gives them. Without `memory`, allocations are found from what
                was written and read (`liveness.py`).
        """
        streams = sorted(program.streams)
        lengths = [len(program.streams[s]) for s in streams]
        n = sum(lengths)
        firsts = np.repeat(np.cumsum([0, *lengths])[:-1], lengths)
        none = np.zeros(0, np.int64)
        opcode = [program.streams[s][:, 0] & np.uint64(0xFF) for s in streams]
        layer = [
            program.debug.get(s, np.full(k, -1)) for s, k in zip(streams, lengths, strict=True)
        ]
        if "memory" not in others and "end" in others:
            others["memory"] = memory_use_of(program, hw, start, others["end"])
            others["memory_names"] = (*program.layers, "-")
        return cls.from_arrays(
            name=name,
            target=hw.name,
            ticks_per_s=hw.ticks_per_s,
            base_clock_hz=hw.base_clock_hz,
            stream=np.repeat(np.array(streams, np.int64), lengths),
            index=np.arange(n) - firsts,
            opcode=np.concatenate([none, *opcode]).astype(np.uint8),
            layer=np.concatenate([none, *layer]).astype(np.int32),
            layers=program.layers,
            limits={
                "sbuf_bytes": hw.sbuf_bytes,
                "psum_bytes": hw.partitions * hw.psum_partition_bytes,
                "psum_bank_bytes": hw.psum_bank_bytes,
                "dram_bytes_per_s": hw.core_dram_bytes_per_s,
            },
            start=start,
            **others,
        )

    @property
    def time_s(self) -> float:
        """The run's time."""
        return self.total_ticks / self.ticks_per_s

    @property
    def cycles(self) -> int:
        """The run's time in base cycles, rounded up."""
        return -(-self.total_ticks * self.base_clock_hz // self.ticks_per_s)

    @cached_property
    def tracks(self) -> list[tuple[int, int]]:
        """The (core, stream) pairs that ran something, in order."""
        e = self.events
        keys = np.unique(_keys(e))
        return [(int(k) >> 16, int(k) & 0xFFFF) for k in keys]

    def rows(self) -> Iterator[tuple[str, slice]]:
        """Each track's name and its rows."""
        keys = _keys(self.events)
        several = len({core for core, _ in self.tracks}) > 1
        for core, stream in self.tracks:
            low, high = np.searchsorted(keys, [core << 16 | stream, (core << 16 | stream) + 1])
            name = stream_name(stream)
            yield (f"{core}/{name}" if several else name), slice(int(low), int(high))

    @cached_property
    def is_load(self) -> NDArray[np.bool_]:
        """Rows that load a stationary tile: the tensor engine does so while it multiplies."""
        loads = [code for code, name in self.mnemonics.items() if name == "load_stationary"]
        e = self.events
        return np.asarray(np.isin(e.opcode, loads) & (e.stream == Engine.TENSOR))

    def mnemonic(self, opcode: int) -> str:
        """An opcode's name."""
        return self.mnemonics.get(opcode, f"0x{opcode:02x}")


def _keys(e: Events) -> NDArray[np.int64]:
    """One number for each row's (core, stream), in their order."""
    return np.asarray(e.core.astype(np.int64) << 16 | e.stream, dtype=np.int64)


def _mnemonics() -> dict[int, str]:
    return {opcode: kind.mnemonic for opcode, kind in sorted(REGISTRY.items())}


def require_consistent(trace: Trace) -> None:
    e, use, n = trace.events, trace.memory, len(trace.events)
    keys = _keys(e)
    follows = (keys[1:] == keys[:-1]) & (e.index[1:] == e.index[:-1] + 1)
    claims = (
        (trace.ticks_per_s > 0 and trace.base_clock_hz > 0, "clocks are positive"),
        (
            bool(np.all((keys[1:] > keys[:-1]) | follows)),
            "rows are in order of core, stream, index",
        ),
        (bool(np.all((e.core >= 0) & (e.stream >= 0))), "cores and streams count from 0"),
        (bool(np.all((e.start >= 0) & (e.start <= e.end))), "a row ends after its start"),
        (bool(np.all(e.end <= e.visible)), "a result is visible after the row's end"),
        (
            bool(np.all((e.wait >= e.port_wait) & (e.port_wait >= 0))),
            "a port's wait is part of all",
        ),
        (n == 0 or int(e.visible.max()) <= trace.total_ticks, "no row ends after the run"),
        (_within(e.cause, 0, len(WaitCause)), "a cause is a WaitCause"),
        (_within(e.cause_row, -1, n), "the row that ended a wait is a row"),
        (_within(e.layer, -1, len(trace.layers)), "a row's layer is a layer"),
        (_within(use.name, 0, len(use.names)), "an allocation has a name"),
        (
            bool(np.all((use.start >= 0) & (use.start <= use.end))),
            "an allocation ends after its start",
        ),
    )
    for holds, sentence in claims:
        if not holds:
            raise ValueError(sentence)


def _within(values: NDArray[Any], low: int, high: int) -> bool:
    return len(values) == 0 or (int(values.min()) >= low and int(values.max()) < high)


def same(a: Trace, b: Trace) -> bool:
    """Equal in every fact and every row."""
    plain = [f.name for f in fields(Trace) if f.name not in ("events", "memory")]
    return (
        all(getattr(a, n) == getattr(b, n) for n in plain)
        and all(np.array_equal(getattr(a.events, n), getattr(b.events, n)) for n in EVENT_DTYPES)
        and all(np.array_equal(getattr(a.memory, n), getattr(b.memory, n)) for n in MEMORY_DTYPES)
        and a.memory.names == b.memory.names
    )
