"""simplify-movement: fewer and simpler moves of data.

Before   transpose(transpose(x, p), q), reshape(reshape(x)), slice(concat(..)), gather(x, 0:4) ...
After    one transposition, one reshape, a slice; transpositions inside matmul, pads inside conv
"""

from __future__ import annotations

import numpy as np

from compiler.graph.graph import Value
from compiler.graph.inference import broadcast_shapes
from compiler.graph.ops import CORE_OPS, Family
from compiler.graph_passes.rewriting import Match, RuleSet, rule_for

RULES: RuleSet = {}


@rule_for(RULES, "reshape")
def merge_reshapes(m: Match) -> Value | None:
    """reshape(x, its shape) = x;  reshape(reshape(x), s) = reshape(x, s)"""
    if m[0].shape == m.attrs["shape"]:
        return m[0]
    inner = m.behind(m[0], "reshape", shared=True)
    return None if inner is None else m.reshape(inner.inputs[0], m.attrs["shape"])


@rule_for(RULES, "reshape")
def channel_shuffle(m: Match) -> Value | None:
    """reshape(transpose(reshape(x, .. g, c ..), swapped), its shape) = gather(x, constants)

    Of a dimension that others follow: it may lie on partitions, where a gather can be a product.
    """
    turned = m.behind(m[0], "transpose")
    split = m.behind(turned.inputs[0], "reshape") if turned is not None else None
    if turned is None or split is None or split.inputs[0].shape != m.attrs["shape"]:
        return None
    x, perm = split.inputs[0], turned.attrs["perm"]
    assert isinstance(perm, tuple)
    parts, rank = split.output.shape, len(x.shape)
    moved = [i for i, p in enumerate(perm) if p != i]
    if len(parts) != rank + 1 or len(moved) != 2 or moved[1] != moved[0] + 1:
        return None
    axis = moved[0]
    if axis >= rank - 1 or x.shape != (
        *parts[:axis],
        parts[axis] * parts[axis + 1],
        *parts[axis + 2 :],
    ):
        return None
    order = np.arange(x.shape[axis]).reshape(parts[axis], parts[axis + 1]).T.reshape(-1)
    return m.emit("gather", x, m.constant(order, np.dtype(np.int64)), axis=axis)


@rule_for(RULES, "transpose")
def merge_transposes(m: Match) -> Value | None:
    """transpose(transpose(x, p), q) = transpose(x, p[q]); the identity drops"""
    perm = m.attrs["perm"]
    if perm == tuple(range(len(perm))):
        return m[0]
    inner = m.behind(m[0], "transpose", shared=True)
    if inner is None:
        return None
    first = inner.attrs["perm"]
    assert isinstance(first, tuple)
    return m.emit("transpose", inner.inputs[0], perm=tuple(first[p] for p in perm))


@rule_for(RULES, "transpose")
def transpose_of_units(m: Match) -> Value | None:
    """transpose(x, p) = reshape(x) where p keeps the order of the extents that are not 1"""
    x, perm = m[0], m.attrs["perm"]
    moved = [p for p in perm if x.shape[p] != 1]
    return m.reshape(x, [x.shape[p] for p in perm]) if moved == sorted(moved) else None


@rule_for(RULES, "matmul")
def rows_in_any_shape(m: Match) -> Value | None:
    """matmul(reshape(x), w) = reshape(matmul(x, w)) where the reshape leaves the columns alone"""
    if m.array(m[1]) is None or m[1].rank != 2 or m.attrs["transpose_a"]:
        return None
    inner = m.behind(m[0], "reshape")
    if inner is None or inner.inputs[0].rank < 2 or inner.inputs[0].shape[-1] != m[0].shape[-1]:
        return None
    made = m.emit("matmul", inner.inputs[0], m[1], **m.attrs)
    return m.reshape(made, (*m[0].shape[:-1], made.shape[-1]))


FEW_CHANNELS = 16
"""Up to so many, a convolution over patches fills the array's rows better as a product."""


@rule_for(RULES, "conv")
def patches(m: Match) -> Value | None:
    """conv(x, w) = the patches of x, a row each, times w, where windows neither overlap nor skip"""
    x, w = m.inputs
    kernel = tuple(w.shape[2:])
    plain = m.attrs["groups"] == 1 and not any(a or b for a, b in m.attrs["pads"])
    whole = all(e % k == 0 for e, k in zip(x.shape[2:], kernel, strict=True))
    if m.array(w) is None or x.rank != 4 or x.shape[1] > FEW_CHANNELS or not plain or not whole:
        return None
    if tuple(m.attrs["strides"]) != kernel or any(d != 1 for d in m.attrs["dilations"]):
        return None
    (n, c, height, width), (kh, kw), outputs = x.shape, kernel, w.shape[0]
    if kh * kw * c < LEAST_ROWS or kw < 2:
        return None
    rows, columns = height // kh, width // kw
    cells = m.reshape(x, (n, c, rows, kh, columns, kw))
    cells = m.emit("transpose", cells, perm=(0, 2, 4, 1, 3, 5))
    lines = m.reshape(cells, (n, rows * columns, c * kh * kw))
    weights = m.emit("transpose", m.reshape(w, (outputs, c * kh * kw)), perm=(1, 0))
    made = m.emit("transpose", m.emit("matmul", lines, weights), perm=(0, 2, 1))
    return m.reshape(made, (n, outputs, rows, columns))


