"""The report: the same keys from `compile` and `run`, as JSON and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from systola import throughput

if TYPE_CHECKING:
    from neff import Neff, PartitionedNeff
    from simulator.timing import Timing

KEYS = (
    "cycles", "time_s", "bound_cycles", "bound_ratio", "pe_utilization", "macs", "macs_on_device",
    "dram_bytes", "dram_bytes_compulsory", "sbuf_peak_bytes", "psum_peak_bytes", "instructions",
    "host_ops", "compile_s", "simulate_s",
)  # fmt: skip
"""Present in every report; None where the file does not say."""


def of_compilation(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report of a compilation; `simulate_s` is what its one run of the clock took."""
    steps = report.get("compile_s_by_step", {})
    return {**dict.fromkeys(KEYS), **report, "simulate_s": steps.get("time")}


def of_file(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a NEFF keeps of its compilation's report, as far as it has the types of one."""
    found = metadata.get("report")
    kept = dict(found) if isinstance(found, Mapping) else {}
    for key in KEYS:
        value = kept.get(key)
        if key == "host_ops":
            fits = isinstance(value, list)
        else:
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        kept[key] = value if fits else None
    if not isinstance(kept.get("notes"), list):
        kept.pop("notes", None)
    for key, texts in (("host_ops", ("node", "op", "reason")), ("sections", ("on",))):
        entries = kept.get(key)
        if not isinstance(entries, list) or not all(_has_texts(e, texts) for e in entries):
            kept[key] = None
    if not _is_explained(kept.get("explain")):
        kept.pop("explain", None)
    kept.pop("throughput", None)  # measured by who runs it
    if not throughput.is_pipeline(kept.get("pipeline")):
        kept.pop("pipeline", None)
    if not isinstance(kept.get("predicted_cycles"), int):
        kept.pop("predicted_cycles", None)
    for key in ("host_to_device_bytes", "device_to_host_bytes"):
        if not isinstance(kept.get(key), int):
            kept.pop(key, None)
    return kept


OF_THE_MACHINE = (
    *("bound_cycles", "bound_ratio", "bound_finite_sbuf_cycles", "bound_column_cycles"),
    *("pe_utilization", "predicted_cycles", "explain", "notes"),
    *("autotune", "pipeline"),
)
"""Keys that say something of a program on the machine that it was compiled for."""


def of_neff(model: Neff | PartitionedNeff, target: str) -> dict[str, Any]:
    """What is known of a file's model before it runs on a target."""
    kept = {**of_file(model.metadata), "model": model.name, "target": target}
    if target == model.target:
        return kept
    for key in OF_THE_MACHINE:
        kept.pop(key, None)
    note = f"compiled for {model.target}: its bound on {target} is not known"
    return {**dict.fromkeys(KEYS), **kept, "notes": [note]}


def _has_texts(entry: object, keys: Sequence[str]) -> bool:
    return isinstance(entry, Mapping) and all(isinstance(entry.get(k), str) for k in keys)


def _is_explained(found: object) -> bool:
    """Whether it has the ticks, and the idle ones by cause, that `lines` shows."""
    if not isinstance(found, Mapping) or not isinstance(found.get("pe_idle_ticks"), Mapping):
        return False
    ticks = [
        found.get("ticks"),
        found.get("pe_multiplying_ticks"),
        *found["pe_idle_ticks"].values(),
    ]
    return all(isinstance(t, int) and not isinstance(t, bool) and t >= 0 for t in ticks)


def of_run(
    report: Mapping[str, Any], timings: Sequence[Timing], simulate_s: float
) -> dict[str, Any]:
    """A run's report: what was known at compile time, and what the run measured.

    Args:
        report: that of the compilation, or what a NEFF keeps of it.
        timings: one a core; the slowest is the run's.
        simulate_s: wall seconds of function and time together.
    """
    timing = max(timings, key=lambda timing: timing.total_ticks)
    reads, writes = (
        sum(t.dram_read_bytes for t in timings),
        sum(t.dram_written_bytes for t in timings),
    )
    measured: dict[str, Any] = {
        "cycles": timing.cycles,
        "time_s": timing.time_s,
        "dram_bytes": reads + writes,
        "dram_read_bytes": reads,
        "dram_written_bytes": writes,
        "instructions": sum(len(t.program) for t in timings),
        "simulate_s": simulate_s,
    }
    whole = {**dict.fromkeys(KEYS), **report, **measured}
    if whole["bound_cycles"]:
        whole["bound_ratio"] = timing.cycles / whole["bound_cycles"]
    return whole


def of_sections(
    report: Mapping[str, Any], timings: Sequence[Timing], simulate_s: float, host_s: float
) -> dict[str, Any]:
    """A run's report of a model in sections: the device's add up.

    Args:
        report: as in `of_run`.
        simulate_s: wall seconds of function and time together; host_s: of the host's sections.
    """
    reads = sum(t.dram_read_bytes for t in timings)
    writes = sum(t.dram_written_bytes for t in timings)
    measured: dict[str, Any] = {
        "cycles": sum(t.cycles for t in timings),
        "time_s": sum(t.time_s for t in timings),
        "dram_bytes": reads + writes,
        "dram_read_bytes": reads,
        "dram_written_bytes": writes,
        "instructions": sum(len(t.program) for t in timings),
        "simulate_s": simulate_s,
        "host_s": host_s,
    }
    whole = {**dict.fromkeys(KEYS), **report, **measured}
    if whole["bound_cycles"]:
        whole["bound_ratio"] = whole["cycles"] / whole["bound_cycles"]
    return whole


def lines(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The report as (name, text), for people."""
    rows: list[tuple[str, str]] = [
        ("model", f"{report.get('model', '-')} on {report.get('target')}")
    ]

    def add(name: str, key: str, text: str, scale: float = 1) -> None:
        value = report.get(key)
        if value is not None:
            rows.append((name, text.format(value * scale if scale != 1 else value)))

    add("cycles", "cycles", "{:,}")
    add("time", "time_s", "{:,.2f} µs", 1e6)
    _bound(report, rows)
    add("PE utilisation", "pe_utilization", "{:.1f} %", 100)
    add("multiply-accumulates", "macs", "{:,}")
    _traffic(report, rows)
    add("SBUF reserved", "sbuf_peak_bytes", "{:,.2f} MiB", 2**-20)
    add("PSUM reserved", "psum_peak_bytes", "{:,.0f} KiB", 2**-10)
    add("instructions", "instructions", "{:,}")
    rows += _explained(report)
    rows += _host(report)
    rows += _tuned(report)
    if report.get("pipeline"):
        rows += throughput.pipeline_lines(report["pipeline"])
    found = report.get("throughput") or ()
    for one in [found] if isinstance(found, Mapping) else found:
        rows += throughput.lines(one)
    add("compiled in", "compile_s", "{:.2f} s")
    add("simulated in", "simulate_s", "{:.2f} s")
    rows += [("note", str(note)) for note in report.get("notes") or ()]
    return rows


def _tuned(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a search (-O3) tried and gained."""
    found = report.get("autotune")
    if not found:
        return []
    gain = (
        f"{found['start_cycles']:,} cycles -> {found['best_cycles']:,} ({found['gain']:.1%} less)"
    )
    return [
        ("autotuned", gain),
        ("turned", found["turned"] or "nothing"),
        ("evaluations", f"{found['evaluations']} of {found['budget']}"),
    ]


MOST_CAUSES = 4


def _explained(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the tensor engine idles for; `systola explain` has the rest."""
    from simulator.explain.causes import Cause

    found = report.get("explain")
    if not found or not found["ticks"]:
        return []
    texts = {c.key: c.text for c in Cause}
    idle = sorted(found["pe_idle_ticks"].items(), key=lambda entry: -entry[1])
    total = found["ticks"]
    shown = [f"{100 * t / total:.1f} % {texts.get(k, k)}" for k, t in idle[:MOST_CAUSES] if t]
    share = 100 * sum(t for _, t in idle) / total
    return [("PE idle", f"{share:.1f} % of the run: {', '.join(shown)}")] if shown else []


def _host(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What runs on the host: each operator with its reason, and what crosses."""
    groups: dict[tuple[str, str], list[str]] = {}
    for op in report.get("host_ops") or ():
        groups.setdefault((str(op["op"]), str(op["reason"])), []).append(str(op["node"]))
    if not groups:
        return []
    rows = []
    for (op, reason), nodes in groups.items():
        count = f"{len(nodes)} x {op}" if len(nodes) > 1 else f"{op} {nodes[0]!r}"
        rows.append(("on the host", f"{count}: {reason}"))
    rows.append(("on the device", _share(report)))
    down, up = report.get("host_to_device_bytes"), report.get("device_to_host_bytes")
    if down is not None and up is not None:
        rows.append(("crossing", f"{down:,} bytes to the device, {up:,} back, a run"))
    return rows


def _share(report: Mapping[str, Any]) -> str:
    sections = report.get("sections") or ()
    device = sum(1 for s in sections if s["on"] == "device")
    count = f"{device} section{'s' if device != 1 else ''}, {len(sections) - device} on the host"
    if not report.get("macs") or report.get("macs_on_device") is None:
        return count
    return f"{100 * report['macs_on_device'] / report['macs']:.2f} % of the products; {count}"


def _bound(report: Mapping[str, Any], rows: list[tuple[str, str]]) -> None:
    if report.get("bound_cycles"):
        ratio = f"{report['bound_ratio']:.2f} x the bound of {report['bound_cycles']:,} cycles"
        rows.append(("against the bound", ratio))
    columns = report.get("bound_column_cycles")
    if columns and columns > report["bound_cycles"]:
        ratio = f"{report['cycles'] / columns:.2f} x {columns:,} cycles: the array's columns, whole"
        rows.append(("", ratio))


def _traffic(report: Mapping[str, Any], rows: list[tuple[str, str]]) -> None:
    if report.get("dram_bytes") is None:
        return
    text = f"{report['dram_bytes']:,} bytes"
    if report.get("dram_bytes_compulsory"):
        text += f" (compulsory: {report['dram_bytes_compulsory']:,})"
    rows.append(("DRAM traffic", text))
