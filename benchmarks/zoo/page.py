"""The zoo as a table, a page and a plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.zoo.entries import ENTRIES, Entry
from benchmarks.zoo.measure import Row

HEAD = (
    "model", "cycles", "ms", "bound", "by", "over the bound", "asked", "finite SBUF",
    "columns", "PE utilisation",
    "DRAM / compulsory", "predicted", "SBUF (MiB)", "compile (s)", "memory (MB)", "on the host",
)  # fmt: skip

PAGE = """# The zoo

Made by `python -m benchmarks.zoo --target {target} --write FILE`: {target}, one core, BF16. Known
architectures with seeded random weights: the light models of the onnx package, and exports of
`transformers` (`pip install -e '.[zoo]'`). They are made when first asked for and kept in a cache
folder (`SYSTOLA_ZOO`). Cycles are exact and the same on every machine; wall times and memory are of
the machine that made the page, two cores shared with other work.

{table}

![Cycles over the bound]({image})

*Bound*: compulsory DRAM bytes over the rate that one core reaches, or multiply-accumulates over the
array, whichever is more (*by*). *Asked*: what the project set out for, at most. *Finite SBUF*: the
ratio to a bound that knows how many weights can wait on chip while the array computes. *Columns*:
the ratio to a bound that knows that an element of a product takes a column of the array for whole
cycles, one for up to 128 terms. *Predicted*: the
scheduler's cycles over the simulator's. *Memory*: the compiling process at its peak. *On the
host*: share of the multiply-accumulates; in brackets how many operations the host does. `-embeds`
takes embedded tokens; the same name without takes token ids, whose embedding is on the host where
the target cannot address by data.
{checks}"""

CHECKS = """
Numbers, simulated in full against onnxruntime; the largest difference over the output's range:

{table}
"""


def head() -> list[str]:
    """The table's first two lines."""
    return _head(HEAD)


def line(entry: Entry, row: Row) -> str:
    """A model's line of the table."""
    if "refused" in row:
        return _joined([entry.name, row["refused"], *[""] * (len(HEAD) - 2)])
    hosted = f"{100 * row['host_share']:.1f} %" + (
        f" ({len(row['host_ops'])})" if row["host_ops"] else ""
    )
    ratio = f"{row['bound_ratio']:.3f}"
    if entry.limit is not None and row["bound_ratio"] > entry.limit:
        ratio = f"**{ratio}**"
    return _joined([
        entry.name, f"{row['cycles']:,}", f"{1e3 * row['time_s']:.3f}",
        f"{row['bound_cycles']:,}", row["bound_by"], ratio,
        f"{entry.limit:.2f}" if entry.limit else "", f"{row['finite_ratio']:.3f}",
        f"{row['column_ratio']:.3f}",
        f"{100 * row['pe_utilization']:.1f} %",
        f"{row['dram_ratio']:.2f}", f"{100 * row['predicted_error']:+.2f} %",
        f"{row['sbuf_peak_bytes'] / 2**20:.1f}", f"{row['compile_s']:.1f}",
        f"{row['rss_bytes'] / 1e6:,.0f}", hosted,
    ])  # fmt: skip


def page(rows: Mapping[str, Row], target: str, image: str) -> str:
    """The whole page."""
    table = "\n".join([*head(), *(line(ENTRIES[n], r) for n, r in rows.items())])
    checked = {n: r["check"] for n, r in rows.items() if "check" in r}
    checks = CHECKS.format(table=_checks(checked)) if checked else ""
    return PAGE.format(target=target, table=table, image=image, checks=checks)


def _checks(rows: Mapping[str, Row]) -> str:
    lines = _head(("model", "FP32", "BF16", "seconds (FP32)", "seconds (BF16)"))
    for name, c in rows.items():
        cells = [name, f"{c['error_none']:.1e}", f"{c['error_all']:.1e}"]
        lines.append(_joined([*cells, f"{c['run_s_none']:.1f}", f"{c['run_s_all']:.1f}"]))
    return "\n".join(lines)


def plot(rows: Mapping[str, Row], target: str, file: Path) -> None:
    """Bars of cycles over the bound, least first; a mark where a limit was set."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown = [(n, r) for n, r in rows.items() if "refused" not in r]
    shown.sort(key=lambda pair: pair[1]["bound_ratio"], reverse=True)
    colour = {"DRAM": "#4878a8", "PE": "#c8743c"}
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.27 * len(shown)), layout="constrained")
    ratios = [r["bound_ratio"] for _, r in shown]
    axes.set_xscale("log")
    beyond = [ratio - 1 for ratio in ratios]
    colours = [colour[r["bound_by"]] for _, r in shown]
    axes.barh(range(len(shown)), beyond, left=1, color=colours)
    for i, (name, row) in enumerate(shown):
        limit = ENTRIES[name].limit
        at = max(row["bound_ratio"], limit or 0)
        axes.text(at, i, f"  {row['bound_ratio']:.2f}", va="center", fontsize=8)
        if limit is not None:
            axes.plot([limit, limit], [i - 0.42, i + 0.42], color="black", linewidth=1.6)
    axes.set_yticks(range(len(shown)), [n for n, _ in shown], fontsize=8)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    ticks = [t for t in (1, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500) if t <= max(ratios, default=1)]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(1, 1.4 * max(ratios, default=1))
    axes.set_xlabel(f"cycles over the bound, {target}, one core, BF16")
    keys = [
        Patch(color=colour["DRAM"], label="DRAM is the bound"),
        Patch(color=colour["PE"], label="the array is the bound"),
        Line2D([], [], color="black", linewidth=1.6, label="asked, at most"),
    ]
    axes.legend(handles=keys, loc="upper right", frameon=False, fontsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130, metadata={"Software": None})
    pyplot.close(figure)


def _head(cells: Iterable[str]) -> list[str]:
    names = list(cells)
    return [_joined(names), "|---" + "|--:" * (len(names) - 1) + "|"]


def _joined(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
