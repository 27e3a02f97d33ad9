"""Hardware: every number of a machine, named once, with its unit and where it comes from.

A target is a TOML file: one table a number, `{ value, tag, source }`. Tags are those of the facts
file: D documented, H documented once, M measured and published, I inferred or assumed. Built-in
targets lie in `isa/targets/`; a user's own file is read and checked by the same code.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from math import lcm
from pathlib import Path
from typing import Any

from isa.errors import MalformedError
from isa.memory import FIRST_QUEUE, Engine, Memory

TARGETS = Path(__file__).parent / "targets"
DEFAULT_TARGET = "inf1"
TAGS = {"D": "documented", "H": "documented once", "M": "measured", "I": "assumed"}


@dataclass(frozen=True)
class Provenance:
    """Where a number comes from: a tag of `TAGS` and a sentence."""

    tag: str
    source: str


def _number(unit: str, low: int, high: int) -> Any:
    return field(metadata={"unit": unit, "low": low, "high": high})


_CLOCK = (100_000_000, 10_000_000_000)


@dataclass(frozen=True)
class Hardware:
    """One NeuronCore and what it shares. All numbers are integers in the unit of their metadata."""

    name: str = field(metadata={"text": True})
    summary: str = field(metadata={"text": True})

    generation: int = _number("NeuronCore version", 1, 4)
    cores_per_chip: int = _number("cores", 1, 64)
    base_clock_hz: int = _number("Hz", *_CLOCK)
    pe_clock_hz: int = _number("Hz", *_CLOCK)
    act_clock_hz: int = _number("Hz", *_CLOCK)
    dve_clock_hz: int = _number("Hz", *_CLOCK)
    pool_clock_hz: int = _number("Hz", *_CLOCK)
    has_gpsimd: int = _number("0 or 1", 0, 1)

    partitions: int = _number("partitions", 128, 128)
    sbuf_partition_bytes: int = _number("bytes a partition", 1024, 1 << 24)
    psum_partition_bytes: int = _number("bytes a partition", 2048, 1 << 20)
    psum_bank_bytes: int = _number("bytes a partition", 512, 1 << 16)

    pe_rows: int = _number("rows", 1, 128)
    pe_columns: int = _number("columns", 1, 128)
    pe_moving_max: int = _number("elements a partition", 1, 4096)
    pe_min_interval: int = _number("PE cycles", 1, 4096)
    pe_load_speedup: int = _number("columns a PE cycle", 1, 128)
    pe_fp32_passes: int = _number("passes", 1, 16)
    pe_latency: int = _number("PE cycles", 0, 4096)

    engine_min_interval: int = _number("engine cycles", 1, 4096)
    act_latency: int = _number("ACT cycles", 0, 65536)
    dve_latency: int = _number("DVE cycles", 0, 65536)
    pool_latency: int = _number("POOL cycles", 0, 65536)
    pool_start: int = _number("POOL cycles", 0, 65536)
    dynamic_interval: int = _number("engine cycles", 1, 65536)
    control_interval: int = _number("engine cycles", 1, 65536)
    act_table_load_ns: int = _number("ns", 0, 1_000_000)
    slow_stride_bytes: int = _number("bytes", 1, 65536)
    psum_port_shared: int = _number("0 or 1: ACT and DVE exclude each other on PSUM", 0, 1)
    sbuf_port_shared: int = _number("0 or 1: DVE and POOL exclude each other on SBUF", 0, 1)

    semaphores: int = _number("semaphores", 1, 256)
    semaphore_max: int = _number("value", 255, 2**31 - 1)
    semaphore_latency_ns: int = _number("ns", 0, 100_000)

    dma_queues: int = _number("queues a core", 1, 16)
    dma_engines: int = _number("engines one core can reach", 1, 1024)
    dma_engines_per_chip: int = _number("engines", 1, 1024)
    dma_engine_bytes_per_s: int = _number("bytes/s", 10**6, 10**12)
    dma_descriptor_ns: int = _number("ns", 0, 100_000)
    dma_start_ns: int = _number("ns", 0, 1_000_000)
    dma_completion_ns: int = _number("ns", 0, 1_000_000)
    dma_max_descriptor_bytes: int = _number("bytes", 512, 1 << 30)

    dram_bytes: int = _number("bytes a chip", 1 << 20, 1 << 44)
    dram_bytes_per_s: int = _number("bytes/s a chip", 10**6, 10**14)
    link_bytes_per_s: int = _number("bytes/s from a chip to the next", 10**6, 10**14)

    provenance: dict[str, Provenance] = field(default_factory=dict, compare=False, repr=False)

    def __hash__(self) -> int:
        return hash((self.name, self.dram_bytes_per_s, self.sbuf_partition_bytes))

    @cached_property
    def ticks_per_s(self) -> int:
        """The finest clock in which every engine's cycle is a whole number of ticks."""
        return lcm(
            self.base_clock_hz,
            self.pe_clock_hz,
            self.act_clock_hz,
            self.dve_clock_hz,
            self.pool_clock_hz,
        )

    def clock_hz(self, stream: int) -> int:
        """The clock of a stream; queues and the sync sequencer count base cycles."""
        clocks = (
            self.pe_clock_hz,
            self.act_clock_hz,
            self.dve_clock_hz,
            self.pool_clock_hz,
            self.base_clock_hz,
        )
        return clocks[stream] if stream < FIRST_QUEUE else self.base_clock_hz

    def ticks_per_cycle(self, stream: int) -> int:
        """Ticks in one cycle of a stream's clock."""
        return self.ticks_per_s // self.clock_hz(stream)

    def ns_to_ticks(self, ns: int) -> int:
        """Nanoseconds, rounded up to whole ticks."""
        return -(-ns * self.ticks_per_s // 10**9)

    def latency(self, stream: int) -> int:
        """Cycles from the end of an instruction's occupancy until its result can be read."""
        table = (self.pe_latency, self.act_latency, self.dve_latency, self.pool_latency, 0)
        return table[stream] if stream < FIRST_QUEUE else 0

    def partition_bytes(self, memory: Memory) -> int:
        """Bytes of one partition of SBUF or PSUM."""
        return self.sbuf_partition_bytes if memory is Memory.SBUF else self.psum_partition_bytes

    @property
    def psum_banks(self) -> int:
        """Banks a PSUM partition has."""
        return self.psum_partition_bytes // self.psum_bank_bytes

    @property
    def sbuf_bytes(self) -> int:
        """Bytes of SBUF in all."""
        return self.partitions * self.sbuf_partition_bytes

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates a PE cycle on 16-bit operands."""
        return self.pe_rows * self.pe_columns

    @property
    def core_dram_bytes_per_s(self) -> int:
        """The DRAM rate that one core alone can reach."""
        return min(self.dma_engines * self.dma_engine_bytes_per_s, self.dram_bytes_per_s)

    @property
    def streams(self) -> int:
        """Streams a core has: five sequencers and the DMA queues."""
        return FIRST_QUEUE + self.dma_queues

    def has_stream(self, stream: int) -> bool:
        """Whether a program may use the stream on this target."""
        if stream == Engine.GPSIMD:
            return bool(self.has_gpsimd)
        return 0 <= stream < self.streams


def numbers() -> dict[str, dict[str, Any]]:
    """Unit and permitted range of every number of a target, by name."""
    return {f.name: dict(f.metadata) for f in fields(Hardware) if "unit" in f.metadata}


def target_names() -> list[str]:
    """The built-in targets, the default first."""
    names = sorted(p.stem for p in TARGETS.glob("*.toml"))
    return [DEFAULT_TARGET, *(n for n in names if n != DEFAULT_TARGET)]


@lru_cache(maxsize=64)
def load_target(target: str) -> Hardware:
    """A built-in target by name, or a user's by the path of its TOML file.

    Raises:
        MalformedError: SYS-T001 no such target, SYS-T002 not TOML, SYS-T003 a number is missing,
            SYS-T004 unknown, SYS-T005 out of range, SYS-T006 numbers that contradict each other.
    """
    path = TARGETS / f"{target}.toml"
    if not path.is_file():
        path = Path(target)
    if not path.is_file():
        what = "no file" if path.suffix or len(path.parts) > 1 else "no target"
        raise MalformedError(
            "SYS-T001",
            "there is no such target",
            found=f"{what} {target!r}; built in are {', '.join(target_names())}",
            hint="give one of these names, or the path of a target file",
        )
    return parse_target(path.read_text(encoding="utf-8", errors="replace"), str(path))


def parse_target(text: str, where: str) -> Hardware:
    """A target from the text of its TOML file; `where` names it in errors. Raises as above."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MalformedError(
            "SYS-T002",
            "a target is a TOML file",
            found=str(error),
            at=where,
            hint='start with base = "inf1" and give the numbers that differ',
        ) from None
    base = data.pop("base", None)
    values: dict[str, Any] = {}
    provenance: dict[str, Provenance] = {}
    if base is not None:
        values, provenance = _inherit(base, where)
    known = numbers()
    for key, entry in data.items():
        if key in ("name", "summary"):
            values[key] = str(entry)
        elif key in known:
            values[key], provenance[key] = _checked(key, entry, known[key], where)
        else:
            raise MalformedError(
                "SYS-T004",
                "a target has no such number",
                found=key,
                at=where,
                hint="`systola targets --json` lists the names",
            )
    missing = [k for k in ("name", "summary", *known) if k not in values]
    if missing:
        raise MalformedError(
            "SYS-T003",
            "a target gives every number",
            found=f"missing: {', '.join(missing)}",
            at=where,
            hint='start the file with base = "inf1" to change only some',
        )
    return _consistent(Hardware(**values, provenance=provenance), where)