LEAST_ROWS = 32
"""Of the array; a product of fewer is no better than taps."""


@rule_for(RULES, "broadcast_to")
def merge_broadcasts(m: Match) -> Value | None:
    """broadcast(x, its shape) = x;  broadcast(broadcast(x)) = broadcast(x)"""
    if m[0].shape == m.attrs["shape"]:
        return m[0]
    inner = m.behind(m[0], "broadcast_to", shared=True)
    if inner is None:
        return None
    return m.emit("broadcast_to", inner.inputs[0], shape=m.attrs["shape"])


_BROADCASTING = (
    "add", "sub", "mul", "div", "pow", "mod", "rem", "max", "min", "and", "or", "xor", "shl", "shr",
    "eq", "ne", "lt", "le", "gt", "ge", "select",
)  # fmt: skip

_LOOPS = (Family.UNARY, Family.BINARY, Family.COMPARE, Family.SELECT, Family.CONVERT)
_ELEMENTWISE = tuple(name for name, op in CORE_OPS.items() if op.family in _LOOPS)


@rule_for(RULES, *_BROADCASTING)
def drop_broadcast(m: Match) -> Value | None:
    """f(broadcast(x), y) = f(x, y) where the result has the same shape"""
    shape = broadcast_shapes([v.shape for v in m.inputs])
    for i, value in enumerate(m.inputs):
        inner = m.behind(value, "broadcast_to", shared=True)
        if inner is None:
            continue
        operands = list(m.inputs)
        operands[i] = inner.inputs[0]
        if broadcast_shapes([v.shape for v in operands]) == shape:
            return m.emit(m.op, *operands)
    return None


@rule_for(RULES, *_ELEMENTWISE)
def broadcast_after(m: Match) -> Value | None:
    """f(broadcast(x), y) = broadcast(f(x, y)) where x and y together are smaller than the result"""
    shape = broadcast_shapes([v.shape for v in m.inputs])
    inner = [m.behind(v, "broadcast_to", shared=True) for v in m.inputs]
    if not any(inner):
        return None
    operands = [n.inputs[0] if n else v for n, v in zip(inner, m.inputs, strict=True)]
    if broadcast_shapes([v.shape for v in operands]) == shape:
        return None
    return m.emit("broadcast_to", m.emit(m.op, *operands, **m.attrs), shape=shape)


@rule_for(RULES, "slice")
def merge_slices(m: Match) -> Value | None:
    """slice(x, all) = x;  slice(slice(x)) = slice(x)"""
    starts, sizes, steps = m.attrs["starts"], m.attrs["sizes"], m.attrs["steps"]
    if sizes == m[0].shape and all(s == 1 or e == 1 for s, e in zip(steps, sizes, strict=True)):
        return m[0]
    inner = m.behind(m[0], "slice", shared=True)
    if inner is None or 0 in sizes:
        return None
    a, d = inner.attrs["starts"], inner.attrs["steps"]
    assert isinstance(a, tuple)
    assert isinstance(d, tuple)
    return m.emit(
        "slice",
        inner.inputs[0],
        starts=tuple(a[i] + starts[i] * d[i] for i in range(len(a))),
        sizes=sizes,
        steps=tuple(steps[i] * d[i] for i in range(len(a))),
    )


@rule_for(RULES, "slice")
def slice_of_concat(m: Match) -> Value | None:
    """slice(concat(a, b, ..)) = slice(b) where it lies within one operand"""
    inner = m.behind(m[0], "concat", shared=True)
    if inner is None or 0 in m.attrs["sizes"]:
        return None
    axis = inner.attrs["axis"]
    assert isinstance(axis, int)
    starts, sizes, steps = m.attrs["starts"], m.attrs["sizes"], m.attrs["steps"]
    last = starts[axis] + (sizes[axis] - 1) * steps[axis]
    low, high = min(starts[axis], last), max(starts[axis], last)
    at = 0
    for part in inner.inputs:
        end = at + part.shape[axis]
        if at <= low and high < end:
            moved = tuple(s - at if i == axis else s for i, s in enumerate(starts))
            return m.emit("slice", part, starts=moved, sizes=sizes, steps=steps)
        at = end
    return None


@rule_for(RULES, "concat")
def merge_concats(m: Match) -> Value | None:
    """concat(x) = x;  concat(a, concat(b, c)) = concat(a, b, c); empty operands drop"""
    axis = m.attrs["axis"]
    parts: list[Value] = []
    for value in m.inputs:
        inner = m.behind(value, "concat")
        if inner is not None and inner.attrs["axis"] == axis:
            parts += inner.inputs
        elif value.shape[axis] > 0:
            parts.append(value)
    if len(parts) == 1:
        return parts[0]
    if not parts or tuple(parts) == m.inputs:
        return None
    return m.emit("concat", *parts, axis=axis)


