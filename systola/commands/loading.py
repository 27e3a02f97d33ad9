"""From the options of a command to a model that can run."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from systola import console
from systola.commands.options import AutoCast, AutoCastType, Chosen, Cut, Effort

if TYPE_CHECKING:
    from systola.api import CompiledModel, CompiledSections, Model, SectionedModel


def compiled_or_loaded(
    model: Path,
    chosen: Chosen,
    cut: Cut,
    quiet: bool,
    effort: Effort | None = None,
) -> Model | SectionedModel:
    """A NEFF's model, or one compiled now. Raises typer.BadParameter where options are in vain."""
    if is_neff(model):
        from systola.api import load

        _require_no_options(chosen, cut)
        return load(model, target=chosen.target)
    return compiled(model, chosen, cut, quiet, effort)


def compiled(
    model: Path,
    chosen: Chosen,
    cut: Cut,
    quiet: bool,
    effort: Effort | None = None,
    to_run: bool = True,
) -> CompiledModel | CompiledSections:
    """A model compiled now; `to_run`: warm up the simulator's loops meanwhile."""
    _require_something_cast(chosen)
    effort = effort or Effort()
    with console.progress(quiet) as step:
        step("starting")
        from compiler.options import Options
        from systola.api import compile as compile_model
        from systola.warm import warming

        with warming() if to_run else contextlib.nullcontext():
            return compile_model(
                model,
                target=chosen.target or Options.target,
                auto_cast=chosen.auto_cast.value,
                auto_cast_type=chosen.auto_cast_type.value,
                shapes=chosen.extents.shapes,
                batch=chosen.extents.batch,
                must_compile=cut.must_compile,
                minimum_segment_size=cut.minimum_segment_size,
                host_ops=cut.host_ops,
                host_nodes=cut.host_nodes,
                host_dynamic=cut.host_dynamic,
                pipeline_cores=cut.pipeline_cores,
                pin_weights=cut.pin_weights,
                optimize=effort.level,
                budget=effort.budget,
                progress=step,
            )


def is_neff(path: Path) -> bool:
    """By the name, else by the header's first fields."""
    if path.suffix.lower() in (".neff", ".onnx"):
        return path.suffix.lower() == ".neff"
    import neff

    try:
        with path.open("rb") as file:
            return neff.is_neff(file.read(64))
    except OSError:
        return False


def _require_no_options(chosen: Chosen, cut: Cut) -> None:
    """A NEFF is compiled already."""
    if chosen != Chosen(chosen.target) or cut != Cut():
        raise typer.BadParameter(
            "a NEFF is compiled already: --auto-cast, --auto-cast-type, --shape, --batch, "
            "--pipeline-cores, --pin-weights and those of the host are for models"
        )


def _require_something_cast(chosen: Chosen) -> None:
    if chosen.auto_cast is AutoCast.NONE and chosen.auto_cast_type is not AutoCastType.BF16:
        raise typer.BadParameter("--auto-cast none casts nothing: leave out --auto-cast-type")
