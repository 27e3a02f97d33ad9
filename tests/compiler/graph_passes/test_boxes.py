"""A box of a result, made of boxes of the operands, is that box of the whole result."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import apply
from compiler.graph.graph import FP32, Array, Graph, Node
from compiler.graph_passes.boxes import Box, piece, sizes
from compiler.graph_passes.reshaped_boxes import reshaped

RNG = np.random.default_rng(5)


def _numbers(*shape: int) -> Array:
    return RNG.integers(-9, 9, shape).astype(np.float32)


def _graph(op: str, shapes: list[tuple[int, ...]], **attrs: object) -> tuple[Graph, list[Array]]:
    b = GraphBuilder("one")
    arrays = [_numbers(*s) for s in shapes]
    values = [b.input(f"x{i}", s, FP32) for i, s in enumerate(shapes)]
    if "indices" in attrs:
        values.append(b.constant(np.array(attrs.pop("indices"))))
        arrays.append(np.array(b.array(values[-1])))
    made = b.emit_all(op, values, attrs)  # type: ignore[arg-type]  # as each case says
    for i, v in enumerate(made):
        b.output(v, f"y{i}")
    return b.finish(), arrays


def _cut(array: Array, box: Box) -> Array:
    return array[tuple(slice(first, first + size) for first, size in box)]


def _kinds(node: Node) -> list[np.dtype[np.generic]]:
    return [v.dtype for v in node.outputs]


SPATIAL = {"strides": (2, 1), "dilations": (1, 2), "pads": ((1, 2), (2, 0))}
CASES: dict[str, tuple[list[tuple[int, ...]], dict[str, object]]] = {
    "add": ([(3, 1, 5), (4, 1)], {}),
    "select": ([], {}),
    "broadcast_to": ([(4, 1, 3)], {"shape": (2, 4, 5, 3)}),
    "matmul": ([(2, 1, 4, 5), (3, 6, 5)], {"transpose_b": True}),
    "conv": ([(2, 6, 9, 8), (8, 3, 3, 2)], {"groups": 2, **SPATIAL}),
    "conv_transpose": (
        [(2, 4, 5, 6), (4, 3, 3, 2)],
        {"groups": 2, "strides": (2, 3), "dilations": (1, 1), "pads": ((1, 0), (0, 0)),
         "output_padding": (1, 0)},
    ),
    "reduce_window": ([(2, 3, 9, 8)], {"kind": "max", "window": (3, 2), **SPATIAL}),
    "reduce": ([(3, 4, 5)], {"kind": "sum", "axes": (1,), "keepdims": False}),
    "argmax": ([(3, 4, 5)], {"axis": 1, "keepdims": False}),
    "topk": ([(3, 4, 5)], {"axis": 1, "k": 2}),
    "cumsum": ([(3, 4, 5)], {"axis": 1}),
    "transpose": ([(3, 4, 5)], {"perm": (2, 0, 1)}),
    "reshape": ([(4, 6, 10)], {"shape": (2, 12, 5, 2)}),
    "slice": ([(7, 9)], {"starts": (6, 1), "sizes": (3, 4), "steps": (-2, 2)}),
    "concat": ([(2, 3), (2, 4), (2, 1)], {"axis": 1}),
    "pad": ([(3, 4)], {"pads": ((2, 1), (0, 3)), "value": 7.0}),
    "gather": ([(3, 6, 2)], {"axis": 1, "indices": [[5, -6], [2, 2]]}),
}  # fmt: skip
CASES["pad "] = [(3, 4)], {"pads": ((2, 1), (0, 3)), "mode": "reflect"}
CASES["conv "] = [(1, 4, 9), (6, 4, 3)], {"strides": (3,), "dilations": (2,), "pads": ((2, 3),)}
CASES["reduce "] = [(3, 4, 5)], {"kind": "max", "axes": (0, 2), "keepdims": True}
del CASES["select"]


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_pieces(case: str, data: st.DataObject) -> None:
    shapes, attrs = CASES[case]
    graph, arrays = _graph(case.strip(), shapes, **attrs)
    node = graph.nodes[0]
    whole = apply(node.op, arrays, node.attrs, _kinds(node))
    box = []
    for extent in node.output.shape:
        first = data.draw(st.integers(0, extent - 1))
        box.append((first, data.draw(st.integers(1, extent - first))))
    made = piece(node, tuple(box), graph.constants)
    for (first, size), (at, many) in zip(box, made.made, strict=True):
        assert at <= first  # it is around what was asked for
        assert first + size <= at + many
    if made.filled is not None:
        assert (_cut(whole[0], made.made) == made.filled).all()
        return
    operands = []
    for i, (array, read) in enumerate(zip(arrays, made.reads, strict=True)):
        if i in made.replaced:
            operands.append(made.replaced[i])
        elif read is not None:
            operands.append(_cut(array, read))
    parts = apply(node.op, operands, {**node.attrs, **made.attrs}, _kinds(node))
    for part, result in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(part, _cut(result, made.made))


SHAPES = [(4, 6, 10), (240,), (24, 10), (2, 2, 60), (1, 240, 1), (8, 30), (5, 48), (3, 8, 1, 10)]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_reshapes(data: st.DataObject) -> None:
    old, new = data.draw(st.sampled_from(SHAPES)), data.draw(st.sampled_from(SHAPES))
    box = []
    for extent in new:
        first = data.draw(st.integers(0, extent - 1))
        box.append((first, data.draw(st.integers(1, extent - first))))
    made, read = reshaped(old, new, tuple(box))
    x = np.arange(math.prod(old))
    here = _cut(x.reshape(old), read).reshape(sizes(made))
    np.testing.assert_array_equal(here, _cut(x.reshape(new), made))


def test_heads_are_columns() -> None:
    """A head of some rows is as much of the vectors that the heads were cut from."""
    box = ((0, 1), (128, 64), (3, 2), (0, 64))
    assert reshaped((1, 512, 768), (1, 512, 12, 64), box) == (box, ((0, 1), (128, 64), (192, 128)))
