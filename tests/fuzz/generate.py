"""From a seed to a model."""

from __future__ import annotations

import numpy as np

from tests.fuzz import elementwise, layers, moving
from tests.fuzz.draft import Draft, Unsuitable
from tests.fuzz.judge import Model
from tests.fuzz.table import SAMPLERS

OPSETS = (11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24)
ATTEMPTS = 200
__all__ = ["elementwise", "generate", "layers", "moving"]


def generate(seed: int) -> Model:
    """The model of a seed: 3 to 15 nodes, over the whole table of operators."""
    rng = np.random.default_rng([seed, 0x5F])
    d = Draft(rng, int(rng.choice(OPSETS)))
    wanted, ops = d.integer(3, 15), sorted(SAMPLERS)
    for _ in range(ATTEMPTS):
        if len(d.steps) >= wanted:
            break
        op, known = d.one_of(ops), len(d.values)
        try:
            SAMPLERS[op](d, op)
        except Unsuitable:
            del d.values[known:]
    read = {id(v) for s in d.steps for v in s.inputs if v}
    made = [v for s in d.steps for v in s.outputs]
    outputs = [v for v in made if id(v) not in read or d.chance(0.1)]
    return Model(tuple(d.steps), tuple(outputs), d.opset)
