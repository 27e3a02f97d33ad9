"""A model in sections: the device's on the simulator, the host's in their framework, in turns.

env = inputs;  for each section: env += section(env);  outputs = env[...]
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import neff
from compiler.host import TIMEOUT_S, Section, open_section
from compiler.partition import DeviceSection, Partitioned
from isa.errors import MalformedError, TrapError
from isa.hardware import Hardware
from neff import HostPart, PartitionedNeff, PartTensor
from neff.model import TENSOR_DTYPES, ModelTensor
from simulator.recorder import record
from simulator.timing import Timing
from systola import report as reports
from systola.inputs import SEED, complete_inputs
from systola.models import CompiledModel, Model, Result
from traces import Trace
from traces.join import joined


@dataclass(frozen=True)
class SectionsResult:
    """What a run gave; the attributes of `Result`, over all sections.

    Attributes:
        outputs: by the model's names; what is no tensor is a list, as its framework gives it.
        results: of the device sections, in order.
        values: every tensor that a section took or gave.
    """

    outputs: dict[str, Any]
    results: tuple[Result, ...]
    report: dict[str, Any]
    drawn_inputs: tuple[str, ...]
    values: Mapping[str, Any]
    name: str

    @property
    def timing(self) -> Timing:
        """That of the only device section, or of the longest; the report has the sum."""
        return max((r.timing for r in self.results), key=lambda timing: timing.total_ticks)

    @cached_property
    def trace(self) -> Trace:
        """The device's part of the run, its sections one behind the other."""
        runs = [record(r.neff.program, r.timing, name=r.neff.name) for r in self.results]
        return joined(runs, self.name, self.report)


class SectionedModel:
    """A model in sections that can be run; the interface of `Model`.

    Attributes:
        neff: what a file holds.
        device_models: the sections of the device, each a model of its own.
        host_timeout_s: what a run of a section of the host may take; 0 is any time. Where nobody
            sets it, what runs in a process of its own has ten minutes, and the rest is not timed.
    """

    host_timeout_s: float | None = None

    def __init__(
        self,
        model: PartitionedNeff,
        hw: Hardware,
        report: Mapping[str, Any],
        device_models: Sequence[Model],
    ) -> None:
        self.neff, self.hw = model, hw
        self.report: dict[str, Any] = dict(report)
        self.device_models = tuple(device_models)

    @property
    def inputs(self) -> tuple[PartTensor, ...]:
        """Name, type and shape of each input."""
        return self.neff.inputs

    @property
    def outputs(self) -> tuple[PartTensor, ...]:
        """Name, type and shape of each output; what is known only at run time is None."""
        return self.neff.outputs

    def save(self, path: str | Path) -> None:
        """Write one file with all sections, whole or not at all. The same model: the same bytes.

        Raises:
            SystolaError: SYS-F001, the file cannot be written.
        """
        neff.write_partitioned(self.neff, path)

    @cached_property
    def _hosts(self) -> dict[int, Section]:
        """The host sections, opened, by their place."""
        return {
            i: open_section(bytes(part.model), part.engine, part.apart or bool(self.host_timeout_s))
            for i, part in enumerate(self.neff.parts)
            if isinstance(part, HostPart)
        }

    def load(self) -> None:
        """Verify the programs, place them on the device and open the host's sections.

        Raises:
            IllegalError: a program is not sound.
        """
        for model in self.device_models:
            model.load()
        assert self._hosts is not None

    def run(
        self,
        inputs: Mapping[str, ArrayLike] | None = None,
        *,
        seed: int = SEED,
        cores: int = 1,
    ) -> SectionsResult:
        """Run the sections in turns.

        Args:
            inputs: by input name; what is missing is drawn from `seed`.
            cores: as in `Model.run`, for each section of the device.
        Raises:
            MalformedError: SYS-R020 .. SYS-R024, an input does not fit the model.
            IllegalError: a program is not sound.
            TrapError: SYS-H002 .. SYS-H004, a host section does not run.
        """
        self.load()
        env, drawn = _complete(self.inputs, dict(inputs or {}), seed)
        device = iter(self.device_models)
        results: list[Result] = []
        host_s = 0.0
        for i, part in enumerate(self.neff.parts):
            feeds = {name: env[name] for name in part.takes}
            if isinstance(part, HostPart):
                begun = time.perf_counter()
                made = self._on_host(i, feeds)
                host_s += time.perf_counter() - begun
            else:
                results.append(next(device).run(feeds, cores=cores))
                made = results[-1].outputs
            env.update(made)
        timings = [r.timing for r in results]
        took = sum(r.report["simulate_s"] for r in results)
        report = reports.of_sections(self.report, timings, took, host_s)
        shown = [r.report["throughput"] for r in results if "throughput" in r.report]
        if shown:
            report["throughput"] = shown[0] if len(shown) == 1 else shown
        return SectionsResult(
            {t.name: env[t.name] for t in self.outputs},
            tuple(results), report | {"target": self.hw.name}, drawn, env, self.neff.name,
        )  # fmt: skip

    def _on_host(self, i: int, feeds: dict[str, Any]) -> dict[str, Any]:
        limit = TIMEOUT_S if self.host_timeout_s is None else self.host_timeout_s
        try:
            return self._hosts[i].run(feeds, limit)
        except TrapError as error:
            gives = ", ".join(map(repr, self.neff.parts[i].gives))
            error.at = f"host section, part {i + 1} of {len(self.neff.parts)}, which makes {gives}"
            raise

    def close(self) -> None:
        """End what the host's sections hold open; the next run opens them again."""
        for section in self._hosts.values():
            section.close()
        del self._hosts


class CompiledSections(SectionedModel):
    """A model in sections as the compiler left it: its device sections are `CompiledModel`s."""

    def __init__(self, compiled: Partitioned, hw: Hardware) -> None:
        models = [
            CompiledModel(s.compiled, hw) for s in compiled.sections if isinstance(s, DeviceSection)
        ]
        super().__init__(compiled.neff, hw, reports.of_compilation(compiled.report), models)
        self.compiled = compiled
        self.compiled_models = tuple(models)


def _complete(
    tensors: Sequence[PartTensor], given: dict[str, Any], seed: int
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Every input in its model's type, and the names of those that had to be drawn."""
    plain = [
        ModelTensor(t.name, t.dtype, t.shape, "")
        for t in tensors
        if t.shape is not None and t.dtype in TENSOR_DTYPES
    ]
    others = {t.name for t in tensors} - {t.name for t in plain}
    env = {
        name: value if isinstance(value, list) or value is None else np.asarray(value)
        for name, value in given.items()
        if name in others
    }
    missing = sorted(others - set(env))
    if missing:
        raise MalformedError(
            "SYS-R020",
            "every input of the model that is no tensor of numbers is given",
            found=f"no {', '.join(map(repr, missing))}",
            hint="text and sequences are not drawn",
        )
    whole, drawn = complete_inputs(plain, {n: v for n, v in given.items() if n not in others}, seed)
    return {**env, **whole}, drawn
