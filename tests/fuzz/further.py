"""Samplers of operators that few models have: newer ones, older ones, and those of contributors."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.fuzz.draft import Attributes, Draft, Value
from tests.fuzz.layers import scales
from tests.fuzz.oracle import Unsuitable
from tests.fuzz.table import draws


@draws("Attention")
def attention(d: Draft, op: str) -> None:
    batch, heads, groups = d.integer(1, 2), d.integer(1, 3), 1
    if d.chance(0.3):
        groups = d.integer(1, 2)
    rows, keys, depth, wide = (d.integer(1, 9) for _ in range(4))
    q = d.fresh("float32", (batch, heads * groups, rows, depth))
    k = d.fresh("float32", (batch, heads, keys, depth))
    v = d.fresh("float32", (batch, heads, keys, wide))
    given: dict[str, Any] = {}
    if d.chance(0.4):
        given["scale"] = float(d.rng.uniform(0.1, 1))
    if d.chance(0.3) and rows <= keys:
        given["is_causal"] = 1
    if d.chance(0.3):
        given["softcap"] = float(d.rng.uniform(1, 4))
    mask: list[Value | None] = []
    if d.chance(0.4):
        shape = d.one_of(((rows, keys), (batch, 1, rows, keys)))
        mask = [d.fresh(d.one_of(("float32", "bool")), shape)]
        if mask[0] is not None and mask[0].dtype == "bool":
            mask[0].array[..., 0] = True  # a row without any key is not agreed on
    d.add(op, [q, k, v, *mask], **given)


@draws("RotaryEmbedding")
def rotary_embedding(d: Draft, op: str) -> None:
    batch, heads, length, half = d.integer(1, 2), d.integer(1, 3), d.integer(1, 6), d.integer(1, 4)
    x = d.fresh("float32", (batch, heads, length, 2 * half))
    caches = [d.fresh("float32", (8, half), -1, 1) for _ in range(2)]
    positions = d.fresh("int64", (batch, length), 0, 7)
    d.add(op, [x, *caches, positions], interleaved=d.integer(0, 1))


@draws("AffineGrid")
def affine_grid(d: Draft, op: str) -> None:
    n, size = d.integer(1, 2), [d.integer(2, 6) for _ in range(d.integer(2, 3))]
    theta = d.fresh("float32", (n, len(size), len(size) + 1))
    shape = d.constant([n, d.integer(1, 3), *size])
    d.add(op, [theta, shape], align_corners=d.integer(0, 1))


@draws("CenterCropPad")
def center_crop_pad(d: Draft, op: str) -> None:
    a = d.pick(rank=(1, 4))
    axes = sorted(d.axes(a), key=lambda axis: axis % a.rank)
    sizes = [max(1, a.shape[x] + d.integer(-3, 3)) for x in axes]
    d.add(op, [a, d.constant(sizes)], exact=True, axes=axes)


@draws("SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss")
def loss(d: Draft, op: str) -> None:
    a = d.pick(rank=(2, 4), where=lambda v: v.shape[1] > 1)
    labels = d.fresh("int64", (a.shape[0], *a.shape[2:]), 0, a.shape[1] - 1)
    weights = [d.fresh("float32", (a.shape[1],), 0.2, 2)] if d.chance(0.4) else []
    given: dict[str, Any] = {"reduction": d.one_of(("none", "mean", "sum"))}
    if d.chance(0.3):
        given["ignore_index"] = d.integer(0, a.shape[1] - 1)
        if not (labels.array != given["ignore_index"]).any():
            raise Unsuitable  # a mean of nothing
    d.add(op, [a, labels, *weights], **given)


@draws("SwiGLU")
def swiglu(d: Draft, op: str) -> None:
    a = d.pick()
    d.add(op, [a, d.fresh("float32", a.shape)])


@draws("CausalConvWithState")
def causal_convolution(d: Draft, op: str) -> None:
    batch, channels, length, k = (d.integer(1, n) for n in (2, 5, 9, 4))
    operands: list[Value | None] = [d.fresh("float32", (batch, channels, length))]
    operands.append(d.fresh("float32", (channels, 1, k), -1, 1))
    operands.append(d.fresh("float32", (channels,)) if d.chance(0.5) else None)
    if d.chance(0.5) and k > 1:
        operands.append(d.fresh("float32", (batch, channels, k - 1)))
    d.add(op, operands, 2 if k > 1 else 1, activation=d.one_of(("none", "silu")))


@draws("LinearAttention")
def linear_attention(d: Draft, op: str) -> None:
    batch, steps, heads, groups, keys, wide = (d.integer(1, n) for n in (2, 5, 3, 2, 4, 4))
    rule = d.one_of(("linear", "gated", "delta", "gated_delta"))
    q = d.fresh("float32", (batch, steps, heads * groups * keys), -1, 1)
    k = d.fresh("float32", (batch, steps, heads * keys), -0.5, 0.5)
    v = d.fresh("float32", (batch, steps, heads * wide))
    operands: list[Value | None] = [q, k, v]
    state = d.fresh("float32", (batch, heads, keys, wide)) if d.chance(0.5) else None
    decay = d.fresh("float32", (batch, steps, heads), -1, 0) if "gated" in rule else None
    beta = d.fresh("float32", (batch, steps, heads), 0, 1) if "delta" in rule else None
    operands += [state, decay, beta]
    while operands[-1] is None:
        operands.pop()
    given: Attributes = {"q_num_heads": heads * groups, "kv_num_heads": heads}
    d.add(op, operands, 2, update_rule=rule, scale=float(d.rng.uniform(0.2, 1)), **given)


@draws("OptionalHasElement")
def has_element(d: Draft, op: str) -> None:
    if d.opset < 18:
        raise Unsuitable
    d.add(op, [d.pick()])


@draws("QLinearAdd")
def qlinear_add(d: Draft, op: str) -> None:
    a = d.pick(("uint8", "int8"))
    b = d.partner(a, (0, 99))
    operands = []
    for value in (a, b):
        operands += [value, scales(d), d.fresh(a.dtype, (), 0, 9)]
    operands += [scales(d, times=2), d.fresh(a.dtype, (), 0, 9)]
    _fixed(d, operands[1:3] + operands[4:])
    d.add(op, operands, domain="com.microsoft")


@draws("QLinearGlobalAveragePool")
def qlinear_pool(d: Draft, op: str) -> None:
    a = d.pick(("uint8", "int8"), rank=(4, 4))
    pairs = [v for _ in range(2) for v in (scales(d), d.fresh(a.dtype, (), 0, 9))]
    _fixed(d, pairs)
    d.add(op, [a, *pairs], domain="com.microsoft", channels_last=0)


def _fixed(d: Draft, parameters: list[Value]) -> None:
    """Scales and zero points are constants in most models."""
    for value in parameters if d.chance(0.8) else ():
        value.constant = True


@draws("Upsample")
def upsample(d: Draft, op: str) -> None:
    """Of opsets 7 to 9."""
    a = d.pick(rank=(4, 4))
    factors = [1.0, 1.0, *(float(d.one_of((1, 2, 3))) for _ in range(2))]
    if d.opset < 9:
        d.add(op, [a], mode=d.one_of(("nearest", "linear")), scales=factors)
    else:
        d.add(op, [a, d.constant(factors, "f")], mode=d.one_of(("nearest", "linear")))


@draws("Scatter")
def scatter(d: Draft, op: str) -> None:
    """Of opsets 9 and 10."""
    a = d.pick()
    axis = d.integer(0, a.rank - 1)
    count = d.integer(1, a.shape[axis])
    shape = [count if i == axis else n for i, n in enumerate(a.shape)]
    ranks = np.argsort(d.rng.random(a.shape), axis)
    indices = d.constant(np.take(ranks, range(count), axis))
    d.add(op, [a, indices, d.fresh(a.dtype, shape)], exact=True, axis=axis)


@draws("Det")
def determinant(d: Draft, op: str) -> None:
    n = d.integer(1, 4)
    d.add(op, [d.fresh("float32", (*d.shape(0, 1), n, n))])
