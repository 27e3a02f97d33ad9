"""Graphs as text: printed for people, parsed back for tests.

    graph "name" {
      %0 "x": float32[1,3] = input
      %1 "w": float32[3,2] = constant [1.0, 2.0, ...]          (short: the elements)
      %2 "big": float32[64,64] = constant sha256:9f3c...        (long: a digest)
      %3 "y": float32[1,2] = reduce(%0) {kind="sum", axes=(1,), ...} from "fc" "ReduceSum"
      return %3
      note "..."
    }

`parse(print_graph(g), g's long constants) == g`, element by element.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Mapping

import ml_dtypes
import numpy as np

from compiler.graph.graph import Array, Attr, DType, Graph, Node, Source, Value
from isa.errors import MalformedError

INLINE_ELEMENTS = 16  # longer constants print as a digest


def digest(array: Array) -> str:
    """`sha256:` of dtype, shape and bytes."""
    head = f"{array.dtype}{list(array.shape)}".encode()
    return "sha256:" + hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def constants_by_digest(graph: Graph) -> dict[str, Array]:
    """The arrays that the text names only by digest."""
    arrays = (graph.constants[v.id] for v in graph.constant_values)
    return {digest(a): a for a in arrays if a.size > INLINE_ELEMENTS}


def print_graph(graph: Graph) -> str:
    """The whole graph as text, one value a line."""
    lines = [f"graph {json.dumps(graph.name)} {{"]
    lines += [f"  {_declared(v)} = input" for v in graph.inputs]
    for value in graph.constant_values:
        lines.append(f"  {_declared(value)} = constant {_elements(graph.constants[value.id])}")
    for node in graph.nodes:
        results = ", ".join(_declared(v) for v in node.outputs)
        operands = ", ".join(f"%{v.id}" for v in node.inputs)
        attrs = ", ".join(f"{k}={_attr(v)}" for k, v in node.attrs.items())
        origin = "".join(f" {json.dumps(s.name)} {json.dumps(s.op_type)}" for s in node.sources)
        lines.append(
            f"  {results} = {node.op}({operands}) {{{attrs}}}"
            + (f" from{origin}" if origin else "")
        )
    lines.append("  return " + ", ".join(f"%{v.id}" for v in graph.outputs))
    lines += [f"  note {json.dumps(note)}" for note in graph.notes]
    return "\n".join([*lines, "}", ""])


def _declared(value: Value) -> str:
    shape = ",".join(map(str, value.shape))
    return f"%{value.id} {json.dumps(value.name)}: {value.dtype}[{shape}]"


def _elements(array: Array) -> str:
    if array.size > INLINE_ELEMENTS:
        return digest(array)
    flat = array.ravel()
    if array.dtype.kind in "iub":
        return json.dumps([int(x) for x in flat])
    return "[" + ", ".join(repr(float(x)) for x in flat) + "]"


def _attr(value: Attr) -> str:
    if isinstance(value, np.dtype):
        return f"<{value}>"
    return json.dumps(value) if isinstance(value, str) else repr(value)


_STRING = r'"(?:[^"\\]|\\.)*"'
_VALUE = re.compile(rf"%(\d+) ({_STRING}): (\w+)\[([\d,]*)\]")
_NODE = re.compile(rf"(\w+)\(([%\d, ]*)\) \{{(.*)\}}((?: from(?: {_STRING})+)?)$")
_ATTR = re.compile(rf"(\w+)=(<\w+>|{_STRING}|\((?:[^()]|\([^()]*\))*\)|[^,()]+)(?:, )?")


class _Parser:
    def __init__(self, text: str, constants: Mapping[str, Array]) -> None:
        self.lines = text.splitlines()
        self.arrays = constants
        self.values: dict[int, Value] = {}
        self.number = 0

    def error(self, message: str, found: str) -> MalformedError:
        return MalformedError("SYS-G100", message, found=found, at=f"line {self.number}")

    def parse(self) -> Graph:
        name, inputs, outputs, nodes, notes = "", [], [], [], []
        constants: dict[int, Array] = {}
        for number, raw in enumerate(self.lines, start=1):
            self.number, line = number, raw.strip()
            if not line or line == "}":
                continue
            if line.startswith("graph "):
                name = self.string(line[6:].removesuffix("{").strip())
            elif line.startswith("return"):
                outputs = [self.value(t) for t in line[6:].split(",") if t.strip()]
            elif line.startswith("note "):
                notes.append(self.string(line[5:]))
            else:
                values, rest = self.declarations(line)
                if rest == "input":
                    inputs += values
                elif rest.startswith("constant "):
                    constants[values[0].id] = self.array(values[0], rest[9:])
                else:
                    nodes.append(self.node(values, rest))
        constant_values = tuple(self.values[i] for i in constants)
        return Graph(
            name, tuple(inputs), tuple(outputs), tuple(nodes), constants, constant_values,
            tuple(notes),
        )  # fmt: skip

    def string(self, token: str) -> str:
        try:
            return str(json.loads(token))
        except ValueError as error:
            raise self.error("a name is a quoted string", token) from error

    def value(self, token: str) -> Value:
        token = token.strip()
        if not re.fullmatch(r"%\d+", token) or int(token[1:]) not in self.values:
            raise self.error("an operand is a value written above", token)
        return self.values[int(token[1:])]

    def declarations(self, line: str) -> tuple[list[Value], str]:
        values, at = [], 0
        while found := _VALUE.match(line, at):
            number, name, dtype, shape = found.groups()
            extents = tuple(int(e) for e in shape.split(",") if e)
            value = Value(int(number), self.string(name), extents, self.dtype(dtype))
            values.append(value)
            at = found.end() + (2 if line.startswith(", ", found.end()) else 0)
        if not values or not line.startswith(" = ", at):
            raise self.error('a line declares values: %0 "name": float32[1,3] = ...', line)
        self.values.update((v.id, v) for v in values)
        return values, line[at + 3 :]

    def dtype(self, name: str) -> DType:
        try:
            return np.dtype(getattr(ml_dtypes, name, name))
        except TypeError as error:
            raise self.error("a dtype is one of numpy's or ml_dtypes'", name) from error

    def array(self, value: Value, token: str) -> Array:
        if token.startswith("sha256:"):
            if token not in self.arrays:
                raise self.error("long constants are given beside the text", token)
            return self.arrays[token]
        try:
            numbers = [float(t) if value.dtype.kind not in "iub" else int(t)
                       for t in token.strip("[]").split(",") if t.strip()]  # fmt: skip
            return np.asarray(numbers, value.dtype).reshape(value.shape)
        except (ValueError, OverflowError) as error:
            raise self.error("a short constant lists its elements", token) from error

    def node(self, outputs: list[Value], text: str) -> Node:
        found = _NODE.match(text)
        if found is None:
            raise self.error("a node reads op(%0, ...) {attribute=value, ...}", text)
        op, operands, attrs, origin = found.groups()
        inputs = tuple(self.value(t) for t in operands.split(",") if t.strip())
        words = [self.string(w) for w in re.findall(_STRING, origin)]
        sources = tuple(Source(*pair) for pair in zip(words[::2], words[1::2], strict=True))
        return Node(op, inputs, tuple(outputs), dict(self.attrs(attrs)), sources)

    def attrs(self, text: str) -> Iterable[tuple[str, Attr]]:
        at = 0
        while at < len(text):
            found = _ATTR.match(text, at)
            if found is None:
                raise self.error("attributes read name=value", text[at:])
            name, token = found.groups()
            at = found.end()
            yield name, self.attr(token)

    def attr(self, token: str) -> Attr:
        if token.startswith("<"):
            return self.dtype(token[1:-1])
        if token.startswith('"'):
            return self.string(token)
        if token.lstrip("-") in ("inf", "nan"):
            return float(token)
        try:
            value: Attr = ast.literal_eval(token)
        except (ValueError, SyntaxError) as error:
            raise self.error("an attribute is a number, boolean, string or tuple", token) from error
        return value


def parse_graph(text: str, constants: Mapping[str, Array] | None = None) -> Graph:
    """Read a printed graph; `constants` gives the arrays behind digests.

    Raises:
        MalformedError: SYS-G100 with the line.
    """
    return _Parser(text, constants or {}).parse()
