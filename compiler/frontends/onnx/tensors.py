"""TensorProto to numpy: embedded, or external data that stays inside the model's folder."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from compiler.errors import UnsupportedError
from compiler.graph.graph import BOOL, Array, DType, is_float, is_integer
from isa.errors import MalformedError

_AGAIN = "export the model and its data again, and copy both whole"


def dtype_of(element_type: int, where: str) -> DType:
    """The numpy dtype of an ONNX element type; strings and complex numbers are refused."""
    try:
        name = onnx.TensorProto.DataType.Name(element_type)
    except ValueError:
        name = str(element_type)
    if name in ("STRING", "UNDEFINED", "COMPLEX64", "COMPLEX128") or name.lstrip("-").isdigit():
        raise _no_such_type(name, where)
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(element_type))
    if not (is_float(dtype) or is_integer(dtype) or dtype == BOOL):
        raise _no_such_type(name, where)
    return dtype


def _no_such_type(name: str, where: str) -> UnsupportedError:
    return UnsupportedError(
        "SYS-F203",
        "tensors hold floating-point numbers, integers of 8 to 64 bits or booleans",
        found=f"element type {name}",
        at=where,
        hint="leave that part of the model to the framework",
    )


def to_array(tensor: onnx.TensorProto, folder: Path | None) -> Array:
    """The tensor's data, read only where it is mapped from a file."""
    where = f"tensor {tensor.name or '(unnamed)'}"
    dtype = dtype_of(tensor.data_type, where)
    if any(extent < 0 for extent in tensor.dims):
        raise MalformedError(
            "SYS-F005",
            "extents are not negative",
            found=str(list(tensor.dims)),
            at=where,
            hint=_AGAIN,
        )
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return _external(tensor, dtype, folder, where)
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError) as error:
        raise MalformedError(
            "SYS-F006",
            "a tensor holds as many bytes as its shape and type say",
            found=f"{str(error).splitlines()[0]} (dims {list(tensor.dims)}, {dtype})",
            at=where,
            hint=_AGAIN,
        ) from error


def mapped_array(tensor: onnx.TensorProto, data: memoryview) -> Array:
    """The array of an initializer whose raw data were left where they are."""
    where = f"tensor {tensor.name}"
    dtype = dtype_of(tensor.data_type, where)
    shape = tuple(tensor.dims)
    needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if any(extent < 0 for extent in shape) or needed != len(data):
        raise MalformedError(
            "SYS-F006",
            "a tensor holds as many bytes as its shape and type say",
            found=f"{len(data)} bytes (dims {list(shape)}, {dtype})",
            at=where,
            hint=_AGAIN,
        )
    array = np.frombuffer(data, np.uint8).view(dtype).reshape(shape)
    return array if sys.byteorder == "little" else array.byteswap()


def _external(tensor: onnx.TensorProto, dtype: DType, folder: Path | None, where: str) -> Array:
    """Map the tensor's bytes from its file."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise MalformedError(
            "SYS-F007",
            "a model with external data is given as a file",
            found=f"data in {location!r}, and a model without a folder",
            at=where,
            hint="pass the path of the .onnx file",
        )
    root = folder.resolve()
    path = (root / location).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        what = "outside the model's folder" if not path.is_relative_to(root) else "not a file"
        raise MalformedError(
            "SYS-F008",
            "external data is a file inside the model's folder",
            found=f"{location!r}: {what}",
            at=where,
            hint="keep the data file beside the .onnx file",
        )
    shape = tuple(tensor.dims)
    needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    offset = _number(entries, "offset", where)
    length = _number(entries, "length", where) or needed
    if offset < 0 or length != needed or offset + needed > path.stat().st_size:
        raise MalformedError(
            "SYS-F009",
            "external data holds the tensor's bytes",
            found=f"{needed} bytes wanted at {offset} (length {length}); "
            f"the file has {path.stat().st_size}",
            at=where,
            hint=_AGAIN,
        )
    _check_digest(entries.get("checksum", ""), path, where)
    if needed == 0:
        return np.zeros(shape, dtype)
    raw = np.memmap(path, np.uint8, "r", offset, (needed,))
    return (
        np.asarray(raw).view(dtype.newbyteorder("<") if dtype.kind != "V" else dtype).reshape(shape)
    )


def _number(entries: Mapping[str, str], key: str, where: str) -> int:
    """A number of bytes among the entries; 0 where it is left out."""
    text = entries.get(key, "") or "0"
    try:
        return int(text)
    except ValueError:
        raise MalformedError(
            "SYS-F009",
            "external data holds the tensor's bytes",
            found=f"{key} {text!r}, which is no number",
            at=where,
            hint=_AGAIN,
        ) from None


def _check_digest(wanted: str, path: Path, where: str) -> None:
    """The file's SHA-1, where the model gives it."""
    if not wanted:
        return
    found = _digest(path, path.stat().st_mtime_ns)
    if found != wanted.lower():
        raise MalformedError(
            "SYS-F018",
            "external data has the checksum that the model gives",
            found=f"SHA-1 {found} of {path.name}; the model says {wanted}",
            at=where,
            hint=_AGAIN,
        )


@functools.lru_cache(maxsize=16)
def _digest(path: Path, changed: int) -> str:
    """SHA-1 of a file as it was last changed: many tensors lie in one."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest()


def attribute_value(attribute: onnx.AttributeProto, folder: Path | None) -> Any:
    """An attribute in plain Python: tensors as arrays, text decoded; None for tensors of text."""
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        if value.data_type == onnx.TensorProto.STRING:
            return None
        return to_array(value, folder)
    if isinstance(value, list) and value and isinstance(value[0], bytes):
        return [v.decode("utf-8", "replace") for v in value]
    return value
