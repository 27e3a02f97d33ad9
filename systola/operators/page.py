"""The table as it was found when it was made, and as `docs/operators.md`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from isa.files import whole_file
from systola.operators.samples import TYPES

TARGETS = ("inf1", "inf2")
SIGNS = {"device": "D", "some": "d", "host": "H", "none": "-"}
TABLE = "operators.json"


def table() -> dict[str, list[dict[str, Any]]]:
    """The rows by target, as they were found when the table was made."""
    text = (files("systola") / "data" / TABLE).read_text(encoding="utf-8")
    found: dict[str, list[dict[str, Any]]] = json.loads(text)
    return found


def page(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """`docs/operators.md`."""
    first, *others = TARGETS
    lines = [
        "# Operators",
        "",
        "Made by `python -m systola.operators`; `systola operators` shows the same. Where each "
        "ONNX operator runs, by the type of its",
        f"main operand, on `{first}`. Found by trying: onnx's own test cases of the operator, as "
        "they are and with that type changed.",
        "",
        "- **D** on the device, in every case that was tried",
        "- **d** on the device in some, else on the host; why is in the last column",
        "- **H** on the host: onnxruntime, or onnx's reference evaluator",
        "- **-** nowhere; blank: the operator has no such type",
        "",
        "Integer operands that decide a shape have to be constants. *Cases*: how many ran on the "
        "device, of how many tried.",
        "",
        _counts(rows[first]),
        "",
        "| operator | " + " | ".join(TYPES.values()) + " | cases | otherwise |",
        "|---|" + ":-:|" * len(TYPES) + "--:|---|",
    ]
    lines += [_line(r) for r in rows[first]]
    for other in others:
        lines += ["", f"## On `{other}`, otherwise than on `{first}`", ""]
        lines += list(_differences(rows[first], rows[other])) or ["Nothing."]
    return "\n".join(lines) + "\n"


def _counts(rows: Sequence[Mapping[str, Any]]) -> str:
    device = sum(any(w in ("device", "some") for w in r["types"].values()) for r in rows)
    tried = sum(r["tried"] for r in rows)
    good = sum(r["on_device"] for r in rows)
    return (
        f"{len(rows)} operators; {device} on the device for at least one type; "
        f"{good:,} of {tried:,} cases."
    )


def name_of(r: Mapping[str, Any]) -> str:
    """The operator, with its domain where that is not ONNX's."""
    return f"{r['domain']}::{r['op']}" if r["domain"] else str(r["op"])


def signs(r: Mapping[str, Any]) -> list[str]:
    """A sign for each type of the table."""
    return [SIGNS.get(r["types"].get(kind, ""), "") for kind in TYPES]


def otherwise(r: Mapping[str, Any]) -> str:
    """Why some cases are not on the device."""
    untried = [] if r["tried"] else ["not tried: onnx has no test case for it"]
    return "; ".join([*r["reasons"], *untried])


def _line(r: Mapping[str, Any]) -> str:
    cells = [name_of(r), *signs(r), f"{r['on_device']} of {r['tried']}", otherwise(r)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _differences(
    base: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    for one, two in zip(base, other, strict=True):
        changed = [
            f"{TYPES[kind]} {SIGNS[where]}"
            for kind, where in two["types"].items()
            if one["types"].get(kind) != where
        ]
        if changed:
            yield f"- {name_of(two)}: {', '.join(changed)}"


def write(root: Path) -> None:
    """Make the table and the page anew: a minute or so."""
    from systola.operators.samples import samples
    from systola.operators.survey import survey

    known = samples()
    rows = {target: survey(known, target) for target in TARGETS}
    for path, text in (
        (root / "systola" / "data" / TABLE, json.dumps(rows, indent=0, sort_keys=True) + "\n"),
        (root / "docs" / "operators.md", page(rows)),
    ):
        with whole_file(path) as file:
            file.write(text.encode("utf-8"))
