"""Hypothesis strategies: problems, and problems cut from a full rectangle."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from compiler.memory import Problem, problem


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Up to 14 boxes with alignments and quadrants."""
    row = st.tuples(
        st.integers(0, 12),
        st.integers(1, 8),
        st.integers(1, 9),
        st.integers(0, 3),
        st.integers(1, 4),
    )
    rows = np.array(draw(st.lists(row, max_size=14)), np.int64).reshape(-1, 5)
    lower, life, size, q0, height = rows.T
    align = draw(st.sampled_from([1, 4]))
    return problem(lower, lower + life, size, align, q0, np.minimum(4, q0 + height))


@st.composite
def packings(draw: st.DrawFn, cuts: int = 16) -> tuple[Problem, int]:
    """Boxes that fill quadrants x bytes x time, cut in two again and again; and the height."""
    quadrants = draw(st.sampled_from([1, 4]))
    capacity = draw(st.integers(4, 64))
    whole = (0, draw(st.integers(2, 24)), 0, capacity, 0, quadrants)
    boxes: list[tuple[int, ...]] = [whole]
    for _ in range(draw(st.integers(0, cuts))):
        box = boxes.pop(draw(st.integers(0, len(boxes) - 1)))
        axis = 2 * draw(st.integers(0, 2))
        low, high = box[axis], box[axis + 1]
        if high - low < 2:
            boxes.append(box)
            continue
        at = draw(st.integers(low + 1, high - 1))
        boxes.append((*box[: axis + 1], at, *box[axis + 2 :]))
        boxes.append((*box[:axis], at, *box[axis + 1 :]))
    table = np.array(draw(st.permutations(boxes)), np.int64)
    lower, upper, bottom, top, q0, q1 = table.T
    return problem(lower, upper, top - bottom, 1, q0, q1), capacity
