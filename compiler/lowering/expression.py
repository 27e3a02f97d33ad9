"""Elementwise graphs to engine instructions: each instruction takes as many nodes as it can.

`emission.py` has the instructions and the choice of engine, `compound.py` what takes several of
them; here is the walk over the nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compiler.lowering.compound import Compound
from compiler.lowering.emission import Col, Input, Pending
from compiler.lowering.integers import emit_integer
from compiler.lowering.remainder import emit_remainder
from isa.activation.functions import ActivationFunction as F
from isa.alu import AluOp
from isa.dtypes import DType
from isa.kernel import Ap


@dataclass(frozen=True, slots=True)
class Term:
    """An operand of a node: another node's result, an input tile, or a constant."""

    kind: str  # "node", "tile", "column", "constant"
    index: int = 0
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Op:
    """A node of an elementwise graph: a core op, its operands, its storage type and use count."""

    op: str
    terms: tuple[Term, ...]
    dtype: DType
    uses: int
    param: object = None


FUNCTIONS: dict[str, F] = {
    "relu": F.RELU,
    "exp": F.EXP,
    "log": F.LOG,
    "sqrt": F.SQRT,
    "rsqrt": F.RSQRT,
    "erf": F.ERF,
    "tanh": F.TANH,
    "sigmoid": F.SIGMOID,
    "softplus": F.SOFTPLUS,
    "gelu": F.GELU,
    "gelu_tanh": F.GELU_APPRX_TANH,
    "silu": F.SILU,
    "mish": F.MISH,
    "abs": F.ABS,
    "sign": F.SIGN,
    "square": F.SQUARE,
    "reciprocal": F.RECIPROCAL,
}
BINARY: dict[str, AluOp] = {
    "add": AluOp.ADD,
    "sub": AluOp.SUBTRACT,
    "mul": AluOp.MULTIPLY,
    "max": AluOp.MAX,
    "min": AluOp.MIN,
    "eq": AluOp.EQUAL,
    "ne": AluOp.NOT_EQUAL,
    "lt": AluOp.LESS,
    "le": AluOp.LESS_EQUAL,
    "gt": AluOp.GREATER,
    "ge": AluOp.GREATER_EQUAL,
    "and": AluOp.LOGICAL_AND,
    "or": AluOp.LOGICAL_OR,
    "xor": AluOp.LOGICAL_XOR,
}
SUPPORTED = frozenset(FUNCTIONS) | frozenset(BINARY) | {
    "neg", "div", "pow", "select", "cast", "copy", "not", "isnan", "isinf",
    "floor", "ceil", "round", "sin", "cos", "atan", "mod", "rem", "shl", "shr", "bit_not",
}  # fmt: skip


class Emitter(Compound):
    """Emits one region of an elementwise graph."""

    def run(
        self, ops: Sequence[Op], tiles: Sequence[Ap], columns: Sequence[Ap], outs: dict[int, Ap]
    ) -> None:
        """Emit all nodes. `outs` maps a node to the tile where its result belongs."""
        values: dict[int, Ap | Pending] = {}
        for i, op in enumerate(ops):
            operands = [self._operand(t, values, tiles, columns) for t in op.terms]
            keep = op.uses == 1 and i not in outs
            values[i] = self._node(op, operands, outs.get(i), keep)

    def _operand(
        self,
        term: Term,
        values: dict[int, Ap | Pending],
        tiles: Sequence[Ap],
        columns: Sequence[Ap],
    ) -> Input:
        if term.kind == "node":
            return values[term.index]
        if term.kind == "constant":
            return term.value
        if term.kind == "tile":
            return tiles[term.index]
        return Col(self._in_fp32(columns[term.index]))

    def _node(self, op: Op, xs: list[Input], out: Ap | None, keep: bool) -> Ap | Pending:
        def target() -> Ap:
            return out if out is not None else self.scratch(op.dtype)

        if op.param == "integer":
            return emit_integer(self, op.op, xs, op.dtype, target())
        if op.op in BINARY:
            return self._binary(BINARY[op.op], xs[0], xs[1], target, keep)
        if op.op == "neg":
            return self._binary(AluOp.MULTIPLY, xs[0], -1.0, target, keep)
        if op.op == "not":
            return self._binary(AluOp.EQUAL, xs[0], 0.0, target, keep)
        if op.op == "div":
            if op.param == "exact" and _plain(xs[1]):
                return self._quotient(self.settled(xs[0]), self._divisor(xs[1]), target())
            return self._divide(xs[0], xs[1], target, keep)
        if op.op == "pow":
            return self._power(xs[0], xs[1], target, keep)
        if op.op == "isnan":
            x = self._in_sbuf(self.settled(xs[0]))
            return self._tensor(AluOp.NOT_EQUAL, x, x, target())
        if op.op == "isinf":
            return self._isinf(self.settled(xs[0]), target())
        if op.op == "select":
            return self._select(xs, target())
        if op.op in ("cast", "copy"):
            return self._cast(op, xs[0], target)
        if op.op in ("floor", "ceil", "round"):
            return self._rounding(op.op, self.settled(xs[0]), target())
        if op.op in ("sin", "cos"):
            return self._sine(xs[0], op.op == "cos", target())
        if op.op == "atan":
            return self._arctangent(xs[0], target())
        if op.op in ("mod", "rem"):
            return emit_remainder(self, op.op, xs, target())
        result = target()
        if op.op == "reciprocal" and self._few():
            tile = self.settled(xs[0])
            self._cost(True, 8)
            self.k.reciprocal(result, tile)
        else:
            self._activate(result, xs[0], FUNCTIONS[op.op])
        return result

    def _few(self) -> bool:
        """Whether the vector engine inverts the tile sooner than a table is loaded."""
        hw = self.k.hw
        return 8 * self.n * 10**9 < hw.act_table_load_ns * hw.dve_clock_hz

    def _cast(self, op: Op, x: Input, target: Callable[[], Ap]) -> Ap | Pending:
        tile = self.settled(self._whole_number(x, op.dtype))
        if op.param == "bool":
            out = target()
            self._scalar(out, tile, AluOp.NOT_EQUAL, 0.0)
            return out
        if tile.dtype.is_float and not op.dtype.is_float:
            whole = self._truncate(tile)
            out = target()
            self.k.tensor_copy(out, whole)
            return out
        out = target()
        self._copy(out, tile)
        return out


def _plain(divisor: Input) -> bool:
    """Whether a divisor, where it is known, is far from zero and from infinity."""
    return not isinstance(divisor, float) or 2.0**-60 < abs(divisor) < 2.0**60
