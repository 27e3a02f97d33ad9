"""What a solver places is placed right, by a check of all pairs; and the easy is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.schedule.allocate import SOLVERS, Problem, Solver, peak, solve, used
from compiler.schedule.demand import BLOCK, add, base_curves, blocks_of, greatest
from compiler.schedule.heaps import pop, push


def plain(function: Any) -> Any:
    """The Python of a function that only compiled ones may call."""
    return getattr(function, "py_func", function)


def problem(rows: list[tuple[int, int, int, int, int]], capacity: int, align: int = 1) -> Problem:
    """Rows are (start, end, size, q0, q1)."""
    table = np.array(rows, np.int64).reshape(-1, 5)
    start, end, size, q0, q1 = (column.copy() for column in table.T)
    return Problem(start, end, size, np.full(len(table), align), q0, q1, capacity)


def faults(p: Problem, address: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of boxes that overlap; a box paired with itself is out of bounds or out of line."""
    wrong = []
    for a in range(len(p)):
        inside = address[a] >= 0 and address[a] + p.size[a] <= p.capacity
        if not inside or address[a] % p.align[a]:
            wrong.append((a, a))
        for b in range(a):
            in_time = p.start[a] < p.end[b] and p.start[b] < p.end[a]
            in_quadrants = p.q0[a] < p.q1[b] and p.q0[b] < p.q1[a]
            in_bytes = address[a] < address[b] + p.size[b] and address[b] < address[a] + p.size[a]
            if in_time and in_quadrants and in_bytes:
                wrong.append((b, a))
    return wrong


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    count = draw(st.integers(0, 14))
    rows = []
    for _ in range(count):
        start, life = draw(st.integers(0, 12)), draw(st.integers(1, 8))
        q0 = draw(st.integers(0, 3))
        q1 = draw(st.integers(q0 + 1, 4))
        rows.append((start, start + life, draw(st.integers(1, 9)), q0, q1))
    return problem(rows, draw(st.integers(9, 40)), draw(st.sampled_from([1, 4])))


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.__name__)
@settings(deadline=None)  # the first call compiles
@given(p=problems())
def test_whatever_a_solver_places_is_placed_right(solver: Solver, p: Problem) -> None:
    address = solver(p)
    if address is not None:
        assert faults(p, address) == []


@settings(deadline=None)
@given(p=problems())
def test_no_answer_takes_fewer_bytes_than_the_peak(p: Problem) -> None:
    address = solve(p)
    if address is not None:
        assert peak(p) <= used(p, address) <= p.capacity


def test_with_room_for_all_there_is_an_answer() -> None:
    rows = [(i, i + 5, 7, 0, 4) for i in range(50)]
    p = problem(rows, 35)
    address = solve(p)
    assert address is not None
    assert peak(p) == 35


def test_more_than_the_capacity_has_no_answer() -> None:
    assert solve(problem([(0, 2, 6, 0, 4), (1, 3, 5, 0, 4)], 10)) is None


def test_disjoint_quadrants_share_bytes() -> None:
    assert solve(problem([(0, 2, 10, 0, 2), (0, 2, 10, 2, 4)], 10)) is not None


def test_first_fit_alone_would_miss_this() -> None:
    """A hole of the right size opens only where large boxes were placed first."""
    rows = [(0, 4, 2, 0, 1), (0, 2, 3, 0, 1), (2, 8, 5, 0, 1), (4, 8, 5, 0, 1), (6, 9, 2, 0, 1)]
    p = problem(rows, 12)
    address = solve(p)
    assert address is not None
    assert faults(p, address) == []


@settings(deadline=None)
@given(
    st.integers(1, 3 * BLOCK),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400), st.integers(-9, 9)), max_size=20),
)
def test_demand_curves_answer_as_a_plain_array_does(
    units: int, changes: list[tuple[int, int, int]]
) -> None:
    none = np.zeros(0, np.int64)
    curve = base_curves(units, none, none, none, none, none, none)
    blocks = blocks_of(curve)
    array = np.zeros(units, np.int64)
    for a, b, amount in changes:
        begin, end = sorted((a % (units + 1), b % (units + 1)))
        plain(add)(curve, blocks, 3, begin, end, amount)
        array[begin:end] += amount
        wanted = max(0, int(array[begin:end].max(initial=0)))
        assert plain(greatest)(curve, blocks, 3, begin, end) == wanted


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), max_size=40))
def test_a_heap_gives_the_least_first(entries: list[tuple[int, int]]) -> None:
    keys, items = np.zeros(41, np.int64), np.zeros(41, np.int64)
    size = 0
    for key, item in entries:
        size = plain(push)(keys, items, size, key, item)
    found = []
    while size:
        found.append((int(keys[0]), int(items[0])))
        size = plain(pop)(keys, items, size)
    assert found == sorted(entries)
