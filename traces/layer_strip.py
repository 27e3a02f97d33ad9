"""The strip of a timeline that says which of the model's layers computes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from isa.memory import FIRST_QUEUE, Engine
from traces.coverage import coverage
from traces.lanes import Lane
from traces.picture import COLUMNS, INK
from traces.trace import Trace

Columns = NDArray[np.int64]
_LETTERS = 165  # that fit in the strip's width
_MOST_RUNS = 32  # that are worth a name each


def draw_layers(axes: Axes, trace: Trace, rows: list[Lane]) -> float:
    """Draw the strip above y = 0; give its upper end.

    Names stand where there is room: each layer's own, or in a long model that of its group, which
    is the front of its path.
    """
    layer = layer_of_columns(trace, rows)
    colors = np.array([*map(to_rgb, layer_colors(len(trace.layers))), (1.0, 1.0, 1.0)])
    pale = 0.45 * colors[layer] + 0.55
    axes.imshow(pale[None], extent=(0, 1, -0.12, -0.88), aspect="auto", interpolation="nearest")
    for low, high, name in runs_with_names(layer, trace.layers):
        room = int((high - low) / COLUMNS * _LETTERS)
        if room >= min(4, len(name)):
            middle = (low + high) / 2 / COLUMNS
            text = short(name, room)
            axes.text(middle, -0.5, text, ha="center", va="center", fontsize=7, color=INK)
    return -1.0


def layer_of_columns(trace: Trace, rows: list[Lane]) -> Columns:
    """The layer that computes in each column, or that is waited for; -1 for none. [COLUMNS]"""
    e, total = trace.events, trace.total_ticks
    best, layer = np.zeros(COLUMNS), np.full(COLUMNS, -1)
    engines = [lane for lane in rows if lane.stream < FIRST_QUEUE]
    for lane in engines or rows:
        weight = 1.0 if lane.stream == Engine.TENSOR else 0.05
        for i in np.unique(e.layer[lane.rows]).tolist():
            mine = lane.rows[e.layer[lane.rows] == i]
            share = weight * coverage(e.start[mine], e.end[mine], total, COLUMNS)
            better = (share > best) & (i >= 0)
            best, layer = np.where(better, share, best), np.where(better, i, layer)
    known = np.append(np.flatnonzero(layer >= 0), COLUMNS)
    following = known[np.searchsorted(known, np.arange(COLUMNS))]
    return np.asarray(np.append(layer, -1)[following], dtype=np.int64)


def runs_with_names(layer: Columns, names: tuple[str, ...]) -> list[tuple[int, int, str]]:
    """Neighbouring columns of one name: [low, high) and the name.

    The names are the longest fronts of the layers' paths that make no more than `_MOST_RUNS` runs.
    """
    paths = [name.strip("/").split("/") for name in names]
    present = np.unique(layer[layer >= 0]).tolist()
    deepest = max((len(paths[i]) for i in present), default=1)
    for depth in range(deepest, 0, -1):
        groups = {i: "/".join(paths[i][:depth]) for i in present}
        runs = _runs(layer, groups)
        if len(runs) <= _MOST_RUNS:
            return runs
    return _runs(layer, {i: "/".join(paths[i]) for i in present})


def _runs(layer: Columns, groups: dict[int, str]) -> list[tuple[int, int, str]]:
    numbers = {name: k for k, name in enumerate(dict.fromkeys(groups.values()))}
    of_layer = np.full(max(groups, default=0) + 2, -1)
    for i, name in groups.items():
        of_layer[i] = numbers[name]
    group = of_layer[layer]
    edges = np.flatnonzero(np.diff(group, prepend=-2, append=-2))
    texts = list(numbers)
    return [
        (a, b, texts[group[a]])
        for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if group[a] >= 0
    ]


def layer_colors(count: int) -> list[Any]:
    """Neighbours differ in shade, far apart layers in hue."""
    hues = colormaps["turbo"](np.linspace(0.06, 0.94, max(count, 1)))[:, :3]
    shade = np.where(np.arange(len(hues)) % 2, 0.72, 1.0)[:, None]
    return [tuple(c) for c in hues * shade]


def short(text: str, room: int) -> str:
    """At most `room` letters; a name's end says more than its beginning."""
    return text if len(text) <= room else "…" + text[len(text) - room + 1 :]
