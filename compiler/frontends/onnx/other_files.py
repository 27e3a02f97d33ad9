"""Files that are often given for an ONNX model, known by their first bytes."""

from __future__ import annotations

from neff import is_neff

_EXPORT = "export the model to ONNX (torch.onnx.export, tf2onnx)"
_BY_START: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a zip archive, as a PyTorch checkpoint or an NPZ file is", _EXPORT),
    (b"\x89HDF", "an HDF5 file, as a Keras model is", _EXPORT),
    (b"\x80", "a Python pickle, as an old PyTorch checkpoint is", _EXPORT),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
)
_NEFF = "a NEFF, which is compiled already"


def told_apart(data: bytes | memoryview) -> tuple[str, str]:
    """What a file that is no ONNX model is, or "", and what to do."""
    start = bytes(data[:64])
    if is_neff(start):
        return _NEFF, "systola run, bench, explain, verify and inspect take it as it is"
    if start[4:8] == b"TFL3":
        return "a TensorFlow Lite model", _EXPORT
    for head, kind, hint in _BY_START:
        if start.startswith(head):
            return kind, hint
    return "", f"{_EXPORT}; a truncated download reads like this"
