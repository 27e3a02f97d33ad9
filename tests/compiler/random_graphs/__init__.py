"""Random small graphs over the core ops, and inputs for them.

Values are *exact* (multiples of 1/8, moved but never rounded) or *smooth*: what jumps (comparison,
rounding, arg-max, sorting) reads exact values only, so that a last-bit difference stays one.
"""

from __future__ import annotations

import numpy as np

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import BOOL, Array, Graph
from tests.compiler.random_graphs.drawing import ELEMENTS, Draw, Drawing
from tests.compiler.random_graphs.elementwise import binary, jump, power, select, unary, wider
from tests.compiler.random_graphs.indices import arg, bits, cumsum, integers, scatter, topk
from tests.compiler.random_graphs.movement import (
    broadcast,
    concat,
    gather,
    pad,
    reshape,
    shuffle,
    slices,
    transpose,
)
from tests.compiler.random_graphs.sums import conv, conv_transpose, matmul, reduce, window

ELEMENTWISE: tuple[Draw, ...] = (unary, binary, binary, wider, select, jump, power)
MOVES: tuple[Draw, ...] = (transpose, reshape, broadcast, slices, concat, shuffle, pad, gather)
SUMS: tuple[Draw, ...] = (reduce, matmul, matmul, conv, window)
REST: tuple[Draw, ...] = (conv_transpose, arg, cumsum, topk, scatter, integers, bits)
ALL: tuple[Draw, ...] = (*ELEMENTWISE, *MOVES, *SUMS, *REST)


def random_graph(
    seed: int, steps: int = 4, draws: tuple[Draw, ...] = ALL
) -> tuple[Graph, dict[str, Array]]:
    """A graph of about `steps` operations, and its inputs."""
    d = Drawing(np.random.default_rng(seed), GraphBuilder(f"random{seed}"))
    d.pool.append(d.fresh(d.shape()))
    for _ in range(d.number(1, steps)):
        recent = d.pool[-3:]
        x = recent[d.number(0, len(recent) - 1)]
        if not x.shape:
            x = d.moved("reshape", x, shape=(1,))
        made = draws[d.number(0, len(draws) - 1)](d, x)
        if made.size <= 4 * ELEMENTS and made.dtype != BOOL and d.b.array(made) is None:
            d.pool.append(made)
            d.read.update((x.id,) if made is not x else ())
    results = [v for v in d.pool if v.id not in d.read] or d.pool[-1:]
    for i, value in enumerate(results):
        d.b.output(value, f"y{i}")
    graph = d.b.finish()
    return graph, d.inputs
