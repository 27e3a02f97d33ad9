"""Random small graphs over the core ops, and inputs for them.

Values are *exact* (multiples of 1/8, moved but never rounded) or *smooth*: what jumps (comparison,
rounding, arg-max, sorting) reads exact values only, so that a last-bit difference stays one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import BOOL, FP32, INT32, Array, Graph, Value

ELEMENTS = 4000
EXTENTS = (1, 1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 31, 32, 33, 60, 64, 65, 100, 127, 128, 129, 131, 200)


@dataclass
class Drawing:
    """A graph being drawn."""

    rng: np.random.Generator
    b: GraphBuilder
    inputs: dict[str, Array] = field(default_factory=dict)
    exact: set[int] = field(default_factory=set)
    read: set[int] = field(default_factory=set)
    pool: list[Value] = field(default_factory=list)

    def number(self, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        """True in this share of the cases."""
        return bool(self.rng.random() < share)

    def one_of(self, *choices: str) -> str:
        """One of some names."""
        return choices[self.number(0, len(choices) - 1)]

    def shape(self, low: int = 1, high: int = 5, limit: int = ELEMENTS) -> tuple[int, ...]:
        """A shape of low .. high dimensions."""
        extents: list[int] = []
        for _ in range(self.number(low, high)):
            fits = [e for e in EXTENTS if e * int(np.prod(extents)) <= limit]
            extents.append(int(self.rng.choice(fits)))
        self.rng.shuffle(extents)
        return tuple(extents)

    def grid(self, shape: tuple[int, ...]) -> Array:
        """Multiples of 1/8 in [-4, 4]."""
        return (self.rng.integers(-32, 33, shape) / 8).astype(np.float32)

    def fresh(self, shape: tuple[int, ...]) -> Value:
        """A new exact input."""
        name = f"x{len(self.inputs)}"
        self.inputs[name] = self.grid(shape)
        value = self.b.input(name, shape, FP32)
        self.exact.add(value.id)
        return value

    def whole(self, shape: tuple[int, ...], low: int, high: int) -> Value:
        """A new INT32 input in [low, high]."""
        name = f"x{len(self.inputs)}"
        self.inputs[name] = self.rng.integers(low, high + 1, shape).astype(np.int32)
        return self.b.input(name, shape, INT32)

    def known(self, shape: tuple[int, ...]) -> Value:
        """A constant."""
        return self.b.constant(self.grid(shape))

    def other(self, shape: tuple[int, ...]) -> Value:
        """An operand of a shape: known before, new, or constant."""
        same = [v for v in self.pool if v.shape == shape and v.dtype == FP32]
        if same and self.chance(0.5):
            return same[self.number(0, len(same) - 1)]
        return self.known(shape) if self.chance(0.4) else self.fresh(shape)

    def exactly(self, value: Value) -> Value:
        """The value, or a new exact one of its shape."""
        return value if value.id in self.exact else self.fresh(value.shape)

    def moved(self, op: str, operand: Value, *more: Value, **attrs: object) -> Value:
        """A movement: exact values stay exact."""
        made = self.b.emit(op, operand, *more, **attrs)  # type: ignore[arg-type]  # drawn to fit
        if all(v.id in self.exact for v in (operand, *more)):
            self.exact.add(made.id)
        return made


Draw = Callable[[Drawing, Value], Value]


UNARY = (
    *("neg", "abs", "relu", "tanh", "sigmoid", "erf", "gelu", "gelu_tanh", "silu", "softplus"),
    *("mish", "sin", "cos", "exp", "log", "sqrt", "rsqrt", "reciprocal", "atan"),
)


# --- elementwise ---------------------------------------------------------------------------------


def unary(d: Drawing, x: Value) -> Value:
    """A smooth function of one operand, kept in range."""
    emit = d.b.emit
    op = d.one_of(*UNARY)
    if op == "exp":
        return emit("exp", emit("min", x, d.b.constant(np.float32(2.0))))
    if op in ("log", "sqrt", "rsqrt", "reciprocal"):
        x = emit("add", emit("abs", x), d.b.constant(np.float32(0.5)))
    return emit(op, x)


def jump(d: Drawing, x: Value) -> Value:
    """A function that jumps, of an exact value."""
    x = d.exactly(x)
    op = d.one_of("floor", "ceil", "round", "sign", "compare", "cast", "isinf", "isnan", "logic")
    emit = d.b.emit
    if op == "compare":
        kind = d.one_of("eq", "ne", "lt", "le", "gt", "ge")
        return emit("cast", emit(kind, x, d.exactly(d.fresh(smaller(d, x.shape)))), to=FP32)
    if op == "cast":
        return emit("cast", emit("cast", x, to=INT32), to=FP32)
    if op in ("isinf", "isnan"):
        return emit("cast", emit("not", emit(op, x)), to=FP32)
    if op == "logic":
        half = d.b.constant(np.float32(0.5))
        a, b = emit("gt", x, half), emit("lt", d.fresh(x.shape), half)
        return emit("cast", emit(d.one_of("and", "or", "xor"), a, b), to=FP32)
    return emit(op, x)


def smaller(d: Drawing, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to `shape`."""
    made = [1 if d.chance(0.3) else e for e in shape]
    return tuple(made[d.number(0, len(made)) if d.chance(0.3) else 0 :])


