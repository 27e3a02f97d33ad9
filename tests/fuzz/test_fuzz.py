"""Random models: some at each run of the tests, hundreds where there is time."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fuzz.draft import Draft
from tests.fuzz.generate import generate
from tests.fuzz.judge import Model, judge, minimal
from tests.fuzz.table import SAMPLERS

TARGETS = ("inf2", "inf1")
FEW, MANY = 25, 400


def fails(seeds: range) -> list[str]:
    """A line for each of the models that fails."""
    found = []
    for seed in seeds:
        outcome = judge(generate(seed), target := TARGETS[seed % 2])
        if outcome.failed:
            found.append(f"{seed} {target} {outcome}")
    return found


def test_few_random_models() -> None:
    assert not fails(range(FEW))


@pytest.mark.slow
def test_many_random_models() -> None:
    assert not fails(range(100_000, 100_000 + MANY))


def test_a_seed_is_one_model_and_the_models_reach_the_table() -> None:
    assert generate(5).proto() == generate(5).proto()
    ops = {s.node.op_type for seed in range(60) for s in generate(seed).steps}
    assert len(SAMPLERS) > 140
    assert len(ops) > 0.9 * len(SAMPLERS)


def test_a_failure_is_made_small() -> None:
    """A wrong expectation at one node leaves that node alone."""
    d = Draft(np.random.default_rng(3), 17)
    (first,) = d.add("Relu", [d.fresh("float32", (3, 7))])
    (value,) = d.add("Exp", [first])
    (last,) = d.add("ReduceSum", [value], keepdims=0)
    (aside,) = d.add("Abs", [first])
    value.array = value.array + 1
    small = minimal(Model(tuple(d.steps), (value, last, aside), d.opset), "inf2")
    assert small.outputs == (value,)
    assert [s.node.op_type for s in small.steps] == ["Exp"]
