"""Pictures of a run, as files."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from traces.fullness import draw_occupancy, occupancy
from traces.picture import WIDTH, save
from traces.timeline import WIDTHS, ColorBy, draw_timeline, height_of, timeline
from traces.trace import Trace

__all__ = ["ColorBy", "occupancy", "plot_occupancy", "plot_run", "plot_timeline", "timeline"]

OCCUPANCY_HEIGHT = 1.5  # inches a memory, below a timeline


def plot_run(trace: Trace, path: str | Path) -> None:
    """Write one picture: the timeline, and below it on the same axis SBUF, PSUM and DRAM.

    Raises as `plot_timeline`.
    """
    heights = (height_of(trace) - 1.0, *[OCCUPANCY_HEIGHT] * 3)
    figure = Figure(figsize=(WIDTH, sum(heights) + 1.0), layout="constrained")
    grid = figure.add_gridspec(4, 2, width_ratios=WIDTHS, height_ratios=heights, wspace=0.02)
    top, beside = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    first, second, third = (figure.add_subplot(grid[i, 0], sharex=top) for i in (1, 2, 3))
    draw_timeline(figure, top, beside, trace)
    draw_occupancy((first, second, third), trace)
    for axes in (top, first, second):
        axes.tick_params(labelbottom=False)
        axes.set_xlabel("")
    save(figure, path)


def plot_timeline(trace: Trace, path: str | Path, *, color_by: ColorBy = "class") -> None:
    """Write a picture with a row an engine or queue; the path's suffix says png, svg or pdf.

    Args:
        color_by: the class of work, or the model's layer.
    Raises:
        SystolaError: SYS-F001, the file cannot be written.
    """
    save(timeline(trace, color_by=color_by), path)


def plot_occupancy(trace: Trace, path: str | Path) -> None:
    """Write a picture of SBUF, PSUM and DRAM over time. Raises as `plot_timeline`."""
    save(occupancy(trace), path)