def binary(d: Drawing, x: Value) -> Value:
    """Arithmetic with an operand that broadcasts, on either side."""
    y = d.other(smaller(d, x.shape))
    op = d.one_of("add", "sub", "mul", "max", "min", "div")
    if op == "div":
        y = d.b.emit("add", d.b.emit("abs", y), d.b.constant(np.float32(1.0)))
        return d.b.emit("div", x, y)
    return d.b.emit(op, y, x) if d.chance(0.4) else d.b.emit(op, x, y)


def wider(d: Drawing, x: Value) -> Value:
    """A sum in which the value itself is broadcast."""
    shape = list(x.shape)
    for i, e in enumerate(shape):
        if e == 1 and np.prod(shape) <= ELEMENTS // 16:
            shape[i] = d.number(1, 16)
    return d.b.emit("add", x, d.other(tuple(shape)))


def power(d: Drawing, x: Value) -> Value:
    """Powers with constant and computed exponents."""
    base = d.b.emit("add", d.b.emit("abs", x), d.b.constant(np.float32(0.25)))
    choice = d.number(0, 3)
    if choice == 0:
        return d.b.emit("pow", x, d.b.constant(np.float32(d.number(1, 3))))
    if choice == 1:
        exponent = d.b.constant(np.float32(d.number(-4, 6) / 4))
        return d.b.emit("pow", base, exponent)
    exponent = d.other(smaller(d, x.shape))
    return d.b.emit("pow", base, d.b.emit("tanh", exponent))


def select(d: Drawing, x: Value) -> Value:
    """cond ? a : b with a drawn condition."""
    limit = d.b.constant(np.float32(0.3))
    cond = d.b.emit("gt", d.fresh(smaller(d, x.shape)), limit)
    a, b = x, d.other(smaller(d, x.shape))
    return d.b.emit("select", cond, b, a) if d.chance(0.5) else d.b.emit("select", cond, a, b)


# --- movement ------------------------------------------------------------------------------------


def transpose(d: Drawing, x: Value) -> Value:
    """A permutation."""
    return d.moved("transpose", x, perm=tuple(int(p) for p in d.rng.permutation(len(x.shape))))


def reshape(d: Drawing, x: Value) -> Value:
    """Any other factorisation of the number of elements."""
    left, extents = x.size, list[int]()
    while left > 1 and len(extents) < 4:
        divisors = [e for e in range(1, left + 1) if left % e == 0]
        extents.append(int(d.rng.choice(divisors)))
        left //= extents[-1]
    return d.moved("reshape", x, shape=(*extents, left))


