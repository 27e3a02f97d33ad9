"""One model measured, in a process of its own: its memory and its time are not another's.

`python -m benchmarks.zoo.measure REQUEST` prints one JSON object; `measured` starts that and reads
it. What fails is a row too: `{"refused": code, "found": text}`.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.zoo.entries import ENTRIES
from benchmarks.zoo.store import path

KEPT = (
    "cycles", "time_s", "bound_cycles", "bound_finite_sbuf_cycles", "bound_column_cycles",
    "bound_ratio", "pe_utilization", "macs", "macs_on_device", "dram_bytes",
    "dram_bytes_compulsory",
    "predicted_cycles", "sbuf_peak_bytes", "instructions", "host_ops", "compile_s",
    "compile_s_by_step", "notes",
)  # fmt: skip

Row = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What to measure.

    Attributes:
        without: passes to leave out, in the words of `compiler.options.Options`.
        check: run the model too, in FP32 and in BF16, against onnxruntime.
    """

    name: str
    target: str = "inf1"
    auto_cast: str = "all"
    without: tuple[str, ...] = ()
    check: bool = False


def measured(request: Request, timeout_s: float = 1800) -> Row:
    """The row of a model, from a process that compiles just that."""
    path(request.name)  # made here, so that the child's memory is the compiler's
    command = [sys.executable, "-m", "benchmarks.zoo.measure", json.dumps(asdict(request))]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=Path(__file__).parents[2],
        )
    except subprocess.TimeoutExpired:
        return {"refused": "TIMEOUT", "found": f"over {timeout_s:.0f} s"}
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        return {"refused": "FAULT", "found": last[0]}
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def measure(request: Request) -> Row:
    """Compile and simulate the time, here."""
    from compiler.options import Options
    from compiler.partition.compile import compile_any
    from isa.errors import SystolaError
    from isa.hardware import load_target

    options = Options(
        request.target,
        request.auto_cast,
        shapes=ENTRIES[request.name].shapes,
        without=frozenset(request.without),
    )
    try:
        report = compile_any(path(request.name), options).report
    except SystolaError as error:
        return {"refused": error.code, "found": str(error)}
    hw = load_target(request.target)
    row: Row = {key: report.get(key) for key in KEPT}
    row["finite_ratio"] = row["cycles"] / (row["bound_finite_sbuf_cycles"] or row["bound_cycles"])
    row["column_ratio"] = row["cycles"] / (row["bound_column_cycles"] or row["bound_cycles"])
    row["rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    row["dram_ratio"] = row["dram_bytes"] / row["dram_bytes_compulsory"]
    row["bound_by"] = bound_by(row, hw.core_dram_bytes_per_s, hw.base_clock_hz)
    row["predicted_error"] = row["predicted_cycles"] / row["cycles"] - 1
    row["host_share"] = 1 - row["macs_on_device"] / row["macs"] if row["macs"] else 0.0
    if request.check and ENTRIES[request.name].reference:
        from benchmarks.zoo.check import check

        row["check"] = check(request.name, request.target)
    return row


def bound_by(row: Mapping[str, Any], bytes_per_s: int, clock_hz: int) -> str:
    """Which of the two bounds is the larger: DRAM or PE."""
    memory = row["dram_bytes_compulsory"] * clock_hz / bytes_per_s
    return "DRAM" if memory > 0.999 * row["bound_cycles"] else "PE"


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps(measure(Request(**asked | {"without": tuple(asked["without"])}))))
