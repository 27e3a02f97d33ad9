"""Pictures: what they are made of is exact; that they are drawn, small and quickly, is tried."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from isa.errors import SystolaError
from tests.traces.synthetic import pipelined, traces
from traces import Trace
from traces.classes import WorkClass, work_classes
from traces.coverage import coverage, envelope
from traces.plots import occupancy, plot_occupancy, plot_timeline, timeline


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=9), st.integers(1, 20))
def test_coverage_is_the_share_of_each_column(steps: list[tuple[int, int]], width: int) -> None:
    ends = np.cumsum(np.array(steps, dtype=int).reshape(-1, 2).ravel())
    start, end = ends[0::2], ends[1::2]
    total = int(ends[-1]) if len(ends) else 7
    total = max(total, 1)
    busy = np.zeros(total * width)
    for a, b in zip(start, end, strict=True):
        busy[a * width : b * width] = 1  # `width` samples a tick; a column has `total` of them
    expected = busy.reshape(width, total).mean(axis=1)
    assert coverage(start, end, total, width) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 99)), max_size=9), st.integers(1, 12))
def test_an_envelope_misses_no_peak(changes: list[tuple[int, int]], width: int) -> None:
    ticks = np.concatenate([[0], np.cumsum([t for t, _ in changes])]).astype(np.int64)
    values = np.array([5, *(v for _, v in changes)])
    total = int(ticks[-1]) + 3
    fine = values[np.searchsorted(ticks, np.arange(total * width) / width, side="right") - 1]
    expected = fine.reshape(width, total).max(axis=1)
    assert envelope(ticks, values, total, width).tolist() == expected.tolist()


def test_every_row_has_a_class_of_work() -> None:
    trace = pipelined(6)
    counts = np.bincount(work_classes(trace), minlength=len(WorkClass))
    assert counts[WorkClass.MATMUL] == counts[WorkClass.WEIGHTS] == 6
    assert counts[WorkClass.DMA_READ] == 6
    assert counts[WorkClass.DMA_WRITE] == 4
    assert counts[WorkClass.ACTIVATION] + counts[WorkClass.ARITHMETIC] == 6


def test_the_timeline_has_a_row_for_every_engine_and_names_the_run() -> None:
    figure = timeline(pipelined(60))
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels == ["layer", "PE", "PE weights", "ACT", "DVE", "q0", "q1"]
    title = figure.get_suptitle()
    for part in ("synthetic on inf1", "cycles", "PE utilisation 61.0 %", "PE busy"):
        assert part in title


def test_the_occupancy_names_peaks() -> None:
    figure = occupancy(pipelined(60))
    texts = [axes.get_title(loc="right") for axes in figure.axes]
    assert texts[0].startswith("peak ")
    assert "of 12 MiB" in texts[0]
    assert "banks" in texts[1]
    assert "of 49.2 GB/s" in texts[2]


@pytest.mark.parametrize("color_by", ["class", "layer"])
def test_pictures_are_files_with_the_same_bytes_each_time(color_by: str, tmp_path: Path) -> None:
    files = []
    for name in ("a.png", "b.png"):
        plot_timeline(pipelined(60), tmp_path / name, color_by=color_by)  # type: ignore[arg-type]
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    height, width, _ = imread(io.BytesIO(files[0])).shape
    assert 1500 < width < 2500
    assert 300 < height < 1200


@settings(max_examples=4, deadline=None)
@given(traces())
def test_any_trace_can_be_drawn(trace: Trace) -> None:
    timeline(trace).canvas.draw()
    timeline(trace, color_by="layer").canvas.draw()
    occupancy(trace).canvas.draw()


def test_an_empty_run_can_be_drawn(tmp_path: Path) -> None:
    trace = Trace.from_arrays(name="m", target="inf1", ticks_per_s=10**9, start=np.zeros(0, int))
    plot_timeline(trace, tmp_path / "a.svg")
    plot_occupancy(trace, tmp_path / "b.pdf")
    assert (tmp_path / "a.svg").read_bytes().startswith(b"<?xml")
    assert (tmp_path / "b.pdf").read_bytes().startswith(b"%PDF")


def test_a_hundred_thousand_rows_are_drawn_in_seconds(tmp_path: Path) -> None:
    trace = pipelined(25_000)
    before = time.perf_counter()
    plot_timeline(trace, tmp_path / "a.png")
    plot_occupancy(trace, tmp_path / "b.png")
    assert time.perf_counter() - before < 15


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystolaError) as caught:
        plot_timeline(pipelined(2), tmp_path / "none" / "a.png")
    assert caught.value.code == "SYS-F001"
