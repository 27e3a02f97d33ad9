"""Samplers: what reads and writes at places of run time, transforms, running products, n-grams."""

from __future__ import annotations

import numpy as np

from tests.fuzz.draft import Attributes, Draft, Value
from tests.fuzz.oracle import Unsuitable
from tests.fuzz.table import draws


@draws("GridSample")
def grid_sample(d: Draft, op: str) -> None:
    names = ("bilinear", "nearest", "bicubic") if d.opset < 20 else ("linear", "nearest", "cubic")
    mode, padding = d.one_of(names), d.one_of(("zeros", "border", "reflection"))
    x = d.fresh("float32", (d.integer(1, 2), d.integer(1, 3), d.integer(2, 6), d.integer(2, 6)))
    shape = (x.shape[0], d.integer(1, 5), d.integer(1, 5), 2)
    if mode == "nearest":  # in the middle of pixels: at a border either one is right
        aligned = 0
        pixels = [d.rng.integers(-2, n + 2, shape[:-1]) for n in x.shape[:1:-1]]
        places = [(2 * p + 1) / n - 1 for p, n in zip(pixels, x.shape[:1:-1], strict=True)]
        grid = d.constant(np.stack(places, -1), np.float32)
        grid.constant = d.chance(0.3)
    else:
        aligned = d.integer(0, 1)
        grid = d.fresh("float32", shape, -1.4, 1.4)
    d.add(op, [x, grid], mode=mode, padding_mode=padding, align_corners=aligned)


@draws("DeformConv")
def deformed(d: Draft, op: str) -> None:
    batch, shares, kh, kw = (d.integer(1, 2) for _ in range(4))
    channels = shares * d.integer(1, 2)
    x = d.fresh("float32", (batch, channels, d.integer(kh, 5), d.integer(kw, 5)))
    out = (x.shape[2] - kh + 1, x.shape[3] - kw + 1)
    operands: list[Value | None] = [x, d.fresh("float32", (d.integer(1, 3), channels, kh, kw))]
    operands.append(d.fresh("float32", (batch, shares * kh * kw * 2, *out), -1.5, 1.5))
    if d.chance(0.5):
        operands.append(d.fresh("float32", (operands[1].shape[0],)) if operands[1] else None)
        operands.append(d.fresh("float32", (batch, shares * kh * kw, *out), 0, 1))
    given: Attributes = {"offset_group": shares, "kernel_shape": [kh, kw]}
    d.add(op, operands, pads=[0, 0, 0, 0], **given)


@draws("TensorScatter")
def tensor_scatter(d: Draft, op: str) -> None:
    x = d.pick(rank=(3, 4))
    count = d.integer(1, x.shape[-2])
    circular = d.chance(0.5)
    updates = d.fresh(x.dtype, (*x.shape[:-2], count, x.shape[-1]))
    last = x.shape[-2] - (1 if circular else count)
    first = d.fresh("int64", (x.shape[0],), 0, last)
    d.add(op, [x, updates, first], exact=True, mode="circular" if circular else "linear")


@draws("DFT")
def transform(d: Draft, op: str) -> None:
    x = d.fresh("float32", (*d.shape(1, 2), d.one_of((1, 2))))
    inverse, onesided = d.one_of(((0, 0), (1, 0), (0, x.shape[-1] % 2)))
    size = d.constant(d.integer(1, 12)) if d.chance(0.4) else None
    given: Attributes = {"inverse": inverse, "onesided": onesided}
    axis = d.integer(0, x.rank - 2)
    if d.opset < 20:
        d.add(op, [x, size], axis=axis, **given)
    else:
        d.add(op, [x, size, d.constant(axis)], **given)


@draws("STFT")
def frames(d: Draft, op: str) -> None:
    size = d.integer(2, 9)
    x = d.fresh("float32", (d.integer(1, 2), size + d.integer(0, 30), 1))
    window = d.fresh("float32", (size,), 0.1, 1) if d.chance(0.6) else None
    operands = [x, d.constant(d.integer(1, 5)), window, d.constant(size)]
    d.add(op, operands, onesided=d.integer(0, 1))


@draws("CumProd")
def running_product(d: Draft, op: str) -> None:
    a = d.pick(("float32", "float32", "int32"), within=(-1.6, 1.6))
    axis = d.constant(d.axis(a), d.one_of(("int32", "int64")))
    axis.constant = d.chance(0.6)
    d.add(op, [a, axis], exclusive=d.integer(0, 1), reverse=d.integer(0, 1))


@draws("BitCast")
def bits(d: Draft, op: str) -> None:
    """Between integers: the bits of a rounded number are another's."""
    a = d.pick(("int32", "int8", "uint8", "int16", "uint16"))
    to = {"i": "u", "u": "i"}[a.array.dtype.kind] + str(a.array.dtype.itemsize)
    code = {"u4": 12, "i4": 6, "u1": 2, "i1": 3, "u2": 4, "i2": 5}[to]
    d.add(op, [a], exact=True, to=code)


@draws("TfIdfVectorizer")
def n_grams(d: Draft, op: str) -> None:
    x = d.fresh("int32", d.shape(1, 2), 0, 4)
    pools = [d.rng.permutation(5 ** (g + 1))[: d.integer(1, 4)] for g in range(3)]
    flat = [[(p // 5**j) % 5 for j in range(g + 1)] for g, pool in enumerate(pools) for p in pool]
    starts = np.cumsum([0, *((g + 1) * len(pool) for g, pool in enumerate(pools))])[:3]
    count, least = len(flat), d.integer(1, 3)
    if x.shape[-1] < 3 or not x.array.size:
        raise Unsuitable
    d.add(
        op, [x], exact=True, mode=d.one_of(("TF", "IDF", "TFIDF")), min_gram_length=least,
        max_gram_length=d.integer(least, 3), max_skip_count=d.integer(0, 2),
        ngram_counts=[int(s) for s in starts], ngram_indexes=list(range(count)),
        pool_int64s=[int(i) for gram in flat for i in gram],
        weights=[float(w) for w in d.rng.integers(1, 9, count) / 4],
    )  # fmt: skip
