"""The static shapes of a model's inputs: the model's own, completed by the user's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx

from compiler.errors import ShapeError, UnsupportedError, UsageError
from compiler.frontends.onnx.batch import Extent, Extents, batch_is_all, extents_of
from compiler.frontends.onnx.tensors import dtype_of
from compiler.graph.graph import DType


def input_types(
    inputs: Iterable[onnx.ValueInfoProto], shapes: Mapping[str, Sequence[int]]
) -> list[tuple[str, tuple[int, ...], DType]]:
    """(name, shape, dtype) of every input, in order.

    Raises:
        UsageError: a shape for an unknown input, or against what the model fixes (F103, F104).
        ShapeError: dimensions that stay unknown, all of them named (F101).
    """
    inputs = list(inputs)
    declared = {i.name: _declared(i) for i in inputs}
    symbols = _symbols(declared, shapes)
    free: list[str] = []
    result = []
    for info in inputs:
        extents = declared[info.name]
        if extents is None and info.name not in shapes:
            free.append(f"input {info.name!r}: its rank is not in the model")
            continue
        shape = [symbols.get(e, e) if isinstance(e, str) else e for e in extents or ()]
        if info.name in shapes:
            shape = list(shapes[info.name])
        for i, extent in enumerate(shape):
            if not isinstance(extent, int) or extent < 0:
                label = f"{extent!r}" if isinstance(extent, str) else "(unnamed)"
                free.append(f"input {info.name!r}, dimension {i}: {label}, free in the model")
        dtype = dtype_of(info.type.tensor_type.elem_type, f"input {info.name!r}")
        result.append((info.name, tuple(e for e in shape if isinstance(e, int)), dtype))
    if free:
        raise _unknown(free, declared)
    return result


def _declared(info: onnx.ValueInfoProto) -> list[Extent] | None:
    """The model's extents of an input; None if it does not give a rank."""
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type":
        raise UnsupportedError(
            "SYS-F205",
            "model inputs are tensors",
            found=f"a {kind or 'value without a type'}",
            at=f"input {info.name!r}",
        )
    return extents_of(info)


def _symbols(declared: Extents, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """The symbolic dimensions that the given shapes fix, checked against the model."""
    known = {e for extents in declared.values() for e in extents or () if isinstance(e, str)}
    symbols = {name: int(s[0]) for name, s in shapes.items() if name in known and len(s) == 1}
    for name, shape in shapes.items():
        if name not in declared:
            if name in symbols:
                continue
            raise UsageError(
                "SYS-F103",
                "a shape is given for an input or a symbolic dimension of the model",
                found=f"{name!r}; inputs {sorted(declared)}, symbolic dimensions {sorted(known)}",
                hint="use --shape INPUT=1,3,224,224",
            )
        extents = declared[name]
        if any(int(e) < 0 for e in shape):
            raise UsageError(
                "SYS-F104",
                "given extents are not negative",
                found=f"{name}={list(shape)}",
                hint="use --shape INPUT=1,3,224,224",
            )
        if extents is None:
            continue
        fits = len(extents) == len(shape) and all(
            not isinstance(e, int) or e == given for e, given in zip(extents, shape, strict=True)
        )
        if not fits:
            raise UsageError(
                "SYS-F104",
                "a given shape agrees with what the model, or the batch, fixes",
                found=f"{name}={list(shape)}; fixed are {extents}",
                hint="give only what is free, or export the model for this shape",
            )
        for extent, given in zip(extents, shape, strict=True):
            if isinstance(extent, str) and symbols.setdefault(extent, int(given)) != given:
                raise UsageError(
                    "SYS-F104",
                    "a symbolic dimension has one extent",
                    found=f"{extent!r} is both {symbols[extent]} and {given}",
                    at=f"input {name!r}",
                    hint="give the same extent to every input that shares it",
                )
    return symbols


def _unknown(free: Sequence[str], declared: Extents) -> ShapeError:
    options = " ".join(
        f"--shape {name}={','.join(str(e) if isinstance(e, int) else 'N' for e in extents or ())}"
        for name, extents in declared.items()
        if extents is None or not all(isinstance(e, int) for e in extents)
    )
    if batch_is_all(declared):
        options = f"--batch N, or {options}"
    return ShapeError(
        "SYS-F101",
        "every shape is known at compile time",
        found="; ".join(free),
        at="the model's inputs",
        hint=f"{options}   (N: the extent to compile for)",
    )
