"""Arrays in and out: NPZ files, checks of shape and type, and what is drawn."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from isa.errors import MalformedError, SystolaError
from neff.model import ModelTensor
from systola.inputs import complete_inputs, read_arrays, write_arrays

IMAGE = ModelTensor("image", "float32", (2, 3), "image")
TOKENS = ModelTensor("tokens", "int64", (4,), "tokens")


def test_arrays_survive_their_file(tmp_path: Path) -> None:
    arrays = {"a/b:0": np.arange(6.0).reshape(2, 3), "n": np.array(7), "t": np.array([True])}
    write_arrays(arrays, tmp_path / "x.npz")
    again = read_arrays(tmp_path / "x.npz")
    assert list(again) == list(arrays)
    for name, array in arrays.items():
        assert again[name].dtype == array.dtype
        np.testing.assert_array_equal(again[name], array)


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("x", "y"):
        write_arrays({"a": np.ones(3)}, tmp_path / name)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_types_that_numpy_lacks_are_widened(tmp_path: Path) -> None:
    write_arrays({"a": np.array([1.5], ml_dtypes.bfloat16)}, tmp_path / "x.npz")
    assert read_arrays(tmp_path / "x.npz")["a"].dtype == np.float32


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive", b"\x93NUMPY\x01\x00"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(MalformedError) as refused:
        read_arrays(tmp_path / "x.npz")
    assert refused.value.code == "SYS-U001"


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.array([{}], dtype=object))
    with pytest.raises(MalformedError, match="SYS-U001"):
        read_arrays(tmp_path / "x.npz")


def test_outputs_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(SystolaError, match="SYS-F001"):
        write_arrays({"a": np.ones(3)}, tmp_path / "none" / "x.npz")
    (tmp_path / "x.npz").write_bytes(b"before")
    with pytest.raises(ValueError, match="Object arrays"):
        write_arrays({"a": np.ones(3), "b": np.array([{}])}, tmp_path / "x.npz")
    assert (tmp_path / "x.npz").read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


def test_what_is_missing_is_drawn_the_same_each_time() -> None:
    first, drawn = complete_inputs([IMAGE, TOKENS], {})
    second, _ = complete_inputs([IMAGE, TOKENS], {})
    assert drawn == ("image", "tokens")
    for name in drawn:
        np.testing.assert_array_equal(first[name], second[name])
    assert first["image"].dtype == np.float32
    assert set(first["tokens"].tolist()) <= {0, 1}


def test_what_is_given_is_not_drawn() -> None:
    whole, drawn = complete_inputs([IMAGE, TOKENS], {"image": np.ones((2, 3), np.float16)})
    assert drawn == ("tokens",)
    assert whole["image"].dtype == np.float32
    assert whole["image"].tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize(
    "given",
    [
        {"imago": np.ones((2, 3))},
        {"image": np.ones((3, 2), np.float32)},
        {"image": np.ones((1, 2, 3), np.float32)},
        {"image": np.array([["a"] * 3] * 2)},
        {"image": np.ones((2, 3), complex)},
        {"tokens": np.ones(4)},
    ],
)
def test_an_input_that_does_not_fit_is_refused(given: dict[str, np.ndarray]) -> None:
    with pytest.raises(MalformedError, match="SYS-R02"):
        complete_inputs([IMAGE, TOKENS], given)