@rule_for(RULES, "gather")
def gather_of_range(m: Match) -> Value | None:
    """gather(x, constant indices a, a+d, a+2d ..) = slice(x), in the shape of the indices

    Where they are all the same it is one row, broadcast.
    """
    indices, axis, x = m.array(m[1]), m.attrs["axis"], m[0]
    if indices is None or indices.size == 0:
        return None
    flat = np.where(indices < 0, indices + x.shape[axis], indices).ravel().astype(np.int64)
    step = int(flat[1] - flat[0]) if flat.size > 1 else 1
    if np.any(np.diff(flat) != step):
        return None
    if step == 0:
        row = m.emit("gather", x, m.constant(flat[:1], np.dtype(np.int64)), axis=axis)
        before, behind = x.shape[:axis], x.shape[axis + 1 :]
        thin = m.reshape(row, (*before, *([1] * indices.ndim), *behind))
        return m.emit("broadcast_to", thin, shape=(*before, *indices.shape, *behind))
    piece = m.emit(
        "slice",
        x,
        starts=tuple(int(flat[0]) if i == axis else 0 for i in range(x.rank)),
        sizes=tuple(flat.size if i == axis else e for i, e in enumerate(x.shape)),
        steps=tuple(step if i == axis else 1 for i in range(x.rank)),
    )
    return m.reshape(piece, x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


@rule_for(RULES, "gather")
def gather_of_positions(m: Match) -> Value | None:
    """gather([0, 1, .., n-1], i) = select(i < 0, i + n, i): an index counted from the start

    Only for narrowed indices: the gather is what proves that they can be narrowed.
    """
    table, i = m.array(m[0]), m[1]
    if table is None or table.ndim != 1 or table.dtype.kind != "i" or i.dtype.itemsize > 4:
        return None
    if not np.array_equal(table, np.arange(table.size)) or table.dtype != i.dtype:
        return None
    negative = m.emit("lt", i, m.constant(0, i.dtype))
    return m.emit("select", negative, m.emit("add", i, m.constant(table.size, i.dtype)), i)


@rule_for(RULES, "matmul")
def transpose_in_matmul(m: Match) -> Value | None:
    """matmul(swap(a), b) = matmul(a, b, transpose_a), likewise b; a constant is stored swapped"""
    operands, flags = list(m.inputs), [m.attrs["transpose_a"], m.attrs["transpose_b"]]
    changed = False
    for i, value in enumerate(m.inputs):
        swap = (*range(value.rank - 2), value.rank - 1, value.rank - 2)
        inner = m.behind(value, "transpose", shared=True)
        if inner is not None and inner.attrs["perm"] == swap:
            operands[i], flags[i], changed = inner.inputs[0], not flags[i], True
        elif flags[i] and m.array(value) is not None:
            operands[i], flags[i], changed = m.emit("transpose", value, perm=swap), False, True
    if not changed:
        return None
    return m.emit("matmul", *operands, transpose_a=flags[0], transpose_b=flags[1])


@rule_for(RULES, "conv", "reduce_window")
def pad_in_window(m: Match) -> Value | None:
    """conv(pad(x, 0)) = conv(x, with pads); sums over windows likewise"""
    if m.op == "reduce_window" and m.attrs["kind"] != "sum":
        return None
    inner = m.behind(m[0], "pad")
    if inner is None or inner.attrs["mode"] != "constant" or inner.attrs["value"] != 0:
        return None
    around = inner.attrs["pads"]
    assert isinstance(around, tuple)
    if any(around[0]) or any(around[1]):  # type: ignore[arg-type]
        return None
    pads = tuple(
        (p[0] + q[0], p[1] + q[1])  # type: ignore[index]
        for p, q in zip(m.attrs["pads"], around[2:], strict=True)
    )
    return m.emit(m.op, inner.inputs[0], *m.inputs[1:], **{**m.attrs, "pads": pads})


@rule_for(RULES, "reduce_window")
def window_around_everything(m: Match) -> Value | None:
    """window of k >= n elements on n elements and padding = window of n elements"""
    window, strides = list(m.attrs["window"]), list(m.attrs["strides"])
    pads = list(m.attrs["pads"])
    for i, (extent, (low, high)) in enumerate(zip(m[0].shape[2:], pads, strict=True)):
        alone = extent + low + high - window[i] < strides[i]
        if alone and low + high and window[i] >= low + extent and m.attrs["dilations"][i] == 1:
            window[i], strides[i], pads[i] = extent, 1, (0, 0)
    if tuple(window) == m.attrs["window"] and tuple(pads) == m.attrs["pads"]:
        return None
    attrs = {"window": tuple(window), "strides": tuple(strides), "pads": tuple(pads)}
    return m.emit("reduce_window", m[0], **{**m.attrs, **attrs})
