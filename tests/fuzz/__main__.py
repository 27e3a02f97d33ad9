"""Run the fuzzer: `python -m tests.fuzz --models 2000 --seed 0 [--targets inf2,inf1] [--each]`.

Models run in a child process, which is started anew behind a model that kills it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any


def main() -> int:
    """Exit code 1 if a model failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="the first model's; they count up")
    parser.add_argument("--targets", default="inf2,inf1")
    parser.add_argument("--each", action="store_true", help="every target for every model")
    parser.add_argument("--minimise", action="store_true", help="show the smallest failing part")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        for record in _records(given):
            print(json.dumps(record), flush=True)
        return 0
    return _summary(given)


def _records(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    from tests.fuzz.generate import generate
    from tests.fuzz.judge import FIRST_S, HANG_S, judge, minimal

    targets = given.targets.split(",")
    for seed in range(given.seed, given.seed + given.models):
        model = generate(seed)
        for target in targets if given.each else [targets[seed % len(targets)]]:
            yield {"begun": seed, "target": target}
            began = time.perf_counter()
            outcome = judge(model, target, FIRST_S if seed == given.seed else HANG_S)
            record = {"seed": seed, "target": target, "kind": outcome.kind}
            record |= {"detail": outcome.detail, "host": outcome.host}
            record |= {"ops": [s.node.op_type for s in model.steps], "drawn": model.kind}
            record["seconds"] = round(time.perf_counter() - began, 2)
            if outcome.failed and given.minimise:
                record["minimal"] = described(minimal(model, target))
            yield record


def described(model: Any) -> str:
    """The nodes of a model on a line each, with types and shapes."""
    lines = []
    for step in model.steps:
        operands = ", ".join(
            f"{v.name}:{v.dtype}{list(v.shape)}" if v else "-" for v in step.inputs
        )
        attributes = {a.name: _plain(a) for a in step.node.attribute}
        results = ", ".join(f"{v.name}:{v.dtype}{list(v.shape)}" for v in step.outputs)
        lines.append(f"    {step.node.op_type}({operands}) {attributes} -> {results}")
    return "\n".join([f"    opset {model.opset}", *lines])


def _plain(attribute: Any) -> Any:
    import onnx

    return onnx.helper.get_attribute_value(attribute)


def _children(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Records of all children; one that dies leaves a record for the model that it was at."""
    first, end = given.seed, given.seed + given.models
    while first < end:
        command = [sys.executable, "-m", "tests.fuzz", "--child", "--targets", given.targets]
        command += ["--seed", str(first), "--models", str(end - first)]
        command += ["--each"] * given.each + ["--minimise"] * given.minimise
        at: dict[str, Any] = {}
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # onnxruntime's warnings; --child shows them
            text=True,
        ) as child:
            assert child.stdout is not None
            for line in child.stdout:
                record = json.loads(line) if line.startswith("{") else {}
                if "begun" in record:
                    at = record
                elif record:
                    at = {}
                    first = record["seed"] + 1
                    yield record
        if child.returncode == 0:
            return
        seed = at.get("begun", first)
        yield {"seed": seed, "target": at.get("target", "?"), "kind": "crash",
               "detail": f"exit code {child.returncode}", "host": [], "ops": []}  # fmt: skip
        first = seed + 1


def _until_stopped(records: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The records until control-C, which ends a run early with its counts."""
    with contextlib.suppress(KeyboardInterrupt):
        yield from records


def _summary(given: argparse.Namespace) -> int:
    kinds: Counter[str] = Counter()
    nodes: Counter[str] = Counter()
    host: Counter[str] = Counter()
    drawn: Counter[str] = Counter()
    failures = 0
    for record in _until_stopped(_children(given)):
        kinds[record["kind"]] += 1
        nodes.update(record["ops"])
        host.update(record["host"])
        drawn[record.get("drawn", "?")] += 1
        if record["kind"] != "passed":
            failures += record["kind"] != "refused"
            print(f"{record['seed']} {record['target']} {record.get('drawn')} {record['kind']}: "
                  f"{record['detail'][:400]}")  # fmt: skip
            print(record.get("minimal", f"    {record['ops']}"), flush=True)
    print(f"models {dict(kinds)}; nodes {nodes.total()} of {len(nodes)} operators; "
          f"on the host {host.total()}: {dict(host.most_common(25))}")  # fmt: skip
    print(f"kinds {dict(drawn)}; never drawn: {', '.join(_never(nodes)) or 'none'}")
    return 1 if failures else 0


def _never(nodes: Counter[str]) -> list[str]:
    """Operators with a sampler, or of the device by the table, that no model had."""
    from systola.operators import table
    from tests.fuzz.generate import SAMPLERS

    claimed = {r["op"] for rows in table().values() for r in rows if r["on_device"]}
    return sorted((claimed | SAMPLERS.keys()) - nodes.keys())


if __name__ == "__main__":
    sys.exit(main())
