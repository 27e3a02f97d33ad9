"""LSTM, GRU and RNN, unrolled over their static length.

The input's product with all gates is one matmul over every step; only the recurrence is serial.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.frontends.onnx.operators.movement import part
from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import Value

_Step = Callable[["_Cell", Value, list[Value]], list[Value]]


class _Cell:
    """One direction: weights, activations, and the unrolling."""

    def __init__(
        self,
        n: OnnxNode,
        direction: int,
        reverse: bool,
        gates: int,
        states: int,
        lengths: Value | None = None,  # [B, 1], where sequences end early
    ) -> None:
        self.n, self.gates, self.reverse, self.lengths = n, gates, reverse, lengths
        self.hidden = int(n.required("hidden_size"))
        self.w, self.r = (self._own(n[i], direction) for i in (1, 2))
        self.bias = self._own(n[3], direction) if n.has(3) else None
        self.peephole = self._own(n[7], direction) if states == 2 and n.has(7) else None
        names = n.attr("activations")
        per = {1: 1, 3: 2, 4: 3}[gates]
        default = {1: ["Tanh"], 3: ["Sigmoid", "Tanh"], 4: ["Sigmoid", "Tanh", "Tanh"]}[gates]
        self.names = names[direction * per : (direction + 1) * per] if names else default
        self.direction = direction
        if n.attr("clip") is not None:
            raise n.refuse("clip")
        if n.attr("activation_alpha") or n.attr("activation_beta"):
            raise n.refuse("activations with parameters")

    def _own(self, v: Value, direction: int) -> Value:
        """This direction's slice of a parameter [D, ...]."""
        return self.n.reshape(part(self.n, v, 0, direction, 1), v.shape[1:])

    def gate(self, v: Value, index: int, count: int = 1) -> Value:
        """Columns of a gate in [..., G * H]."""
        return part(self.n, v, v.rank - 1, index * self.hidden, count * self.hidden)

    def activate(self, which: int, v: Value) -> Value:
        op = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Relu": "relu", "Softplus": "softplus"}
        name = self.names[which]
        if name not in op:
            raise self.n.refuse(f"activation {name}")
        return self.n.emit(op[name], v)

    def dot(self, a: Value, weights: Value) -> Value:
        return self.n.emit("matmul", a, weights, transpose_b=True)

    def unrolled(self, x: Value, initial: list[Value], step: _Step) -> tuple[Value, list[Value]]:
        """All hidden states [T, B, H] in time order, and the last states."""
        n, (length, batch, _) = self.n, x.shape
        gates = self.dot(n.reshape(x, (length * batch, x.shape[2])), self.w)
        width = self.gates * self.hidden
        if self.bias is not None:
            gates = n.emit("add", gates, part(n, self.bias, 0, 0, width))
        gates = n.reshape(gates, (length, batch, width))
        states, outputs = initial, []
        order = range(length)[::-1] if self.reverse else range(length)
        for t in order:
            new = step(self, n.reshape(part(n, gates, 0, t, 1), (batch, width)), states)
            output = new[0]
            if self.lengths is not None:  # behind its end a sequence keeps its states
                goes_on = n.emit("gt", self.lengths, n.like(t, self.lengths))
                new = [n.emit("select", goes_on, a, b) for a, b in zip(new, states, strict=True)]
                output = n.emit("select", goes_on, output, n.like(0, output))
            states = new
            outputs.append(n.reshape(output, (1, batch, self.hidden)))
        if self.reverse:
            outputs.reverse()
        joined = outputs[0] if length == 1 else n.emit("concat", *outputs, axis=0)
        return joined, states

    def recurrent_bias(self, first: int, count: int) -> Value | None:
        if self.bias is None:
            return None
        at = (self.gates + first) * self.hidden
        return part(self.n, self.bias, 0, at, count * self.hidden)

    def recurrent(self, h: Value, first: int = 0, count: int | None = None) -> Value:
        """h times the recurrent weights of some gates, plus their bias."""
        count = self.gates if count is None else count
        weights = part(self.n, self.r, 0, first * self.hidden, count * self.hidden)
        y, bias = self.dot(h, weights), self.recurrent_bias(first, count)
        return y if bias is None else self.n.emit("add", y, bias)


