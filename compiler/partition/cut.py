"""The cut: host and device take turns over a graph, as few times as it allows.

Stage 0 is the host's, stage 1 the device's, and so on in turns. A call stands in the first stage of
its side that is not before any of those whose results it reads, so a stage needs nothing of a later
one: sections are convex, and no order has fewer turns of the device than the graph's longest chain
of changes. Device calls then sink to the last stage that their readers allow: what only a later
section needs is computed there, and early sections hold just what the host waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from compiler.partition.calls import Call


@dataclass(frozen=True)
class Section:
    """Calls in the model's order that run together, all of them on one side."""

    on_host: bool
    calls: tuple[Call, ...]


def cut(calls: Sequence[Call], host: Collection[str]) -> list[Section]:
    """Sections in the order in which they run.

    Args:
        calls: in topological order; what none of them writes is there from the start.
        host: names of the calls on the host.
    """
    stages = _earliest(calls, host)
    _sink(calls, host, stages)
    by_stage: dict[int, list[Call]] = {}
    for call in calls:
        by_stage.setdefault(stages[call.name], []).append(call)
    sections: list[Section] = []
    for stage in sorted(by_stage):
        on_host, members = stage % 2 == 0, tuple(by_stage[stage])
        if sections and sections[-1].on_host == on_host:  # the turn between them is empty
            members = (*sections.pop().calls, *members)
        sections.append(Section(on_host, members))
    return sections


def _earliest(calls: Sequence[Call], host: Collection[str]) -> dict[str, int]:
    stages: dict[str, int] = {}
    maker: dict[str, int] = {}  # tensor -> the stage that makes it
    for call in calls:
        parity = 0 if call.name in host else 1
        stage = max((maker[r] for r in call.reads if r in maker), default=0)
        stage += (stage - parity) % 2
        stages[call.name] = stage
        maker.update(dict.fromkeys(call.writes, stage))
    return stages


def _sink(calls: Sequence[Call], host: Collection[str], stages: dict[str, int]) -> None:
    """Device calls go to the last device stage that is not behind any of their readers."""
    latest: dict[str, int] = {}  # tensor -> the last stage in which it may be made on the device
    for call in reversed(calls):
        on_host = call.name in host
        if not on_host:
            bounds = [latest[w] for w in call.writes if w in latest]
            stages[call.name] = min(bounds, default=stages[call.name])
        stage = stages[call.name] - 1 if on_host else stages[call.name]
        for tensor in call.reads:
            latest[tensor] = min(latest.get(tensor, stage), stage)


def too_small(
    sections: Sequence[Section], macs: Callable[[Call], int], least: int
) -> dict[str, str]:
    """Device calls that are better on the host -> why: sections that are not worth the crossing.

    A section is kept if it has `least` calls and, where any section of the device does products,
    does some too. One section is always kept.
    """
    device = [s for s in sections if not s.on_host]
    products = {id(s): sum(macs(c) for c in s.calls) for s in device}
    largest = max(device, key=lambda s: (products[id(s)], len(s.calls)), default=None)
    found: dict[str, str] = {}
    for s in device:
        if s is largest:
            continue
        if len(s.calls) < least:
            reason = f"its section has {len(s.calls)} of at least {least} operations"
        elif not products[id(s)] and largest is not None and products[id(largest)]:
            reason = (
                f"its section, {len(s.calls)} operations between two of the host, "
                "does no products: too little to cross for"
            )
        else:
            continue
        found.update({c.name: reason for c in s.calls})
    return found


@dataclass(frozen=True)
class Border:
    """The tensors that a section takes and gives, in the order of first use."""

    takes: tuple[str, ...]
    gives: tuple[str, ...]


def borders(
    sections: Sequence[Section], available: Collection[str], wanted: Collection[str]
) -> list[Border]:
    """What crosses into and out of each section.

    Args:
        available: tensors that need not cross: constants, which stand in every section that reads
            them.
        wanted: the model's outputs.
    """
    needed_later: list[set[str]] = [set(wanted)]
    for section in reversed(sections):
        needed_later.append(needed_later[-1] | {r for c in section.calls for r in c.reads})
    needed_later.reverse()
    found = []
    for section, later in zip(sections, needed_later[1:], strict=True):
        made = {w: None for c in section.calls for w in c.writes}
        takes = {r: None for c in section.calls for r in c.reads}
        found.append(
            Border(
                tuple(t for t in takes if t not in made and t not in available),
                tuple(m for m in made if m in later and (m not in available or m in wanted)),
            )
        )
    return found


def crossing(
    sections: Sequence[Section], found: Sequence[Border], size: Mapping[str, int]
) -> tuple[int, int]:
    """Bytes that host sections hand to the device, and that they take from it, in a run."""
    pairs = list(zip(sections, found, strict=True))
    gives = {side: {t for s, b in pairs if s.on_host == side for t in b.gives} for side in _SIDES}
    down = [t for s, b in pairs if not s.on_host for t in b.takes if t in gives[True]]
    up = {t for s, b in pairs if s.on_host for t in b.takes if t in gives[False]}
    return sum(size.get(t, 0) for t in down), sum(size.get(t, 0) for t in up)


_SIDES = (True, False)  # host, device
