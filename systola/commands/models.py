"""Commands on models: demo, compile, run, accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from systola import console, report
from systola.commands.loading import compiled, compiled_or_loaded
from systola.commands.options import (
    AsJson,
    AutoCast,
    AutoCastType,
    Batch,
    Budget,
    Cast,
    CastType,
    Chosen,
    Cores,
    Cut,
    Effort,
    Extents,
    HostDynamic,
    HostNodes,
    HostOps,
    HostTimeout,
    Inputs,
    ModelFile,
    MustCompile,
    OptimizeLevel,
    PinWeights,
    PipelineCores,
    SegmentSize,
    Shapes,
    Target,
)
from systola.commands.places import require_apart, require_npz, require_places

if TYPE_CHECKING:
    from systola.api import (
        Result,
        SectionsResult,
    )


def compile(
    model: ModelFile,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT.neff", help="The file to write.")
    ],
    target: Target = None,
    auto_cast: Cast = AutoCast.ALL,
    auto_cast_type: CastType = AutoCastType.BF16,
    shape: Shapes = None,
    batch: Batch = None,
    must_compile: MustCompile = False,
    minimum_segment_size: SegmentSize = 1,
    host_op: HostOps = None,
    host_node: HostNodes = None,
    host_dynamic: HostDynamic = False,
    pipeline_cores: PipelineCores = 1,
    pin_weights: PinWeights = False,
    level: OptimizeLevel = 2,
    budget: Budget = 24,
    report_file: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE.json", help="Write the report as JSON."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Compile a model into a NEFF."""
    host = (must_compile, minimum_segment_size, host_op, host_node, host_dynamic)
    cut = Cut.of(*host, pipeline_cores, pin_weights)
    chosen = Chosen(target, auto_cast, auto_cast_type, Extents.of(shape, batch))
    require_places(output, report_file)
    require_apart(model, output, report_file)
    made = compiled(model, chosen, cut, json, Effort(level, budget), to_run=False)
    made.save(output)
    if report_file is not None:
        _write_json(made.report, report_file)
    if json:
        console.emit({**made.report, "output": str(output)})
        return
    console.show_pairs([*report.lines(made.report), ("written", str(output))])


def run(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL_OR_NEFF", help="A NEFF, or a model to compile first.")
    ],
    inputs: Inputs = None,
    outputs: Annotated[
        Path | None,
        typer.Option("--outputs", metavar="OUT.npz", help="Write the outputs by their names."),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace",
            metavar="FILE.json",
            help="Write a trace: .json, .json.gz or .pftrace for Perfetto, .npz for small.",
        ),
    ] = None,
    target: Target = None,
    auto_cast: Cast = AutoCast.ALL,
    auto_cast_type: CastType = AutoCastType.BF16,
    shape: Shapes = None,
    batch: Batch = None,
    must_compile: MustCompile = False,
    minimum_segment_size: SegmentSize = 1,
    host_op: HostOps = None,
    host_node: HostNodes = None,
    host_dynamic: HostDynamic = False,
    cores: Cores = 1,
    pipeline_cores: PipelineCores = 1,
    pin_weights: PinWeights = False,
    level: OptimizeLevel = 2,
    host_timeout: HostTimeout = None,
    json: AsJson = False,
) -> None:
    """Run a model on the simulated device."""
    from systola.inputs import read_arrays, write_arrays
    from traces.store import require_writable

    if trace is not None:
        require_writable(trace)
    require_places(outputs, trace)
    require_apart(model, outputs, trace)
    require_npz(outputs)
    given = {} if inputs is None else read_arrays(inputs)
    host = (must_compile, minimum_segment_size, host_op, host_node, host_dynamic)
    cut = Cut.of(*host, pipeline_cores, pin_weights)
    chosen = Chosen(target, auto_cast, auto_cast_type, Extents.of(shape, batch))
    loaded = compiled_or_loaded(model, chosen, cut, json, Effort(level))
    loaded.host_timeout_s = host_timeout
    with console.progress(json) as step:
        step("load and verify")
        loaded.load()
        step("simulate")
        result = loaded.run(given, cores=cores)
        if outputs is not None:
            write_arrays(result.outputs, outputs)
        if trace is not None:
            _write_trace(result, trace, step)
    _show_run(result, json, {"outputs": outputs, "trace": trace})


