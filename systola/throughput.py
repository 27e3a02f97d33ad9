"""Many runs on many cores: items a second, latency, and what of the chip's DRAM they take.

A model of one section is copied to several cores, each with items of its own; a model cut over
cores (`compile(..., pipeline_cores=N)`) is a pipeline, whose stages work on different items. Either
way all cores run in step (`simulator.chips`), and a run begins when the one before has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isa.errors import MalformedError

if TYPE_CHECKING:
    from neff.model import ModelTensor
    from simulator.chips import Throughput

MOST_CORES = 1024


def report(found: Throughput, items: int, pipeline: bool) -> dict[str, Any]:
    """The keys of a report's `throughput`.

    Args:
        found: the cores at work.
        items: what a run works on: a batch.
        pipeline: whether the cores are stages, and not copies.
    """
    cores = len(found.timings)
    hw = found.timings[0].hw
    each = 1 if pipeline else cores
    return {
        "cores": cores,
        "chips": -(-cores // hw.cores_per_chip),
        "pipeline": pipeline,
        "items_per_run": items,
        "beat_s": found.beat_s,
        "items_per_s": each * items / found.beat_s,
        "latency_s": found.pipeline_latency_s if pipeline else found.beat_s,
        "core_s": [t.time_s for t in found.timings],
        "link_s": [ticks / hw.ticks_per_s for ticks in found.links],
        "dram_bytes_per_s": found.dram_bytes_per_s(),
        "dram_share": found.dram_share(),
    }


def items_of(inputs: Sequence[ModelTensor], outputs: Sequence[ModelTensor]) -> int:
    """Items of a run: the first extent, where all inputs and outputs have the same; else 1."""
    first = {t.shape[0] if t.shape else 1 for t in (*inputs, *outputs)}
    return max(1, first.pop()) if len(first) == 1 else 1


def require_cores(cores: int, sections: int) -> None:
    """Raises MalformedError SYS-U020 for a number of cores that a model cannot run on."""
    if 1 <= cores <= MOST_CORES and (cores == 1 or sections == 1):
        return
    raise MalformedError(
        "SYS-U020",
        f"a model runs on 1 to {MOST_CORES} cores; one that was cut over cores, on those alone",
        found=f"{cores} cores, {sections} section{'s' if sections > 1 else ''}",
        hint="compile it without --pipeline-cores to copy it to cores",
    )


def lines(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The report as (name, text), for people."""
    cores, chips = found["cores"], found["chips"]
    how = "as a pipeline over" if found["pipeline"] else "on each of"
    shown = f"{found['items_per_s']:,.1f} items/s, {found['items_per_run']} a run, {how} "
    shown += f"{cores} core{'s' if cores > 1 else ''} of {chips} chip{'s' if chips > 1 else ''}"
    share = f"{found['dram_bytes_per_s'] / 1e9:.2f} GB/s, {100 * found['dram_share']:.1f} % of it"
    rows = [
        ("throughput", shown),
        ("latency", f"{found['latency_s'] * 1e6:,.2f} µs"),
        ("DRAM of a chip", share),
    ]
    if found["pipeline"]:
        slowest = found["core_s"].index(max(found["core_s"]))
        rows.append(("slowest stage", f"{slowest}: {max(found['core_s']) * 1e6:,.2f} µs"))
    return rows


STAGE_KEYS = ("cycles", "pinned_bytes", "streamed_bytes", "handed_on_bytes")


def is_pipeline(found: object) -> bool:
    """Whether a file's report has the types that `pipeline_lines` shows."""
    if not isinstance(found, Mapping) or not isinstance(found.get("stages"), list):
        return False
    numbers = [found.get("runs_per_s"), found.get("latency_s")]
    for stage in found["stages"]:
        if not isinstance(stage, Mapping):
            return False
        numbers += [stage.get(key) for key in STAGE_KEYS]
    return bool(found["stages"]) and all(
        isinstance(n, int | float) and not isinstance(n, bool) for n in numbers
    )


def pipeline_lines(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the compiler says of a pipeline, as (name, text)."""
    stages = found["stages"]
    kept, streamed, handed = (
        sum(s[key] for s in stages) / 1e6
        for key in ("pinned_bytes", "streamed_bytes", "handed_on_bytes")
    )
    cycles = [s["cycles"] for s in stages]
    return [
        ("pipeline", f"{found['runs_per_s']:,.1f} runs/s, {found['latency_s'] * 1e6:,.2f} µs each"),
        ("stages", f"{len(stages)}, of {min(cycles):,} to {max(cycles):,} cycles"),
        ("weights", f"{kept:,.2f} MB stay in SBUF, {streamed:,.2f} MB are loaded in every run"),
        ("handed on", f"{handed:,.2f} MB a run"),
    ]
