"""The cut, on random graphs: sections are in order, convex, on the right side, and few."""

from __future__ import annotations

from itertools import pairwise

import onnx
from hypothesis import given
from hypothesis import strategies as st

from compiler.partition.calls import Call
from compiler.partition.cut import Section, borders, crossing, cut, too_small

Graphs = tuple[list[Call], set[str]]


def call(name: str, *reads: str) -> Call:
    return Call(name, "Op", onnx.NodeProto(), reads, (f"t{name}",))


@st.composite
def graphs(draw: st.DrawFn) -> Graphs:
    calls: list[Call] = []
    for i in range(draw(st.integers(1, 14))):
        reads = draw(st.lists(st.sampled_from(["in", *(f"t{c.name}" for c in calls)]), max_size=3))
        calls.append(call(str(i), *dict.fromkeys(reads)))
    host = {c.name for c in calls if draw(st.booleans())}
    return calls, host


@given(graphs())
def test_sections_take_turns_and_need_nothing_of_later_ones(graph: Graphs) -> None:
    calls, host = graph
    sections = cut(calls, host)
    assert sorted(c.name for s in sections for c in s.calls) == sorted(c.name for c in calls)
    assert all(a.on_host != b.on_host for a, b in pairwise(sections))
    known = {"in"}
    for section in sections:
        assert all((c.name in host) == section.on_host for c in section.calls)
        for c in section.calls:
            assert set(c.reads) <= known
            known.update(c.writes)


@given(graphs())
def test_no_order_has_fewer_turns_of_the_device(graph: Graphs) -> None:
    calls, host = graph
    turns: dict[str, int] = {"in": 0}  # tensor -> device sections on the way to it, at least
    side: dict[str, bool] = {"in": True}
    for c in calls:
        on_host = c.name in host
        least = max((turns[r] + (not on_host and side[r]) for r in c.reads), default=not on_host)
        turns[c.writes[0]], side[c.writes[0]] = int(least), on_host
    sections = cut(calls, host)
    assert sum(not s.on_host for s in sections) == max(turns.values())


@given(graphs())
def test_what_crosses_is_given_before_it_is_taken(graph: Graphs) -> None:
    calls, host = graph
    sections = cut(calls, host)
    wanted = [calls[-1].writes[0]]
    found = borders(sections, [], wanted)
    known = {"in"}
    for border in found:
        assert set(border.takes) <= known
        known.update(border.gives)
    assert set(wanted) <= known
    down, up = crossing(sections, found, {f"t{c.name}": 1 for c in calls})
    assert down + up <= sum(len(b.takes) for b in found)


def test_what_only_a_later_section_needs_is_computed_there() -> None:
    calls = [call("a", "in"), call("mask", "in"), call("h", "ta"), call("b", "th", "tmask")]
    sections = cut(calls, {"h"})
    assert [[c.name for c in s.calls] for s in sections] == [["a"], ["h"], ["mask", "b"]]


def test_a_section_that_is_not_worth_the_crossing_joins_the_host() -> None:
    sections = [
        Section(False, (call("small", "in"),)),
        Section(True, (call("h", "tsmall"),)),
        Section(False, (call("p", "th"), call("q", "tp"))),
    ]
    products = {"p": 10}
    found = too_small(sections, lambda c: products.get(c.name, 0), 1)
    assert list(found) == ["small"]
    assert "no products" in found["small"]
    assert too_small(sections[:1], lambda _: 0, 5) == {}  # one is always kept
    products["small"] = 5
    assert too_small(sections, lambda c: products.get(c.name, 0), 1) == {}
    assert list(too_small(sections, lambda c: products.get(c.name, 0), 2)) == ["small"]
