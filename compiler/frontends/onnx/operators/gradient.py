"""Gradient, of ONNX's preview for training: reverse-mode differentiation of the graph built so far.

    dy/dx = sum over the readers of x of  dy/dr * dr/dx

A walk back from y over core ops; `_RULES` has what each hands on to its operands, and what has no
rule there is refused. Where both operands of a maximum are the largest, the first gets all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import Node, Value, is_float

Rule = Callable[[OnnxNode, Node, Value], Sequence[Value | None]]
"""(importer's node, op, dy/d result) -> dy/d operand, of the result's shape before broadcasting."""


@imports("Gradient", domain="ai.onnx.preview.training")
def gradient(n: OnnxNode) -> list[Value]:
    """dy/dx for every x of xs, where xs (and zs, held still) are the operands themselves."""
    xs, still = list(n.required("xs")), list(n.attr("zs", []))
    named = [n.find(name) for name in (*xs, *still, n.required("y"))]
    y = named.pop()
    if y is None or not is_float(y.dtype) or named != list(n.inputs):
        raise n.refuse("a gradient at another place than where its result was computed")
    found = _gradients(n, y, {v.id for v in named if v is not None})
    return [found.get(n[i].id) or n.broadcast(n.like(0, n[i]), n[i].shape) for i in range(len(xs))]


def _gradients(n: OnnxNode, y: Value, leaves: set[int]) -> dict[int, Value]:
    """Value id -> dy/d value, for all that y depends on up to `leaves`."""
    total = {y.id: n.broadcast(n.like(1, y), y.shape)}
    for node in reversed(_behind(n, y, leaves)):
        given = total.get(node.output.id)
        if given is None:
            continue
        rule = _RULES.get(node.op)
        if rule is None or len(node.outputs) > 1:
            raise n.refuse(f"the gradient of {node.op}")
        for operand, part in zip(node.inputs, rule(n, node, given), strict=True):
            if part is None or not is_float(operand.dtype) or n.b.array(operand) is not None:
                continue
            part = _summed(n, part, operand.shape)
            old = total.get(operand.id)
            total[operand.id] = part if old is None else n.emit("add", old, part)
    return total


def _behind(n: OnnxNode, y: Value, leaves: set[int]) -> list[Node]:
    """The nodes that y is made of, each behind those that it reads."""
    order: list[Node] = []
    seen: set[int] = set()
    pending = [(y, False)]
    while pending:
        value, read = pending.pop()
        node = n.b.producer(value)
        if node is None or value.id in leaves:
            continue
        if read:
            order.append(node)
        elif value.id not in seen:
            seen.add(value.id)
            pending.append((value, True))
            pending += [(v, False) for v in node.inputs]
    return order


def _summed(n: OnnxNode, x: Value, shape: Sequence[int]) -> Value:
    """The adjoint of broadcasting `shape` to x's."""
    if x.shape == tuple(shape):
        return x
    wide = (1,) * (x.rank - len(shape)) + tuple(shape)
    axes = tuple(i for i, (a, b) in enumerate(zip(x.shape, wide, strict=True)) if a != b)
    if axes:
        x = n.emit("reduce", x, kind="sum", axes=axes, keepdims=True)
    return n.reshape(x, shape)


def _times(n: OnnxNode, g: Value, *factors: Value) -> Value:
    for factor in factors:
        g = n.emit("mul", g, factor)
    return g


def _binary_rules() -> dict[str, Rule]:
    def division(n: OnnxNode, node: Node, g: Value) -> list[Value]:
        a = n.emit("div", g, node.inputs[1])
        return [a, n.emit("neg", _times(n, a, node.output))]

    def power(n: OnnxNode, node: Node, g: Value) -> list[Value | None]:
        x, e = node.inputs
        if n.b.array(e) is None:
            raise n.refuse("the gradient of a power by its exponent")
        less = n.emit("pow", x, n.emit("sub", e, n.like(1, e)))
        return [_times(n, g, e, less), None]

    def chosen(n: OnnxNode, node: Node, g: Value) -> list[Value]:
        first = n.emit("eq", node.inputs[0], node.output)
        zero = n.like(0, g)
        return [n.emit("select", first, g, zero), n.emit("select", first, zero, g)]

    return {
        "add": lambda n, node, g: [g, g],
        "sub": lambda n, node, g: [g, n.emit("neg", g)],
        "mul": lambda n, node, g: [_times(n, g, v) for v in reversed(node.inputs)],
        "div": division,
        "pow": power,
        "max": chosen,
        "min": chosen,
    }


def _unary_rules() -> dict[str, Rule]:
    """dy/dx = g * f'(x), by x or by what f makes of it."""

    def rule(slope: Callable[[OnnxNode, Value, Value], Value]) -> Rule:
        return lambda n, node, g: [_times(n, g, slope(n, node.inputs[0], node.output))]

    def less(n: OnnxNode, x: Value) -> Value:
        return n.emit("sub", n.like(1, x), x)

    return {
        "neg": lambda n, node, g: [n.emit("neg", g)],
        "exp": rule(lambda n, x, y: y),
        "log": rule(lambda n, x, y: n.emit("reciprocal", x)),
        "sqrt": rule(lambda n, x, y: n.emit("div", n.like(0.5, y), y)),
        "reciprocal": rule(lambda n, x, y: n.emit("neg", n.emit("mul", y, y))),
        "tanh": rule(lambda n, x, y: less(n, n.emit("mul", y, y))),
        "sigmoid": rule(lambda n, x, y: n.emit("mul", y, less(n, y))),
        "softplus": rule(lambda n, x, y: n.emit("sigmoid", x)),
        "sin": rule(lambda n, x, y: n.emit("cos", x)),
        "cos": rule(lambda n, x, y: n.emit("neg", n.emit("sin", x))),
        "abs": rule(lambda n, x, y: n.emit("sign", x)),
        "relu": lambda n, node, g: [
            n.emit("select", n.emit("gt", node.output, n.like(0, g)), g, n.like(0, g))
        ],
        "copy": lambda n, node, g: [g],
        "cast": lambda n, node, g: [n.cast(g, node.inputs[0].dtype)],
    }


def _matmul(n: OnnxNode, node: Node, g: Value) -> list[Value]:
    """dA = G B', dB = A' G, each transposed where its operand is."""
    a, b = node.inputs
    swap_a, swap_b = bool(node.attrs["transpose_a"]), bool(node.attrs["transpose_b"])

    def product(x: Value, y: Value, tx: bool, ty: bool) -> Value:
        return n.emit("matmul", x, y, transpose_a=tx, transpose_b=ty)

    return [
        product(b, g, swap_b, True) if swap_a else product(g, b, False, not swap_b),
        product(g, a, True, swap_a) if swap_b else product(a, g, not swap_a, False),
    ]


def _reduction(n: OnnxNode, node: Node, g: Value) -> list[Value]:
    (x,), kind = node.inputs, node.attrs["kind"]
    axes = node.attrs["axes"]
    assert isinstance(axes, tuple)
    if kind == "prod":
        raise n.refuse("the gradient of a product of elements")
    kept = [1 if i in axes else e for i, e in enumerate(x.shape)]
    whole = n.reshape(g, kept)
    if kind in ("max", "min"):  # the elements that reach it share what it is given
        hits = n.cast(n.emit("eq", x, n.reshape(node.output, kept)), x.dtype)
        many = n.emit("reduce", hits, kind="sum", axes=axes, keepdims=True)
        return [n.emit("mul", hits, n.emit("div", whole, many))]
    if kind == "mean":
        count = math.prod(x.shape[i] for i in axes if isinstance(i, int))
        whole = n.emit("mul", whole, n.like(1 / count, g))
    return [n.broadcast(whole, x.shape)]


def _transposed(n: OnnxNode, node: Node, g: Value) -> list[Value]:
    perm = node.attrs["perm"]
    assert isinstance(perm, tuple)
    return [n.transpose(g, [perm.index(i) for i in range(len(perm))])]


_RULES: dict[str, Rule] = {
    **_binary_rules(),
    **_unary_rules(),
    "matmul": _matmul,
    "reduce": _reduction,
    "transpose": _transposed,
    "reshape": lambda n, node, g: [n.reshape(g, node.inputs[0].shape)],
    "broadcast_to": lambda n, node, g: [g],
    "select": lambda n, node, g: [
        None,
        n.emit("select", node.inputs[0], g, n.like(0, g)),
        n.emit("select", node.inputs[0], n.like(0, g), g),
    ],
}
