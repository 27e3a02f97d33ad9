"""The checker says what is wrong, and its two ways of looking agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import VerifyError
from compiler.memory import Problem, problem
from compiler.memory.checker import faults, sweep_faults
from tests.compiler.memory.drawn import problems

TWO = problem(lower=[0, 1], upper=[2, 3], size=[4, 4])


def test_boxes_side_by_side_are_right() -> None:
    assert faults(TWO, np.array([0, 4]), 8) == []


def test_a_shared_byte_is_a_fault() -> None:
    assert faults(TWO, np.array([0, 3]), 8) == ["boxes 0 and 1 share bytes while both are live"]


def test_what_ends_when_another_starts_may_share_its_bytes() -> None:
    assert faults(problem([0, 2], [2, 3], [4, 4]), np.array([0, 0]), 4) == []


def test_other_quadrants_may_share_bytes() -> None:
    assert faults(problem([0, 0], [2, 2], 4, q0=[0, 1], q1=[1, 4]), np.array([0, 0]), 4) == []


def test_a_box_beyond_the_capacity_is_a_fault() -> None:
    assert faults(TWO, np.array([0, 5]), 8) == ["box 1 takes bytes 5 to 9 of 8"]


def test_a_box_off_its_alignment_is_a_fault() -> None:
    p = problem([0], [1], [4], align=4)
    assert faults(p, np.array([2]), 8) == ["box 0 stands at byte 2, not a multiple of 4"]


@given(p=problems(), data=st.data())
def test_pairs_and_sweep_agree(p: Problem, data: st.DataObject) -> None:
    offsets = data.draw(st.lists(st.integers(0, 30), min_size=len(p), max_size=len(p)))
    placed = np.array(offsets, np.int64)
    assert bool(faults(p, placed, 36)) == bool(sweep_faults(p, placed, 36))


@pytest.mark.parametrize(
    "wrong", [{"upper": 0}, {"size": 0}, {"align": 0}, {"q0": 1, "q1": 1}], ids=str
)
def test_a_box_without_extent_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(VerifyError, match="SYS-S010"):
        problem(**{"lower": [0], "upper": 1, "size": 1, **wrong})  # type: ignore[arg-type]
