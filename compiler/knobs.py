"""Knobs: what the compiler may decide either way, for a search to turn.

A knob changes no result but by the order of roundings, only where and when work is done. `Knobs()`
is what is taken where nobody searches; `CHOICES` are the values that `-O3` tries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any


@dataclass(frozen=True)
class Knobs:
    """One setting.

    Attributes:
        strips: strips of rows that chains of layers too large for SBUF are cut into; 0 for none,
            1 for a batch in as many parts as each layer needs, -1 for boxes from DRAM to DRAM.
        apart: place, among those where images may join, up to which a batch is computed image by
            image (`graph_passes/apart.py`); 0 for none.
        strip_room: percent of SBUF that values may fill before their layers are cut.
        weight_kib: about the size of one transfer of weights; 512 are 4 KiB a partition, so that
            descriptors cost 2.5 % of it.
        tile_columns: columns of one tile of a product, at most; where fewer than the machine's
            most, tiles are *fine*: short layers are cut, and channels alternate within positions.
        fold_rows: rows of images may be folded onto partitions where channels are few.
        tap_packing: kernel taps may share the rows of the array where channels are few.
        brief: means, roots and the like may stay in PSUM (`lowering/brief.py`), where the vector
            engine reads them faster, and either elementwise engine waits for the other.
        image_dma: percent of a cycle of the array that a cycle of loading an image's rows again
            counts, where that spares passes: DMA has weights to bring, but may have time for both.
    """

    strips: int = 0
    apart: int = 0
    strip_room: int = 100
    weight_kib: int = 512
    tile_columns: int = 512
    fold_rows: bool = True
    tap_packing: bool = True
    brief: bool = True
    image_dma: int = 150

    def fine(self, most: int) -> bool:
        """Whether tiles have fewer columns than the machine's most."""
        return self.tile_columns < most

    def neighbours(self, knob: str) -> Iterator[Knobs]:
        """Every setting that differs in one knob alone, and means something else."""
        for value in CHOICES[knob]:
            made = replace(self, **{knob: value})
            if made != self and (knob != "strip_room" or self.strips):
                yield made

    def difference(self, other: Knobs) -> str:
        """What was turned to get from the other to this, as "strips 2 -> 4"."""
        parts = [
            f"{f.name} {getattr(other, f.name)} -> {getattr(self, f.name)}"
            for f in fields(self)
            if getattr(self, f.name) != getattr(other, f.name)
        ]
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The setting by name."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Knobs:
        """The setting that `to_json` gave. Raises ValueError for anything else."""
        known = {f.name: f.type for f in fields(Knobs)}
        if set(values) != set(known):
            raise ValueError(f"knobs {sorted(values)}")
        for name, kind in known.items():
            if type(values[name]).__name__ != kind:
                raise ValueError(f"{name} is {values[name]!r}")
        return Knobs(**values)


AS_NEEDED = 1
"""Strips: a batch in as many parts as each of its layers needs (`graph_passes/nested.py`)."""

SPILLED = -1
"""Strips: every value in DRAM, and all work from there to there (`graph_passes/spill.py`)."""

STRIPS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""How finely a chain of layers is cut."""

CHOICES: dict[str, tuple[Any, ...]] = {
    "strips": (0, AS_NEEDED, *STRIPS[:7]),
    "apart": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    "strip_room": (100, 75, 50, 35),
    "weight_kib": (512, 1024, 256, 128),
    "tile_columns": (512, 384, 256, 128),
    "fold_rows": (True, False),
    "tap_packing": (True, False),
    "brief": (True, False),
    "image_dma": (150, 30),
}
