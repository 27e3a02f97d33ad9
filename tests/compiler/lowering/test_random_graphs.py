"""What the compiler makes of random graphs computes what the graphs mean."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from compiler.errors import UnsupportedError
from tests.compiler.device_run import error_on_device
from tests.compiler.random_graphs import ALL, ELEMENTWISE, MOVES, REST, SUMS, random_graph
from tests.compiler.random_graphs.drawing import Draw

FP32_BOUND = 1e-4  # of the output's range: order of summation and tables of functions
BF16_BOUND = 2.0**-5  # a handful of roundings of 2**-9 on the way, and what cancels
FAMILIES: dict[str, tuple[Draw, ...]] = {
    "elementwise": ELEMENTWISE,
    "moves": MOVES,
    "sums": SUMS,
    "rest": REST,
    "all": ALL,
}


def wrong_seeds(
    seeds: range, draws: tuple[Draw, ...], bound: float, steps: int = 4, **options: str
) -> Iterator[str]:
    """Seeds whose graph is computed wrong, or does not compile."""
    refused = 0
    for seed in seeds:
        graph, inputs = random_graph(seed, steps, draws)
        try:
            error = error_on_device(graph, inputs, **options)
        except UnsupportedError:
            refused += 1
            continue
        except Exception as fault:  # whatever it is, its seed is what helps
            yield f"{seed}: {type(fault).__name__}: {fault}"
            continue
        if not error <= bound:
            yield f"{seed}: off by {error}"
    assert refused <= len(seeds) // 5, "most graphs have a mapping"


@pytest.mark.parametrize("family", FAMILIES)
def test_random_graphs_are_computed_right(family: str) -> None:
    assert not list(wrong_seeds(range(120), FAMILIES[family], FP32_BOUND))


@pytest.mark.parametrize("target", ["inf2", "trn2"])
def test_random_graphs_are_computed_right_on_later_targets(target: str) -> None:
    assert not list(wrong_seeds(range(1000, 1040), ALL, FP32_BOUND, target=target))


def test_random_graphs_lose_little_in_bf16() -> None:
    assert not list(wrong_seeds(range(2000, 2060), ALL, BF16_BOUND, auto_cast="all"))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("part", range(3))
def test_thousands_of_random_graphs(family: str, part: int) -> None:
    seeds = range(10_000 + 300 * part, 10_300 + 300 * part)
    assert not list(wrong_seeds(seeds, FAMILIES[family], FP32_BOUND, steps=7))


@pytest.mark.slow
@pytest.mark.parametrize("target", ["inf1", "trn1", "inf2", "trn2"])
@pytest.mark.parametrize("cast", ["none", "matmult", "all"])
def test_hundreds_of_random_graphs_everywhere(target: str, cast: str) -> None:
    bound = FP32_BOUND if cast == "none" else BF16_BOUND
    seeds = range(20_000, 20_100)
    assert not list(wrong_seeds(seeds, ALL, bound, steps=6, target=target, auto_cast=cast))
