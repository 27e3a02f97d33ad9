"""Real models through it all: `python -m benchmarks.models_table [--json] [NAME ...]`.

For each model of the folder that SYSTOLA_MODELS names (default ../shared/models): cycles, time, PE
utilisation, DRAM bytes against the compulsory ones, cycles over the bound, wall times, and the
largest error over the output's range with auto-cast none and all against the reference, with the
share of predictions (class, token, detection) that stay.

The errors are over `--cases` reference cases (default: all that the files hold).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import systola
from isa.errors import SystolaError
from tests.systola.reference import NAMES, Case, load, worst_of_range

HEAD = (
    "model", "cycles", "time on {target} (µs)", "PE utilisation", "DRAM bytes", "compulsory",
    "over the bound", "compile (s)", "simulate (s)", "error none", "error all", "same predictions",
)  # fmt: skip


PAGE = """# Real models

Made by `python -m benchmarks.models_table --target {target} --write FILE`; one core, auto-cast
all (BF16) unless said otherwise. Cycles are exact and the same on every machine; wall times are of
the machine that made the table, with the inner loops compiled already.

{table}

*Over the bound*: cycles over what the model costs at least. *Compulsory*: each weight once in its
compiled type, inputs and outputs once. *Error*: the largest difference from the FP32 reference over
the output's range, of all reference cases, with auto-cast none and all. *Same predictions*:
classes, next tokens, or detections (the best anchor, and faces above 0.7) that BF16 leaves as they
are; of the tokens of `stories260k_prefill256` a BF16 machine that rounds at every node changes 3.
"""


def models_folder() -> Path:
    """SYSTOLA_MODELS, else shared/models beside the project."""
    beside = Path(__file__).parents[2] / "shared" / "models"
    return Path(os.environ.get("SYSTOLA_MODELS", beside))


def row(case: Case, target: str, cases: int | None) -> dict[str, Any]:
    """One model's numbers; those of speed are with auto-cast all, the default."""
    found: dict[str, Any] = {}
    for mode in ("none", "all"):
        try:
            found |= _of_mode(case, target, mode, cases)
        except SystolaError as error:
            found[f"refused_{mode}"] = error.to_json()
    return found


def _of_mode(case: Case, target: str, mode: str, cases: int | None) -> dict[str, Any]:
    begun = time.perf_counter()
    model = systola.compile(case.path, target=target, auto_cast=mode, shapes=case.shapes)
    compile_s = time.perf_counter() - begun
    results = [model.run(inputs) for inputs in case.inputs[:cases]]
    errors = [worst_of_range(r.outputs, o) for r, o in zip(results, case.outputs, strict=False)]
    pairs = [
        (case.prediction(r.outputs), case.prediction(o))
        for r, o in zip(results, case.outputs, strict=False)
    ]
    changed = sum(
        int((a != b).sum()) if a.shape == b.shape else max(a.size, b.size) for a, b in pairs
    )
    simulated = min(r.report["simulate_s"] for r in results)
    report = {**results[0].report, "compile_s": compile_s, "simulate_s": simulated}
    report.pop("compile_s_by_step", None)
    return {
        f"error_{mode}": max(errors),
        f"changed_{mode}": changed,
        "predictions": sum(b.size for _, b in pairs),
        f"report_{mode}": report,
    }


def cells(name: str, found: dict[str, Any]) -> list[str]:
    """A row of the table."""
    if "report_all" not in found:
        return [name, *[found["refused_all"]["code"]] * (len(HEAD) - 1)]
    r = found["report_all"]
    none = f"{found['error_none']:.1e}" if "error_none" in found else found["refused_none"]["code"]
    same = found["predictions"] - found["changed_all"]
    return [
        name, f"{r['cycles']:,}", f"{1e6 * r['time_s']:,.1f}", f"{100 * r['pe_utilization']:.1f} %",
        f"{r['dram_bytes']:,}", f"{r['dram_bytes_compulsory']:,}", f"{r['bound_ratio']:.2f}",
        f"{r['compile_s']:.2f}", f"{r['simulate_s']:.3f}", none, f"{found['error_all']:.1e}",
        f"{same} of {found['predictions']}" if found["predictions"] else "-",
    ]  # fmt: skip


def main(arguments: list[str]) -> int:
    """Print the table; 0 when every model went through, 3 when one was refused."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.models_table")
    parser.add_argument("names", nargs="*", default=list(NAMES), metavar="NAME")
    parser.add_argument("--target", default="inf1")
    parser.add_argument("--cases", type=int, default=None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="write a page, too")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}; known are {', '.join(NAMES)}")
    folder = models_folder()
    warm = load(folder, "mnist8")
    systola.compile(warm.path, target=options.target).run()  # compiles the inner loops
    table: dict[str, dict[str, Any]] = {}
    lines = [
        "| " + " | ".join(h.format(target=options.target) for h in HEAD) + " |",
        "|---" + "|--:" * (len(HEAD) - 1) + "|",
    ]
    show = partial(print, flush=True, file=sys.stderr if options.json else sys.stdout)
    show("\n".join(lines))
    for name in options.names:
        table[name] = row(load(folder, name), options.target, options.cases)
        lines.append("| " + " | ".join(cells(name, table[name])) + " |")
        show(lines[-1])
    if options.write is not None:
        text = PAGE.format(target=options.target, table="\n".join(lines))
        options.write.write_text(text, encoding="utf-8")
    if options.json:
        print(json.dumps(table, indent=1, default=_plain))
    return 3 if any("refused_none" in f or "refused_all" in f for f in table.values()) else 0


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(type(value).__name__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
