"""Pictures of a run: a timeline of engines and queues, and how full the memories were.

Drawn column by column of the picture (`coverage.py`), so that a run of a million rows costs what a
run of a hundred does. The shade of a column is the share of its time that was busy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from isa.files import whole_file
from isa.memory import FIRST_QUEUE, PSUM, SBUF
from traces.classes import WorkClass, work_classes
from traces.coverage import coverage, envelope
from traces.events import WaitCause
from traces.lanes import Lane, lanes
from traces.occupancy import banks_in_use, bytes_in_use, dram_rate
from traces.trace import Trace
from traces.utilization import Utilization, utilization

Floats = NDArray[np.float64]
Image = NDArray[np.float64]
ColorBy = Literal["class", "layer"]

COLUMNS = 2000
_WIDTH, _DPI = 15.0, 130
_INK, _FAINT, _RULE = "#222222", "#8a8a8a", "#e4e4e4"
# colours that are told apart by colour-blind readers too (Okabe and Ito's set, and shades of it)
_CLASS_COLORS = {
    WorkClass.MATMUL: "#0072B2",
    WorkClass.WEIGHTS: "#56B4E9",
    WorkClass.ACTIVATION: "#D55E00",
    WorkClass.ARITHMETIC: "#009E73",
    WorkClass.MOVEMENT: "#E69F00",
    WorkClass.DMA_READ: "#7A4FA3",
    WorkClass.DMA_WRITE: "#CC79A7",
    WorkClass.DMA_LOCAL: "#A89CC8",
    WorkClass.CONTROL: "#777777",
}
_BUSY = "#3b3b3b"
_CAUSE_COLORS = {
    WaitCause.SEMAPHORE: "#f2b8a0",
    WaitCause.RESULT: "#f5dc8c",
    WaitCause.WEIGHTS: "#a9d4ee",
    WaitCause.TABLE: "#e3a6c8",
    WaitCause.DMA_START: "#cbbfe0",
    WaitCause.PORT: "#b7ddb0",
    WaitCause.NOTHING: "#e0e0e0",
}
_DONE = "#f4f4f4"


def plot_timeline(trace: Trace, path: str | Path, *, color_by: ColorBy = "class") -> None:
    """Write a picture with a row an engine or queue; the path's suffix says png, svg or pdf.

    Args:
        color_by: the class of work, or the model's layer.
    Raises:
        SystolaError: SYS-F001, the file cannot be written.
    """
    _save(timeline(trace, color_by=color_by), path)


def plot_occupancy(trace: Trace, path: str | Path) -> None:
    """Write a picture of SBUF, PSUM and DRAM over time. Raises as `plot_timeline`."""
    _save(occupancy(trace), path)


def _save(figure: Figure, path: str | Path) -> None:
    suffix = Path(path).suffix.lower().lstrip(".")
    kind = suffix if suffix in ("png", "svg", "pdf") else "png"
    undated: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}}
    with whole_file(path) as file:
        metadata = undated.get(kind, {"CreationDate": None})
        figure.savefig(file, format=kind, dpi=_DPI, metadata=metadata, facecolor="white")


# --- the timeline --------------------------------------------------------------------------------


def timeline(trace: Trace, *, color_by: ColorBy = "class") -> Figure:
    """The figure of `plot_timeline`."""
    rows = lanes(trace)
    heights = [0.5 if "weights" in lane.name or "+" in lane.name else 1.0 for lane in rows]
    figure = Figure(figsize=(_WIDTH, 1.9 + 0.42 * max(sum(heights), 3)), layout="constrained")
    grid = figure.add_gridspec(1, 2, width_ratios=(5, 1.25), wspace=0.02)
    left, right = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    used = _draw_lanes(left, trace, rows, heights, color_by)
    _draw_parts(right, trace, rows, heights)
    _time_axis(left, trace)
    figure.suptitle(_title(trace), x=0.012, ha="left", fontsize=12, color=_INK, weight="bold")
    if used:
        _legend(figure, used, f"colour: {color_by}; shade: share of the time that was busy")
    return figure


def _draw_lanes(
    axes: Axes, trace: Trace, rows: list[Lane], heights: list[float], color_by: ColorBy
) -> list[tuple[str, str]]:
    """Draw every lane, top down; give the legend: (text, colour) of what occurs."""
    palette, class_of, texts = _palette(trace, color_by)
    top = _draw_layers(axes, trace, rows) if trace.layers else 0.0
    ticks, labels = ([-0.5], ["layer"]) if top else ([], [])
    y = 0.0
    for lane, height in zip(rows, heights, strict=True):
        strip = _strip(trace, lane, class_of, palette)
        axes.imshow(
            strip[None], extent=(0, 1, y + height * 0.94, y + height * 0.06), aspect="auto",
            interpolation="nearest",
        )  # fmt: skip
        ticks.append(y + height / 2)
        labels.append(lane.name)
        y += height
        axes.axhline(y, color=_RULE, linewidth=0.6)
    axes.set_xlim(0, 1)
    axes.set_ylim(max(y, 1.0), top)
    axes.set_yticks(ticks, labels, fontsize=9)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    present = np.unique(class_of).tolist() if len(class_of) else []
    if color_by == "layer":
        return _some_layers(trace, palette, class_of)
    return [(texts[c], _CLASS_COLORS[WorkClass(c)]) for c in present]


def _palette(trace: Trace, color_by: ColorBy) -> tuple[Image, NDArray[np.int64], list[str]]:
    """RGB of each class, the class of each row, and the classes' names."""
    if color_by == "class":
        colors = np.array([to_rgb(_CLASS_COLORS[c]) for c in WorkClass])
        return colors, work_classes(trace).astype(np.int64), [c.text for c in WorkClass]
    count = len(trace.layers)
    colors = np.array([to_rgb(c) for c in _layer_colors(count)] + [to_rgb("#777777")])
    layer = trace.events.layer.astype(np.int64)
    return colors, np.where(layer < 0, count, layer), [*trace.layers, "no layer"]


