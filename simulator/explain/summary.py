"""The attribution as plain numbers: what reports, JSON and tables show. Times in ticks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from isa.hardware import Hardware
from simulator.explain.attribution import Attribution
from simulator.explain.causes import Cause, Phase
from simulator.explain.dram import dma_time, dma_time_while_loading
from simulator.explain.facts import BUSY
from simulator.explain.layers import LayerCost, layer_costs, macs_of_rows

WORTH_A_NOTE = 0.01
"""Errors of the prediction from here on are explained."""

BINDING_CAUSES = {c.text: c.key for c in Cause} | {"PE": Cause.MULTIPLY.key}
"""The cause that stands for what binds a layer; none for one that hides beside others."""

COMPULSORY = (Cause.WEIGHTS_RATE, Cause.INPUT_RATE, Cause.OUTPUT_RATE)


@dataclass(frozen=True)
class Difference:
    """What fills the run beyond its bound, seen from the resource that sets the bound.

    Attributes:
        resource: "PE" or "DMA".
        bound: ticks that the resource needs at least.
        parts: (text, ticks), most first; with `bound` they add up to the run.
    """

    resource: str
    bound: int
    parts: tuple[tuple[str, int], ...]


def difference(found: Attribution, macs: int, dram_bytes: int) -> Difference:
    """The difference between a run and its bound.

    Args:
        macs, dram_bytes: what the model needs at least (`compiler/bound.py`).
    """
    hw = found.hw
    array = -(-macs * hw.ticks_per_s // array_rate(hw))
    memory = -(-dram_bytes * hw.ticks_per_s // hw.core_dram_bytes_per_s)
    if array >= memory:
        ticks = found.by_cause()
        own = ticks.pop(Cause.MULTIPLY, 0)
        issued = -(-int(macs_of_rows(found).sum()) * hw.ticks_per_s // array_rate(hw))
        parts = [
            ("multiplications beyond the model's: zeros, sums, transposes", issued - array),
            ("multiplying with part of the array", own - issued),
        ]
        parts += [(c.text, t) for c, t in ticks.items()]
        return Difference("PE", array, _sorted(parts))
    return Difference("DMA", memory, _sorted(_beyond_memory(found, memory)))


def _beyond_memory(found: Attribution, memory: int) -> list[tuple[str, int]]:
    """While there is something to load, what the DMA engines did besides or why they idled; from
    then on, what the tensor engine did."""
    sharing = found.sharing
    time = _in_ticks(dma_time_while_loading(found), sharing.engines, sharing.loaded)
    late = int(sharing.spent[1, Cause.OUTPUT_RATE]) // sharing.engines  # compulsory, too
    own = sum(time.pop(cause, 0) for cause in COMPULSORY) + late
    parts = [("more bytes than compulsory", own - memory)]
    parts += [(_while_idle(c), t) for c, t in time.items()]
    then = np.zeros(len(Cause), np.int64)
    after = found.end - np.clip(sharing.loaded, found.begin, found.end)
    np.add.at(then, found.cause, after)
    then[Cause.OUTPUT_RATE] -= late
    return parts + [(f"after the last load: {c.text}", int(then[c])) for c in Cause if then[c]]


def array_rate(hw: Hardware) -> int:
    """Multiply-accumulates that the array does in a second."""
    return hw.macs_per_cycle * hw.pe_clock_hz


def array_use(found: Attribution) -> dict[str, Any]:
    """MACs issued, and the part of the array that they fill while it multiplies."""
    work = found.by_cause().get(Cause.MULTIPLY, 0)
    macs = int(macs_of_rows(found).sum())
    peak = array_rate(found.hw) / found.hw.ticks_per_s
    return {"macs_issued": macs, "array_fill": macs / (peak * work) if work else 0.0}


IDLE = (Cause.SBUF_ROOM, Cause.PSUM_ROOM, Cause.DRAM_ORDER, Cause.DATA, Cause.NOTHING_LEFT)


def _while_idle(cause: Cause) -> str:
    return f"idle: {cause.text}" if cause in IDLE else cause.text


def _sorted(parts: list[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((p for p in parts if p[1]), key=lambda p: -p[1]))


def _in_ticks(time: dict[Cause, int], engines: int, total: int) -> dict[Cause, int]:
    """Engine time as ticks of all engines; whole numbers that add up to the run's."""
    ends = [min(total, -(-at // engines)) for at in accumulate(time.values(), initial=0)]
    return {c: b - a for c, (a, b) in zip(time, pairwise(ends), strict=True)}


def prediction(found: Attribution, predicted: int) -> dict[str, Any]:
    """The compiler's prediction against the run: `error` 0.01 is 1 % too many ticks; `note` says
    where a larger one comes from."""
    total = max(1, found.timing.total_ticks)
    told: dict[str, Any] = {"predicted_ticks": predicted, "error": predicted / total - 1}
    if told["error"] > WORTH_A_NOTE:
        told["note"] = (
            "the schedule waits until enough bytes are free; the places that buffers then got were "
            "free earlier"
        )
    elif told["error"] < -WORTH_A_NOTE:
        waits = np.flatnonzero(found.facts[:, BUSY] == Cause.CONTROL)
        ticks = int((found.timing.end - found.timing.start)[waits].sum())
        told["note"] = (
            f"the schedule counts neither the {len(waits)} instructions that only wait, {ticks} "
            "ticks, nor the waits for places that other buffers held"
        )
    return told


def compact(found: Attribution, macs: int, dram_bytes: int, predicted: int) -> dict[str, Any]:
    """What every compilation's report has: causes of idle ticks, what fills the run beyond its
    bound, the prediction, and a line a layer. Arguments as of `difference` and `prediction`."""
    ticks = found.by_cause()
    work = ticks.pop(Cause.MULTIPLY, 0)
    beyond = difference(found, macs, dram_bytes)
    return {
        "ticks": found.timing.total_ticks,
        "ticks_per_cycle": found.hw.ticks_per_s // found.hw.base_clock_hz,
        "pe_multiplying_ticks": work,
        **array_use(found),
        "pe_idle_ticks": {c.key: t for c, t in sorted(ticks.items(), key=lambda e: -e[1])},
        "prediction": prediction(found, predicted),
        "bound_by": beyond.resource,
        "beyond_bound_ticks": dict(beyond.parts),
        "layers": [
            {"name": layer.name, "ticks": layer.ticks, "binding": layer.binding}
            for layer in layer_costs(found)
        ],
    }


def idle_table(found: Attribution) -> list[dict[str, Any]]:
    """Idle ticks of the tensor engine, an entry a cause; shares of all idle ticks add up to 1."""
    idle = found.idle()
    total = sum(sum(phases.values()) for phases in idle.values())
    return [
        {
            "cause": cause.key,
            "text": cause.text,
            "ticks": sum(phases.values()),
            "share_of_idle": sum(phases.values()) / total,
            "share_of_run": sum(phases.values()) / found.timing.total_ticks,
            **{f"{phase.name.lower()}_ticks": phases.get(phase, 0) for phase in Phase},
        }
        for cause, phases in idle.items()
    ]


def dma_table(found: Attribution) -> list[dict[str, Any]]:
    """What the DMA engines' time went to; shares add up to 1."""
    time = dma_time(found)
    total = sum(time.values())
    return [
        {"cause": c.key, "text": _while_idle(c), "share_of_run": t / total} for c, t in time.items()
    ]


def layer_table(found: Attribution) -> list[dict[str, Any]]:
    """The layers as JSON."""
    return [layer_json(layer, found) for layer in layer_costs(found)]


def layer_json(layer: LayerCost, found: Attribution) -> dict[str, Any]:
    """One layer; `array_fill` is the part of the array's peak that it used while multiplying."""
    hw = found.hw
    peak = array_rate(hw) / hw.ticks_per_s
    return {
        "name": layer.name,
        "binding": layer.binding,
        "binding_cause": BINDING_CAUSES.get(layer.binding),
        "ticks": layer.ticks,
        "share_of_run": layer.ticks / max(1, found.timing.total_ticks),
        "span_ticks": [layer.begin, layer.end],
        "multiplying_ticks": layer.multiply,
        "idle_ticks": {c.key: t for c, t in layer.idle.items()},
        "busy_ticks": layer.busy,
        "utilization": layer.utilization,
        "dram_read_bytes": layer.read_bytes,
        "dram_written_bytes": layer.written_bytes,
        "macs_issued": layer.macs,
        "array_fill": layer.macs / (peak * max(1, layer.busy.get("PE", 0))),
        "instructions": layer.instructions,
    }
