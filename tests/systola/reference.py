"""The real models of the issue: their inputs, what they must give, and how predictions compare."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Case:
    """One model, and every reference case that its files hold.

    Attributes:
        path: the ONNX file; shapes: what it leaves free.
        inputs, outputs: one mapping a case, by the model's names.
        prediction: outputs -> what a user reads from them.
        may_change: predictions of all cases that BF16 may change: 0, but for the long text, where
            the reference itself says how many tokens a correct BF16 machine changes.
    """

    path: Path
    shapes: dict[str, list[int]]
    inputs: list[Arrays]
    outputs: list[Arrays]
    prediction: Callable[[Arrays], Array]
    may_change: int = 0


def _class_of(outputs: Arrays) -> Array:
    """The largest entry of each row; a classifier may keep dimensions of one behind its classes."""
    (values,) = outputs.values()
    while values.ndim > 1 and values.shape[-1] == 1:
        values = values[..., 0]
    return np.asarray(values.argmax(-1))


def _picture(outputs: Arrays) -> Array:
    """A picture predicts nothing; its error is all there is."""
    return np.zeros(0, np.int64)


def detections(outputs: Arrays, least: float = 0.7, overlap: float = 0.3) -> Array:
    """The best anchor, then the anchor of each face above `least` after non-maximum suppression.

    The reference image holds no face above the usual 0.7, so without the best anchor there would
    be little to compare.
    """
    scores, boxes = outputs["scores"][0, :, 1], outputs["boxes"][0].astype(np.float64)
    candidates = np.flatnonzero(scores > least)
    kept: list[int] = []
    for i in candidates[np.argsort(-scores[candidates], kind="stable")].tolist():
        if all(_overlap(boxes[i], boxes[k]) <= overlap for k in kept):
            kept.append(i)
    return np.array([scores.argmax(), *kept], np.int64)


def _overlap(a: Array, b: Array) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    areas = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]))
    return shared / (areas - shared) if areas > shared else 1.0


NAMES = (
    *("digits_cnn_b50", "mnist8", "squeezenet_fp32", "ultraface_rfb320", "super_resolution"),
    *("stories260k_prefill64", "stories260k_prefill256"),
)


def load(models: Path, name: str) -> Case:
    """One of NAMES, from the folder of models."""
    entries = {e["id"]: e for e in json.loads((models / "index.json").read_text())}
    entry = entries[name]
    path, shapes = models / entry["model"], entry["impose_shapes"] or {}
    if name == "stories260k_prefill256":
        return _long_text(models, path)
    data = np.load(models / entry["reference"])
    kind, first = entry["slice"], data[next(iter(entry["inputs"].values()))]
    size = {"stack": 1, "batch": 1, "batch50": 50}.get(kind, len(first))
    count = len(first) // size if kind != "whole" else 1

    def cut(keys: Mapping[str, str], i: int) -> Arrays:
        def one(array: Array) -> Array:
            if kind == "whole":
                return array
            return array[i] if kind == "stack" else array[i * size : (i + 1) * size]

        return {n: _wide(one(data[key])) for n, key in keys.items()}

    inputs = [cut(entry["inputs"], i) for i in range(count)]
    outputs = [cut(entry["outputs"], i) for i in range(count)]
    special = {"ultraface_rfb320": detections, "super_resolution": _picture}
    return Case(path, shapes, inputs, outputs, special.get(name, _class_of))


def _wide(array: Array) -> Array:
    """References may be stored in FP16."""
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _long_text(models: Path, path: Path) -> Case:
    """Every position predicts the next token of a published text; FP32 logits by onnxruntime."""
    from systola.accuracy import fp32_values

    greedy = json.loads((models / "stories260k" / "stories260k_greedy.json").read_text())
    tokens = {"tokens": np.array([greedy["ids"][:256]], np.int64)}
    logits = fp32_values(path, tokens, ["logits"])
    return Case(path, {}, [tokens], [logits], _class_of, may_change=4)


def worst_of_range(found: Arrays, exact: Arrays) -> float:
    """The largest difference of any output, over that output's range."""
    worst = 0.0
    for name, values in exact.items():
        wanted = values.astype(np.float64)
        apart = np.abs(found[name].astype(np.float64) - wanted).max()
        worst = max(worst, float(apart / np.ptp(wanted)))
    return worst