def broadcast(d: Drawing, x: Value) -> Value:
    """Dimensions of one repeated, and new ones in front."""
    shape = [d.number(1, 5) if e == 1 and x.size < ELEMENTS // 32 else e for e in x.shape]
    if len(shape) < 4 and x.size < ELEMENTS // 4:
        shape.insert(0, d.number(1, 3))
    return d.moved("broadcast_to", x, shape=tuple(shape))


def slices(d: Drawing, x: Value) -> Value:
    """Ranges with steps, backwards too."""
    starts, sizes, steps = [], [], []
    for e in x.shape:
        step = int(d.rng.choice([1, 1, 1, 2, 3, -1, -2]))
        size = d.number(1, max(1, e // abs(step)))
        span = (size - 1) * abs(step)
        first = d.number(0, e - 1 - span)
        starts.append(first if step > 0 else first + span)
        sizes.append(size)
        steps.append(step)
        if d.chance(0.5):
            starts[-1], sizes[-1], steps[-1] = 0, e, 1
    return d.moved("slice", x, starts=tuple(starts), sizes=tuple(sizes), steps=tuple(steps))


def concat(d: Drawing, x: Value) -> Value:
    """Two or three parts of unlike extents along an axis."""
    axis = d.number(0, len(x.shape) - 1)
    parts = [x]
    for _ in range(d.number(1, 2)):
        shape = list(x.shape)
        shape[axis] = d.number(1, 40) if x.size < ELEMENTS // 8 else shape[axis]
        parts.insert(d.number(0, len(parts)), d.other(tuple(shape)))
    for v in parts:
        if d.b.array(v) is not None:
            d.exact.add(v.id)
    return d.moved("concat", *parts, axis=axis)


def shuffle(d: Drawing, x: Value) -> Value:
    """Cut along an axis; some parts are computed on, some used twice; joined in another order."""
    axis = d.number(0, len(x.shape) - 1)
    extent = x.shape[axis]
    cuts = sorted({0, extent, *(d.number(0, extent) for _ in range(2))})
    parts = []
    for first, last in pairwise(cuts):
        starts = tuple(first if i == axis else 0 for i in range(len(x.shape)))
        sizes = tuple(last - first if i == axis else e for i, e in enumerate(x.shape))
        part = d.moved("slice", x, starts=starts, sizes=sizes, steps=(1,) * len(sizes))
        parts.append(unary(d, part) if d.chance(0.4) else part)
    if d.chance(0.3) and x.size < ELEMENTS:
        parts.append(parts[0])
    order = [parts[i] for i in d.rng.permutation(len(parts))]
    return d.moved("concat", *order, axis=axis)


def pad(d: Drawing, x: Value) -> Value:
    """Padding in every mode."""
    mode = d.one_of("constant", "constant", "edge", "reflect", "wrap")
    if mode == "reflect" and min(x.shape) < 3:
        mode = "edge"
    most = [min(3, e - 1) if mode in ("reflect", "wrap") else 3 for e in x.shape]
    pads = tuple((d.number(0, m), d.number(0, m)) if d.chance(0.5) else (0, 0) for m in most)
    return d.moved("pad", x, pads=pads, mode=mode, value=0.5)


def gather(d: Drawing, x: Value) -> Value:
    """Constant or run-time indices, negative ones among them."""
    axis = d.number(0, len(x.shape) - 1)
    extent = x.shape[axis]
    shape = d.shape(0, 2, limit=max(1, min(64, ELEMENTS * extent // x.size)))
    if d.chance(0.5):
        indices = d.b.constant(d.rng.integers(-extent, extent, shape).astype(np.int32))
    else:
        indices = d.whole(shape, -extent, extent - 1)
    table = x if d.chance(0.6) else d.known(x.shape)
    made = d.b.emit("gather", table, indices, axis=axis)
    if table.id in d.exact:
        d.exact.add(made.id)
    return made


# --- sums ----------------------------------------------------------------------------------------


def reduce(d: Drawing, x: Value) -> Value:
    """Any axes, any kind."""
    rank = len(x.shape)
    axes = tuple(i for i in range(rank) if d.chance(0.5))
    kind = d.one_of("sum", "mean", "mean", "max", "min", "prod")
    if kind == "prod":
        x = d.b.emit("add", d.b.emit("tanh", x), d.b.constant(np.float32(1.1)))
        if np.prod([x.shape[a] for a in axes]) > 8:
            kind = "mean"
    return d.b.emit("reduce", x, kind=kind, axes=axes, keepdims=d.chance(0.5))


def matmul(d: Drawing, x: Value) -> Value:
    """Either side, batches that broadcast, transposed operands."""
    if len(x.shape) < 2:
        x = d.moved("reshape", x, shape=(1, x.size))
    ta, tb = d.chance(0.3), d.chance(0.3)
    if d.chance(0.6):
        k = x.shape[-2] if ta else x.shape[-1]
        other = [k, d.number(1, 150) if x.size < ELEMENTS // 4 else d.number(1, 20)]
        other.reverse() if tb else None
        lead = [e if d.chance(0.5) else 1 for e in x.shape[:-2]]
        lead = lead[d.number(0, len(lead)) if lead and d.chance(0.5) else 0 :]
        a, b = x, d.other((*lead, *other))
    else:
        k = x.shape[-1] if tb else x.shape[-2]
        other = [d.number(1, 150) if x.size < ELEMENTS // 4 else d.number(1, 20), k]
        other.reverse() if ta else None
        lead = [e if d.chance(0.5) else 1 for e in x.shape[:-2]]
        lead = lead[d.number(0, len(lead)) if lead and d.chance(0.5) else 0 :]
        a, b = d.other((*lead, *other)), x
    y = d.b.emit("matmul", a, b, transpose_a=ta, transpose_b=tb)
    return d.b.emit("mul", y, d.b.constant(np.float32(1.0 / (2 * k))))


def image(d: Drawing, x: Value) -> Value:
    """The value as [N, C, *S] with one to two spatial dimensions."""
    if len(x.shape) in (3, 4):
        return x
    return d.fresh((d.number(1, 2), *d.shape(2, 3, limit=4000)))


def conv(d: Drawing, x: Value) -> Value:
    """Groups, strides, dilations, pads of unlike sides; constant or computed weights."""
    x = image(d, x)
    spatial = len(x.shape) - 2
    channels = x.shape[1]
    groups = int(d.rng.choice([g for g in (1, 1, 1, 2, 3, 4, channels) if channels % g == 0]))
    outputs = groups * d.number(1, max(1, min(140, 200 // groups)))
    kernel = [d.number(1, 3) for _ in range(spatial)]
    dilations = [d.number(1, 2) for _ in range(spatial)]
    pads, strides = [], []
    for e, k, dilation in zip(x.shape[2:], kernel, dilations, strict=True):
        reach = (k - 1) * dilation + 1
        low, high = d.number(0, 2), d.number(0, 2)
        pads.append((low, high + max(0, reach - e - low - high)))
        strides.append(d.number(1, 3))
    w = (outputs, channels // groups, *kernel)
    if np.prod(w) > 60_000:
        return x
    weights = d.fresh(w) if d.chance(0.25) else d.known(w)
    y = d.b.emit("conv", x, weights, strides=tuple(strides), pads=tuple(pads),
                 dilations=tuple(dilations), groups=groups)  # fmt: skip
    return d.b.emit("mul", y, d.b.constant(np.float32(1.0 / (2 * np.prod(w[1:])))))


def conv_transpose(d: Drawing, x: Value) -> Value:
    """The adjoint, with every attribute."""
    x = image(d, x)
    spatial, channels = len(x.shape) - 2, x.shape[1]
    groups = int(d.rng.choice([g for g in (1, 1, 2, channels) if channels % g == 0 and g <= 8]))
    each = d.number(1, 20)
    kernel = [d.number(1, 4) for _ in range(spatial)]
    strides, dilations, pads, more = [], [], [], []
    for k, e in zip(kernel, x.shape[2:], strict=True):
        s, dilation = d.number(1, 3), d.number(1, 2)
        reach = (k - 1) * dilation + 1 + (e - 1) * s
        low = d.number(0, min(2, reach - 1))
        pads.append((low, d.number(0, min(2, reach - 1 - low))))
        more.append(d.number(0, max(s, dilation) - 1))
        strides.append(s)
        dilations.append(dilation)
    w = (channels, each, *kernel)
    weights = d.fresh(w) if d.chance(0.2) else d.known(w)
    y = d.b.emit("conv_transpose", x, weights, strides=tuple(strides), pads=tuple(pads),
                 dilations=tuple(dilations), groups=groups, output_padding=tuple(more))  # fmt: skip
    return d.b.emit("mul", y, d.b.constant(np.float32(1.0 / (2 * channels))))


def window(d: Drawing, x: Value) -> Value:
    """Max and sum pooling."""
    x = image(d, x)
    kernel, strides, dilations, pads = [], [], [], []
    for e in x.shape[2:]:
        k = d.number(1, 3)
        dilation = d.number(1, 2) if e >= 2 * k else 1  # every window reads an element
        reach = (k - 1) * dilation + 1
        low, high = d.number(0, k - 1), d.number(0, k - 1)
        high += max(0, reach - e - low - high)
        kernel.append(k)
        dilations.append(dilation)
        strides.append(d.number(1, 3))
        pads.append((low, high))
    kind = d.one_of("max", "sum")
    return d.b.emit("reduce_window", x, kind=kind, window=tuple(kernel), strides=tuple(strides),
                    dilations=tuple(dilations), pads=tuple(pads))  # fmt: skip


# --- indices and scans ---------------------------------------------------------------------------


def arg(d: Drawing, x: Value) -> Value:
    """Arg-max and arg-min, first or last of equals."""
    x = d.exactly(x)
    axis = d.number(0, len(x.shape) - 1)
    op = d.one_of("argmax", "argmin")
    last, keep = d.chance(0.5), d.chance(0.5)
    found = d.b.emit(op, x, axis=axis, select_last=last, keepdims=keep)
    return d.b.emit("cast", found, to=FP32)


def cumsum(d: Drawing, x: Value) -> Value:
    """Running sums, all four ways."""
    axis = d.number(0, len(x.shape) - 1)
    way = {"exclusive": d.chance(0.5), "reverse": d.chance(0.5)}
    y = d.b.emit("cumsum", x, axis=axis, **way)
    return d.b.emit("mul", y, d.b.constant(np.float32(1.0 / x.shape[axis])))


def topk(d: Drawing, x: Value) -> Value:
    """The k largest or smallest; both results are used."""
    x = d.exactly(x)
    axis = d.number(0, len(x.shape) - 1)
    k = d.number(1, min(20, x.shape[axis]))
    values, at = d.b.emit_all("topk", [x], {"axis": axis, "k": k, "largest": d.chance(0.5)})
    return d.b.emit("add", values, d.b.emit("cast", at, to=FP32))


def scatter(d: Drawing, x: Value) -> Value:
    """Constant indices, of which some repeat; every kind."""
    rows = x.shape[0]
    count = d.number(1, min(8, 2 * rows))
    indices = d.b.constant(d.rng.integers(0, rows, count).astype(np.int32))
    kind = d.one_of("none", "sum", "prod", "max", "min")
    return d.b.emit("scatter", x, indices, d.other((count, *x.shape[1:])), kind=kind)


def integers(d: Drawing, x: Value) -> Value:
    """Whole numbers whose results stay below 2**22."""
    a = bounded(d, x.shape, -1000, 1000)
    low = d.one_of("mixed", "positive")
    b = bounded(d, smaller(d, x.shape), 1, 1000)
    if low == "mixed":
        odd = d.b.emit("mul", bounded(d, b.shape, 0, 1), d.b.constant(np.int32(-2)))
        b = d.b.emit("mul", b, d.b.emit("add", odd, d.b.constant(np.int32(1))))
    op = d.one_of("add", "sub", "mul", "max", "min", "neg", "abs", "div", "mod", "rem")
    if d.chance(0.3):
        b = d.b.constant(np.int32(d.number(1, 99)))
    made = d.b.emit(op, a) if op in ("neg", "abs") else d.b.emit(op, a, b)
    return d.b.emit("cast", made, to=FP32)


def bounded(d: Drawing, shape: tuple[int, ...], low: int, high: int) -> Value:
    """A new INT32 input in [low, high], whose range the graph itself proves."""
    raw = d.whole(shape, low, high)
    above = d.b.emit("max", raw, d.b.constant(np.int32(low)))
    return d.b.emit("min", above, d.b.constant(np.int32(high)))


def bits(d: Drawing, x: Value) -> Value:
    """Bits of whole words; the result is compared by its two halves, which FP32 can hold."""
    a = d.whole(x.shape, -(2**31), 2**31 - 1)
    b = d.whole(smaller(d, x.shape), -(2**31), 2**31 - 1)
    op = d.one_of("and", "or", "xor", "shl", "shr", "bit_not")
    if op in ("shl", "shr"):
        b = d.whole(b.shape, 0, 40)
        b = d.b.constant(np.int32(d.number(0, 33))) if d.chance(0.5) else b
    elif d.chance(0.3):
        b = d.b.constant(np.int32(d.number(-(2**23), 2**23)))
    made = d.b.emit(op, a) if op == "bit_not" else d.b.emit(op, a, b)
    low = d.b.emit("and", made, d.b.constant(np.int32(0xFFFF)))
    high = d.b.emit("shr", made, d.b.constant(np.int32(16)))
    return d.b.emit("sub", d.b.emit("cast", low, to=FP32), d.b.emit("cast", high, to=FP32))


ELEMENTWISE: tuple[Draw, ...] = (unary, binary, binary, wider, select, jump, power)
MOVES: tuple[Draw, ...] = (transpose, reshape, broadcast, slices, concat, shuffle, pad, gather)
SUMS: tuple[Draw, ...] = (reduce, matmul, matmul, conv, window)
REST: tuple[Draw, ...] = (conv_transpose, arg, cumsum, topk, scatter, integers, bits)
ALL: tuple[Draw, ...] = (*ELEMENTWISE, *MOVES, *SUMS, *REST)


def random_graph(
    seed: int, steps: int = 4, draws: tuple[Draw, ...] = ALL
) -> tuple[Graph, dict[str, Array]]:
    """A graph of about `steps` operations, and its inputs."""
    d = Drawing(np.random.default_rng(seed), GraphBuilder(f"random{seed}"))
    d.pool.append(d.fresh(d.shape()))
    for _ in range(d.number(1, steps)):
        recent = d.pool[-3:]
        x = recent[d.number(0, len(recent) - 1)]
        if not x.shape:
            x = d.moved("reshape", x, shape=(1,))
        made = draws[d.number(0, len(draws) - 1)](d, x)
        if made.size <= 4 * ELEMENTS and made.dtype != BOOL and d.b.array(made) is None:
            d.pool.append(made)
            d.read.update((x.id,) if made is not x else ())
    results = [v for v in d.pool if v.id not in d.read] or d.pool[-1:]
    for i, value in enumerate(results):
        d.b.output(value, f"y{i}")
    graph = d.b.finish()
    return graph, d.inputs