def _inherit(base: object, where: str) -> tuple[dict[str, Any], dict[str, Provenance]]:
    if base not in target_names():
        raise MalformedError(
            "SYS-T001",
            "there is no such base target",
            found=f"{base!r}; built in are {', '.join(target_names())}",
            at=where,
        )
    parent = load_target(str(base))
    values = {f.name: getattr(parent, f.name) for f in fields(Hardware) if f.name != "provenance"}
    return values, dict(parent.provenance)


def _checked(key: str, entry: object, meta: dict[str, Any], where: str) -> tuple[int, Provenance]:
    if isinstance(entry, dict):
        value, tag, source = entry.get("value"), entry.get("tag"), entry.get("source")
    else:
        value, tag, source = entry, "I", "the user's own target file"
    if not isinstance(value, int) or isinstance(value, bool):
        raise MalformedError(
            "SYS-T005", f"{key} is a whole number", found=repr(value), at=f"{where}: {key}"
        )
    if not meta["low"] <= value <= meta["high"]:
        raise MalformedError(
            "SYS-T005",
            f"{key} lies within its range",
            found=f"{value} {meta['unit']}; allowed {meta['low']} to {meta['high']}",
            at=f"{where}: {key}",
        )
    if tag not in TAGS or not isinstance(source, str) or not source:
        raise MalformedError(
            "SYS-T005",
            f"{key} says where it comes from",
            found=f"tag {tag!r}, source {source!r}; tags are {', '.join(TAGS)}",
            at=f"{where}: {key}",
        )
    return value, Provenance(tag, source)


def _consistent(hw: Hardware, where: str) -> Hardware:
    checks = (
        (hw.psum_partition_bytes % hw.psum_bank_bytes == 0, "PSUM is a whole number of banks"),
        (hw.dma_engines <= hw.dma_engines_per_chip, "a core reaches engines of its own chip only"),
        (hw.sbuf_partition_bytes < 1 << 24, "an SBUF address has 24 bits"),
        (hw.ticks_per_s <= 10**12, "the clocks have a common multiple of at most 1 THz"),
        (
            hw.pe_moving_max * 4 <= hw.psum_bank_bytes,
            "the largest moving tile's product fits a PSUM bank",
        ),
    )
    for holds, sentence in checks:
        if not holds:
            raise MalformedError("SYS-T006", sentence, found="numbers that contradict it", at=where)
    return hw
