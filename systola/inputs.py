"""Arrays of inputs and outputs: NPZ files, checks, and what is drawn where none is given.

Codes   SYS-S001  the arrays' file cannot be read      SYS-S003  an array has another shape
        SYS-S002  the model has no such input          SYS-S004  an array's type does not convert
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isa.errors import MalformedError
from isa.files import whole_file
from neff.model import ModelTensor

Array = NDArray[Any]
SEED = 0


def read_arrays(path: str | Path) -> dict[str, Array]:
    """The arrays of an NPZ file, by name. Raises MalformedError SYS-S001."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("one array, not an archive of named arrays")
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path, str(error).splitlines()[0]) from None


def _unreadable(path: str | Path, found: str) -> MalformedError:
    return MalformedError(
        "SYS-S001",
        "the inputs are an NPZ file of plain arrays",
        found=found,
        at=str(path),
        hint="write one with numpy.savez(path, name=array, ...), a name for each input",
    )


def write_arrays(arrays: Mapping[str, Array], path: str | Path) -> None:
    """Write an NPZ file, whole or not at all; the same arrays give the same bytes.

    Types that NumPy itself does not have (bfloat16, 8-bit floats) are widened to FP32, so that any
    reader opens the file.

    Raises:
        SystolaError: SYS-F001, the file cannot be written.
    """
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            plain = array if array.dtype.isbuiltin == 1 else array.astype(np.float32)
            entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, plain, allow_pickle=False)


def complete_inputs(
    tensors: Sequence[ModelTensor], given: Mapping[str, ArrayLike], seed: int = SEED
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Every input in its model's type, and the names of those that had to be drawn.

    Raises:
        MalformedError: SYS-S002 .. SYS-S004.
    """
    unknown = sorted(set(given) - {t.name for t in tensors})
    if unknown:
        raise MalformedError(
            "SYS-S002",
            "the model has no such input",
            found=", ".join(unknown),
            hint=f"its inputs are {', '.join(t.name for t in tensors)}",
        )
    drawn = tuple(t.name for t in tensors if t.name not in given)
    whole = {
        t.name: _draw(t, seed + i) if t.name in drawn else _fitted(t, given[t.name])
        for i, t in enumerate(tensors)
    }
    return whole, drawn


def _fitted(tensor: ModelTensor, value: ArrayLike) -> Array:
    array = np.asarray(value)
    if array.shape != tensor.shape:
        raise MalformedError(
            "SYS-S003",
            "an input has the shape that the model was compiled for",
            found=f"{list(array.shape)}; compiled for {list(tensor.shape)}",
            at=f"input {tensor.name!r}",
            hint="reshape the array, or compile with --shape for this one",
        )
    if array.dtype == tensor.numpy:
        return array
    kinds = "biuf"  # from left to right each converts to the next; bfloat16 and FP8 are floats
    has, wants = (d.kind if d.kind in kinds else "f" for d in (array.dtype, tensor.numpy))
    if array.dtype.kind in "OSUMmc" or (has == "f" and wants != "f"):
        raise _no_conversion(tensor, array, "")
    with np.errstate(all="ignore"):
        converted = array.astype(tensor.numpy)
    if wants != "f" and not np.array_equal(converted.astype(array.dtype), array):
        raise _no_conversion(tensor, array, " with values out of its range")
    return converted


def _no_conversion(tensor: ModelTensor, array: Array, why: str) -> MalformedError:
    return MalformedError(
        "SYS-S004",
        "an input's type converts to the model's",
        found=f"{array.dtype}{why}; the model takes {tensor.dtype}",
        at=f"input {tensor.name!r}",
    )


def _draw(tensor: ModelTensor, seed: int) -> Array:
    """Floats from a standard normal, bytes from their whole range, wider integers 0 or 1.

    Wider integers are indices, masks or kinds more often than quantities: 0 and 1 are in range of
    any of them.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    dtype = tensor.numpy
    if dtype.kind in "biu":
        low, high = 0, 1
        if dtype.kind != "b" and dtype.itemsize == 1:
            low, high = (-128, 127) if dtype.kind == "i" else (0, 255)
        return random.integers(low, high, tensor.shape, np.int64, endpoint=True).astype(dtype)
    return random.standard_normal(tensor.shape).astype(dtype)
