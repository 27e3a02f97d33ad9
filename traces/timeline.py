"""The timeline: a row an engine or queue, and beside it where its time went.

Drawn column by column (`coverage.py`), so that a run of a million rows costs what a run of a
hundred does. The shade of a column is the share of its time that was busy.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from traces.classes import WorkClass, work_classes
from traces.coverage import coverage
from traces.events import WaitCause
from traces.lanes import Lane, lanes
from traces.layer_strip import draw_layers, layer_colors, short
from traces.picture import CLASS_COLORS, COLUMNS, FAINT, INK, RULE, WIDTH, time_axis, title
from traces.trace import Trace
from traces.utilization import Utilization, utilization

Floats = NDArray[np.float64]
Image = NDArray[np.float64]
ColorBy = Literal["class", "layer"]
Place = Literal["outside lower left", "outside lower right"]

WIDTHS = (5, 1.25)  # of the rows, and of where their time went
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


def timeline(trace: Trace, *, color_by: ColorBy = "class") -> Figure:
    """The figure of `plot_timeline`."""
    figure = Figure(figsize=(WIDTH, height_of(trace)), layout="constrained")
    grid = figure.add_gridspec(1, 2, width_ratios=WIDTHS, wspace=0.02)
    left, right = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    draw_timeline(figure, left, right, trace, color_by)
    return figure


def height_of(trace: Trace) -> float:
    """Inches that the rows, the axis and the legends take."""
    return 1.9 + 0.42 * max(sum(_heights(lanes(trace))), 3)


def _heights(rows: list[Lane]) -> list[float]:
    return [0.5 if "weights" in lane.name or "+" in lane.name else 1.0 for lane in rows]


def draw_timeline(
    figure: Figure, left: Axes, right: Axes, trace: Trace, color_by: ColorBy = "class"
) -> None:
    """Draw the rows on the left, where their time went on the right, title and legends around."""
    rows = lanes(trace)
    heights = _heights(rows)
    used = _draw_lanes(left, trace, rows, heights, color_by)
    seen = _draw_parts(right, trace, rows, heights)
    time_axis(left, trace)
    figure.suptitle(title(trace), x=0.012, ha="left", fontsize=12, color=INK, weight="bold")
    if used:
        note = f"colour: {color_by}; shade: share of the time that was busy"
        _legend(figure, used, note, "outside lower left", 8)
        parts = [("busy", _BUSY), *((_waited(c), _CAUSE_COLORS[c]) for c in sorted(seen))]
        _legend(figure, parts, "share of the run", "outside lower right", 3)


def _draw_lanes(
    axes: Axes, trace: Trace, rows: list[Lane], heights: list[float], color_by: ColorBy
) -> list[tuple[str, str]]:
    """Draw every lane, top down; give the legend: (text, colour) of what occurs."""
    palette, class_of, texts = _palette(trace, color_by)
    top = draw_layers(axes, trace, rows) if trace.layers else 0.0
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
        axes.axhline(y, color=RULE, linewidth=0.6)
    axes.set_xlim(0, 1)
    axes.set_ylim(max(y, 1.0), top)
    axes.set_yticks(ticks, labels, fontsize=9)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    present = np.unique(class_of).tolist() if len(class_of) else []
    if color_by == "layer":
        return _some_layers(trace, palette, class_of)
    return [(texts[c], CLASS_COLORS[WorkClass(c)]) for c in present]


def _palette(trace: Trace, color_by: ColorBy) -> tuple[Image, NDArray[np.int64], list[str]]:
    """RGB of each class, the class of each row, and the classes' names."""
    if color_by == "class":
        colors = np.array([to_rgb(CLASS_COLORS[c]) for c in WorkClass])
        return colors, work_classes(trace).astype(np.int64), [c.text for c in WorkClass]
    count = len(trace.layers)
    colors = np.array([to_rgb(c) for c in layer_colors(count)] + [to_rgb("#777777")])
    layer = trace.events.layer.astype(np.int64)
    return colors, np.where(layer < 0, count, layer), [*trace.layers, "no layer"]


def _some_layers(
    trace: Trace, palette: Image, class_of: NDArray[np.int64], most: int = 12
) -> list[tuple[str, str]]:
    """The layers that took most time, in the model's order, for the legend."""
    ticks = np.bincount(class_of, weights=trace.events.busy, minlength=len(palette))
    chosen = np.sort(np.argsort(-ticks, kind="stable")[:most])
    names = [*trace.layers, "no layer"]
    return [(short(names[i], 28), _hex(palette[i])) for i in chosen.tolist() if ticks[i]]


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


def _waited(cause: WaitCause) -> str:
    return f"waits: {cause.text.replace('dma', 'DMA')}" if cause else "other gap"


def _draw_parts(axes: Axes, trace: Trace, rows: list[Lane], heights: list[float]) -> set[WaitCause]:
    """Beside each track: busy, waiting and on what, done. Give the causes that occur."""
    found = {u.track: u for u in utilization(trace)}
    y = 0.0
    seen: set[WaitCause] = set()
    for lane, height in zip(rows, heights, strict=True):
        u = found.get(lane.name)
        if u is not None and u.total:
            seen |= _draw_part(axes, u, y + height / 2)
        y += height
    axes.set_xlim(0, 1.0)
    axes.set_ylim(max(y, 1.0), -1.0 if trace.layers else 0.0)
    axes.set_yticks([])
    axes.set_xticks([0, 0.5, 1.0], ["0", "50", "100 %"], fontsize=8, color=FAINT)
    axes.set_title("busy and waiting", fontsize=9, color=INK, loc="left")
    for side in axes.spines.values():
        side.set_visible(False)
    return seen


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
        fontsize=8, color="white" if inside else INK,
    )  # fmt: skip
    return set(u.waiting)


def _legend(
    figure: Figure, entries: list[tuple[str, str]], note: str, place: Place, columns: int
) -> None:
    handles = [Patch(color=color, label=text) for text, color in entries]
    figure.legend(
        handles=handles, loc=place, ncols=min(len(handles), columns), fontsize=8.5, frameon=False,
        handlelength=1.2, columnspacing=1.2, title=note, title_fontsize=8, alignment="left",
    )  # fmt: skip
