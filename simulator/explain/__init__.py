"""Where the time went: every tick of a run, to one cause and one layer.

    causes.py      the causes, and their texts
    transfers.py   what limited the DMA engines at each moment: replayed from the spans of a run
    releases.py    why an instruction waited: for data, or for room in a memory
    facts.py       one row an instruction: all that the walk reads
    walk.py        from the end of an idle gap back along what released what
    stretches.py   what the walk puts down
    attribution.py Attribution: the ticks of the tensor engine, multiplying or idle, by cause
    layers.py      the same layer by layer, with the resource that binds each
    dram.py        the same question for the DMA engines: what kept bytes from moving

The rules are in `docs/explain.md`.
"""

from __future__ import annotations

from simulator.explain.attribution import Attribution, attribute
from simulator.explain.causes import Cause, Phase

__all__ = ["Attribution", "Cause", "Phase", "attribute"]
