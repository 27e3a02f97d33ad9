"""Shares over time of the picture of an explanation."""

from __future__ import annotations

import numpy as np
import pytest

from traces.explanation import COLORS, shares_by_bin


@pytest.mark.parametrize("bins", [1, 7, 100])
def test_shares_of_a_bin_add_up(bins: int) -> None:
    rng = np.random.default_rng(0)
    ends = np.cumsum(rng.integers(1, 50, 200))
    begins = np.concatenate([[0], ends[:-1]])
    causes = np.array(["multiply", "act", "result"])[rng.integers(0, 3, 200)]
    shares = shares_by_bin((begins, ends, causes), int(ends[-1]), bins)
    assert np.allclose(sum(shares.values()), 1)
    for name, share in shares.items():
        mine = causes == name
        spent = (ends - begins)[mine].sum()
        assert np.isclose(share.sum() * ends[-1] / bins, spent)


def test_every_cause_has_a_colour() -> None:
    from simulator.explain import Cause

    idle_of_dma = {Cause.DATA, Cause.NOTHING_LEFT}
    assert {c.key for c in Cause if c not in idle_of_dma} == set(COLORS)
