"""The runtime: load a model into a device, bind its inputs, run, fetch its outputs.

    device = Device("inf1")
    model = device.load("model.neff")
    result = model.run({"x": image})
    result.outputs["y"], result.timing.cycles, result.counters["macs"]

Function and time are simulated apart; either can be left out. A model that was loaded keeps its
decoded tables and, since time does not depend on data, its timing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike, NDArray

from isa.errors import MalformedError
from isa.hardware import Hardware, load_target
from neff import ModelTensor, Neff
from simulator.chips import Throughput, copies, link_ticks, simulate_chips
from simulator.core import NeuronCore
from simulator.counters import count_program, count_run
from simulator.loader import as_neff, load_cores
from simulator.recorder import record
from simulator.tensors import check_inputs, draw, from_bytes, require_all, to_bytes
from simulator.timing import Timing
from traces import Trace

Array = NDArray[Any]


@dataclass(frozen=True)
class RunResult:
    """What a run gave.

    Attributes:
        outputs: by the model's names, in its dtypes and shapes; empty when only time was asked for.
        timings: one a core; empty when only function was asked for.
        counters: `simulator.counters`, of all cores together; `reference_instructions` are those
            that the reference interpreter executed for the fast simulator.
        drawn: names of the inputs that were drawn from the seed.
        model: what ran.
    """

    outputs: Mapping[str, Array]
    timings: tuple[Timing, ...]
    counters: Mapping[str, int]
    drawn: tuple[str, ...]
    model: Neff = field(repr=False)

    @property
    def timing(self) -> Timing:
        """The timing of the core that takes longest. Raises ValueError when time was left out."""
        return max(self.timings, key=lambda timing: timing.total_ticks)

    def trace(self, metadata: Mapping[str, Any] | None = None) -> Trace:
        """The first core's run as a trace. Raises IndexError when time was left out."""
        return record(self.model.program, self.timings[0], name=self.model.name, metadata=metadata)


class LoadedModel:
    """A model in a device. Its attributes: `model`, `hw`, and `cores`, one a section."""

    def __init__(self, model: Neff, hw: Hardware, cores: tuple[NeuronCore, ...]) -> None:
        self.model, self.hw, self.cores = model, hw, cores
        self._ran = False

    def run(
        self,
        inputs: Mapping[str, ArrayLike] | None = None,
        *,
        seed: int | None = None,
        function_only: bool = False,
        timing_only: bool = False,
    ) -> RunResult:
        """Run the model once.

        Args:
            inputs: arrays by the model's input names.
            seed: draw what is missing from it; None refuses to run without.
            function_only: leave out time; timing_only: leave out function, inputs too.
        Raises:
            MalformedError: SYS-R020 .. SYS-R024, an input does not fit the model.
            TrapError: the program faults; SYS-R014, it branches and so has no time by itself.
        """
        if function_only and timing_only:
            message = "a run leaves out function or time, not both"
            raise MalformedError("SYS-R025", message, found="both")
        outputs: dict[str, Array] = {}
        drawn: tuple[str, ...] = ()
        asked = 0
        if not timing_only:
            whole, drawn = self._whole(inputs or {}, seed)
            outputs, asked = self._compute(whole)
        timings = () if function_only else self.timings
        counters = self._counters(timings) | {"reference_instructions": asked}
        return RunResult(outputs, timings, counters, drawn, self.model)

    @cached_property
    def timings(self) -> tuple[Timing, ...]:
        """When everything happens, all cores at work, those of a chip sharing it. Raises TrapError.

        Section k runs on core k of the machine; sections that hand on to each other work on
        different items then (`simulator.chips`).
        """
        if len(self.cores) == 1:
            return (self.cores[0].timing,)
        return simulate_chips([core.timing_program for core in self.cores], self.hw)

    def on_cores(self, cores: int) -> Throughput:
        """The model copied to several cores, each with items of its own. Raises TrapError.

        Raises ValueError for a model of several sections.
        """
        if len(self.cores) > 1:
            raise ValueError("a model of one section is copied; this one has several")
        return Throughput(copies(self.cores[0].timing_program, cores))

    @cached_property
    def pipeline(self) -> Throughput:
        """The sections as a pipeline, each busy with an item of its own. Raises TrapError."""
        return Throughput(self.timings, link_ticks(self.model, self.hw))

    def _whole(
        self, inputs: Mapping[str, ArrayLike], seed: int | None
    ) -> tuple[dict[str, Array], tuple[str, ...]]:
        given = check_inputs(self.model.inputs, inputs)
        drawn = tuple(t.name for t in self.model.inputs if t.name not in given)
        if seed is not None:
            for i, tensor in enumerate(self.model.inputs):
                if tensor.name in drawn:
                    given[tensor.name] = draw(tensor, seed + i)
        require_all(self.model.inputs, given)
        return given, drawn

    def _compute(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], int]:
        """Outputs, and how many instructions the reference executed."""
        for core in self.cores if self._ran else ():
            core.clear()
        self._ran = True
        for tensor in self.model.inputs:
            buffer = self._core(tensor).buffer(tensor.buffer)
            data = to_bytes(inputs[tensor.name], buffer, f"input {tensor.name!r}")
            self._core(tensor).view(tensor.buffer)[: len(data)] = data
        asked = 0
        for number, core in enumerate(self.cores):
            for link in self.model.links:
                if link.target[0] == number:
                    core.view(link.target[1])[:] = self.cores[link.source[0]].view(link.source[1])
            asked += sum(core.execute().by_reference.values())
        outputs = {}
        for tensor in self.model.outputs:
            core = self._core(tensor)
            buffer = core.buffer(tensor.buffer)
            outputs[tensor.name] = from_bytes(core.view(tensor.buffer), buffer, tensor)
        return outputs, asked

    def _core(self, tensor: ModelTensor) -> NeuronCore:
        return self.cores[tensor.section]

    def _counters(self, timings: tuple[Timing, ...]) -> dict[str, int]:
        programs = [section.program for section in self.model.sections]
        if timings:
            each = [count_run(p, t) for p, t in zip(programs, timings, strict=True)]
        else:
            each = [count_program(p) for p in programs]
        return {name: sum(c.get(name, 0) for c in each) for name in {n: 0 for c in each for n in c}}


class Device:
    """A simulated chip that models are loaded into."""

    def __init__(self, target: str | Hardware = "inf1") -> None:
        """`target` is a machine, the name of a built-in one, or the path of a target's file."""
        self.hw = target if isinstance(target, Hardware) else load_target(target)

    def load(self, model: Neff | str | Path, *, check: bool = True) -> LoadedModel:
        """A model from a NEFF or its file, proved legal and sound on this device first.

        Args:
            check: False skips the proofs, for a program that was proved before.
        Raises:
            MalformedError, IllegalError: the file or its program is refused.
        """
        found = as_neff(model)
        return LoadedModel(found, self.hw, load_cores(found, self.hw, check=check))
