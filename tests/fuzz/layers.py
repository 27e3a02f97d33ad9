"""Samplers of layers: products, windows, normalisations, recurrences, quantised arithmetic."""

from __future__ import annotations

from typing import Any

from tests.fuzz.draft import Attributes, Draft, Value
from tests.fuzz.oracle import Unsuitable
from tests.fuzz.table import draws


@draws("MatMul")
def matmul(d: Draft, op: str) -> None:
    a = d.pick(rank=(1, 4))
    if d.chance(0.2):
        d.add(op, [a, d.fresh(a.dtype, (a.shape[-1],))])
        return
    batch = [1 if d.chance(0.4) else n for n in a.shape[:-2]] if d.chance(0.6) else []
    columns = d.one_of((1, 2, 3, 7, 64, 130))
    if a.rank > 1 and d.chance(0.25):
        b = d.fresh(a.dtype, (*batch, columns, a.shape[-2]))
        d.add(op, [b, a])
    else:
        d.add(op, [a, d.fresh(a.dtype, (*batch, a.shape[-1], columns))])


@draws("Gemm")
def gemm(d: Draft, op: str) -> None:
    a = d.pick(rank=(2, 2))
    ta, tb = d.integer(0, 1), d.integer(0, 1)
    m, k = a.shape[::-1] if ta else a.shape
    n = d.one_of((1, 3, 5, 32, 129))
    b = d.fresh(a.dtype, (n, k) if tb else (k, n))
    c = [d.fresh(a.dtype, d.one_of(((n,), (1, n), (m, 1), (m, n), ())))] if d.chance(0.7) else []
    scales: Attributes = {name: float(d.rng.uniform(0.3, 2)) for name in ("alpha", "beta")}
    d.add(op, [a, b, *c], transA=ta, transB=tb, **(scales if d.chance(0.5) else {}))


@draws("Einsum")
def einsum(d: Draft, op: str) -> None:
    b, i, j, k, h = (d.integer(1, 6) for _ in range(5))
    sizes = {"b": b, "i": i, "j": j, "k": k, "h": h}
    equation = d.one_of(("bij,bjk->bik", "ij,jk", "bhik,bhjk->bhij", "ij->ji", "ij->i", "i,j->ij",
                         "bij,kj->bik", "bij,bij->b", "ij,ij->", "ibh,jbh->bij"))  # fmt: skip
    terms = equation.split("->")[0].split(",")
    d.add(op, [d.fresh("float32", [sizes[c] for c in t]) for t in terms], equation=equation)


def window(d: Draft, sizes: tuple[int, ...], pool: bool = False) -> dict[str, Any]:
    """Kernel, strides, dilations and pads that fit in an image of these sizes."""
    kernel, strides, dilations, before, after = [], [], [], [], []
    for n in sizes:
        pads = [d.one_of((0, 0, 1, 2)) for _ in range(2)]
        dilation = d.one_of((1, 1, 1, 2)) if not pool or d.opset >= 19 else 1
        most = (n + sum(pads) - 1) // dilation + 1
        k = min(d.one_of((1, 2, 3, 3, 5)), most, n)
        pads = [min(p, k - 1) for p in pads]
        if (k - 1) * dilation + 1 > n + sum(pads):
            k, dilation, pads = 1, 1, [0, 0]
        kernel.append(k)
        strides.append(d.one_of((1, 1, 2, 3)))
        dilations.append(dilation)
        before.append(pads[0])
        after.append(pads[1])
    given: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
    if any(x > 1 for x in dilations):
        given["dilations"] = dilations
    style = d.one_of(("pads", "pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID"))
    if style == "pads" or "dilations" in given:
        given["pads"] = before + after
    else:
        given["auto_pad"] = style
    return given


def image(d: Draft) -> Value:
    return d.pick(rank=(3, 4) if d.chance(0.9) else (5, 5))