def _lstm_step(cell: _Cell, x: Value, states: list[Value]) -> list[Value]:
    """i, o, f, c gates; C = f * C + i * c; H = o * h(C)."""
    n, (h, c) = cell.n, states
    total = n.emit("add", x, cell.recurrent(h))
    i, o, f, candidate = (cell.gate(total, k) for k in range(4))

    def peep(gate: Value, index: int, state: Value) -> Value:
        if cell.peephole is None:
            return gate
        weights = part(n, cell.peephole, 0, index * cell.hidden, cell.hidden)
        return n.emit("add", gate, n.emit("mul", weights, state))

    i, f = cell.activate(0, peep(i, 0, c)), cell.activate(0, peep(f, 2, c))
    if n.attr("input_forget", 0):
        f = n.emit("sub", n.like(1, i), i)
    new = n.emit("mul", i, cell.activate(1, candidate))
    c = n.emit("add", n.emit("mul", f, c), new)
    o = cell.activate(0, peep(o, 1, c))
    return [n.emit("mul", o, cell.activate(2, c)), c]


def _gru_step(cell: _Cell, x: Value, states: list[Value]) -> list[Value]:
    """z and r gates; candidate from r * H before or after its product; H = (1-z) h + z H."""
    n, (h,) = cell.n, states
    both = n.emit("add", cell.gate(x, 0, 2), cell.recurrent(h, 0, 2))
    z, r = cell.activate(0, cell.gate(both, 0)), cell.activate(0, cell.gate(both, 1))
    if n.attr("linear_before_reset", 0):
        memory = n.emit("mul", r, cell.recurrent(h, 2, 1))
    else:
        memory = cell.recurrent(n.emit("mul", r, h), 2, 1)
    candidate = cell.activate(1, n.emit("add", cell.gate(x, 2), memory))
    kept = n.emit("mul", z, h)
    return [n.emit("add", n.emit("mul", n.emit("sub", n.like(1, z), z), candidate), kept)]


def _rnn_step(cell: _Cell, x: Value, states: list[Value]) -> list[Value]:
    total = cell.n.emit("add", x, cell.recurrent(states[0]))
    return [cell.activate(0, total)]


def _recurrent(n: OnnxNode, gates: int, states: int, step: _Step) -> list[Value]:
    """Run the directions and join them: Y [T, D, B, H], Y_h [D, B, H] (and Y_c)."""
    x = n[0]
    layout = n.attr("layout", 0)
    if layout:
        x = n.transpose(x, (1, 0, 2))
    length, batch, _ = x.shape
    known = n.b.array(n[4]) if n.has(4) else None
    full = not n.has(4) or (known is not None and bool(np.all(known == length)))
    lengths = None if full else n.reshape(n[4], (batch, 1))
    ways = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
    all_outputs, all_states = [], []
    for d, reverse in enumerate(ways[n.attr("direction", "forward")]):
        cell = _Cell(n, d, reverse, gates, states, lengths)
        initial = [
            _initial(n, 5 + s, d, batch, cell.hidden, x, bool(layout)) for s in range(states)
        ]
        y, last = cell.unrolled(x, initial, step)
        all_outputs.append(n.reshape(y, (length, 1, batch, cell.hidden)))
        all_states.append([n.reshape(s, (1, batch, cell.hidden)) for s in last])
    joined = _joined(n, all_outputs, 1)
    finals = [_joined(n, list(s), 0) for s in zip(*all_states, strict=True)]
    if layout:
        joined = n.transpose(joined, (2, 0, 1, 3))
        finals = [n.transpose(s, (1, 0, 2)) for s in finals]
    return [joined, *finals]


def _joined(n: OnnxNode, values: list[Value], axis: int) -> Value:
    return values[0] if len(values) == 1 else n.emit("concat", *values, axis=axis)


def _initial(
    n: OnnxNode, operand: int, direction: int, batch: int, hidden: int, x: Value, swapped: bool
) -> Value:
    if not n.has(operand):
        return n.broadcast(n.like(0, x), (batch, hidden))
    given = n.transpose(n[operand], (1, 0, 2)) if swapped else n[operand]
    return n.reshape(part(n, given, 0, direction, 1), (batch, hidden))


@imports("LSTM")
def lstm(n: OnnxNode) -> list[Value]:
    return _recurrent(n, 4, 2, _lstm_step)


@imports("GRU")
def gru(n: OnnxNode) -> list[Value]:
    return _recurrent(n, 3, 1, _gru_step)


@imports("RNN")
def rnn(n: OnnxNode) -> list[Value]:
    return _recurrent(n, 1, 1, _rnn_step)
