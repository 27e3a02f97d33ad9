"""The head of a detector: joined on chip for each strip, stored where it belongs in the output."""

from __future__ import annotations

import numpy as np

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import FP32, Graph, Value
from tests.compiler.device_run import compiled, run, worst

CLASSES = 32
ANCHORS = 3


def head(sides: tuple[int, ...]) -> Graph:
    """For images of each side: convolve, anchors and positions first, boxes scaled, all joined."""
    rng = np.random.default_rng(0)
    b = GraphBuilder("head")
    parts, of_one = [], 4 + CLASSES
    for side in sides:
        x = b.input(f"x{side}", (1, 8, side, side), FP32)
        w = b.constant(rng.standard_normal((ANCHORS * of_one, 8, 1, 1)).astype(np.float32) / 3)
        y = b.emit("conv", x, w, strides=(1, 1), pads=((0, 0),) * 2, dilations=(1, 1))
        y = b.emit("reshape", y, shape=(1, ANCHORS, of_one, side, side))
        y = b.emit("sigmoid", b.emit("transpose", y, perm=(0, 1, 3, 4, 2)))
        places = b.constant(rng.standard_normal((1, 1, side, side, 2)).astype(np.float32))
        boxes = b.emit("add", _last(b, y, 0, 2), places)
        joined = b.emit("concat", boxes, _last(b, y, 2, 2), _last(b, y, 4, CLASSES), axis=4)
        parts.append(b.emit("reshape", joined, shape=(1, ANCHORS * side * side, of_one)))
    b.output(b.emit("concat", *parts, axis=1), "found")
    return b.finish()


def _last(b: GraphBuilder, value: Value, first: int, size: int) -> Value:
    """Part of the last dimension."""
    *outer, _ = value.shape
    starts, sizes = (0,) * len(outer) + (first,), (*outer, size)
    return b.emit("slice", value, starts=starts, sizes=sizes, steps=(1,) * len(sizes))


def test_a_head_that_has_no_room_whole_is_cut_through_its_parts() -> None:
    graph = head((128, 20))  # 3 x 128 positions of 36 numbers, twice, are 110 KB a partition
    made = compiled(graph, level=1)
    assert made.report["knobs"]["strips"]
    rng = np.random.default_rng(1)
    inputs = {v.name: rng.standard_normal(v.shape).astype(np.float32) for v in graph.inputs}
    assert worst(run(made, inputs), evaluate(graph, inputs)) < 1e-5
