"""Build a graph: emit core ops; constants fold and equal ops merge on the way.

`emit` infers types, evaluates an op whose operands are all constants, and returns the value of an
equal op if there is one already, so every graph built here is free of common subexpressions. The
importer and every graph pass build their result with it; `finish` drops what no output needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from compiler.errors import ShapeError
from compiler.graph.evaluate import apply
from compiler.graph.graph import Array, Attr, DType, Graph, Node, Source, TensorType, Value
from compiler.graph.ops import CORE_OPS
from compiler.graph.strided import dense

FOLD_LIMIT_BYTES = 1 << 20  # a larger result is folded only if it is no larger than its operands
INLINE_KEY_BYTES = 256  # constants up to this size merge when their bits are equal


class GraphBuilder:
    """A graph under construction."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.notes: list[str] = []
        self._next_id = 0
        self._inputs: list[Value] = []
        self._outputs: list[tuple[Value, str]] = []
        self._nodes: list[Node] = []
        self._producer: dict[int, int] = {}  # value id -> index in _nodes
        self._constants: dict[int, Array] = {}
        self._constant_values: dict[int, Value] = {}
        self._names: dict[int, str] = {}  # the model's own names, given after the fact
        self._owners: dict[str, int] = {}  # its inverse
        self._merged: dict[object, tuple[Value, ...]] = {}
        self._pooled: dict[object, Value] = {}
        self._sources: tuple[Source, ...] = ()
        self._base = "value"

    # -- where values come from -------------------------------------------------------------

    @contextmanager
    def origin(self, sources: Sequence[Source], base: str) -> Iterator[None]:
        """Nodes emitted inside carry `sources`; their values are named after `base`."""
        saved = self._sources, self._base
        self._sources, self._base = tuple(sources), base
        try:
            yield
        finally:
            self._sources, self._base = saved

    @property
    def current_sources(self) -> tuple[Source, ...]:
        return self._sources

    @property
    def current_base(self) -> str:
        return self._base

    def add_sources(self, sources: Sequence[Source]) -> None:
        """Nodes emitted until the end of the current `origin` also come from these."""
        self._sources = tuple(dict.fromkeys((*self._sources, *sources)))

    def input(self, name: str, shape: Sequence[int], dtype: DType) -> Value:
        value = self._value(tuple(shape), dtype, name)
        self._inputs.append(value)
        self.rename(value, name)
        return value

    def constant(self, array: Any, dtype: DType | None = None, name: str = "") -> Value:
        """A constant of a python number, list or array; small equal ones share a value."""
        data = dense(np.asarray(array, dtype))
        key: object = None
        if data.nbytes <= INLINE_KEY_BYTES:
            key = (data.dtype, data.shape, data.tobytes())
            if key in self._pooled:
                return self._pooled[key]
        value = self._value(data.shape, data.dtype, name or f"{self._base}/constant")
        if data.flags.writeable:
            data = data.view()
            data.flags.writeable = False
        self._constants[value.id], self._constant_values[value.id] = data, value
        if key is not None:
            self._pooled[key] = value
        return value

    def rename(self, value: Value, name: str) -> None:
        """Give a value the model's own name, unless it has one or the name is taken."""
        if value.id not in self._names and name not in self._owners:
            self._names[value.id] = name
            self._owners[name] = value.id

    def output(self, value: Value, name: str) -> None:
        """Declare a model output; its own name wins over any other the value has."""
        taken = any(v.id == value.id for v, _ in self._outputs)
        if taken or value.id not in self._producer:
            value = self._append("copy", (value,), {}, (value.type,))[0]
        owner = self._owners.get(name, -1)
        if self._names.get(owner) == name:  # it may have taken another name since
            del self._names[owner]
        self._names[value.id], self._owners[name] = name, value.id
        self._outputs.append((value, name))

    # -- what is known ----------------------------------------------------------------------

    def array(self, value: Value) -> Array | None:
        """The array of a constant; None for anything else."""
        return self._constants.get(value.id)

    def producer(self, value: Value) -> Node | None:
        """The node that writes a value; None for inputs and constants."""
        index = self._producer.get(value.id)
        return None if index is None else self._nodes[index]

    # -- ops --------------------------------------------------------------------------------

    def emit(self, op: str, *operands: Value, **attrs: Attr) -> Value:
        """Apply an op with one result."""
        return self.emit_all(op, operands, attrs)[0]

    def emit_all(
        self,
        op: str,
        operands: Sequence[Value],
        attrs: Mapping[str, Attr],
        dtypes: Sequence[DType] | None = None,
    ) -> tuple[Value, ...]:
        """Apply an op; `dtypes` overrides the storage dtypes of its float results."""
        full = complete_attrs(op, attrs)
        return self.emit_typed(op, operands, full, result_types(op, operands, full, dtypes))

    def emit_typed(
        self,
        op: str,
        operands: Sequence[Value],
        full: Mapping[str, Attr],
        types: tuple[TensorType, ...],
    ) -> tuple[Value, ...]:
        """Apply an op whose attributes are complete and whose `result_types` are known."""
        folded = self._fold(op, operands, full, types)
        if folded is not None:
            return folded
        key = (op, tuple(v.id for v in operands), tuple(sorted(full.items(), key=_first)), types)
        if key not in self._merged:
            self._merged[key] = self._append(op, tuple(operands), full, types)
        return self._merged[key]

    def _fold(
        self,
        op: str,
        operands: Sequence[Value],
        attrs: Mapping[str, Attr],
        types: Sequence[TensorType],
    ) -> tuple[Value, ...] | None:
        arrays = [self._constants.get(v.id) for v in operands]
        if any(a is None for a in arrays):
            return None
        produced = sum(_size_bytes(t) for t in types)
        consumed = sum(a.nbytes for a in arrays if a is not None)
        if produced > max(FOLD_LIMIT_BYTES, consumed):
            return None
        try:
            results = apply(
                op, [a for a in arrays if a is not None], attrs, [t.dtype for t in types]
            )
        except IndexError as error:  # a gather outside its table
            raise ShapeError(
                "SYS-F119", "indices stay inside the indexed tensor", found=str(error)
            ) from error
        return tuple(self.constant(r, name=f"{self._base}/{op}") for r in results)

    def _append(
        self,
        op: str,
        operands: tuple[Value, ...],
        attrs: Mapping[str, Attr],
        types: Sequence[TensorType],
    ) -> tuple[Value, ...]:
        results = tuple(self._value(t.shape, t.dtype, f"{self._base}/{op}") for t in types)
        for value in results:
            self._producer[value.id] = len(self._nodes)
        self._nodes.append(Node(op, operands, results, dict(attrs), self._sources))
        return results

    def _value(self, shape: tuple[int, ...], dtype: DType, name: str) -> Value:
        self._next_id += 1
        return Value(self._next_id - 1, name, tuple(int(e) for e in shape), np.dtype(dtype))

    # -- the end ----------------------------------------------------------------------------

    def finish(self) -> Graph:
        """The graph: dead nodes and constants dropped, ids dense, names unique."""
        needed = {value.id for value, _ in self._outputs}
        nodes: list[Node] = []
        for node in reversed(self._nodes):
            if any(v.id in needed for v in node.outputs):
                nodes.append(node)
                needed.update(v.id for v in node.inputs)
        nodes.reverse()
        final = self._renumber(nodes)
        constants = {v.id: v for node in nodes for v in node.inputs if v.id in self._constants}
        return Graph(
            name=self.name,
            inputs=tuple(final[v.id] for v in self._inputs),
            outputs=tuple(final[v.id] for v, _ in self._outputs),
            nodes=tuple(
                replace(
                    n,
                    inputs=tuple(final[v.id] for v in n.inputs),
                    outputs=tuple(final[v.id] for v in n.outputs),
                )
                for n in nodes
            ),
            constants={final[i].id: self._constants[i] for i in constants},
            constant_values=tuple(final[i] for i in constants),
            notes=tuple(dict.fromkeys(self.notes)),
        )

    def _renumber(self, nodes: Sequence[Node]) -> dict[int, Value]:
        """Old id -> final value. The model's own names are claimed first, then derived ones."""
        constants = {v.id: v for n in nodes for v in n.inputs if v.id in self._constants}
        order = [*self._inputs, *constants.values(), *(v for n in nodes for v in n.outputs)]
        own = [self._names.get(v.id) for v in order]
        used = {name for name in own if name is not None}
        counts: dict[str, int] = {}
        final: dict[int, Value] = {}
        for new_id, (value, name) in enumerate(zip(order, own, strict=True)):
            final[value.id] = replace(
                value, id=new_id, name=_unique(value.name, used, counts) if name is None else name
            )
        return final


