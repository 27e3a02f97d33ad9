"""Arrays in and out: a model's dtypes and shapes <-> the bytes of DRAM buffers.

    float -> float    nearest even through FP32; overflow to infinity
    float -> integer  nearest even, saturated, NaN to 0 (isa.dtypes)
    integer -> integer, float    kept; an integer that does not fit is refused
    to bool           whether it is not zero

Codes   SYS-R020  an input is missing          SYS-R022  an array has another shape
        SYS-R021  the model has no such input  SYS-R023  an array has another type
        SYS-R024  a number does not fit the type in which the device keeps it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isa.dtypes import DType, from_fp32, to_fp32
from isa.errors import MalformedError
from isa.program import DramBuffer
from neff import ModelTensor

Array = NDArray[Any]
Bytes = NDArray[np.uint8]
_WIDEST = np.iinfo(np.int64)


def check_inputs(
    tensors: Sequence[ModelTensor], given: Mapping[str, ArrayLike]
) -> dict[str, Array]:
    """The arrays of a model's inputs, each of its dtype and shape; a type that converts without
    loss is converted. Inputs may be missing.

    Raises:
        MalformedError: SYS-R021 .. SYS-R023.
    """
    by_name = {t.name: t for t in tensors}
    found = {}
    for name, value in given.items():
        if name not in by_name:
            raise MalformedError(
                "SYS-R021",
                "the model has an input of that name",
                found=repr(name),
                hint=f"its inputs are {', '.join(map(repr, by_name)) or 'none'}",
            )
        found[name] = _checked(by_name[name], np.asarray(value))
    return found


def require_all(tensors: Sequence[ModelTensor], given: Mapping[str, Array]) -> None:
    """Raise MalformedError SYS-R020 unless every input is there."""
    missing = [t for t in tensors if t.name not in given]
    if missing:
        raise MalformedError(
            "SYS-R020",
            "every input of the model is given",
            found=f"no {', '.join(repr(t.name) for t in missing)}",
            hint=f"{missing[0].name!r} is {missing[0].dtype} {list(missing[0].shape)}; "
            "with a seed, what is missing is drawn",
        )


def draw(tensor: ModelTensor, seed: int) -> Array:
    """Standard normal floats; integers 0 or 1, in range as index and as mask."""
    random = np.random.Generator(np.random.PCG64(seed))
    if tensor.numpy.kind in "biu":
        return random.integers(0, 2, tensor.shape, np.int64).astype(tensor.numpy)
    return random.standard_normal(tensor.shape).astype(tensor.numpy)


def _checked(tensor: ModelTensor, array: Array) -> Array:
    at = f"input {tensor.name!r}"
    if array.shape != tensor.shape:
        found = f"{list(array.shape)}; the model takes {list(tensor.shape)}"
        message = "an input has the shape that the model was compiled for"
        hint = "give an array of that shape; where the model leaves extents free, compile it for "
        hint += "others with --shape or --batch"
        raise MalformedError("SYS-R022", message, found=found, at=at, hint=hint)
    if array.dtype != tensor.numpy and not _widens(array.dtype, tensor.numpy):
        raise MalformedError(
            "SYS-R023",
            "an input has the model's type, or one that converts to it without loss",
            found=f"{array.dtype}; the model takes {tensor.dtype}",
            at=at,
            hint=f"convert it: array.astype({tensor.dtype!r})",
        )
    return np.ascontiguousarray(array.astype(tensor.numpy, copy=False)).reshape(tensor.shape)


def _widens(source: np.dtype[Any], target: np.dtype[Any]) -> bool:
    try:
        return bool(np.can_cast(source, target, "safe"))
    except TypeError:
        return False


def to_bytes(array: Array, buffer: DramBuffer, at: str = "") -> Bytes:
    """An array's elements in row-major order as its buffer keeps them.

    Raises:
        MalformedError: SYS-R024.
    """
    dtype, flat = buffer.dtype, array.reshape(-1)
    stored: Array
    if _is_integer(flat.dtype) and not dtype.is_float:
        info = np.iinfo(dtype.numpy)
        lowest, highest = (int(flat.min()), int(flat.max())) if len(flat) else (0, 0)
        if lowest < info.min or highest > info.max:
            raise MalformedError(
                "SYS-R024",
                "an integer fits the type in which the device keeps it",
                found=f"values from {lowest} to {highest}; {dtype.text} holds "
                f"{info.min} to {info.max}",
                at=at,
            )
        stored = flat.astype(dtype.numpy)
    elif flat.dtype == dtype.numpy and dtype is not DType.TF32:
        stored = flat
    else:
        with np.errstate(all="ignore"):
            stored = from_fp32(flat.astype(np.float32), dtype)
    data: Bytes = np.ascontiguousarray(stored).view(np.uint8)
    return data


def from_bytes(data: Bytes, buffer: DramBuffer, tensor: ModelTensor) -> Array:
    """The array that a buffer holds, a copy in the model's dtype and shape."""
    size = tensor.elements * buffer.dtype.size_bytes
    stored = np.ascontiguousarray(data[:size]).view(buffer.dtype.numpy)
    return _converted(stored, buffer.dtype, tensor.numpy).reshape(tensor.shape)


def _converted(stored: Array, dtype: DType, target: np.dtype[Any]) -> Array:
    if target == np.bool_:
        return np.asarray(stored != 0)
    if stored.dtype == target:
        return stored.copy()
    if not dtype.is_float and _is_integer(target):
        info = np.iinfo(target)
        wide = stored.astype(np.int64)
        return _clipped(wide, info).astype(target)
    values: Array = to_fp32(stored, dtype) if dtype.is_float else stored
    if not _is_integer(target):
        with np.errstate(all="ignore"):
            converted: Array = values.astype(target)
        return converted
    info = np.iinfo(target)
    with np.errstate(all="ignore"):
        rounded = np.nan_to_num(np.rint(values.astype(np.float64)), nan=0.0)
        whole = np.clip(rounded, -(2.0**63), 2.0**63 - 1024).astype(np.int64)
    return _clipped(whole, info).astype(target)


def _clipped(values: NDArray[np.int64], info: np.iinfo[Any]) -> NDArray[np.int64]:
    """Within a type's range, as far as int64 has it."""
    return np.clip(values, max(info.min, _WIDEST.min), min(info.max, _WIDEST.max))


def _is_integer(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biu"
