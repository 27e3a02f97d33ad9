"""The picture of an explanation: causes over time, layers with what binds them, sums, what-ifs.

In    the explanation as JSON has it, and the stretches of the tensor engine's time
Out   a file
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from traces.layer_strip import short
from traces.picture import FAINT, INK, RULE, WIDTH, save

Segments = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
BINS = 600
MULTIPLY = "multiply"

# Okabe and Ito's set, and shades of it: what belongs together has one hue.
COLORS = {
    MULTIPLY: "#0072B2",
    "stationary": "#56B4E9",
    "weights_rate": "#7A4FA3",
    "input_rate": "#9C80BC",
    "output_rate": "#B9A4D0",
    "spill_rate": "#CC79A7",
    "copy_rate": "#E0A8C6",
    "descriptors": "#8C1C5A",
    "few_descriptors": "#B5487F",
    "dma_latency": "#4B4B8F",
    "act": "#D55E00",
    "table": "#EBA26D",
    "dve": "#009E73",
    "pool": "#66C2A5",
    "port": "#B7DDB0",
    "psum_room": "#F0E442",
    "sbuf_room": "#E69F00",
    "dram_order": "#B8860B",
    "semaphore": "#9A9A9A",
    "result": "#C4C4C4",
    "control": "#6E6E6E",
}


def plot_explanation(found: dict[str, Any], segments: Segments, path: str | Path) -> None:
    """Write a picture; the path's suffix says png, svg or pdf.

    Args:
        found: keys as `systola explain --json` prints them.
        segments: begin, end (ticks) and cause (its key) of each stretch, in order.
    Raises:
        SystolaError: SYS-F001, the file cannot be written.
    """
    figure = Figure(figsize=(WIDTH, 8.2), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=(3.2, 1.1, 3.4), hspace=0.04)
    over_time, layers = figure.add_subplot(grid[0, :]), figure.add_subplot(grid[1, :])
    sums, gains = figure.add_subplot(grid[2, 0]), figure.add_subplot(grid[2, 1])
    used = _draw_time(over_time, found, segments)
    _draw_layers(layers, found)
    _draw_sums(sums, found)
    _draw_gains(gains, found)
    _title(figure, found)
    texts = {MULTIPLY: "multiplying"} | {c["cause"]: c["text"] for c in found["pe_idle"]}
    handles = [Patch(color=COLORS[c], label=texts[c]) for c in used]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    save(figure, path)


def _title(figure: Figure, found: dict[str, Any]) -> None:
    parts = [f"{found['model']} on {found['target']}", f"{found['cycles']:,} cycles"]
    if found["bound"] and found["bound"]["ticks"]:
        ratio = found["ticks"] / found["bound"]["ticks"]
        parts.append(f"{ratio:.2f} x the bound by {found['bound']['resource']}")
    share = found["pe_multiplying_ticks"] / max(1, found["ticks"])
    parts.append(f"PE multiplying {100 * share:.1f} %")
    text = "   ·   ".join(parts)
    figure.suptitle(text, x=0.012, ha="left", fontsize=12, color=INK, weight="bold")


def shares_by_bin(segments: Segments, total: int, bins: int) -> dict[str, NDArray[np.float64]]:
    """For each cause the share of every bin of the run that it takes; they add up to 1."""
    begin, end, cause = segments
    edges = np.linspace(0, max(total, 1), bins + 1)
    found: dict[str, NDArray[np.float64]] = {}
    for name in dict.fromkeys(cause.tolist()):
        mine = cause == name
        a, b = begin[mine].astype(np.float64), end[mine].astype(np.float64)
        before = np.concatenate([[0.0], np.cumsum(b - a)])
        k = np.searchsorted(a, edges, side="right")
        last = np.maximum(k - 1, 0)
        running = np.clip(edges - a[last], 0, (b - a)[last])
        spent = np.where(k > 0, before[last] + running, 0.0)
        found[name] = np.diff(spent) / np.diff(edges)
    return found


def _draw_time(axes: Axes, found: dict[str, Any], segments: Segments) -> list[str]:
    shares = shares_by_bin(segments, found["ticks"], BINS)
    used = [name for name in COLORS if name in shares]
    if used:
        at = (np.arange(BINS) + 0.5) / BINS * 1e6 * found["time_s"]
        axes.stackplot(
            at,
            [shares[name] for name in used],
            colors=[COLORS[name] for name in used],
            linewidth=0,
            step="mid",
        )
    axes.set_xlim(0, max(1e6 * found["time_s"], 1e-9))
    axes.set_ylim(0, 1)
    axes.set_ylabel("tensor engine's time", fontsize=9, color=INK)
    axes.set_xlabel("time (µs)", fontsize=9, color=INK)
    axes.tick_params(labelsize=8)
    return used


def _draw_layers(axes: Axes, found: dict[str, Any]) -> None:
    """A bar for each layer, as long as its share, in the order of the run; colour: what binds."""
    left = 0.0
    for layer in found["layers"]:
        share = layer["share_of_run"]
        if share <= 0:
            continue
        axes.barh(0, share, left=left, height=0.8, color=_binding_color(layer), edgecolor="white")
        if share > 0.018:
            name = short(layer["name"], int(160 * share))
            middle = left + share / 2
            axes.text(middle, 0, name, ha="center", va="center", fontsize=6.5, color="white")
        left += share
    axes.set_xlim(0, 1)
    axes.set_xticks(np.linspace(0, 1, 11), [f"{10 * k} %" for k in range(11)], fontsize=8)
    axes.set_yticks([])
    axes.set_xlabel("layers by their share of the run; colour: what binds each", fontsize=9)
    _bare(axes)


def _binding_color(layer: dict[str, Any]) -> str:
    return COLORS.get(layer["binding_cause"] or "", FAINT)


def _draw_sums(axes: Axes, found: dict[str, Any]) -> None:
    rows = [(c["text"], c["share_of_run"], COLORS[c["cause"]]) for c in found["pe_idle"][:12]]
    _bars(axes, rows, "tensor engine idle, share of the run")


def _draw_gains(axes: Axes, found: dict[str, Any]) -> None:
    rows = [(w["change"], w["gain"], "#0072B2") for w in found["what_if"][:12]]
    _bars(axes, rows, "what if: gain in time, same program on the changed machine")


def _bars(axes: Axes, rows: list[tuple[str, float, str]], title: str) -> None:
    axes.set_title(title, fontsize=9, loc="left", color=INK)
    places = np.arange(len(rows))
    axes.barh(places, [r[1] for r in rows], color=[r[2] for r in rows], height=0.7)
    for k, (_, share, _) in enumerate(rows):
        axes.text(max(share, 0.0), k, f" {100 * share:.1f} %", va="center", fontsize=8, color=INK)
    axes.set_yticks(places, [r[0] for r in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xticks([])
    shares = [share for _, share, _ in rows]
    axes.set_xlim(min([0.0, *shares]), 1.12 * max([0.01, *shares]))
    _bare(axes)


def _bare(axes: Axes) -> None:
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_color(RULE)
        axes.spines[side].set_visible(side == "left")
    axes.tick_params(axis="y", length=0)
