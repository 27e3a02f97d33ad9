"""A compiled model and what a run of it gives."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

import neff
from compiler.graph.graph import Graph
from compiler.pipeline import Compiled
from isa.hardware import Hardware
from neff.model import ModelTensor, Neff
from simulator.recorder import record
from simulator.runtime import Device, LoadedModel
from simulator.timing import Timing
from systola import report as reports
from systola.inputs import SEED, Array, complete_inputs
from traces import Trace


@dataclass(frozen=True)
class Result:
    """What a run gave.

    Attributes:
        outputs: by the model's names, in the model's shapes and types.
        timing: when each instruction ran.
        report: the keys of `systola run --json`.
        drawn_inputs: inputs that were not given, and so drawn from a fixed seed.
        neff: what ran.
        values: the inputs and outputs by name.
    """

    outputs: dict[str, Array]
    timing: Timing
    report: dict[str, Any]
    drawn_inputs: tuple[str, ...]
    neff: Neff
    values: Mapping[str, Array]

    @cached_property
    def trace(self) -> Trace:
        """The run as a trace, for `traces.save` and the plots."""
        return record(self.neff.program, self.timing, name=self.neff.name, metadata=self.report)


class Model:
    """A compiled model that can be run.

    Attributes:
        neff: what a file holds.
        hw: the machine that it runs on.
        report: what the compiler said of it.
    """

    _proved = False

    def __init__(self, model: Neff, hw: Hardware, report: Mapping[str, Any]) -> None:
        self.neff, self.hw = model, hw
        self.report: dict[str, Any] = dict(report)

    @property
    def device_models(self) -> tuple[Model, ...]:
        """Its sections on the device: itself. A `SectionedModel` may have several."""
        return (self,)

    @property
    def inputs(self) -> tuple[ModelTensor, ...]:
        """Name, type and shape of each input."""
        return self.neff.inputs

    @property
    def outputs(self) -> tuple[ModelTensor, ...]:
        """Name, type and shape of each output."""
        return self.neff.outputs

    def save(self, path: str | Path) -> None:
        """Write a NEFF, whole or not at all. The same model gives the same bytes.

        Raises:
            SystolaError: SYS-F001, the file cannot be written.
        """
        neff.write(self.neff, path)

    @cached_property
    def _loaded(self) -> LoadedModel:
        return Device(self.hw).load(self.neff, check=not self._proved)

    def load(self) -> None:
        """Verify the program and place it on the device; `run` does so when it is first called.

        Raises:
            IllegalError: the program is not sound.
        """
        assert self._loaded is not None

    def run(self, inputs: Mapping[str, ArrayLike] | None = None, *, seed: int = SEED) -> Result:
        """Run the model on a simulated core.

        Args:
            inputs: arrays by input name; what is missing is drawn from `seed`.
        Raises:
            MalformedError: SYS-R020 .. SYS-R024, an input does not fit the model.
            IllegalError, TrapError: the program is not sound.
        """
        whole, drawn = complete_inputs(self.inputs, inputs or {}, seed)
        loaded = self._loaded
        begun = time.perf_counter()
        done = loaded.run(whole)
        took = time.perf_counter() - begun
        report = reports.of_run(self.report, done.timing, took) | {"target": self.hw.name}
        outputs = dict(done.outputs)
        return Result(outputs, done.timing, report, drawn, self.neff, {**whole, **outputs})


class CompiledModel(Model):
    """A model as the compiler left it: a `Model`, and the graph it was made from."""

    _proved = True  # by the compiler's own last step

    def __init__(self, compiled: Compiled, hw: Hardware) -> None:
        super().__init__(compiled.neff, hw, reports.of_compilation(compiled.report))
        self.compiled = compiled

    @property
    def compiled_models(self) -> tuple[CompiledModel, ...]:
        """Its sections on the device: itself."""
        return (self,)

    @property
    def graph(self) -> Graph:
        """The graph that was lowered; its values keep the model's own tensor names."""
        return self.compiled.graph