def _layer_colors(count: int) -> list[Any]:
    """Neighbours differ in shade, far apart layers in hue."""
    hues = colormaps["turbo"](np.linspace(0.06, 0.94, max(count, 1)))[:, :3]
    shade = np.where(np.arange(len(hues)) % 2, 0.72, 1.0)[:, None]
    return [tuple(c) for c in hues * shade]


def _some_layers(
    trace: Trace, palette: Image, class_of: NDArray[np.int64], most: int = 12
) -> list[tuple[str, str]]:
    """The layers that took most time, in the model's order, for the legend."""
    ticks = np.bincount(class_of, weights=trace.events.busy, minlength=len(palette))
    chosen = np.sort(np.argsort(-ticks, kind="stable")[:most])
    names = [*trace.layers, "no layer"]
    return [(_short(names[i], 28), _hex(palette[i])) for i in chosen.tolist() if ticks[i]]


def _hex(rgb: Floats) -> str:
    return "#" + "".join(f"{round(255 * float(v)):02x}" for v in rgb)


def _strip(trace: Trace, lane: Lane, class_of: NDArray[np.int64], palette: Image) -> Image:
    """A lane's columns, RGB [COLUMNS, 3]: its classes' colours by their share of the column."""
    e, total = trace.events, trace.total_ticks
    mixed, filled = np.zeros((COLUMNS, 3)), np.zeros(COLUMNS)
    for c in np.unique(class_of[lane.rows]).tolist():
        rows = lane.rows[class_of[lane.rows] == c]
        share = coverage(e.start[rows], e.end[rows], total, COLUMNS)
        mixed += share[:, None] * palette[c]
        filled += share
    hue = mixed / np.maximum(filled, 1e-12)[:, None]
    alpha = np.clip(filled, 0, 1)[:, None] ** 0.7  # little is still seen
    return np.asarray(np.clip(hue * alpha + (1 - alpha), 0, 1))


