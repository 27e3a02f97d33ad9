"""Whatever is found is right; what has a solution is solved, down to the hard instances."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.memory import Problem, minimise, problem, read_csv, solve
from compiler.memory.bounds import fullness, lower_bound, parts, sections
from compiler.memory.checker import faults, sweep_faults
from compiler.memory.solver import _greedy_tries, _search_parts, _view
from compiler.memory.state import NONE, SOLVED
from tests.compiler.memory.drawn import packings, problems

COMPILED = settings(deadline=None)  # the first call compiles


@COMPILED
@given(p=problems())
def test_every_greedy_order_is_right(p: Problem) -> None:
    for offsets, height in _greedy_tries(_view(p)):
        assert faults(p, offsets, height) == []


@COMPILED
@given(p=problems())
def test_the_least_height_found_is_right_and_no_lower_than_the_bound(p: Problem) -> None:
    found = minimise(p, budget=2000)
    assert faults(p, found.offsets, found.height) == []
    assert found.height >= found.lower_bound == lower_bound(p)


@COMPILED
@given(case=packings())
def test_what_was_cut_from_a_full_rectangle_is_put_back(case: tuple[Problem, int]) -> None:
    p, capacity = case
    found = solve(p, capacity)
    assert found is not None
    assert faults(p, found.offsets, capacity) == []
    assert found.height == found.lower_bound == capacity


@COMPILED
@given(case=packings())
def test_the_search_alone_puts_it_back(case: tuple[Problem, int]) -> None:
    p, capacity = case
    verdict, offsets, _ = _search_parts(_view(p), capacity, 1_000_000)
    assert verdict == SOLVED
    assert faults(p, offsets, capacity) == []


def lowest_of_all(p: Problem) -> int:
    """The least height, by first fit in every order: one of them gives a canonical solution."""
    least = 1 << 60
    for order in itertools.permutations(range(len(p))):
        top: list[tuple[int, int]] = []
        for b in order:
            met = [
                t
                for a, t in top
                if p.lower[a] < p.upper[b]
                and p.lower[b] < p.upper[a]
                and p.q0[a] < p.q1[b]
                and p.q0[b] < p.q1[a]
            ]
            at = -(-max(met, default=0) // int(p.align[b])) * int(p.align[b])
            top.append((b, at + int(p.size[b])))
        least = min(least, max((t for _, t in top), default=0))
    return least


@settings(deadline=None, max_examples=40)
@given(p=problems().filter(lambda p: 1 <= len(p) <= 6))
def test_search_decides_as_trying_everything_does(p: Problem) -> None:
    least = lowest_of_all(p)
    assert minimise(p).height == least
    assert _search_parts(_view(p), least, 100_000)[0] == SOLVED
    assert _search_parts(_view(p), least - 1, 100_000)[0] == NONE


def test_more_live_bytes_than_capacity_have_no_solution() -> None:
    assert solve(problem([0, 0], 1, [4, 5]), 8) is None


def test_no_boxes_take_no_bytes() -> None:
    found = minimise(problem([], [], []))
    assert (found.height, found.lower_bound, len(found.offsets)) == (0, 0, 0)


def test_boxes_of_different_quadrants_lie_side_by_side() -> None:
    found = minimise(problem([0] * 4, 1, 10, q0=[0, 1, 2, 3], q1=[1, 2, 3, 4]))
    assert found.offsets.tolist() == [0, 0, 0, 0]


def test_a_box_of_all_quadrants_lies_above_the_fullest() -> None:
    p = problem([0, 0, 0], 1, [5, 9, 2], q0=[0, 2, 0], q1=[2, 4, 4])
    assert minimise(p).height == 11


@given(p=problems())
def test_sections_keep_who_meets_whom(p: Problem) -> None:
    first, last, _ = sections(p)
    in_time = (p.lower[:, None] < p.upper) & (p.lower < p.upper[:, None])
    np.testing.assert_array_equal((first[:, None] < last) & (first < last[:, None]), in_time)


@given(p=problems())
def test_parts_share_no_moment_and_hold_every_box(p: Problem) -> None:
    groups = parts(*sections(p))
    assert sorted(b for g in groups for b in g.tolist()) == list(range(len(p)))
    for a, b in itertools.pairwise(groups):
        assert p.upper[a].max() <= p.lower[b].min()


@given(p=problems())
def test_fullness_is_that_of_the_fullest_section(p: Problem) -> None:
    first, last, count = sections(p)
    live = [int((p.size * (p.q1 - p.q0))[(first <= s) & (s < last)].sum()) for s in range(count)]
    expected = [max(live[f:e]) for f, e in zip(first, last, strict=True)]
    assert fullness(p, first, last, count).tolist() == expected


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1 << 16))
def test_the_same_problem_has_the_same_answer(seed: int) -> None:
    draw = np.random.default_rng(seed)
    lower = draw.integers(0, 50, 60)
    p = problem(lower, lower + draw.integers(1, 20, 60), draw.integers(1, 100, 60))
    one, two = minimise(p, budget=3000), minimise(p, budget=3000)
    assert one.offsets.tolist() == two.offsets.tolist()
    assert one.steps == two.steps


def random_problem(n: int, seed: int) -> Problem:
    draw = np.random.default_rng(seed)
    lower = draw.integers(0, n, n)
    return problem(lower, lower + draw.integers(1, n // 10, n), draw.integers(1, 1000, n))


@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_random_boxes_come_within_two_percent(seed: int) -> None:
    p = random_problem(1000, seed)
    found = minimise(p, tolerance=0.02)
    assert sweep_faults(p, found.offsets, found.height) == []
    assert found.height <= 1.02 * found.lower_bound


@pytest.mark.slow
def test_a_hundred_thousand_random_boxes_take_seconds() -> None:
    p = random_problem(100_000, 0)
    begin = time.perf_counter()
    found = minimise(p)
    assert time.perf_counter() - begin < 30
    assert sweep_faults(p, found.offsets, found.height) == []
    assert found.height <= 1.15 * found.lower_bound


@pytest.fixture(scope="module")
def instances() -> Path:
    default = Path(__file__).parents[4] / "shared" / "allocation"
    folder = Path(os.environ.get("SYSTOLA_ALLOCATION", default))
    if not folder.is_dir():
        pytest.skip("no folder of allocation instances; set SYSTOLA_ALLOCATION")
    return folder


STEPS = {"A": 82870, "B": 8406, "C": 1315, "D": 20647, "E": 164596, "F": 7617}
"""Steps that each takes: the same on every machine."""


@pytest.mark.parametrize("name", STEPS)
def test_the_hard_instances_are_solved_at_their_capacity(instances: Path, name: str) -> None:
    p, capacity = read_csv(instances / f"{name}.1048576.csv"), 1 << 20
    found = solve(p, capacity)
    assert found is not None
    assert faults(p, found.offsets, capacity) == []
    assert found.steps == STEPS[name]
