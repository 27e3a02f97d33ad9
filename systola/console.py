"""What people and programs see: tables, one JSON object, progress, errors."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from isa.errors import SystolaError

REPORT_US = "this is a fault of ours: please report it with the command and the model"


def say(text: str) -> None:
    """A line for people, on stderr: stdout carries results only."""
    print(text, file=sys.stderr, flush=True)


def emit(value: Any) -> None:
    """One JSON object on stdout. What JSON has no number for (NaN, infinities) becomes null."""
    print(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def show_pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Names and values, aligned, on stdout."""
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        print(f"  {name:<{width}}  {text}")


def show_table(head: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """A table on stdout; numbers to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    body = [list(row) for row in rows]
    for i, name in enumerate(head):
        numeric = bool(body) and all(isinstance(row[i], int | float) for row in body)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in body:
        table.add_row(*(Text(f"{v:,}" if isinstance(v, int) else str(v)) for v in row))
    width = None if sys.stdout.isatty() else 160
    Console(file=sys.stdout, width=width, highlight=False).print(table)


@contextlib.contextmanager
def progress(quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """A line on stderr that names the current step, on a terminal; nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield lambda step: status.update(step)


def debugging() -> bool:
    """Whether SYSTOLA_DEBUG asks for tracebacks."""
    return os.environ.get("SYSTOLA_DEBUG", "") not in ("", "0")


def refuse(error: SystolaError, as_json: bool) -> int:
    """Show an error that has a code; give the exit code."""
    if as_json:
        shown = error.to_json()
        missing = getattr(error, "missing", ())
        if missing:
            keys = ("op", "node", "reason")
            shown["missing"] = [dict(zip(keys, entry, strict=True)) for entry in missing]
        emit({"error": shown, "exit_code": error.exit_code})
    else:
        say(str(error))
    return error.exit_code


def fail(error: BaseException, as_json: bool) -> int:
    """Show an exception that should not have come this far; give the exit code."""
    text = " ".join(str(error).split())[:400]
    message = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if as_json:
        shown = {"kind": "InternalError", "code": "SYS-X001", "message": message}
        emit({"error": {**shown, "found": "", "at": "", "hint": REPORT_US}, "exit_code": 1})
    else:
        say(f"InternalError: SYS-X001: {message}\n  do     {REPORT_US}")
        say("         SYSTOLA_DEBUG=1 shows where it happened")
    return 1
