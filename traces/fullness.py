"""SBUF, PSUM and DRAM over time: how full, how busy."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from isa.memory import PSUM, SBUF
from traces.classes import WorkClass
from traces.coverage import envelope
from traces.occupancy import banks_in_use, bytes_in_use, dram_rate
from traces.picture import CLASS_COLORS, COLUMNS, INK, RULE, WIDTH, time_axis, title
from traces.trace import Trace

HEIGHT = 7.2  # inches


def occupancy(trace: Trace) -> Figure:
    """The figure of `plot_occupancy`."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    first, second, third = figure.subplots(3, 1, sharex=True)
    draw_occupancy((first, second, third), trace)
    figure.suptitle(title(trace), x=0.012, ha="left", fontsize=12, color=INK, weight="bold")
    return figure


def draw_occupancy(panels: tuple[Axes, Axes, Axes], trace: Trace) -> None:
    """Draw SBUF, PSUM and DRAM, a panel each; the last carries the time axis."""
    first, second, third = panels
    _draw_memory(first, trace)
    _draw_banks(second, trace)
    _draw_dram(third, trace)
    for axes in panels:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.grid(axis="y", color=RULE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=8)
    time_axis(third, trace)


def _draw_memory(axes: Axes, trace: Trace) -> None:
    values = envelope(*bytes_in_use(trace, SBUF), trace.total_ticks, COLUMNS) / 2**20
    limit = trace.limits.get("sbuf_bytes", 0) / 2**20
    _fill(axes, values, CLASS_COLORS[WorkClass.ARITHMETIC])
    share = f", {100 * values.max() / limit:.0f} % of {limit:g} MiB" if limit else ""
    _describe(axes, "SBUF", "MiB", f"peak {values.max():.2f} MiB{share}", limit, values.max())


def _draw_banks(axes: Axes, trace: Trace) -> None:
    bank = trace.limits.get("psum_bank_bytes", 2048)
    values = envelope(*banks_in_use(trace, bank), trace.total_ticks, COLUMNS)
    held = envelope(*bytes_in_use(trace, PSUM), trace.total_ticks, COLUMNS)
    limit = trace.limits.get("psum_bytes", 0) // (128 * bank)
    _fill(axes, values, CLASS_COLORS[WorkClass.MATMUL])
    banks = "bank" if values.max() == 1 else "banks"
    text = f"peak {values.max()} {banks}, {held.max() / 2**10:.0f} KiB in use"
    _describe(axes, "PSUM", "banks", text, limit, values.max())
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_dram(axes: Axes, trace: Trace) -> None:
    bins = min(COLUMNS // 4, max(trace.total_ticks, 1))
    read = np.repeat(dram_rate(trace, bins, written=False)[1], COLUMNS // bins + 1) / 1e9
    wrote = np.repeat(dram_rate(trace, bins, written=True)[1], COLUMNS // bins + 1) / 1e9
    _fill(axes, read + wrote, CLASS_COLORS[WorkClass.DMA_WRITE], "written")
    _fill(axes, read, CLASS_COLORS[WorkClass.DMA_READ], "read")
    limit = trace.limits.get("dram_bytes_per_s", 0) / 1e9
    e = trace.events
    moved = int(e.read_bytes.sum() + e.written_bytes.sum())
    mean = moved / trace.time_s / 1e9 if trace.total_ticks else 0.0
    share = f", {100 * mean / limit:.0f} % of {limit:.1f} GB/s" if limit else ""
    text = f"{moved / 1e6:,.2f} MB moved, mean {mean:.1f} GB/s{share}"
    _describe(axes, "DRAM", "GB/s", text, limit, float((read + wrote).max()))
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 0.985)}
    axes.legend(**place, fontsize=8, frameon=False, ncols=2, borderaxespad=0.2)


def _fill(axes: Axes, values: NDArray[Any], color: str, label: str | None = None) -> None:
    x = np.linspace(0, 1, len(values) + 1)
    axes.stairs(values, x, fill=True, color=color, alpha=0.35, label=label)
    axes.stairs(values, x, color=color, linewidth=0.9)


def _describe(axes: Axes, name: str, unit: str, text: str, limit: float, top: float) -> None:
    axes.set_title(name, loc="left", fontsize=10, color=INK, weight="bold")
    axes.set_title(text, loc="right", fontsize=9, color=INK)
    axes.set_ylabel(unit, fontsize=9, color=INK)
    axes.set_ylim(0, max(1.12 * max(top, limit if top > 0.35 * limit else 0), 1e-9))
    if limit and top > 0.35 * limit:
        axes.axhline(limit, color="#b03030", linewidth=0.9, linestyle=(0, (5, 3)))
