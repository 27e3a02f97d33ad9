"""What the pictures share: size, colours, title, time axis, and the file they end in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isa.files import whole_file
from traces.classes import WorkClass
from traces.trace import Trace
from traces.utilization import utilization

COLUMNS = 2000  # of a picture: what is shorter than a column is a share of it
WIDTH = 15.0  # inches
_DPI = 130
INK, FAINT, RULE = "#222222", "#8a8a8a", "#e4e4e4"
# colours that are told apart by colour-blind readers too (Okabe and Ito's set, and shades of it)
CLASS_COLORS = {
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


def save(figure: Figure, path: str | Path) -> None:
    suffix = Path(path).suffix.lower().lstrip(".")
    kind = suffix if suffix in ("png", "svg", "pdf") else "png"
    undated: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}}
    with whole_file(path) as file:
        metadata = undated.get(kind, {"CreationDate": None})
        figure.savefig(file, format=kind, dpi=_DPI, metadata=metadata, facecolor="white")


def title(trace: Trace) -> str:
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


def time_axis(axes: Axes, trace: Trace) -> None:
    """Ticks at round numbers of microseconds, or of milliseconds in a long run."""
    span = 1e6 * trace.time_s
    scale, unit = (1e3, "ms") if span >= 20_000 else (1.0, "µs")
    length = max(span / scale, 1e-9)
    step = 10.0 ** np.floor(np.log10(length / 4))
    step *= next((m for m in (1, 2, 5, 10) if length / (step * m) <= 10), 10)
    at = np.arange(0, length * 1.0001, step)
    axes.set_xticks(at / length, [f"{v:,.10g}" for v in at], fontsize=8)
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"time ({unit})", fontsize=9, color=INK)
