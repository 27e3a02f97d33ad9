"""Arrays of inputs and outputs: NPZ files, and what is drawn where none is given.

What fits a model is for the runtime to say (`simulator.tensors`).
Codes   SYS-U001  the arrays' file cannot be read
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
from simulator.tensors import check_inputs, draw

Array = NDArray[Any]
SEED = 0


def read_arrays(path: str | Path) -> dict[str, Array]:
    """The arrays of an NPZ file, by name. Raises MalformedError SYS-U001."""
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("one array, not an archive of named arrays")
        with archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        pickled = "pickled" in str(error)  # NumPy's word for whatever it does not know
        found = "neither an archive nor an array" if pickled else str(error).splitlines()[0]
        raise _unreadable(path, found) from None


def _unreadable(path: str | Path, found: str) -> MalformedError:
    return MalformedError(
        "SYS-U001",
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
        MalformedError: SYS-R021 .. SYS-R023, an array does not fit.
    """
    whole = check_inputs(tensors, given)
    drawn = tuple(t.name for t in tensors if t.name not in whole)
    for i, tensor in enumerate(tensors):
        if tensor.name in drawn:
            whole[tensor.name] = draw(tensor, seed + i)
    return whole, drawn
