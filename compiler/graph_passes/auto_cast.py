"""auto-cast: choose how FP32 values are stored.

none      as the model has them.
matmult   the operands of matmuls and convolutions are cast to BF16 (FP16); all else stays FP32.
all       every FP32 value is stored in BF16 (FP16), but: model inputs and outputs; the results of
          reductions and elementwise results of only such (small statistics: a mean, the sum of a
          softmax, a variance); constants that vary in at most one dimension (biases, scales);
          what only becomes integers.

Before   %y: float32[1,64] = matmul(%x: float32, %w: float32)
After    %x': bfloat16 = cast(%x);  %y: bfloat16[1,64] = matmul(%x', %w': bfloat16)

A finite constant never becomes infinite: what is beyond the 16-bit range (the least FP32 number of
a mask) becomes the largest number there, as 0 times an infinity would be NaN. FP16's range is too
small to clip a factor by: there it is what comes of such a constant that is kept finite.

A dtype here is how a value is stored; every op still computes in FP32. So `evaluate` predicts what
the device loses, but for values that fusion never stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from compiler.errors import UsageError
from compiler.graph.graph import BF16, FP16, FP32, Array, DType, Graph, Node, Value, is_integer
from compiler.graph.ops import CORE_OPS, Family
from compiler.graph_passes.rebuild import Rebuilder

AutoCastMode: TypeAlias = Literal["all", "matmult", "none"]

_ELEMENTWISE = (Family.UNARY, Family.BINARY, Family.COMPARE, Family.SELECT, Family.CONVERT)
_LARGEST = {BF16: (2 - 2**-7) * 2.0**127, FP16: (2 - 2**-10) * 2.0**15}
_VIEWS = ("reshape", "transpose", "broadcast_to", "slice", "copy")
_JOINS = ("concat", "assemble")


Rounded: TypeAlias = dict[int, tuple[Array, Array]]
"""Constants and what they were rounded to, by the identity of the first."""


def auto_cast(
    graph: Graph,
    mode: str = "all",
    dtype: DType | str = BF16,
    rounded: Rounded | None = None,
) -> Graph:
    """The graph with storage dtypes chosen by `mode` ("all", "matmult", "none").

    Constants found in `rounded` are not rounded again; new ones are added to it.

    Raises:
        UsageError: an unknown mode (SYS-G210) or a dtype other than BF16 and FP16 (SYS-G211).
    """
    if mode not in ("all", "matmult", "none"):
        raise UsageError(
            "SYS-G210", "auto-cast is all, matmult or none", found=mode, hint="--auto-cast all"
        )
    narrow = {"bf16": BF16, "fp16": FP16}.get(str(dtype)) or dtype
    if narrow not in (BF16, FP16):
        raise UsageError(
            "SYS-G211",
            "auto-cast stores in bf16 or fp16",
            found=str(dtype),
            hint="--auto-cast-type bf16",
        )
    assert not isinstance(narrow, str)
    if mode == "none":
        return graph
    kept = {} if rounded is None else rounded
    return _AutoCast(graph, mode == "all", narrow, kept).run()


class _AutoCast(Rebuilder):
    keeps_names = True

    def __init__(self, graph: Graph, everything: bool, narrow: DType, rounded: Rounded) -> None:
        super().__init__(graph)
        self.everything, self.narrow, self.rounded = everything, narrow, rounded
        self.statistics: set[int] = set()  # ids of small FP32 values, by the old graph
        self.outputs = {v.id for v in graph.outputs}
        self.whole = _whole_numbers(graph)

    def constant(self, value: Value) -> Value:
        if not _is_vector(value):
            return super().constant(value)
        self.statistics.add(value.id)
        array = self.graph.constants[value.id]
        if self.everything and self.narrow == BF16:
            array = _saturated(array, BF16)
        return self.b.constant(array, name=value.name)

    def result(self, value: Value) -> Value:
        new = self.new[value.id]
        return new if new.dtype == value.dtype else self.b.emit("cast", new, to=value.dtype)

    def node(self, node: Node) -> None:
        family = CORE_OPS[node.op].family
        operands = [self.new[v.id] for v in node.inputs]
        if node.op == "bitcast":  # bits are those of the model's own types
            self.bind(node.output, self._bits(node, operands[0]))
            return
        if _is_precise(node):
            pass  # its operands are statistics, and so is what comes of them
        elif family is Family.CONTRACT and node.output.id not in self.whole:
            operands = [self.narrowed(v) for v in operands]
        elif self.everything and family is not Family.CONTRACT:
            operands = [self.operand(node, v) for v in node.inputs]
            if node.op == "scatter" and operands[0].dtype != operands[2].dtype:  # one type for both
                operands = [self.narrowed(v) for v in operands]
        attrs = dict(node.attrs)
        dtypes = [self.storage(node, v, operands) for v in node.outputs]
        if node.op == "cast" and node.attrs["to"] == FP32:
            attrs["to"] = dtypes[0]
        if family in _ELEMENTWISE and dtypes == [FP16] and any(map(self.passes_fp16, operands)):
            wide = self.b.emit_all(node.op, operands, attrs, [FP32])[0]
            self.bind(node.output, self.finite(wide))
        else:
            self.bind_all(node, self.b.emit_all(node.op, operands, attrs, dtypes))

    def _bits(self, node: Node, x: Value) -> Value:
        given = node.inputs[0].dtype
        x = x if x.dtype == given else self.b.emit("cast", x, to=given)
        return self.b.emit("bitcast", x, **node.attrs)

    def passes_fp16(self, value: Value) -> bool:
        """Whether a value is a constant with finite numbers beyond FP16's range."""
        array = self.b.array(value)
        return array is not None and _saturated(array, FP16) is not array

    def finite(self, value: Value) -> Value:
        """An FP32 value in FP16, what is beyond its range the largest number there."""
        most = self.b.constant(np.float32(_LARGEST[FP16]))
        least = self.b.constant(np.float32(-_LARGEST[FP16]))
        inside = self.b.emit("max", self.b.emit("min", value, most), least)
        return self.b.emit("cast", inside, to=FP16)

    def narrowed(self, value: Value) -> Value:
        if value.dtype != FP32:
            return value
        array = self.b.array(value)
        known = self.rounded.get(id(array))
        if array is not None and known is not None and known[1].dtype == self.narrow:
            return self.b.constant(known[1], name=f"{self.b.current_base}/cast")
        if array is not None and (finite := _saturated(array, self.narrow)) is not array:
            value = self.b.constant(finite, name=value.name)
        made = self.b.emit("cast", value, to=self.narrow)
        result = self.b.array(made)
        if array is not None and result is not None:
            self.rounded[id(array)] = array, result
        return made

    def operand(self, node: Node, old: Value) -> Value:
        """A statistic or model input is read as it is by elementwise ops and reductions."""
        new, family = self.new[old.id], CORE_OPS[node.op].family
        if new.dtype != FP32 or old.id in self.statistics or node.output.id in self.whole:
            return new
        if self.graph.is_constant(old):
            return self.narrowed(new)
        if family in _ELEMENTWISE or family in (Family.REDUCE, Family.WINDOW, Family.SCAN):
            return new
        return self.narrowed(new)

    def storage(self, node: Node, value: Value, operands: Sequence[Value]) -> DType:
        """The dtype that a result is stored in."""
        if value.dtype != FP32 or not self.everything or value.id in self.whole:
            return value.dtype
        family = CORE_OPS[node.op].family
        if self.is_statistic(node, family):
            self.statistics.add(value.id)
            return FP32
        if node.op in ("gather", "topk", "scatter"):
            return operands[0].dtype
        if family is Family.MOVE:
            return next((v.dtype for v in operands if v.dtype != FP32), operands[0].dtype)
        return FP32 if value.id in self.outputs else self.narrow

    def is_statistic(self, node: Node, family: Family) -> bool:
        """A reduction's result, or an elementwise or rearranged one of such."""
        if family is Family.REDUCE:
            return 2 * node.output.size <= node.inputs[0].size
        if _is_precise(node):
            return True
        if family not in _ELEMENTWISE and node.op not in _VIEWS and node.op not in _JOINS:
            return False
        floats = [v for v in node.inputs if v.dtype == FP32]
        if node.op == "broadcast_to" and node.output.size > node.inputs[0].size:
            return False
        computed = [v for v in floats if not self.graph.is_constant(v)]
        return (
            bool(computed)
            and all(v.id in self.statistics for v in floats)
            and node.output.size <= max(v.size for v in computed)
        )


