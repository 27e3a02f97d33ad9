"""What autotuning has measured, kept by content in a folder of the user's.

A search is named by the digest of all that its outcome depends on: the graph with its constants,
the target, the options, the sources of the compiler and the simulator. Its file is written anew
after every evaluation and put in place by one rename, so whoever reads it, or kills the writer,
finds a whole file or none. A file that is not ours, or damaged, is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import compiler
import isa
from compiler.cost import clock_sources
from compiler.graph.graph import Graph
from compiler.graph.text import print_graph
from compiler.knobs import Knobs
from compiler.options import Options
from isa.errors import SystolaError
from isa.files import whole_file
from isa.hardware import Hardware

Ticks: TypeAlias = int | None
FORMAT = 1


def default_folder() -> Path:
    """SYSTOLA_CACHE, or `systola` in the user's cache folder."""
    given = os.environ.get("SYSTOLA_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "systola"


def key_of(graph: Graph, hw: Hardware, options: Options) -> str:
    """The name of a search."""
    whole = hashlib.sha256()
    asked = replace(options, level=Options.level, budget=Options.budget)  # more budget goes on
    parts = (FORMAT, print_graph(graph), hw, json.dumps(asked.to_json(), sort_keys=True))
    for part in (*parts, _sources()):
        whole.update(str(part).encode() + b"\0")
    return whole.hexdigest()


def _sources() -> str:
    """The digest of every source that a search depends on."""
    whole = hashlib.sha256()
    folders = [Path(package.__file__ or "").parent for package in (compiler, isa)]
    for root in (*folders, clock_sources()):
        for path in sorted(root.rglob("*.py")):
            whole.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()


class Cache:
    """The evaluations of one search. Without a folder nothing outlives it."""

    def __init__(self, key: str, folder: Path | None) -> None:
        self.path = None if folder is None else folder / "autotune" / f"{key}.json"
        self.start: Knobs | None = None
        self.trials: dict[Knobs, Ticks] = {}
        self._read()

    def known(self, knobs: Knobs) -> tuple[Ticks] | None:
        """The outcome of an evaluation, if it was made."""
        return (self.trials[knobs],) if knobs in self.trials else None

    def begin(self, start: Knobs) -> None:
        """Where the search starts."""
        self.start = start
        self._write()

    def keep(self, knobs: Knobs, ticks: Ticks) -> None:
        """Remember an evaluation."""
        self.trials[knobs] = ticks
        self._write()

    def _read(self) -> None:
        if self.path is None:
            return
        try:
            self.start, self.trials = _parsed(json.loads(self.path.read_bytes()))
        except (OSError, ValueError, TypeError, LookupError, RecursionError):
            return

    def _write(self) -> None:
        if self.path is None:
            return
        trials = [[knobs.to_json(), ticks] for knobs, ticks in self.trials.items()]
        start = None if self.start is None else self.start.to_json()
        text = json.dumps({"format": FORMAT, "start": start, "trials": trials}, indent=1)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self.path) as file:
                file.write(text.encode())
        except (
            OSError,
            SystolaError,
        ):  # a full or read-only disk costs the memory, not the compilation
            self.path = None


def _parsed(data: Any) -> tuple[Knobs | None, dict[Knobs, Ticks]]:
    """Start and trials of a file. Raises ValueError, TypeError or LookupError."""
    if data["format"] != FORMAT:
        raise ValueError("another format")
    start = None if data["start"] is None else Knobs.from_json(data["start"])
    trials: dict[Knobs, Ticks] = {}
    for knobs, ticks in data["trials"]:
        if ticks is not None and (type(ticks) is not int or ticks <= 0):
            raise ValueError("ticks")
        trials[Knobs.from_json(knobs)] = ticks
    return start, trials
