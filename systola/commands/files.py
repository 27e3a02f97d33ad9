"""Commands on files: plot, verify, inspect, disassemble."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from systola import console
from systola.commands.options import AsJson, NeffFile
from systola.commands.places import require_picture

REFUSED = 3


def plot(
    trace: Annotated[
        Path, typer.Argument(metavar="TRACE", help="A trace, as `systola run --trace` writes it.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT.png", help="PNG, SVG or PDF.")
    ],
    json: AsJson = False,
) -> None:
    """Draw a trace: what engines and queues did, and how full the memories were."""
    require_picture(output)
    with console.progress(json) as step:
        step("starting")
        from traces import load
        from traces.plots import plot_run

        step("read the trace")
        loaded = load(trace)
        step("draw")
        plot_run(loaded, output)
    if json:
        console.emit({"output": str(output), "cycles": loaded.cycles, "rows": len(loaded.events)})
    else:
        console.show_pairs([("written", str(output))])


def verify(
    file: NeffFile,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="T", help="Another target than the file's own."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Prove that a NEFF has no race, no deadlock and no stray access; or say where it has one."""
    from isa.hardware import load_target
    from isa.verify import verify as faults_of
    from neff import Neff, read_model

    model = read_model(file)
    hw = load_target(target or model.target)
    device = [model] if isinstance(model, Neff) else model.device
    sections = [section for part in device for section in part.sections]
    found = [fault for section in sections for fault in faults_of(section.program, hw)]
    instructions = sum(section.program.instructions for section in sections)
    if json:
        console.emit(
            {
                "sound": not found,
                "target": hw.name,
                "instructions": instructions,
                "faults": [fault.to_json() for fault in found],
                "exit_code": REFUSED if found else 0,
            }
        )
    else:
        for fault in found:
            console.say(str(fault))
        verdict = f"{len(found)} faults" if found else "sound"
        print(f"{model.name} on {hw.name}: {verdict}, {instructions:,} instructions")
    if found:
        raise typer.Exit(REFUSED)


def inspect(file: NeffFile, json: AsJson = False) -> None:
    """Show everything that a NEFF says of itself."""
    from neff import inspect as inspect_file

    found = inspect_file(file)
    if json:
        console.emit(found)
        return
    console.show_pairs(_summary(found))
    for host in found.get("host_sections", ()):
        apart = ", in a process of its own" if host["own_process"] else ""
        text = f"{host['engine']}{apart}: {', '.join(host['takes'])} -> {', '.join(host['gives'])}"
        console.show_pairs([(f"{host['name']} (host)", text)])
    for section in found["sections"]:
        rows = [
            (name, s["instructions"], ", ".join(f"{k} {n}" for k, n in s["opcodes"].items()))
            for name, s in section["streams"].items()
        ]
        console.show_table(("stream", "instructions", "of which"), rows, section["name"])
        held = [
            (b["name"], b["kind"], b["dtype"], str(b["shape"]), b["address"], b["size_bytes"])
            for b in section["buffers"]
        ]
        console.show_table(("buffer", "kind", "dtype", "shape", "address", "bytes"), held)


def _summary(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    header = found["header"]
    yield "model", f"{found['name']} for {found['target']}"
    yield "uuid", header["uuid"]
    yield "hash", f"{header['hash']} ({'checked' if found['hash_checked'] else 'not checked'})"
    yield "payload", f"{header['data_size']:,} bytes, {len(found['members'])} members"
    yield "features", ", ".join(header["features"]) or "none"
    for kind in ("inputs", "outputs"):
        for tensor in found[kind]:
            yield kind.removesuffix("s"), f"{tensor['name']}: {tensor['dtype']} {tensor['shape']}"
    options = found["metadata"].get("options", {})
    yield "options", ", ".join(f"{k}={v}" for k, v in options.items() if v) or "-"


def disassemble(
    file: NeffFile,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUT.s", help="Write it to a file.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Print a NEFF's programs as assembly text."""
    from isa.assembly import disassemble as text_of
    from isa.files import whole_file
    from neff import DevicePart, Neff, read_model
    from neff.layout import section_name

    model = read_model(file)
    parts = {"": model} if isinstance(model, Neff) else {}
    for i, part in enumerate(() if isinstance(model, Neff) else model.parts):
        if isinstance(part, DevicePart):
            parts[f"section{i:02d}/"] = part.neff
    texts = {
        f"{place}{section_name(i)}": text_of(s.program)
        for place, part in parts.items()
        for i, s in enumerate(part.sections)
    }
    plain = "\n".join(
        text if len(texts) == 1 else f"; section {name}\n{text}" for name, text in texts.items()
    )
    if output is not None:
        with whole_file(output) as goal:
            goal.write(plain.encode("utf-8"))
    if json:
        console.emit({"sections": texts} if output is None else {"output": str(output)})
    elif output is None:
        sys.stdout.write(plain)
