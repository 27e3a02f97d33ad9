"""The command that measures throughput: bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from systola import console
from systola.commands.loading import compiled_or_loaded
from systola.commands.options import (
    AsJson,
    AutoCast,
    AutoCastType,
    Batch,
    Cast,
    CastType,
    Chosen,
    Cores,
    Cut,
    Extents,
    PinWeights,
    PipelineCores,
    Shapes,
    Target,
)


def bench(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL_OR_NEFF", help="A NEFF, or a model to compile first.")
    ],
    cores: Cores = 1,
    pipeline_cores: PipelineCores = 1,
    pin_weights: PinWeights = False,
    items: Annotated[
        int | None,
        typer.Option(
            "--items", min=1, help="Items of a run; by default the batch, as the shapes say."
        ),
    ] = None,
    target: Target = None,
    auto_cast: Cast = AutoCast.ALL,
    auto_cast_type: CastType = AutoCastType.BF16,
    shape: Shapes = None,
    batch: Batch = None,
    json: AsJson = False,
) -> None:
    """Measure throughput and latency on one or several simulated cores."""
    from systola import throughput

    chosen = Chosen(target, auto_cast, auto_cast_type, Extents.of(shape, batch))
    cut = Cut(pipeline_cores=pipeline_cores, pin_weights=pin_weights)
    loaded = compiled_or_loaded(model, chosen, cut, json)
    with console.progress(json) as step:
        step("simulate")
        parts = [m.throughput(cores, items) for m in loaded.device_models]
    on_host = len(loaded.report.get("host_ops") or ())
    if json:
        shown = [
            {"model": m.neff.name, **p} for m, p in zip(loaded.device_models, parts, strict=True)
        ]
        console.emit(
            {
                "model": loaded.report.get("model"),
                "target": loaded.hw.name,
                "host_ops": loaded.report.get("host_ops"),
                "device": shown,
            }
        )
        return
    console.show_pairs([("model", f"{loaded.report.get('model')} on {loaded.hw.name}")])
    for part in parts:
        console.show_pairs(throughput.lines(part))
    if on_host:
        console.say(f"{on_host} operations run on the host: their time is not in these figures")
