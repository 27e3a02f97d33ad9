"""The main job on the built-in model: a CNN trained on scikit-learn's digits, over its test set."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.errors import SystolaError
from isa.hardware import DEFAULT_TARGET
from systola import report as reports
from systola.accuracy import fp32_values
from systola.api import CompiledModel, compile
from systola.warm import warming
from traces import save
from traces.plots import plot_run

MOST_POINTS = 0.4
"""Points of accuracy that the device may differ from FP32 before the demo fails."""

Array = NDArray[Any]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Demonstration:
    """What the demo found. Accuracies in percent over `images` images."""

    images: int
    fp32: float
    device: float
    changed: int
    report: dict[str, Any]
    files: dict[str, str]
    total_s: float

    @property
    def accurate(self) -> bool:
        """Whether the device is as accurate as it has to be."""
        return abs(self.fp32 - self.device) <= MOST_POINTS

    def to_json(self) -> dict[str, Any]:
        """The keys of `systola demo --json`."""
        return {
            **self.report,
            "images": self.images,
            "accuracy_fp32": self.fp32 / 100,
            "accuracy_device": self.device / 100,
            "predictions_changed": self.changed,
            "files": self.files,
            "total_s": self.total_s,
        }

    def lines(self) -> list[tuple[str, str]]:
        """The same for people."""
        return [
            ("images", f"{self.images} held-back digits of scikit-learn"),
            ("accuracy FP32", f"{self.fp32:.1f} %  (onnxruntime)"),
            ("accuracy BF16", f"{self.device:.1f} %  (simulated device)"),
            ("predictions changed", f"{self.changed} of {self.images}"),
            *reports.lines(self.report),
            *self.files.items(),
            ("in all", f"{self.total_s:.1f} s"),
        ]


def run(
    folder: Path, target: str | None = None, progress: Progress = lambda _: None
) -> Demonstration:
    """Compile, verify, simulate every test image, compare, and write a trace and a plot.

    Raises:
        SystolaError: the target is unknown, or the files cannot be written.
    """
    begun = time.perf_counter()
    _make(folder)
    data = files("systola") / "data"
    proto = (data / "digits_cnn.onnx").read_bytes()
    with (data / "digits_test.npz").open("rb") as file, np.load(file) as archive:
        images, labels = archive["x"], archive["y"]
    with warming():
        model = compile(
            proto, target=target or DEFAULT_TARGET, must_compile=True, progress=progress
        )
        progress("wait for the simulator's loops to be compiled")
    device, report = _classify(model, images, folder, progress)
    progress("onnxruntime in FP32")
    fp32 = np.concatenate([_fp32(proto, batch) for batch in _batches(model, images)])
    model.save(folder / "digits_cnn.neff")
    names = ("digits_cnn.neff", "trace.json", "plot.png")
    return Demonstration(
        len(labels),
        100 * float((fp32 == labels).mean()),
        100 * float((device == labels).mean()),
        int((fp32 != device).sum()),
        report,
        {name.partition(".")[0]: str(folder / name) for name in names},
        time.perf_counter() - begun,
    )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = error.strerror or str(error)
        message = "the folder cannot be made"
        hint = "give another folder with --out"
        raise SystolaError("SYS-F001", message, found=found, at=str(folder), hint=hint) from None


def _batches(model: CompiledModel, images: Array) -> list[Array]:
    size = model.inputs[0].shape[0]
    return [images[i : i + size] for i in range(0, len(images), size)]


def _classify(
    model: CompiledModel, images: Array, folder: Path, progress: Progress
) -> tuple[Array, dict[str, Any]]:
    """The device's classes, and the report of one batch with the wall time of all."""
    found, seconds, report = [], 0.0, {}
    batches = _batches(model, images)
    for i, batch in enumerate(batches):
        progress(f"simulate batch {i + 1} of {len(batches)}")
        result = model.run({"x": batch})
        found.append(result.outputs["logits"].argmax(1))
        seconds += result.report["simulate_s"]
        report = result.report
    progress("write the trace and the plot")
    save(result.trace, folder / "trace.json")
    plot_run(result.trace, folder / "plot.png")
    shown = {**report, "model": f"digits_cnn, {len(batches[0])} images at a time"}
    return np.concatenate(found), {**shown, "simulate_s": seconds, "batches": len(batches)}


def _fp32(proto: bytes, batch: Array) -> Array:
    return np.asarray(fp32_values(proto, {"x": batch}, ["logits"])["logits"].argmax(1))
