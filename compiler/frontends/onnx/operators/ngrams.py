"""TfIdfVectorizer: how often each of a pool of n-grams occurs in lines of integers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import FP32, Array, Value

MOST_COMPARED = 1 << 22
"""Entries times n-grams; beyond, the host's hash table is the better way."""


@imports("TfIdfVectorizer")
def tfidf_vectorizer(n: OnnxNode) -> Value:
    """y[.., column of gram] = how often it occurs (TF), or its weight if it does (IDF), or both.

    A gram of g entries occurs at i with s skipped where x[i + j * (s + 1)] is its entry j for all
    j < g.
    """
    x, weights = n[0], n.attr("weights")
    if n.attr("pool_int64s") is None:
        raise n.refuse("a pool of words")
    columns = np.asarray(n.required("ngram_indexes"))
    if weights is not None and not np.array_equal(columns, np.arange(len(columns))):
        # the standard gives each n-gram a weight, onnxruntime and the reference each column
        raise n.refuse("weights of n-grams whose columns are in another order")
    pools = _pools(n)
    if x.size * sum(len(p) for p in pools) > MOST_COMPARED:
        raise n.refuse("too many n-grams to compare each with all entries")
    counts = [_counted(n, x, pool) for pool in pools]
    known = [(i, v) for i, v in enumerate(counts) if v is not None]
    if not known:
        raise n.refuse("no n-gram of the lengths asked for")
    sizes = np.cumsum([0, *(len(p) for p in pools)])
    kept = np.concatenate([columns[sizes[i] : sizes[i + 1]] for i, _ in known])
    total = known[0][1]
    if len(known) > 1:
        total = n.emit("concat", *(v for _, v in known), axis=x.rank - 1)
    if n.attr("mode", "TF") != "TF":
        if n.attr("mode") == "IDF":
            total = n.cast(n.emit("gt", total, n.like(0, total)), FP32)
        if weights is not None:
            scale = np.concatenate([weights[sizes[i] : sizes[i + 1]] for i, _ in known])
            total = n.emit("mul", total, n.b.constant(np.asarray(scale, np.float32)))
    return _placed(n, total, kept, int(columns.max()) + 1)


def _pools(n: OnnxNode) -> list[Array]:
    """The n-grams [count, g] of each length g = 1, 2, .."""
    flat = np.asarray(n.required("pool_int64s"), np.int64)
    starts = [*n.required("ngram_counts"), len(flat)]
    return [flat[a:b].reshape(-1, g + 1) for g, (a, b) in enumerate(pairwise(starts))]


def _counted(n: OnnxNode, x: Value, pool: Array) -> Value | None:
    """[.., count of grams] FP32; None where none of the length is looked for."""
    grams, length = pool.shape
    if not grams or not n.required("min_gram_length") <= length <= n.required("max_gram_length"):
        return None
    total, last = None, x.rank - 1
    for step in range(1, 2 if length == 1 else n.required("max_skip_count") + 2):
        places = x.shape[last] - (length - 1) * step
        if places <= 0:
            break
        hits = None
        for j in range(length):
            entries = n.emit(
                "slice", x, starts=(*(0,) * last, j * step), sizes=(*x.shape[:last], places),
                steps=(1,) * x.rank,
            )  # fmt: skip
            wanted = n.b.constant(pool[:, j].reshape(-1, 1).astype(x.dtype))
            hit = n.emit("eq", n.reshape(entries, (*x.shape[:last], 1, places)), wanted)
            hits = hit if hits is None else n.emit("and", hits, hit)
        assert hits is not None
        found = n.emit("reduce", n.cast(hits, FP32), kind="sum", axes=(last + 1,), keepdims=False)
        total = found if total is None else n.emit("add", total, found)
    return (
        n.broadcast(n.b.constant(np.float32(0)), (*x.shape[:last], grams))
        if total is None
        else total
    )


def _placed(n: OnnxNode, counts: Value, columns: Array, width: int) -> Value:
    """Column j of the counts in columns[j] of `width`; what no gram has is 0."""
    last = counts.rank - 1
    if width > len(columns):
        pads = (*((0, 0),) * last, (0, 1))
        counts = n.emit("pad", counts, pads=pads, mode="constant", value=0.0)
    source = np.full(width, counts.shape[last] - 1, np.int64)
    source[columns] = np.arange(len(columns))
    if np.array_equal(source, np.arange(counts.shape[last])):
        return counts
    return n.emit("gather", counts, n.b.constant(source), axis=last)