def _draw_layers(axes: Axes, trace: Trace, rows: list[Lane]) -> float:
    """A strip above the lanes: the layer that computes, named where there is room."""
    e, total, count = trace.events, trace.total_ticks, len(trace.layers)
    best, layer = np.zeros(COLUMNS), np.full(COLUMNS, -1)
    for lane in rows:
        weight = 1.0 if lane.stream == 0 else 0.05 if lane.stream < FIRST_QUEUE else 0.001
        for i in np.unique(e.layer[lane.rows]).tolist():
            mine = lane.rows[e.layer[lane.rows] == i]
            share = weight * coverage(e.start[mine], e.end[mine], total, COLUMNS)
            better = (share > best) & (i >= 0)
            best, layer = np.where(better, share, best), np.where(better, i, layer)
    colors = np.array([*(to_rgb(c) for c in _layer_colors(count)), (1.0, 1.0, 1.0)])
    pale = 0.45 * colors[layer] + 0.55
    axes.imshow(pale[None], extent=(0, 1, -0.12, -0.88), aspect="auto", interpolation="nearest")
    edges = np.flatnonzero(np.diff(layer, prepend=-2, append=-2))
    for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        room = int((b - a) / COLUMNS * 165)
        if layer[a] >= 0 and room >= 4:
            text = _short(trace.layers[layer[a]], room)
            middle = (a + b) / 2 / COLUMNS
            axes.text(middle, -0.5, text, ha="center", va="center", fontsize=7, color=_INK)
    return -1.0


def _short(text: str, room: int) -> str:
    """A name's end says more than its beginning."""
    return text if len(text) <= room else "…" + text[len(text) - room + 1 :]


def _draw_parts(axes: Axes, trace: Trace, rows: list[Lane], heights: list[float]) -> None:
    """Beside each track: busy, waiting and on what, done, as shares of the run."""
    found = {u.track: u for u in utilization(trace)}
    y, seen = 0.0, set()
    for lane, height in zip(rows, heights, strict=True):
        u = found.get(lane.name)
        if u is not None and u.total:
            seen |= _draw_part(axes, u, y + height / 2)
        y += height
    axes.set_xlim(0, 1.0)
    axes.set_ylim(max(y, 1.0), -1.0 if trace.layers else 0.0)
    axes.set_yticks([])
    axes.set_xticks([0, 0.5, 1.0], ["0", "50", "100 %"], fontsize=8, color=_FAINT)
    axes.set_title("busy and waiting", fontsize=9, color=_INK, loc="left")
    for side in axes.spines.values():
        side.set_visible(False)
    shown = [
        (f"waits: {c.text.replace('dma', 'DMA')}" if c else "other gap", _CAUSE_COLORS[c])
        for c in sorted(seen)
    ]
    parts = [Patch(color=_BUSY, label="busy")]
    parts += [Patch(color=color, label=text) for text, color in shown]
    axes.legend(
        handles=parts, loc="upper center", bbox_to_anchor=(0.5, -0.1), fontsize=7.5, ncols=2,
        frameon=False, handlelength=1.0, columnspacing=1.0, labelspacing=0.3,
    )  # fmt: skip


def _draw_part(axes: Axes, u: Utilization, y: float) -> set[WaitCause]:
    left = u.busy_fraction
    axes.barh(y, 1.0, 0.56, color=_DONE)
    axes.barh(y, left, 0.56, color=_BUSY)
    for cause, ticks in sorted(u.waiting.items()):
        width = ticks / u.total
        axes.barh(y, width, 0.56, left=left, color=_CAUSE_COLORS[cause])
        left += width
    inside = u.busy_fraction > 0.2
    axes.text(
        u.busy_fraction - 0.015 if inside else u.busy_fraction + 0.015, y,
        f"{100 * u.busy_fraction:.0f} %", ha="right" if inside else "left", va="center",
        fontsize=8, color="white" if inside else _INK,
    )  # fmt: skip
    return set(u.waiting)


# --- occupancy -----------------------------------------------------------------------------------


def occupancy(trace: Trace) -> Figure:
    """The figure of `plot_occupancy`."""
    figure = Figure(figsize=(_WIDTH, 7.2), layout="constrained")
    first, second, third = figure.subplots(3, 1, sharex=True)
    _draw_memory(first, trace)
    _draw_banks(second, trace)
    _draw_dram(third, trace)
    for axes in (first, second, third):
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.grid(axis="y", color=_RULE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=8)
    _time_axis(third, trace)
    figure.suptitle(_title(trace), x=0.012, ha="left", fontsize=12, color=_INK, weight="bold")
    return figure