def _whole_numbers(graph: Graph) -> set[int]:
    """Values that only become integers, at once, through elementwise ops or moved.

    Rounded to 16 bits before, they would become other integers; and a product of whole numbers that
    is exact in FP32 (`integer_products.py`) is not in 16 bits.
    """
    readers = graph.consumers()
    found: set[int] = set()
    for node in reversed(graph.nodes):
        for value in node.outputs:
            mine = readers.get(value.id, [])
            if mine and all(_becomes_integer(r, found) for r in mine):
                found.add(value.id)
    return found


def _becomes_integer(reader: Node, found: set[int]) -> bool:
    if reader.op in ("cast", "bitcast"):
        return is_integer(reader.output.dtype)
    moves = CORE_OPS[reader.op].family in (*_ELEMENTWISE, Family.MOVE) or reader.op == "gather"
    return moves and reader.output.id in found


def _is_precise(node: Node) -> bool:
    return bool(node.attrs.get("precise"))


def _saturated(array: Array, narrow: DType) -> Array:
    """Finite FP32 numbers that a dtype cannot hold made its largest; else the very same array."""
    if array.dtype != FP32 or not array.size:
        return array
    most = np.float32(_LARGEST[narrow])
    if -most <= array.min() and array.max() <= most:
        return array
    return np.where(np.isfinite(array), np.clip(array, -most, most), array)


def _is_vector(value: Value) -> bool:
    """A constant that varies in at most one dimension: a bias, a scale, a number."""
    return sum(extent > 1 for extent in value.shape) <= 1
