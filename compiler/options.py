"""What a user can ask of a compilation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isa.hardware import DEFAULT_TARGET


@dataclass(frozen=True)
class Options:
    """Compilation options.

    Attributes:
        target: name of a target, or the path of a target file.
        auto_cast: all, matmult or none (the ladder of neuron-facts 6.1).
        auto_cast_type: bf16 or fp16.
        shapes: static shapes for inputs that leave dimensions free, by input name.
        without: names of passes to leave out (`pipeline.PASSES`).
    """

    target: str = DEFAULT_TARGET
    auto_cast: str = "all"
    auto_cast_type: str = "bf16"
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    without: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, Any]:
        """The options as they stand in a NEFF's metadata."""
        return {
            "auto_cast": self.auto_cast,
            "auto_cast_type": self.auto_cast_type,
            "shapes": {k: list(map(int, v)) for k, v in self.shapes.items()},
            "without": sorted(self.without),
        }
