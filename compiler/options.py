"""What a user can ask of a compilation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compiler.errors import UsageError
from isa.hardware import DEFAULT_TARGET

PASSES = {
    "fuse-loops": "every node of the graph is a loop of its own, its result stored whole",
    "tensorize": "a matmul takes one run of the moving operand, its innermost; taps are not packed",
    "schedule": "program order, loads too; one DMA queue",
    "plan-memory": "what an operation makes goes to DRAM, each reader loads it; no prefetch either",
    "prefetch": "loads do not go ahead of their use",
    "stripe": "chains of layers are not cut into strips of rows",
}
"""The passes that can be left out, and what is done instead. The first four are the ablation's."""


@dataclass(frozen=True)
class Options:
    """Compilation options.

    Attributes:
        target: name of a target, or the path of a target file.
        auto_cast: all, matmult or none (the ladder of neuron-facts 6.1).
        auto_cast_type: bf16 or fp16.
        shapes: static shapes for inputs that leave dimensions free, by input name.
        batch: the extent of the inputs' batch, where the model leaves it free.
        without: names of passes to leave out (`PASSES`).
        pipeline_cores: cores that the model is cut over; 1 cuts nothing.
        pin_weights: keep in SBUF over all runs what weights there is room for.
        must_compile: refuse what cannot run wholly on the device.
        minimum_segment_size: operations that a section of the device has at least, where there are
            several.
        host_ops: operators that are kept on the host; host_nodes: nodes, by name.
        host_dynamic: leave to the host what has shapes that depend on data.
        level: 1 takes the first setting that fits, 2 compares a few, 3 searches (`autotune.py`).
        budget: settings that level 3 may evaluate.
    """

    target: str = DEFAULT_TARGET
    auto_cast: str = "all"
    auto_cast_type: str = "bf16"
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    batch: int | None = None
    without: frozenset[str] = frozenset()
    pipeline_cores: int = 1
    pin_weights: bool = False
    must_compile: bool = False
    minimum_segment_size: int = 1
    host_ops: frozenset[str] = frozenset()
    host_nodes: frozenset[str] = frozenset()
    host_dynamic: bool = False
    level: int = 2
    budget: int = 24

    def to_json(self) -> dict[str, Any]:
        """The options as they stand in a NEFF's metadata."""
        return {
            "auto_cast": self.auto_cast,
            "auto_cast_type": self.auto_cast_type,
            "shapes": {k: list(map(int, v)) for k, v in self.shapes.items()},
            "without": sorted(self.without),
            **({"batch": self.batch} if self.batch is not None else {}),
            **({"level": self.level} if self.level != Options.level else {}),
            **({"budget": self.budget} if self.level >= 3 else {}),
            **({"pin_weights": True} if self.pin_weights else {}),
            **({"pipeline_cores": self.pipeline_cores} if self.pipeline_cores > 1 else {}),
            **self._of_the_host(),
        }

    def _of_the_host(self) -> dict[str, Any]:
        """What was asked of the cut between device and host, if anything was."""
        asked = {
            "must_compile": self.must_compile,
            "host_ops": sorted(self.host_ops),
            "host_nodes": sorted(self.host_nodes),
            "host_dynamic": self.host_dynamic,
        }
        if self.minimum_segment_size != Options.minimum_segment_size:
            asked["minimum_segment_size"] = self.minimum_segment_size
        return {key: value for key, value in asked.items() if value}


def require_level(options: Options) -> None:
    """Raise UsageError SYS-C110 for a level that there is not, or a search of nothing."""
    if options.level not in (1, 2, 3) or options.budget < 1:
        raise UsageError(
            "SYS-C110",
            "the level is 1, 2 or 3, and a search may evaluate at least one setting",
            found=f"level {options.level}, budget {options.budget}",
            hint="-O1, -O2 or -O3 --budget 24",
        )