def accuracy(
    model: ModelFile,
    inputs: Inputs = None,
    target: Target = None,
    auto_cast: Cast = AutoCast.ALL,
    auto_cast_type: CastType = AutoCastType.BF16,
    shape: Shapes = None,
    batch: Batch = None,
    layers: Annotated[
        int, typer.Option("--layers", min=0, help="How many layers to show, worst first.")
    ] = 12,
    json: AsJson = False,
) -> None:
    """Compare the compiled model with FP32 onnxruntime, per output and per layer."""
    from systola.accuracy import measure
    from systola.inputs import read_arrays

    given = {} if inputs is None else read_arrays(inputs)
    chosen = Chosen(target, auto_cast, auto_cast_type, Extents.of(shape, batch))
    made = compiled(model, chosen, Cut(), json)
    with console.progress(json) as step:
        found = measure(made, model, given, step)
    if json:
        console.emit({**found.to_json(), "target": made.hw.name, "auto_cast": auto_cast.value})
        return
    _say_drawn(found.drawn_inputs)
    head = ("", "max abs", "of range", "rel. RMS", "cosine", "arg-max")
    console.show_table(head, [e.cells() for e in found.outputs], "Outputs: device against FP32")
    worst = found.layers[:layers]
    if worst:
        names = ("tensor", "operator", *head[1:])
        title = f"Layers: stored values against FP32, worst {len(worst)} of {len(found.layers)}"
        console.show_table(names, [(e.name, e.op, *e.cells()[1:]) for e in worst], title)


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where the trace and the plot go.")
    ] = Path("systola-demo"),
    target: Target = None,
    json: AsJson = False,
) -> None:
    """Compile and simulate the built-in digits model over its whole test set."""
    from systola import demo as demonstration

    with console.progress(json) as step:
        found = demonstration.run(out, target, step)
    if json:
        console.emit(found.to_json())
    else:
        console.show_pairs(found.lines())
    if not found.accurate:
        console.say(
            f"accuracy on the device is off by more than {demonstration.MOST_POINTS} points"
        )
        raise typer.Exit(1)


def _write_trace(result: Result | SectionsResult, path: Path, step: Callable[[str], None]) -> None:
    from traces import save

    step("write the trace")
    save(result.trace, path)


def _write_json(value: dict[str, Any], path: Path) -> None:
    import json

    from isa.files import whole_file

    with whole_file(path) as file:
        file.write((json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8"))


def _say_drawn(drawn: Sequence[str]) -> None:
    if drawn:
        console.say(f"drawn from a fixed seed, for want of values: {', '.join(drawn)}")


def _show_run(
    result: Result | SectionsResult, as_json: bool, written: dict[str, Path | None]
) -> None:
    paths = {key: str(path) for key, path in written.items() if path is not None}
    shown = {name: _described(a) for name, a in result.outputs.items()}
    if as_json:
        drawn = {"drawn_inputs": list(result.drawn_inputs)}
        console.emit({**result.report, **drawn, "output_tensors": shown, "files": paths})
        return
    _say_drawn(result.drawn_inputs)
    tensors = [(f"output {name}", f"{t['dtype']} {t['shape']}") for name, t in shown.items()]
    console.show_pairs([*report.lines(result.report), *tensors, *paths.items()])


def _described(value: Any) -> dict[str, Any]:
    """An output's shape and type; of a sequence, its length."""
    import numpy as np

    if isinstance(value, list):
        return {"shape": [len(value)], "dtype": "sequence"}
    array = np.asarray(value)
    return {"shape": list(array.shape), "dtype": array.dtype.name}