def _draw_memory(axes: Axes, trace: Trace) -> None:
    values = envelope(*bytes_in_use(trace, SBUF), trace.total_ticks, COLUMNS) / 2**20
    limit = trace.limits.get("sbuf_bytes", 0) / 2**20
    _fill(axes, values, _CLASS_COLORS[WorkClass.ARITHMETIC])
    share = f", {100 * values.max() / limit:.0f} % of {limit:g} MiB" if limit else ""
    _describe(axes, "SBUF", "MiB", f"peak {values.max():.2f} MiB{share}", limit, values.max())


def _draw_banks(axes: Axes, trace: Trace) -> None:
    bank = trace.limits.get("psum_bank_bytes", 2048)
    values = envelope(*banks_in_use(trace, bank), trace.total_ticks, COLUMNS)
    held = envelope(*bytes_in_use(trace, PSUM), trace.total_ticks, COLUMNS)
    limit = trace.limits.get("psum_bytes", 0) // (128 * bank)
    _fill(axes, values, _CLASS_COLORS[WorkClass.MATMUL])
    text = f"peak {values.max()} banks, {held.max() / 2**10:.0f} KiB in use"
    _describe(axes, "PSUM", "banks", text, limit, values.max())
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_dram(axes: Axes, trace: Trace) -> None:
    bins = min(COLUMNS // 4, max(trace.total_ticks, 1))
    read = np.repeat(dram_rate(trace, bins, written=False)[1], COLUMNS // bins + 1) / 1e9
    wrote = np.repeat(dram_rate(trace, bins, written=True)[1], COLUMNS // bins + 1) / 1e9
    _fill(axes, read + wrote, _CLASS_COLORS[WorkClass.DMA_WRITE], "written")
    _fill(axes, read, _CLASS_COLORS[WorkClass.DMA_READ], "read")
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
    axes.set_title(name, loc="left", fontsize=10, color=_INK, weight="bold")
    axes.set_title(text, loc="right", fontsize=9, color=_INK)
    axes.set_ylabel(unit, fontsize=9, color=_INK)
    axes.set_ylim(0, max(1.12 * max(top, limit if top > 0.35 * limit else 0), 1e-9))
    if limit and top > 0.35 * limit:
        axes.axhline(limit, color="#b03030", linewidth=0.9, linestyle=(0, (5, 3)))


# --- what both have ------------------------------------------------------------------------------


def _title(trace: Trace) -> str:
    parts = [f"{trace.name} on {trace.target}", f"{trace.cycles:,} cycles"]
    seconds = trace.time_s
    parts.append(f"{1e3 * seconds:,.3f} ms" if seconds >= 1e-3 else f"{1e6 * seconds:,.2f} µs")
    share = trace.metadata.get("pe_utilization")
    if isinstance(share, int | float):
        parts.append(f"PE utilisation {100 * share:.1f} %")
    busy = [u.busy_fraction for u in utilization(trace) if u.track.endswith("PE")]
    if busy:
        parts.append(f"PE busy {100 * sum(busy) / len(busy):.1f} %")
    return "   ·   ".join(parts)


def _time_axis(axes: Axes, trace: Trace) -> None:
    """Ticks at round numbers of microseconds, or of milliseconds in a long run."""
    span = 1e6 * trace.time_s
    scale, unit = (1e3, "ms") if span >= 20_000 else (1.0, "µs")
    length = max(span / scale, 1e-9)
    step = 10.0 ** np.floor(np.log10(length / 4))
    step *= next((m for m in (1, 2, 5, 10) if length / (step * m) <= 10), 10)
    at = np.arange(0, length * 1.0001, step)
    axes.set_xticks(at / length, [f"{v:,.10g}" for v in at], fontsize=8)
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"time ({unit})", fontsize=9, color=_INK)


def _legend(figure: Figure, entries: list[tuple[str, str]], note: str) -> None:
    handles = [Patch(color=color, label=text) for text, color in entries]
    figure.legend(
        handles=handles, loc="outside lower left", ncols=min(len(handles), 6), fontsize=8.5,
        frameon=False, handlelength=1.2, title=note, title_fontsize=8, alignment="left",
    )  # fmt: skip