@draws("Conv")
def convolution(d: Draft, op: str) -> None:
    a = image(d)
    channels = a.shape[1]
    groups = d.one_of([g for g in range(1, channels + 1) if channels % g == 0]) \
        if d.chance(0.5) else 1  # fmt: skip
    given = window(d, a.shape[2:])
    outputs = groups * d.one_of((1, 2, 3, 8))
    w = d.fresh(a.dtype, (outputs, channels // groups, *given["kernel_shape"]), -1, 1)
    bias = [d.fresh(a.dtype, (outputs,))] if d.chance(0.6) else []
    d.add(op, [a, w, *bias], group=groups, **given)


@draws("ConvTranspose")
def transposed_convolution(d: Draft, op: str) -> None:
    a = d.pick(rank=(3, 4))
    channels = a.shape[1]
    groups = channels if d.chance(0.2) else 1
    spatial = len(a.shape) - 2
    kernel = [d.integer(1, 3) for _ in range(spatial)]
    strides = [d.integer(1, 3) for _ in range(spatial)]
    given: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "group": groups}
    if d.chance(0.5):
        given["pads"] = [min(1, k - 1) for k in kernel * 2]
    if d.chance(0.4):
        given["output_padding"] = [d.integer(0, s - 1) for s in strides]
    w = d.fresh(a.dtype, (channels, d.integer(1, 4), *kernel), -1, 1)
    bias = [d.fresh(a.dtype, (w.shape[1] * groups,))] if d.chance(0.6) else []
    d.add(op, [a, w, *bias], **given)


@draws("MaxPool", "AveragePool", "LpPool")
def pooling(d: Draft, op: str) -> None:
    a = image(d)
    given = window(d, a.shape[2:], pool=True)
    if "auto_pad" in given:  # onnxruntime takes a negative padding where strides are longer
        given["strides"] = [1] * len(given["strides"])
    if op == "LpPool":
        given["p"] = d.integer(1, 3)
    if d.chance(0.3) and "pads" in given and (op != "LpPool" or d.opset >= 18):
        given["ceil_mode"] = 1
    if op == "AveragePool":
        given["count_include_pad"] = d.integer(0, 1)
    d.add(op, [a], exact=op == "MaxPool", **given)


@draws("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pooling(d: Draft, op: str) -> None:
    power: Attributes = {"p": d.integer(1, 3)} if op == "GlobalLpPool" else {}
    d.add(op, [image(d)], **power)


@draws("Softmax", "LogSoftmax", "Hardmax")
def softmax(d: Draft, op: str) -> None:
    a = d.pick()
    given: Attributes = {"axis": d.axis(a)} if d.chance(0.8) else {}
    d.add(op, [a], **given)


@draws("LpNormalization")
def lp_normalization(d: Draft, op: str) -> None:
    a = d.pick()
    d.add(op, [a], axis=d.axis(a), p=d.integer(1, 2))


@draws("BatchNormalization")
def batch_normalization(d: Draft, op: str) -> None:
    a = d.pick(rank=(2, 4))
    c = (a.shape[1],)
    limits = ((-2, 2), (-2, 2), (-2, 2), (0.3, 3))
    d.add(op, [a, *(d.fresh(a.dtype, c, *limit) for limit in limits)])


@draws("InstanceNormalization")
def instance_normalization(d: Draft, op: str) -> None:
    a = d.pick(rank=(3, 4), where=lambda v: max(v.shape[2:]) > 1)  # of one element nothing is left
    d.add(op, [a, *(d.fresh(a.dtype, (a.shape[1],)) for _ in range(2))], epsilon=1e-2)


@draws("GroupNormalization")
def group_normalization(d: Draft, op: str) -> None:
    a = d.pick(rank=(3, 4))
    groups = d.one_of([g for g in range(1, a.shape[1] + 1) if a.shape[1] % g == 0])
    size = groups if d.opset < 21 else a.shape[1]
    operands = [d.fresh(a.dtype, (size,)) for _ in range(2)]
    d.add(op, [a, *operands], num_groups=groups, epsilon=1e-2)


@draws("LayerNormalization", "RMSNormalization")
def layer_normalization(d: Draft, op: str) -> None:
    a = d.pick()
    axis = d.axis(a)
    count = 2 if op == "LayerNormalization" and d.chance(0.7) else 1
    operands = [d.fresh(a.dtype, a.shape[axis:]) for _ in range(count)]
    d.add(op, [a, *operands], axis=axis, epsilon=1e-2)


@draws("MeanVarianceNormalization")
def mean_variance(d: Draft, op: str) -> None:
    a = d.pick(rank=(4, 4))
    given: Attributes = {"axes": d.axes(a)} if d.chance(0.6) else {}
    d.add(op, [a], **given)


@draws("LRN")
def lrn(d: Draft, op: str) -> None:
    a = d.pick(rank=(4, 4))
    d.add(op, [a], size=d.one_of((1, 3, 5)), alpha=0.1, beta=0.75, bias=float(d.integer(1, 2)))


@draws("LSTM", "GRU", "RNN")
def recurrence(d: Draft, op: str) -> None:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    a = d.pick(rank=(3, 3))
    steps, batch, width = a.shape
    if steps > 8:
        raise Unsuitable
    hidden = d.integer(1, 6)
    direction = d.one_of(("forward", "reverse", "bidirectional"))
    ways = 2 if direction == "bidirectional" else 1
    w = d.fresh("float32", (ways, gates * hidden, width), -1, 1)
    r = d.fresh("float32", (ways, gates * hidden, hidden), -1, 1)
    operands: list[Value | None] = [a, w, r]
    if d.chance(0.6):
        operands.append(d.fresh("float32", (ways, 2 * gates * hidden), -1, 1))
        if d.chance(0.4):
            states = 2 if op == "LSTM" else 1
            starts = [d.fresh("float32", (ways, batch, hidden), -1, 1) for _ in range(states)]
            ends = d.fresh("int32", (batch,), 1, steps) if d.chance(0.4) else None
            operands += [ends, *starts]
    given: Attributes = {"linear_before_reset": d.integer(0, 1)} if op == "GRU" else {}
    outputs = 3 if op == "LSTM" else 2
    made = d.add(op, operands, outputs, hidden_size=hidden, direction=direction, **given)
    if float(abs(made[0].array).max()) < 1e-3:
        raise Unsuitable  # onnxruntime's own functions are wrong by 1e-9


@draws("QuantizeLinear")
def quantize(d: Draft, op: str) -> None:
    a = d.pick()
    dtype = d.one_of(("uint8", "int8"))
    by_axis = d.opset >= 13 and d.chance(0.4)
    axis = d.integer(0, a.rank - 1)
    shape = (a.shape[axis],) if by_axis else ()
    zero = d.fresh(dtype, shape, 0, 20)
    given: Attributes = {"axis": axis} if by_axis else {}
    d.add(op, [a, scales(d, shape), zero], **given)


@draws("DequantizeLinear")
def dequantize(d: Draft, op: str) -> None:
    a = d.pick(("uint8", "int8"))
    by_axis = d.opset >= 13 and d.chance(0.4)
    axis = d.integer(0, a.rank - 1)
    shape = (a.shape[axis],) if by_axis else ()
    given: Attributes = {"axis": axis} if by_axis else {}
    d.add(op, [a, scales(d, shape), d.fresh(a.dtype, shape, 0, 20)], **given)


@draws("DynamicQuantizeLinear")
def dynamic_quantize(d: Draft, op: str) -> None:
    d.add(op, [d.pick(where=lambda v: bool(v.array.any()))], 3)  # the scale of zeros is not agreed


@draws("MatMulInteger")
def matmul_integer(d: Draft, op: str) -> None:
    a = d.pick(("uint8",), rank=(2, 3))
    b = d.fresh(d.one_of(("uint8", "int8")), (a.shape[-1], d.integer(1, 9)), -99, 99)
    points = [d.fresh("uint8", (), 0, 9), d.fresh(b.dtype, (), 0, 9)] if d.chance(0.6) else []
    d.add(op, [a, b, *points])


@draws("ConvInteger")
def conv_integer(d: Draft, op: str) -> None:
    a = d.pick(("uint8",), rank=(4, 4))
    given = window(d, a.shape[2:])
    given.pop("dilations", None)
    w = d.fresh("uint8", (d.integer(1, 4), a.shape[1], *given["kernel_shape"]), 0, 99)
    points = [d.fresh("uint8", (), 0, 9), d.fresh("uint8", (), 0, 9)] if d.chance(0.6) else []
    d.add(op, [a, w, *points], **given)


@draws("QLinearMatMul")
def qlinear_matmul(d: Draft, op: str) -> None:
    a = d.pick(("uint8", "int8"), rank=(2, 3))
    b = d.fresh(a.dtype, (a.shape[-1], d.integer(1, 9)), -99, 99)
    operands = []
    for value in (a, b):
        operands += [value, scales(d, ()), d.fresh(value.dtype, (), 0, 9)]
    d.add(op, [*operands, scales(d, (), 40), d.fresh(a.dtype, (), 0, 9)])


@draws("QLinearConv")
def qlinear_conv(d: Draft, op: str) -> None:
    a = d.pick(("uint8",), rank=(4, 4))
    given = window(d, a.shape[2:])
    outputs = d.integer(1, 5)
    w = d.fresh(d.one_of(("uint8", "int8")), (outputs, a.shape[1], *given["kernel_shape"]), -99, 99)
    per_channel = (outputs,) if d.chance(0.4) else ()
    bias = [d.fresh("int32", (outputs,), -99, 99)] if d.chance(0.5) else []
    zero = d.constant([0] * outputs if per_channel else 0, w.dtype)
    x = [a, scales(d, ()), d.fresh("uint8", (), 0, 9)]
    y = [scales(d, (), 30), d.fresh("uint8", (), 0, 9)]
    operands = [*x, w, scales(d, per_channel), zero, *y, *bias]
    for value in operands[1:8]:
        value.constant = True
    d.add(op, operands, **given)


def scales(d: Draft, shape: tuple[int, ...] = (), times: float = 1) -> Value:
    return d.fresh("float32", shape, 0.02 * times, 0.2 * times)
