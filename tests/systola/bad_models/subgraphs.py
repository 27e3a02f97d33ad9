"""Bodies of If, Loop and Scan that do not fit."""

from __future__ import annotations

from tests.systola.bad_models.case import (
    LEGAL,
    Case,
    graph,
)

IF = "agraph (bool c, float[2] x) => (float[2] y) {{ y = If(c) <then_branch = g1 () => {} " \
     "else_branch = g2 () => (float[2] b) {{ b = Neg(x) }}> }}"  # fmt: skip
LOOP = "agraph (float[2] x) => (float[2] y) {{ {} y = Loop(t, , x) <body = g1 {}> }}"
TRIPS = "t = Constant<value = int64 {3}>() "

SUBGRAPHS = [
    Case("a branch that makes nothing", "SYS-P004", graph(IF.format("() { b = Neg(x) },"))),
    Case("a branch that makes too much", "SYS-P004", graph(
        IF.format("(float[2] a, float[2] b) { a = Neg(x)  b = Abs(x) },"))),
    Case("a branch with a dangling output", "SYS-F003", graph(
        IF.format("(float[2] a) { q = Neg(x) },"))),
    Case("a branch that is missing", "SYS-F003", graph(
        "agraph (bool c, float[2] x) => (float[2] y) "
        "{ y = If(c) <then_branch = g1 () => (float[2] b) { b = Neg(x) }> }")),
    Case("a loop body with too few outputs", "SYS-P004", graph(LOOP.format(
        TRIPS, "(int64 i, bool c, float[2] a) => (float[2] b) { b = Neg(a) }"))),
    Case("a loop whose state grows", LEGAL, graph(LOOP.format(
        TRIPS, "(int64 i, bool c, float[2] a) => (bool d, float[4] b) "
        "{ d = Identity(c)  b = Concat<axis = 0>(a, a) }"))),
    Case("a loop body with too few inputs", "SYS-F015", graph(LOOP.format(
        TRIPS, "(int64 i) => (bool d, float[2] b) "
        "{ d = Constant<value = bool {1}>()  b = Neg(x) }"))),
    Case("a loop of 2^62 trips", "SYS-P004", graph(LOOP.format(
        f"t = Constant<value = int64 {{{1 << 62}}}>() ",
        "(int64 i, bool c, float[2] a) => (bool d, float[2] b) "
        "{ d = Identity(c)  b = Neg(a) }"))),
    Case("a scan that scans nothing", "SYS-F015", graph(
        "agraph (float[2] x) => (float[2] y) { y = Scan<num_scan_inputs = 5, "
        "body = g1 (float[2] a) => (float[2] b) { b = Neg(a) }>(x) }")),
    Case("a scan without its count", "SYS-F003", graph(
        "agraph (float[2] x) => (float[2] y) { y = Scan<"
        "body = g1 (float[2] a) => (float[2] b) { b = Neg(a) }>(x) }")),
]  # fmt: skip
