"""The ONNX models of the models folder, with their reference inputs and outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]

TRAINED = (
    "mnist8", "squeezenet_fp32", "squeezenet_fp16", "ultraface_rfb320", "super_resolution",
    "stories260k_prefill64", "digits_cnn_b1", "digits_cnn_b50",
)  # fmt: skip
ZOO = tuple(
    f"zoo_random/{name}-small"
    for name in (
        "albert", "bert", "convnext", "gpt2", "llama", "lstm", "segformer", "swin", "t5_encoder",
        "unet", "vit", "whisper_encoder",
    )
) + tuple(
    f"zoo_random_dynamo/{name}-small"
    for name in ("bert", "clip", "detr", "gpt2", "llama", "torch_encoder")
)  # fmt: skip
# two logits that nearly cancel: FP32 summation order alone moves them by 1e-5 of their range
SENSITIVE = frozenset({"zoo_random_dynamo/clip-small"})


@dataclass(frozen=True)
class ModelCase:
    """A model file, the shapes to impose, one input and the outputs that it must give."""

    path: Path
    shapes: dict[str, list[int]]
    inputs: Arrays
    outputs: Arrays | list[npt.NDArray[Any]]  # by name, or in order


def load_case(models_dir: Path, name: str) -> ModelCase:
    """One model of `TRAINED` or `ZOO`."""
    if "/" in name:
        folder = models_dir / name
        inputs, outputs = np.load(folder / "inputs.npz"), np.load(folder / "outputs_torch.npz")
        ordered = [outputs[f"o{i}"] for i in range(len(outputs.files))]
        return ModelCase(folder / "model.onnx", {}, {k: inputs[k] for k in inputs.files}, ordered)
    entries = json.loads((models_dir / "index.json").read_text())
    entry = next(e for e in entries if e["id"] == name)
    data = np.load(models_dir / entry["reference"])

    def cut(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        kinds = {"stack": array[0], "batch": array[:1], "batch50": array[:50]}
        return np.asarray(kinds.get(entry["slice"], array))

    return ModelCase(
        models_dir / entry["model"],
        entry["impose_shapes"] or {},
        {name: cut(data[key]) for name, key in entry["inputs"].items()},
        {name: cut(data[key]) for name, key in entry["outputs"].items()},
    )


def worst_error(found: Arrays, wanted: Arrays | list[npt.NDArray[Any]]) -> float:
    """The largest difference of any output, over the range of that output."""
    pairs = (
        zip(found.values(), wanted, strict=True)
        if isinstance(wanted, list)
        else ((found[name], array) for name, array in wanted.items())
    )
    worst = 0.0
    for array, reference in pairs:
        assert array.shape == reference.shape
        exact = reference.astype(np.float64)
        difference = np.abs(array.astype(np.float64) - exact).max()
        worst = max(worst, float(difference / np.ptp(exact)))
    return worst
