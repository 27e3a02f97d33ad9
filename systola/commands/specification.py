"""Commands on what there is: targets, isa, operators."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from systola import console
from systola.commands.options import AsJson


def targets(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[TARGET]", help="Show every number of one: a name, or a TOML file."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """List the targets, or every number of one with its provenance."""
    from isa.hardware import TAGS, load_target, numbers, target_names

    chosen = {n: load_target(n) for n in ([name] if name else target_names())}
    if json:
        console.emit(
            {
                "targets": {n: _target(hw) for n, hw in chosen.items()},
                "numbers": numbers(),
                "tags": TAGS,
            }
        )
        return
    if name is None:
        rows = [(n, f"v{hw.generation}", _rate(hw), hw.summary) for n, hw in chosen.items()]
        console.show_table(("target", "core", "peak BF16", "what it is"), rows)
        return
    hw = chosen[name]
    rows_of_one = [
        (key, getattr(hw, key), meta["unit"], TAGS[hw.provenance[key].tag],
         hw.provenance[key].source)
        for key, meta in numbers().items()
    ]  # fmt: skip
    head = ("number", "value", "unit", "kind", "source")
    console.show_table(head, rows_of_one, f"{hw.name}: {hw.summary}")


def _rate(hw: Any) -> str:
    return f"{2 * hw.macs_per_cycle * hw.pe_clock_hz / 1e12:.1f} TFLOPS"


def _target(hw: Any) -> dict[str, Any]:
    return {
        "name": hw.name,
        "summary": hw.summary,
        "values": {
            key: {
                "value": getattr(hw, key),
                "tag": origin.tag,
                "source": origin.source,
            }
            for key, origin in hw.provenance.items()
        },
    }


def isa(
    mnemonic: Annotated[
        str | None, typer.Argument(metavar="[MNEMONIC]", help="Show one instruction's page.")
    ] = None,
    json: AsJson = False,
) -> None:
    """List the instructions, or show one."""
    import isa.instructions  # noqa: F401  (fills the registry)
    from isa.pages.export import spec

    whole = spec()
    if mnemonic is not None:
        chosen = [i for i in whole["instructions"] if i["mnemonic"] == mnemonic]
        if not chosen:
            raise typer.BadParameter(
                f"there is no instruction {mnemonic!r}; `systola isa` lists them"
            )
        _show_instruction(chosen[0], json)
        return
    if json:
        console.emit(whole)
        return
    rows = [
        (f"0x{i['opcode']:02x}", i["mnemonic"], _engines(i), i["summary"])
        for i in whole["instructions"]
    ]
    console.show_table(("opcode", "mnemonic", "engines", "what it does"), rows)


def _engines(instruction: dict[str, Any]) -> str:
    return " ".join(instruction["engines"])


def _show_instruction(instruction: dict[str, Any], as_json: bool) -> None:
    if as_json:
        console.emit(instruction)
        return
    from isa.pages.instruction_pages import instruction_pages

    heading = f"\n## {instruction['mnemonic']}\n"
    text = next(page for page in instruction_pages().values() if heading in page)
    own, _, _ = text.partition(heading)[2].partition("\n## ")
    print(f"{heading.strip()}\n{own.rstrip()}")


def operators(
    name: Annotated[
        str | None, typer.Argument(metavar="[OP]", help="Show one operator, or those of a domain.")
    ] = None,
    target: Annotated[
        str, typer.Option("--target", metavar="T", help="inf1 or inf2: the table has these.")
    ] = "inf1",
    json: AsJson = False,
) -> None:
    """List every ONNX operator: on the device, on the host or nowhere, by data type."""
    from systola.operators import name_of, otherwise, signs, table
    from systola.operators.samples import TYPES

    rows = table()
    if target not in rows:
        raise typer.BadParameter(f"the table has {', '.join(rows)}, not {target!r}")
    wanted = (name or "").lower()
    chosen = [r for r in rows[target] if wanted in ("", name_of(r).lower(), r["domain"].lower())]
    if not chosen:
        raise typer.BadParameter(f"no operator or domain {name!r}")
    if json:
        console.emit({"target": target, "operators": chosen})
        return
    body = [(name_of(r), *signs(r), otherwise(r)[:90]) for r in chosen]
    title = "D on the device   d in some cases   H on the host   - nowhere"
    console.show_table(("operator", *TYPES.values(), "otherwise"), body, title)
