"""A drawn model as ONNX, what the device gives for it, and the smallest model that still fails."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

import systola
from isa.errors import SystolaError
from tests.fuzz.draft import Step, Value, is_float, scale_of
from tests.fuzz.oracle import Array, tensor_info, whole

HANG_S = 60  # of this process's time: others may be at work
FIRST_S = 600  # of the first model, which waits for inner loops to be compiled
FAULTS_OF_OURS = ("SYS-C900",)


@dataclass(frozen=True)
class Model:
    """A model with the values it is given and those it has to yield."""

    steps: tuple[Step, ...]
    outputs: tuple[Value, ...]
    opset: int
    kind: str = "plain"

    @property
    def leaves(self) -> list[Value]:
        """Operands that no node of the model makes, each once."""
        made = {id(v) for s in self.steps for v in s.outputs}
        read = {id(v): v for s in self.steps for v in s.inputs if v and id(v) not in made}
        return list(read.values())

    @property
    def feeds(self) -> dict[str, Array]:
        return {v.name: v.array for v in self.leaves if not v.constant}

    def proto(self) -> onnx.ModelProto:
        graph = helper.make_graph(
            [s.node for s in self.steps],
            "drawn",
            [tensor_info(name, array) for name, array in self.feeds.items()],
            [tensor_info(v.name, v.array) for v in self.outputs],
            [numpy_helper.from_array(v.array, v.name) for v in self.leaves if v.constant],
        )
        return whole(graph, self.opset)


@dataclass(frozen=True)
class Outcome:
    """What became of a model.

    Attributes:
        kind: passed, refused, or what went wrong: differs, raised, fault, hang.
        detail: the code of a refusal, or what differed.
        host: operators that ran on the host; nodes: nodes of the model.
    """

    kind: str
    detail: str = ""
    host: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        return self.kind not in ("passed", "refused")


class _Hang(Exception):
    pass


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise _Hang

    before = [signal.signal(n, stop) for n in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(10 * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        signal.signal(signal.SIGPROF, before[0])
        signal.signal(signal.SIGALRM, before[1])


def judge(model: Model, target: str, hang_s: int = HANG_S) -> Outcome:
    """Compile for `target` in FP32 mode, run, and compare with what every node has to yield."""
    try:
        with _at_most(hang_s):
            compiled = systola.compile(
                model.proto(), target=target, auto_cast="none", host_dynamic=True
            )
            found = compiled.run(model.feeds).outputs
    except _Hang:
        return Outcome("hang")
    except SystolaError as error:
        text = f"{error.code}: {error.message} [{error.found}] [{error.at}]"
        return Outcome("fault" if error.code in FAULTS_OF_OURS else "refused", text)
    except Exception as error:
        return Outcome("raised", f"{type(error).__name__}: {error}")
    host = tuple(str(h["op"]) for h in compiled.report["host_ops"])
    wrong = [f"{v.name}: {text}" for v in model.outputs if (text := _wrong(found, v))]
    return Outcome("differs" if wrong else "passed", "; ".join(wrong), host)


def _wrong(found: Any, value: Value) -> str:
    if value.name not in found:
        return "is missing"
    got, wanted = np.asarray(found[value.name]), value.array
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        return f"{got.dtype}{got.shape} for {wanted.dtype}{wanted.shape}"
    if not is_float(wanted):
        return f"{np.sum(got != wanted)} of {wanted.size} differ" if (got != wanted).any() else ""
    finite = np.isfinite(wanted)
    if not np.array_equal(got[~finite], wanted[~finite], equal_nan=True):
        return f"{got[~finite][:4]} for {wanted[~finite][:4]}"
    with np.errstate(all="ignore"):
        apart = np.abs(got[finite].astype(np.float64) - wanted[finite].astype(np.float64))
    scale, most = scale_of(wanted), float(apart.max(initial=0))
    right = most <= value.precision.tolerance * scale  # not of what is not a number
    return "" if right else f"{most:.3g} of a range of {scale:.3g}"


def minimal(model: Model, target: str, trials: int = 100) -> Model:
    """A small part of the model that still fails: fewer outputs, then nodes turned to inputs."""
    for output in model.outputs if len(model.outputs) > 1 else ():
        alone = _needed(model.steps, (output,), model)
        if judge(alone, target).failed:
            model = alone
            break
    changed = True
    while changed and trials > 0:
        changed = False
        for candidate in _smaller(model):
            trials -= 1
            if trials > 0 and judge(candidate, target).failed:
                model, changed = candidate, True
                break
    return model


def _smaller(model: Model) -> Iterator[Model]:
    for output in model.outputs if len(model.outputs) > 1 else ():
        yield _needed(model.steps, [v for v in model.outputs if v is not output], model)
    for step in reversed(model.steps[:-1]):  # cut at a node: its results become inputs
        yield _needed([s for s in model.steps if s is not step], model.outputs, model)
    for step in model.steps[:-1]:  # end at a node
        yield _needed(model.steps, step.outputs, model)


def _needed(steps: Sequence[Step], outputs: Sequence[Value], model: Model) -> Model:
    """The model with those of the steps that the outputs need."""
    wanted = {id(v) for v in outputs}
    kept: list[Step] = []
    for step in reversed(steps):
        if any(id(v) in wanted for v in step.outputs):
            kept.append(step)
            wanted |= {id(v) for v in step.inputs if v}
    kept.reverse()
    made = {id(v) for s in kept for v in s.outputs}
    return Model(tuple(kept), tuple(v for v in outputs if id(v) in made), model.opset, model.kind)
