"""Pictures of a run, as files."""

from __future__ import annotations

from pathlib import Path

from traces.fullness import occupancy
from traces.picture import save
from traces.timeline import ColorBy, timeline
from traces.trace import Trace

__all__ = ["ColorBy", "occupancy", "plot_occupancy", "plot_timeline", "timeline"]


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
