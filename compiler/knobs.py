"""Knobs: what the compiler may decide either way, for the search to turn.

A knob changes no result, only where and when work is done. `Knobs()` is what is taken when nobody
searches; `CHOICES` are the values that `-O3` tries for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any


@dataclass(frozen=True)
class Knobs:
    """One setting.

    Attributes:
        strips: strips that chains of layers too large for SBUF are cut into; 0 for none.
        strip_room: percent of SBUF that the values of a layer may fill before it is cut.
        weight_bytes: about the size of one transfer of weights.
        tap_packing: kernel taps share the rows of the array where channels are few.
        window: instructions past the first that is not scheduled at which engines look for work.
        horizon: transfers held back while so many microseconds of others are under way.
        patience: microseconds for which a ready instruction may be passed over.
    """

    strips: int = 0
    strip_room: int = 100
    weight_bytes: int = 512 * 1024
    tap_packing: bool = True
    window: int = 4096
    horizon: int = 6
    patience: int = 10

    def neighbours(self) -> Iterator[Knobs]:
        """Every setting that differs in one knob, in the order in which they are declared."""
        for name, values in CHOICES.items():
            for value in values:
                if value != getattr(self, name):
                    yield replace(self, **{name: value})

    def difference(self, other: Knobs) -> str:
        """What was turned to get from the other to this, as "strips 2 -> 4"."""
        parts = [
            f"{f.name} {getattr(other, f.name)} -> {getattr(self, f.name)}"
            for f in fields(self)
            if getattr(self, f.name) != getattr(other, f.name)
        ]
        return ", ".join(parts) or "nothing"

    def to_json(self) -> dict[str, Any]:
        """The setting by name."""
        return asdict(self)


STRIPS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

CHOICES: dict[str, tuple[Any, ...]] = {}
