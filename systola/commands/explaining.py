"""The command explain: where the time goes, and what a change of the hardware would gain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from systola import console
from systola.commands.loading import compiled, compiled_or_loaded, is_neff
from systola.commands.options import (
    AsJson,
    AutoCast,
    AutoCastType,
    Batch,
    Cast,
    CastType,
    Chosen,
    Cut,
    Extents,
    Shapes,
    Target,
)
from systola.commands.places import require_picture

if TYPE_CHECKING:
    from simulator.explain.whatif import WhatIf
    from systola.explain import Explanation
    from systola.models import Model

NAME_LETTERS = 44  # of a layer, in a table


def explain(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL_OR_NEFF", help="A NEFF, or a model to compile first.")
    ],
    target: Target = None,
    auto_cast: Cast = AutoCast.ALL,
    auto_cast_type: CastType = AutoCastType.BF16,
    shape: Shapes = None,
    batch: Batch = None,
    layers: Annotated[
        int, typer.Option("--layers", min=0, help="How many layers to show, longest first.")
    ] = 16,
    what_if: Annotated[
        bool, typer.Option(help="Run the same program on changed machines, too.")
    ] = True,
    recompile: Annotated[
        bool,
        typer.Option(
            "--recompile", help="Compile for more SBUF, more PSUM and a larger array, too: slow."
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--plot", metavar="OUT.png", help="Draw it: PNG, SVG or PDF."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Say where the time goes, by layer and by cause, and what other hardware would gain."""
    require_picture(output)
    chosen = Chosen(target, auto_cast, auto_cast_type, Extents.of(shape, batch))
    if recompile and is_neff(model):
        raise typer.BadParameter("a NEFF is compiled already: --recompile is for models")
    whole = compiled_or_loaded(model, chosen, Cut(), json)
    with console.progress(json) as step:
        from systola.explain import explain as taken_apart

        found = [taken_apart(m, what_if=what_if, progress=step) for m in _on_device(whole)]
    more: list[WhatIf] = []
    if recompile:
        from systola.explain import recompiled

        def on(machine: str) -> int:
            return _cycles(compiled(model, replace(chosen, target=machine), Cut(), json))

        more = recompiled(on, whole.hw, sum(e.timing.cycles for e in found))
    if output is not None:
        with console.progress(json) as step:
            step("draw")
            _draw(found, output)
    if json:
        _emit(found, more, output)
    else:
        _show(found, more, layers, output)


def _on_device(whole: Any) -> Sequence[Model]:
    """The model's sections on the device, a pipeline's stages apart; the model itself where it is
    one."""
    return [stage for part in getattr(whole, "device_models", (whole,)) for stage in part.stages]


def _cycles(whole: Any) -> int:
    return sum(int(m.report["cycles"]) for m in _on_device(whole))


def _draw(found: Sequence[Explanation], path: Path) -> None:
    """One picture a section; the second and later ones have a number in their names."""
    from systola.explain import draw

    for k, explanation in enumerate(found):
        draw(explanation, path if k == 0 else path.with_stem(f"{path.stem}-{k + 1}"))


def _emit(found: Sequence[Explanation], more: Sequence[WhatIf], output: Path | None) -> None:
    from systola.explain import what_if_json

    shown: dict[str, Any] = found[0].to_json() if len(found) == 1 else {}
    if len(found) != 1:
        shown["sections"] = [e.to_json() for e in found]
    if more:
        shown["what_if_recompiled"] = [what_if_json(w) for w in more]
    if output is not None:
        shown["output"] = str(output)
    console.emit(shown)


def _show(
    found: Sequence[Explanation], more: Sequence[WhatIf], layers: int, output: Path | None
) -> None:
    for explanation in found:
        console.show_pairs(_summary(explanation))
        _show_causes(explanation)
        _show_layers(explanation, layers)
        _show_what_ifs(explanation.what_ifs, "What if: the same program on a changed machine")
    _show_what_ifs(more, "What if: the model compiled for a changed machine")
    if output is not None:
        console.show_pairs([("written", str(output))])


def _summary(e: Explanation) -> Iterator[tuple[str, str]]:
    timing, error = e.timing, e.prediction_error
    yield "model", f"{e.name} on {e.found.hw.name}"
    predicted = "" if error is None else f" (the compiler predicted {100 * error:+.2f} %)"
    yield "cycles", f"{timing.cycles:,}{predicted}"
    beyond, cycle = e.difference, e.found.hw.ticks_per_s // e.found.hw.base_clock_hz
    if beyond is not None and beyond.bound:
        ratio = timing.total_ticks / beyond.bound
        yield "bound", f"{beyond.bound // cycle:,} cycles by {beyond.resource}: {ratio:.2f} x"
        rest = timing.total_ticks - beyond.bound
        yield "beyond it", f"{rest // cycle:,} cycles"
        for text, ticks in beyond.parts:
            if abs(ticks) >= 0.005 * timing.total_ticks:
                yield "", f"{ticks // cycle:>12,}  {text}"


def _show_causes(e: Explanation) -> None:
    json = e.to_json()
    cycle, total = json["ticks_per_cycle"], max(1, json["ticks"])
    names = ("start_ticks", "middle_ticks", "end_ticks")
    rows = [
        (
            c["text"],
            _percent(c["share_of_idle"]),
            _percent(c["share_of_run"]),
            *(c[n] // cycle for n in names),
        )
        for c in json["pe_idle"]
    ]
    idle = sum(c["ticks"] for c in json["pe_idle"])
    console.show_pairs([("tensor engine", _array(json, 1 - idle / total))])
    title = "It idles for"
    head = ("cause", "of idle", "of run", "at start", "between", "at end")
    console.show_table(head, rows, title)
    dma = [(c["text"], _percent(c["share_of_run"])) for c in json["dma"]]
    console.show_table(("cause", "of run"), dma, "The DMA engines' time")


def _array(json: dict[str, Any], share: float) -> str:
    text = f"multiplies {_percent(share)} of the time, {_percent(json['array_fill'])} of it filled"
    if json["macs"]:
        text += f"; {json['macs_issued'] / json['macs']:.2f} x the model's multiplications"
    return text


def _show_layers(e: Explanation, most: int) -> None:
    layers = e.to_json()["layers"]
    longest = sorted(layers, key=lambda one: -one["ticks"])[:most]
    cycle = e.found.hw.ticks_per_s // e.found.hw.base_clock_hz
    head = (*("layer", "of run", "cycles", "PE", "ACT", "DVE", "DMA", "array", "MB", "bound by"),)
    rows = [
        (
            one["name"][-NAME_LETTERS:],
            _percent(one["share_of_run"]),
            one["ticks"] // cycle,
            *(_percent(one["utilization"].get(r, 0.0)) for r in ("PE", "ACT", "DVE", "DMA")),
            _percent(one["array_fill"]),
            f"{(one['dram_read_bytes'] + one['dram_written_bytes']) / 1e6:.2f}",
            one["binding"],
        )
        for one in layers
        if one in longest
    ]
    console.show_table(head, rows, f"Layers: the longest {len(rows)} of {len(layers)}")


def _show_what_ifs(gains: Sequence[WhatIf], title: str) -> None:
    if gains:
        rows = [(w.change, _percent(w.gain), f"{1e6 * w.time_s:,.1f} µs") for w in gains]
        console.show_table(("change", "gain", "time"), rows, title)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
