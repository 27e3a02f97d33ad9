"""The Python API: compile, save, load, run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import neff
from compiler.options import Options
from compiler.partition import Partitioned, compile_any
from isa.hardware import Hardware, load_target
from neff import Neff
from systola import report as reports
from systola.models import CompiledModel, Model, Result
from systola.sections import CompiledSections, SectionedModel, SectionsResult

__all__ = [
    "CompiledModel", "CompiledSections", "Model", "Result", "SectionedModel", "SectionsResult",
    "compile", "load", "silent",
]  # fmt: skip
Progress = Callable[[str], None]


def silent(_: str) -> None:
    """Progress that nobody wants to see."""


@overload
def compile(
    model: str | Path | bytes | Any,
    *,
    target: str = ...,
    auto_cast: str = ...,
    auto_cast_type: str = ...,
    shapes: Mapping[str, Sequence[int]] | None = ...,
    batch: int | None = ...,
    must_compile: Literal[True],
    pipeline_cores: int = ...,
    pin_weights: bool = ...,
    optimize: int = ...,
    budget: int = ...,
    progress: Progress = ...,
) -> CompiledModel: ...


@overload
def compile(
    model: str | Path | bytes | Any,
    *,
    target: str = ...,
    auto_cast: str = ...,
    auto_cast_type: str = ...,
    shapes: Mapping[str, Sequence[int]] | None = ...,
    batch: int | None = ...,
    must_compile: bool = ...,
    minimum_segment_size: int = ...,
    host_ops: Iterable[str] = ...,
    host_nodes: Iterable[str] = ...,
    host_dynamic: bool = ...,
    pipeline_cores: int = ...,
    pin_weights: bool = ...,
    optimize: int = ...,
    budget: int = ...,
    progress: Progress = ...,
) -> CompiledModel | CompiledSections: ...


def compile(
    model: str | Path | bytes | Any,
    *,
    target: str = Options.target,
    auto_cast: str = Options.auto_cast,
    auto_cast_type: str = Options.auto_cast_type,
    shapes: Mapping[str, Sequence[int]] | None = None,
    batch: int | None = None,
    must_compile: bool = False,
    minimum_segment_size: int = Options.minimum_segment_size,
    host_ops: Iterable[str] = (),
    host_nodes: Iterable[str] = (),
    host_dynamic: bool = False,
    pipeline_cores: int = 1,
    pin_weights: bool = False,
    optimize: int = Options.level,
    budget: int = Options.budget,
    progress: Progress = silent,
) -> CompiledModel | CompiledSections:
    """Compile an ONNX model.

    Args:
        model: path, bytes, or a loaded `onnx.ModelProto`.
        target: name of a target, or the path of a target's TOML file.
        auto_cast: what is computed in 16 bits: "all", "matmult" or "none".
        auto_cast_type: "bf16" or "fp16".
        shapes: a static shape for each input that leaves dimensions free.
        batch: the extent of the batch, in every input that leaves it free.
        must_compile: refuse a model that does not run wholly on the device.
        minimum_segment_size: operations that a section of the device has at least, where there are
            several.
        host_ops: operators that are kept on the host; host_nodes: nodes, by name.
        host_dynamic: leave to the host what has shapes that depend on data.
        pipeline_cores: cut the model over so many cores, its weights kept in their SBUF.
        pin_weights: keep in SBUF over all runs what weights there is room for.
        optimize: 1 takes the first setting that fits, 2 compares a few, 3 searches with the
            simulator's clock as the judge; `report["autotune"]` says what was tried and gained.
        budget: settings that 3 may evaluate; what it measures is kept in the user's cache folder.
        progress: called with the name of each step.
    Returns:
        A `CompiledModel`, or `CompiledSections` where a part is on the host. Both are run and saved
        alike; `compiled_models` are the sections on the device.
    Raises:
        SystolaError: with a stable `code`; see `isa.errors`.
    """
    options = Options(
        target,
        auto_cast,
        auto_cast_type,
        dict(shapes or {}),
        batch,
        must_compile=must_compile,
        minimum_segment_size=minimum_segment_size,
        host_ops=frozenset(host_ops),
        host_nodes=frozenset(host_nodes),
        host_dynamic=host_dynamic,
        pipeline_cores=pipeline_cores,
        pin_weights=pin_weights,
        level=optimize,
        budget=budget,
    )
    compiled = compile_any(model, options, progress)
    hw = load_target(target)
    if isinstance(compiled, Partitioned):
        return CompiledSections(compiled, hw)
    return CompiledModel(compiled, hw)


def load(path: str | Path, *, target: str | None = None) -> Model | SectionedModel:
    """A model from its NEFF.

    Args:
        target: the machine to run on; that which it was compiled for when None. On another one
            the report has no bound, prediction or causes, which were reckoned for the first.
    Raises:
        MalformedError, IllegalError: the file is refused (`neff.read`), or its target is unknown.
    """
    model = neff.read_model(path)
    hw = load_target(target or model.target)
    if isinstance(model, Neff):
        return _loaded(model, hw)
    device = [_loaded(part, hw) for part in model.device]
    return SectionedModel(model, hw, reports.of_neff(model, hw.name), device)


def _loaded(model: Neff, hw: Hardware) -> Model:
    return Model(model, hw, reports.of_neff(model, hw.name))
