"""The table of operators: each name with the sampler that draws a valid node of it."""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz.draft import Draft

Sampler = Callable[[Draft, str], object]
SAMPLERS: dict[str, Sampler] = {}


def draws(*ops: str) -> Callable[[Sampler], Sampler]:
    """Register a sampler for operators; it is called with the draft and the operator's name."""

    def keep(sampler: Sampler) -> Sampler:
        SAMPLERS.update(dict.fromkeys(ops, sampler))
        return sampler

    return keep
