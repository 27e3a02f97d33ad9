"""The numbers of a zoo model on the simulated device, against onnxruntime."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.zoo.entries import ENTRIES
from benchmarks.zoo.store import path

SEED = 7
LIMIT = 1e-3
"""Of the output's range, in FP32."""


def inputs_of(name: str) -> dict[str, NDArray[Any]]:
    """Random inputs: normal numbers, ids below 1000 (60 if unseen), the last eighth masked."""
    rng = np.random.default_rng(SEED)
    made: dict[str, NDArray[Any]] = {}
    entry = ENTRIES[name]
    for given in _session(name).get_inputs():
        shape = entry.shapes.get(given.name, given.shape)
        if "mask" in given.name:
            made[given.name] = np.ones(shape, np.int64)
            made[given.name][..., shape[-1] * 7 // 8 :] = 0
        elif given.type == "tensor(int64)":
            made[given.name] = rng.integers(0, 60 if entry.source == "unseen" else 1000, shape)
        else:
            made[given.name] = rng.standard_normal(shape, np.float32)
    return made


def check(name: str, target: str) -> dict[str, Any]:
    """Largest error over the output's range with auto-cast none and all; seconds of each run."""
    import systola

    inputs = inputs_of(name)
    expected = _session(name).run(None, inputs)
    found: dict[str, Any] = {}
    for mode in ("none", "all"):
        model = systola.compile(
            path(name), target=target, auto_cast=mode, shapes=ENTRIES[name].shapes
        )
        begun = time.perf_counter()
        outputs = list(model.run(inputs).outputs.values())
        found[f"run_s_{mode}"] = time.perf_counter() - begun
        found[f"error_{mode}"] = max(
            float(np.abs(got - want).max() / np.ptp(want))
            for got, want in zip(outputs, expected, strict=True)
        )
    return found


def _session(name: str) -> onnxruntime.InferenceSession:
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    return onnxruntime.InferenceSession(path(name), quiet, providers=["CPUExecutionProvider"])
