"""A softmax between two products: whatever its shape, one nest that agrees with the graph."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import FP32, Graph, Value
from compiler.lowering.softmax_nest import find_nests
from isa.program import BufferKind
from tests.compiler.device_run import compiled, error_on_device

# batch, heads, queries, keys, columns a head
SHAPES = {
    "two heads side by side": (2, 4, 128, 128, 64),
    "rows and keys end inside a block": (1, 2, 197, 197, 64),
    "a narrow head": (1, 3, 20, 33, 8),
    "heads of quarters": (1, 4, 40, 130, 32),
    "a long row": (1, 1, 130, 1100, 64),
    "wide heads": (1, 2, 64, 64, 128),
}


def attention(
    shape: tuple[int, int, int, int, int],
    masked: bool = False,
    divides: bool = False,
    padded: bool = False,
    rotary: bool = False,
) -> Graph:
    """softmax(x a (y b)^T / 8 [+ mask]) (y c), heads joined, times w: an attention layer.

    Args:
        masked: a causal mask, a constant.
        padded: a mask that is an input, one row for each item of the batch.
        rotary: queries and keys are rotated: q cos + (-q[half:], q[:half]) sin.
    """
    batch, heads, rows, keys, columns = shape
    rng = np.random.default_rng(0)
    width = heads * columns
    b = GraphBuilder("attention")
    x, y = b.input("x", (batch, rows, width), FP32), b.input("y", (batch, keys, width), FP32)
    weights = [
        b.constant((rng.standard_normal((width, width)) / np.sqrt(width)).astype(np.float32))
        for _ in range(4)
    ]

    def split(value: Value, extent: int, w: Value, perm: tuple[int, ...]) -> Value:
        made = b.emit("matmul", value, w)
        return b.emit(
            "transpose",
            b.emit("reshape", made, shape=(batch, extent, heads, columns)),
            perm=perm,
        )

    def rotated(value: Value) -> Value:
        extent, half = value.shape[2], columns // 2
        angles = np.outer(np.arange(extent), 0.5 ** np.arange(half))
        cos, sin = (np.tile(f(angles), 2).astype(np.float32) for f in (np.cos, np.sin))
        sizes, steps = (batch, heads, extent, half), (1, 1, 1, 1)
        low, high = (
            b.emit("slice", value, starts=(0, 0, 0, at), sizes=sizes, steps=steps)
            for at in (0, half)
        )
        turned = b.emit("concat", b.emit("neg", high), low, axis=3)
        straight = b.emit("mul", value, b.constant(cos))
        return b.emit("add", straight, b.emit("mul", turned, b.constant(sin)))

    q = split(x, rows, weights[0], (0, 2, 1, 3))
    if rotary:
        q = rotated(q)
        k = b.emit(
            "transpose", rotated(split(y, keys, weights[1], (0, 2, 1, 3))), perm=(0, 1, 3, 2)
        )
    else:
        k = split(y, keys, weights[1], (0, 2, 3, 1))
    v = split(y, keys, weights[2], (0, 2, 1, 3))
    scores = b.emit("mul", b.emit("matmul", q, k), b.constant(np.float32(0.125)))
    if masked:
        causal = np.where(np.tri(rows, keys), 0, -np.inf).astype(np.float32)
        scores = b.emit("add", scores, b.constant(causal))
    if padded:
        scores = b.emit("add", scores, b.input("mask", (batch, 1, 1, keys), FP32))
    top = b.emit("reduce", scores, kind="max", axes=(3,), keepdims=True)
    e = b.emit("exp", b.emit("sub", scores, top))
    total = b.emit("reduce", e, kind="sum", axes=(3,), keepdims=True)
    weight = b.emit("div", e, total) if divides else b.emit("mul", e, b.emit("reciprocal", total))
    out = b.emit("transpose", b.emit("matmul", weight, v), perm=(0, 2, 1, 3))
    joined = b.emit("reshape", out, shape=(batch, rows, width))
    b.output(b.emit("matmul", joined, weights[3]), "out")
    return b.finish()


def inputs(shape: tuple[int, int, int, int, int]) -> dict[str, np.ndarray]:
    """Inputs of `attention`."""
    batch, heads, rows, keys, columns = shape
    rng = np.random.default_rng(1)
    return {
        name: rng.standard_normal((batch, extent, heads * columns)).astype(np.float32)
        for name, extent in (("x", rows), ("y", keys))
    }


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_attention_agrees_with_its_graph(
    shape: tuple[int, int, int, int, int], masked: bool
) -> None:
    graph = attention(shape, masked, divides=masked)
    assert len(find_nests(graph)) == 1
    assert error_on_device(graph, inputs(shape)) < 2e-5


@pytest.mark.parametrize("shape", [(2, 4, 200, 200, 32), (1, 1, 130, 1100, 64)])
@pytest.mark.parametrize("padded", [False, True])
def test_a_mask_loaded_block_by_block_is_the_same(
    shape: tuple[int, int, int, int, int], padded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = attention(shape, masked=True, padded=padded)
    given = inputs(shape)
    if padded:
        given["mask"] = np.where(np.arange(shape[3]) < shape[3] // 2, 0, -9).astype(np.float32)
        given["mask"] = np.tile(given["mask"], (shape[0], 1, 1, 1))
    monkeypatch.setattr("compiler.lowering.softmax_rows.STREAMED_BYTES", 1)
    assert error_on_device(graph, given) < 2e-5


@pytest.mark.parametrize("heads", [1, 2, 12])
def test_rotated_heads_agree_with_their_graph(heads: int) -> None:
    shape = (1, heads, 70, 70, 64)
    assert error_on_device(attention(shape, masked=True, rotary=True), inputs(shape)) < 2e-5


UNSPILLED = [  # heads, rows, kind
    *(
        (heads, rows, kind)
        for kind in ("plain", "padded")
        for heads in (1, 4)
        for rows in (512, 2048)
    ),
    *((1, 2048, "masked"), (4, 2048, "masked"), (2, 512, "rotary"), (4, 2048, "rotary")),
]


@pytest.mark.parametrize(("heads", "rows", "kind"), UNSPILLED)
def test_no_scores_go_to_dram(heads: int, rows: int, kind: str) -> None:
    given = {} if kind == "plain" else {kind: True}
    made = compiled(attention((1, heads, rows, rows, 64), **given), auto_cast="all")
    scratch = [b for b in made.program.buffers if b.kind is BufferKind.SCRATCH]
    assert sum(b.size_bytes for b in scratch) == 0
    assert made.report["dram_bytes"] <= 1.05 * made.report["dram_bytes_compulsory"]


def test_what_is_read_elsewhere_is_not_fused_away() -> None:
    b = GraphBuilder("watched")
    q, k, v = (b.input(n, (40, 32), FP32) for n in "qkv")
    scores = b.emit("matmul", q, k, transpose_b=True)
    top = b.emit("reduce", scores, kind="max", axes=(1,), keepdims=True)
    e = b.emit("exp", b.emit("sub", scores, top))
    weight = b.emit("div", e, b.emit("reduce", e, kind="sum", axes=(1,), keepdims=True))
    b.output(b.emit("matmul", weight, v), "out")
    b.output(weight, "weight")
    graph = b.finish()
    assert not find_nests(graph)
    rng = np.random.default_rng(2)
    arrays = {n: rng.standard_normal((40, 32)).astype(np.float32) for n in "qkv"}
    assert error_on_device(graph, arrays) < 2e-5


def test_constant_queries_meet_heads_that_lie_side_by_side_on_partitions() -> None:
    rng = np.random.default_rng(0)
    b = GraphBuilder("queries")
    x = b.input("x", (1, 64, 128), FP32)
    w = b.constant(rng.standard_normal((128, 128)).astype(np.float32) / 11)
    keys = b.emit("reshape", b.emit("matmul", x, w), shape=(1, 64, 4, 32))
    keys = b.emit("transpose", keys, perm=(0, 2, 3, 1))
    queries = b.constant(rng.standard_normal((1, 4, 50, 32)).astype(np.float32) / 6)
    b.output(b.emit("matmul", queries, keys), "scores")
    graph = b.finish()
    inputs = {"x": rng.standard_normal((1, 64, 128)).astype(np.float32)}
    assert error_on_device(graph, inputs) < 1e-5
