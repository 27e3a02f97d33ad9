"""A broken graph is refused with the rule that it breaks."""

from __future__ import annotations

import pytest

from compiler.errors import UsageError, VerifyError
from compiler.graph.evaluate import evaluate
from compiler.graph.text import parse_graph
from compiler.graph.verify import verify

BROKEN = {
    "SYS-G001": '%0 "x": float32[2] = input\n%0 "z": float32[2] = neg(%0) {}\nreturn %0',
    "SYS-G002": '%0 "x": float32[2] = input\n%1 "a": float32[2] = input\n'
    '%1 "y": float32[2] = neg(%0) {}\nreturn %1',
    "SYS-G003": '%0 "x": float32[2] = input\nreturn %0',
    "SYS-G004": '%0 "x": float32[2] = input\n%1 "y": float32[2] = frob(%0) {}\nreturn %1',
    "SYS-G005": '%0 "x": float32[2] = input\n%1 "y": float32[3] = neg(%0) {}\nreturn %1',
}


@pytest.mark.parametrize("code", BROKEN)
def test_a_broken_graph_is_refused(code: str) -> None:
    graph = parse_graph('graph "g" {\n' + BROKEN[code] + "\n}")
    wanted = "SYS-G00[12]" if code in ("SYS-G001", "SYS-G002") else code
    with pytest.raises(VerifyError, match=wanted):
        verify(graph, after="a pass")


def test_float_width_is_free_but_kind_is_not() -> None:
    head = 'graph "g" {\n%0 "x": float32[2] = input\n'
    verify(parse_graph(head + '%1 "y": bfloat16[2] = neg(%0) {}\nreturn %1\n}'))
    with pytest.raises(VerifyError, match="SYS-G005"):
        verify(parse_graph(head + '%1 "y": int32[2] = neg(%0) {}\nreturn %1\n}'))


@pytest.mark.parametrize(("inputs", "code"), [
    ({}, "SYS-G201"), ({"x": [1.0]}, "SYS-G202"), ({"x": [1.0, 2.0], "z": [1]}, "SYS-G200"),
])  # fmt: skip
def test_wrong_inputs_are_refused(inputs: dict[str, list[float]], code: str) -> None:
    graph = parse_graph('graph "g" {\n%0 "x": float32[2] = input\n'
                        '%1 "y": float32[2] = neg(%0) {}\nreturn %1\n}')  # fmt: skip
    with pytest.raises(UsageError, match=code):
        evaluate(graph, inputs)  # type: ignore[arg-type]  # lists become arrays


def test_an_index_past_the_table_is_refused() -> None:
    graph = parse_graph(
        'graph "g" {\n%0 "t": float32[3] = input\n%1 "i": int64[1] = input\n'
        '%2 "y": float32[1] = gather(%0, %1) {axis=0}\nreturn %2\n}'
    )
    with pytest.raises(UsageError, match="SYS-G203"):
        evaluate(graph, {"t": [1.0, 2.0, 3.0], "i": [3]})  # type: ignore[dict-item]  # likewise
