"""Every program of the zoo proved: `python -m benchmarks.zoo.proof [NAME ...] [--gigamacs N]`.

Each model is compiled by two processes with other hash seeds; of the first one's NEFF, read back
from its bytes, every program has to pass the verifier, predicted cycles are to be within 1 % of
the simulated ones, and what the fast simulator leaves in DRAM, for drawn inputs, has to be what the
reference interpreter leaves, byte for byte. The second has to make the same bytes. The reference
takes some 15 seconds a gigaMAC: `--gigamacs` is the most that it is asked for (default 1).

Exit code 0, or 1 where something does not hold.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.zoo.entries import ENTRIES, chosen
from benchmarks.zoo.store import missing, path

CLOSE = 0.01
"""Of the simulated cycles, by which the predicted ones may be off."""
SEEDS = (1, 99)


@dataclass(frozen=True)
class Proof:
    """What holds of a model; None is not looked at.

    Attributes:
        digest: SHA-256 of the NEFF.
        verified: programs that pass the verifier, read back from the bytes.
        predicted_error: predicted cycles over simulated ones, minus 1.
        same_bits: fast simulator and reference leave the same DRAM.
        same_bytes: another process makes the same NEFF.
    """

    digest: str
    cycles: int
    verified: int
    predicted_error: float
    same_bits: bool | None = None
    same_bytes: bool | None = None
    fault: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        close = abs(self.predicted_error) <= CLOSE
        return not self.fault and close and self.same_bits is not False and self.same_bytes is True


def prove(name: str, target: str, most_macs: float | None) -> Proof:
    """Compile, verify and compare, here; with None no more than the digest."""
    import neff
    import systola
    from isa.errors import SystolaError
    from isa.hardware import load_target

    made = systola.compile(path(name), target=target, shapes=ENTRIES[name].shapes)
    model = made.neff
    data = neff.to_bytes(model) if isinstance(model, neff.Neff) else neff.partitioned_bytes(model)
    digest = hashlib.sha256(data).hexdigest()
    report = made.report
    error = report["predicted_cycles"] / report["cycles"] - 1
    if most_macs is None:
        return Proof(digest, report["cycles"], 0, error)
    hw = load_target(target)
    del made, model
    again = neff.model_from_bytes(data)
    programs = [again] if isinstance(again, neff.Neff) else again.device
    verified, same = 0, None
    try:
        for program in programs:
            equal = _agrees(program, hw, report["macs"] <= most_macs)
            verified += 1
            same = equal if same is None else same and equal
    except SystolaError as fault:
        return Proof(digest, report["cycles"], verified, error, same, fault=str(fault))
    return Proof(digest, report["cycles"], verified, error, same)


def _agrees(model: Any, hw: Any, run: bool) -> bool | None:
    """Verify a model's programs; run each by both simulators: whether DRAM is the same after."""
    from simulator.runtime import Device

    loaded = Device(hw).load(model)
    if not run or len(loaded.cores) != 1:
        return None
    return same_window(model, hw, loaded)


def same_window(model: Any, hw: Any, loaded: Any) -> bool:
    """Run drawn inputs by both simulators: whether DRAM is the same after, to the byte."""
    from isa.semantics import run_reference

    loaded.run(seed=1, function_only=True)
    (core,) = loaded.cores
    window = np.zeros_like(core.dram)
    for name in [t.buffer for t in model.inputs] + list(model.constants):
        buffer = core.buffer(name)
        window[buffer.address : buffer.end] = core.view(name)
    return bool(np.array_equal(run_reference(model.program, hw, window).dram, core.dram))


def proved(name: str, target: str, most_macs: float) -> Proof:
    """The proof of a model, from two processes."""
    path(name)  # made once
    first, second = (
        _elsewhere(name, target, macs, seed)
        for macs, seed in zip((most_macs, None), SEEDS, strict=True)
    )
    same = not first.fault and first.digest == second.digest
    return Proof(**asdict(first) | {"same_bytes": same})


def _elsewhere(name: str, target: str, most_macs: float | None, seed: int) -> Proof:
    asked = json.dumps([name, target, most_macs])
    command = [sys.executable, "-m", "benchmarks.zoo.proof", "--here", asked]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        return Proof("", 0, 0, 0.0, fault=last[0])
    return Proof(**json.loads(done.stdout.splitlines()[-1]))


def main(arguments: list[str]) -> int:
    """Print a line for each model."""
    if arguments[:1] == ["--here"]:
        print(json.dumps(asdict(prove(*json.loads(arguments[1])))))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.zoo.proof")
    parser.add_argument("names", nargs="*", metavar="NAME", help="or a pattern; default: all")
    parser.add_argument("--target", default="inf1")
    parser.add_argument("--gigamacs", type=float, default=1.0, help="most for the reference")
    options = parser.parse_args(arguments)
    names = [n for n in chosen(options.names) if not missing(ENTRIES[n])]
    print("| model | cycles | programs verified | predicted | same bits | same bytes | NEFF |")
    print("|---|--:|--:|--:|---|---|---|", flush=True)
    wrong = []
    for name in names:
        found = proved(name, options.target, 1e9 * options.gigamacs)
        print(line(name, found), flush=True)
        if not found.holds:
            wrong.append(name)
    print(f"\n{len(names) - len(wrong)} of {len(names)} hold" + "".join(f"; {n}" for n in wrong))
    return 1 if wrong else 0


def line(name: str, found: Proof) -> str:
    """A row of the table."""
    said = {None: "-", True: "yes", False: "**no**"}
    cells = [
        name,
        f"{found.cycles:,}",
        f"{found.verified}",
        f"{100 * found.predicted_error:+.2f} %",
        said[found.same_bits],
        said[found.same_bytes],
        found.fault or found.digest[:12],
    ]
    assert len(cells) == len(fields(Proof)), "a column for every field"
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