def _unique(name: str, used: set[str], counts: dict[str, int]) -> str:
    candidate = name
    while candidate in used:
        counts[name] = counts.get(name, 1) + 1
        candidate = f"{name}.{counts[name]}"
    used.add(candidate)
    return candidate


def result_types(
    op: str,
    operands: Sequence[Value],
    full: Mapping[str, Attr],
    dtypes: Sequence[DType] | None = None,
) -> tuple[TensorType, ...]:
    """The types that inference gives, `dtypes` in place of those of float results."""
    types = tuple(CORE_OPS[op].infer([v.type for v in operands], full))
    if dtypes is None:
        return types
    return tuple(
        t if t.dtype == d else replace(t, dtype=d) for t, d in zip(types, dtypes, strict=True)
    )


def complete_attrs(op: str, attrs: Mapping[str, Attr]) -> dict[str, Attr]:
    """The attributes with defaults filled in, in declared order."""
    declared = CORE_OPS[op].attrs
    full: dict[str, Attr] = {}
    for name, default in declared:
        value = attrs.get(name, default)
        assert value is not None, f"{op} needs attribute {name}"
        full[name] = value
    unknown = set(attrs) - {name for name, _ in declared}
    assert not unknown, f"{op} has no attributes {sorted(unknown)}"
    return full


def _first(item: tuple[str, Attr]) -> str:
    return item[0]


def _size_bytes(kind: TensorType) -> int:
    n = kind.dtype.itemsize
    for extent in kind.shape:
        n *= extent
    return n
