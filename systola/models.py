"""A compiled model and what a run of it gives."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from systola import throughput
from systola.inputs import SEED, Array, complete_inputs
from traces import Trace
from traces.join import joined


@dataclass(frozen=True)
class Result:
    """What a run gave.

    Attributes:
        outputs: by the model's names, in the model's shapes and types.
        timings: when each instruction ran, a core each of those that the model was cut over.
        report: the keys of `systola run --json`.
        drawn_inputs: inputs that were not given, and so drawn from a fixed seed.
        neff: what ran.
        values: the inputs and outputs by name.
    """

    outputs: dict[str, Array]
    timings: tuple[Timing, ...]
    report: dict[str, Any]
    drawn_inputs: tuple[str, ...]
    neff: Neff
    values: Mapping[str, Array]

    @property
    def timing(self) -> Timing:
        """The timing of the core that takes longest."""
        return max(self.timings, key=lambda timing: timing.total_ticks)

    @cached_property
    def trace(self) -> Trace:
        """The run as a trace, for `traces.save` and the plots; stages one behind the other."""
        name, sections = self.neff.name, self.neff.sections
        if len(sections) == 1:
            return record(self.neff.program, self.timing, name=name, metadata=self.report)
        runs = [
            record(section.program, timing, name=f"{name}/{k}")
            for k, (section, timing) in enumerate(zip(sections, self.timings, strict=True))
        ]
        return joined(runs, name, self.report)


class Model:
    """A compiled model that can be run.

    Attributes:
        neff: what a file holds.
        hw: the machine that it runs on.
        report: what the compiler said of it.
        host_timeout_s: as a `SectionedModel`'s; nothing of this model is on the host.
    """

    host_timeout_s: float | None = None
    _proved = False

    def __init__(self, model: Neff, hw: Hardware, report: Mapping[str, Any]) -> None:
        self.neff, self.hw = model, hw
        self.report: dict[str, Any] = dict(report)

    @property
    def device_models(self) -> tuple[Model, ...]:
        """Its sections on the device: itself. A `SectionedModel` may have several."""
        return (self,)

    @property
    def stages(self) -> tuple[Model, ...]:
        """What each core runs, to be looked at: itself, or the stages of a pipeline."""
        sections = self.neff.sections
        if len(sections) == 1:
            return (self,)
        alone = replace(self.neff, inputs=(), outputs=(), links=(), metadata={}, cores=1)
        return tuple(
            Model(replace(alone, name=f"{alone.name}/{k}", sections=(section,)), self.hw, {})
            for k, section in enumerate(sections)
        )

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

    def throughput(self, cores: int = 1, items: int | None = None) -> dict[str, Any]:
        """Runs back to back, on copies of the model or as the pipeline that it was cut into.

        Args:
            cores: cores that a model in one piece is copied to.
            items: what a run works on; the batch where None.
        Returns:
            The keys of a report's `throughput` (`systola.throughput`).
        Raises:
            MalformedError: SYS-U020, the model cannot run on so many cores.
        """
        throughput.require_cores(cores, len(self.neff.sections))
        pipeline = len(self.neff.sections) > 1
        found = self._loaded.pipeline if pipeline else self._loaded.on_cores(cores)
        each = items or throughput.items_of(self.inputs, self.outputs)
        return throughput.report(found, each, pipeline)

    def run(
        self,
        inputs: Mapping[str, ArrayLike] | None = None,
        *,
        seed: int = SEED,
        cores: int = 1,
    ) -> Result:
        """Run the model on a simulated core, or on those that it was cut over.

        Args:
            inputs: arrays by input name; what is missing is drawn from `seed`.
            cores: time the run with copies of the model at work on so many cores.
        Raises:
            MalformedError: SYS-R020 .. SYS-R024, an input does not fit the model; SYS-U020, the
                model cannot run on so many cores.
            IllegalError, TrapError: the program is not sound.
        """
        whole, drawn = complete_inputs(self.inputs, inputs or {}, seed)
        loaded = self._loaded
        begun = time.perf_counter()
        throughput.require_cores(cores, len(self.neff.sections))
        done = loaded.run(whole, function_only=cores > 1)
        timings = done.timings or loaded.on_cores(cores).timings[:1]
        took = time.perf_counter() - begun
        report = reports.of_run(self.report, timings, took) | {"target": self.hw.name}
        if cores > 1 or len(timings) > 1:
            report["throughput"] = self.throughput(cores)
        outputs = dict(done.outputs)
        return Result(outputs, timings, report, drawn, self.neff, {**whole, **outputs})


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
