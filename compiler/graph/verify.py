"""What a well-formed graph is. A pass that breaks a rule is at fault, never the user."""

from __future__ import annotations

from compiler.errors import VerifyError
from compiler.graph.graph import INT32, INT64, Graph, Node, Value, is_float
from compiler.graph.ops import CORE_OPS
from isa.errors import SystolaError

_INDEX_RESULTS = ("argmax", "argmin", "topk")  # positions: INT64, or INT32 where they are narrowed


def verify(graph: Graph, after: str = "") -> None:
    """Check a graph; `after` names the pass that made it.

    Rules   SYS-G001  ids and names are unique
            SYS-G002  a value is written before it is read, and once
            SYS-G003  an output is written by a node
            SYS-G004  ops, operand counts and attributes are those of the table
            SYS-G005  types are what inference says, but for the width of floats and positions
            SYS-G006  a constant's array has its value's shape and dtype
    """
    _Checker(graph, after).run()


class _Checker:
    def __init__(self, graph: Graph, after: str) -> None:
        self.graph, self.after = graph, after

    def fail(self, code: str, message: str, found: str, node: Node | None = None) -> None:
        place = "" if node is None else f"node {node.output.name} ({node.op})"
        where = " ".join(t for t in (place, f"after {self.after}" if self.after else "") if t)
        raise VerifyError(code, message, found=found, at=where)

    def run(self) -> None:
        self.unique()
        defined = {v.id for v in (*self.graph.inputs, *self.graph.constant_values)}
        for value in self.graph.constant_values:
            self.constant(value)
        if set(self.graph.constants) != {v.id for v in self.graph.constant_values}:
            self.fail(
                "SYS-G006", "constants and their values correspond", "an array or value alone"
            )
        produced: set[int] = set()
        for node in self.graph.nodes:
            for value in node.inputs:
                if value.id not in defined:
                    self.fail("SYS-G002", "a value is written before it is read", str(value), node)
            for value in node.outputs:
                if value.id in defined:
                    self.fail("SYS-G002", "a value is written once", str(value), node)
                defined.add(value.id)
                produced.add(value.id)
            self.node(node)
        for value in self.graph.outputs:
            if value.id not in produced:
                self.fail("SYS-G003", "an output is written by a node", str(value))

    def unique(self) -> None:
        ids: set[int] = set()
        names: set[str] = set()
        for value in self.graph.values():
            if value.id in ids or value.name in names:
                self.fail("SYS-G001", "ids and names are unique", f"%{value.id} {value}")
            ids.add(value.id)
            names.add(value.name)
        outputs = [v.id for v in self.graph.outputs]
        if len(set(outputs)) != len(outputs):
            self.fail("SYS-G001", "every output is a value of its own", str(outputs))

    def constant(self, value: Value) -> None:
        array = self.graph.constants.get(value.id)
        if array is None or array.shape != value.shape or array.dtype != value.dtype:
            have = "nothing" if array is None else f"{array.dtype}{list(array.shape)}"
            self.fail("SYS-G006", "a constant's array has its value's type", f"{have} for {value}")

    def node(self, node: Node) -> None:
        op = CORE_OPS.get(node.op)
        if op is None:
            self.fail("SYS-G004", "ops are those of the table", node.op, node)
            return
        count = len(node.inputs)
        if (count < 1 if op.variadic else count != len(op.operands)) or (
            len(node.outputs) != op.results
        ):
            found = f"{count} operands, {len(node.outputs)} results"
            self.fail("SYS-G004", f"operands are {op.operands}", found, node)
        if set(node.attrs) != {name for name, _ in op.attrs}:
            self.fail("SYS-G004", "attributes are those of the table", str(dict(node.attrs)), node)
        try:
            types = op.infer([v.type for v in node.inputs], node.attrs)
        except SystolaError as error:
            self.fail("SYS-G005", error.message, error.found, node)
            return
        for value, kind in zip(node.outputs, types, strict=True):
            width_only = is_float(value.dtype) and is_float(kind.dtype) and node.op != "cast"
            width_only |= node.op in _INDEX_RESULTS and value.dtype in (INT32, INT64)
            if value.shape != kind.shape or (value.dtype != kind.dtype and not width_only):
                self.fail("SYS-G005", "a result has its inferred type",
                          f"{value}; inferred {kind.dtype}{list(kind.shape)}", node)  # fmt: skip
