"""The cycle-by-cycle array: its products, its order of summation, its cycles, and its limits."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import systolic_array
from isa.errors import IllegalError
from isa.fma import Float32Array, systolic_matmul
from isa.hardware import load_target
from simulator.systolic import SystolicArray
from simulator.systolic_cost import compare
from simulator.wavefront import ArrayRun, Load, Multiply, Operation, earliest_starts, run

ROWS, COLUMNS, PACKET = 8, 12, 4
PAGE = Path(__file__).parents[2] / "docs" / "systolic-array.md"
FULL_SET = list(
    itertools.product((1, 2, 7, 32, 64, 100, 128), (1, 16, 32, 64), (1, 5, 64, 128, 512))
)
QUICK_SET = [(128, 64, 64), (1, 1, 1), (7, 16, 5), (100, 32, 64), (2, 64, 1)]


def small_array() -> SystolicArray:
    return SystolicArray(ROWS, COLUMNS, PACKET)


def tile(rng: np.random.Generator, rows: int, columns: int) -> Float32Array:
    """Values of very different size, so that another order of summation shows."""
    scale = np.float32(2) ** rng.integers(-30, 30, (rows, columns)).astype(np.float32)
    return rng.standard_normal((rows, columns)).astype(np.float32) * scale


def operations_of(shapes: list[tuple[int, int, list[int]]], seed: int) -> list[Operation]:
    """For each (K, M, widths): a load, then one matmul for every width N."""
    rng = np.random.default_rng(seed)
    operations: list[Operation] = []
    for k, m, widths in shapes:
        operations.append(Load(tile(rng, k, m)))
        operations += [Multiply(tile(rng, k, n)) for n in widths]
    return operations


def products_of(operations: list[Operation]) -> list[Float32Array]:
    """What the matmuls give by the reference."""
    weights = np.empty((0, 0), dtype=np.float32)
    products = []
    for operation in operations:
        if isinstance(operation, Load):
            weights = operation.stationary
        else:
            products.append(systolic_matmul(weights, operation.moving))
    return products


def right(done: ArrayRun, operations: list[Operation]) -> list[bool]:
    """For each matmul, whether its product is the reference's, bit for bit."""
    pairs = zip(done.products, products_of(operations), strict=True)
    return [np.array_equal(a.view(np.uint32), b.view(np.uint32)) for a, b in pairs]


shapes = st.lists(
    st.tuples(
        st.integers(1, ROWS),
        st.integers(1, COLUMNS),
        st.lists(st.integers(1, 9), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(0, 2**32))
def test_any_sequence_gives_the_reference_products(
    chosen: list[tuple[int, int, list[int]]], seed: int
) -> None:
    operations = operations_of(chosen, seed)
    assert all(right(run(small_array(), operations), operations))


@settings(max_examples=30, deadline=None)
@given(shapes, st.integers(0, 2**32))
def test_every_value_leaves_where_the_wavefront_says(
    chosen: list[tuple[int, int, list[int]]], seed: int
) -> None:
    operations = operations_of(chosen, seed)
    done = run(small_array(), operations)
    pairs = zip(operations, done.starts, strict=True)
    matmul_starts = [start for op, start in pairs if isinstance(op, Multiply)]
    for left, start in zip(done.left_at, matmul_starts, strict=True):
        m, n = np.indices(left.shape)
        assert np.array_equal(left, start + n + m + ROWS - 1)


def test_special_values_pass_as_the_reference_says() -> None:
    weights = np.array([[np.inf, -1, 1e-30], [0, 1e38, -1e-30]], dtype=np.float32)
    moving = np.array([[0, 1, -1e-30], [np.nan, 10, 1e-30]], dtype=np.float32)
    operations: list[Operation] = [Load(weights), Multiply(moving)]
    assert right(run(small_array(), operations), operations) == [True]


def test_rows_below_the_contraction_keep_the_sign_of_a_zero() -> None:
    tiny = np.array([[1e-40]], dtype=np.float32)
    done = run(small_array(), [Load(-tiny), Multiply(tiny)])
    assert done.products[0].view(np.uint32)[0, 0] == 0x80000000


def test_weights_left_by_a_larger_tile_do_not_leak() -> None:
    infinite = np.full((ROWS, COLUMNS), np.inf, dtype=np.float32)
    one = np.ones((1, 1), dtype=np.float32)
    done = run(small_array(), [Load(infinite), Multiply(infinite), Load(one), Multiply(one)])
    assert done.products[1] == 1.0


def test_a_matmul_waits_for_its_weights_and_for_the_values_in_front() -> None:
    operations = operations_of([(8, 12, [9, 2]), (8, 9, [1]), (8, 1, [4])], seed=1)
    #         load 3 cycles | 9 values | 2 values | load 3 | 1 value | load 1 | 4 values
    assert earliest_starts(small_array(), operations) == [0, 3, 12, 12, 15, 15, 16]


def test_a_load_behind_a_long_matmul_is_hidden() -> None:
    operations = operations_of([(8, 12, [3]), (8, 12, [3]), (8, 12, [3])], seed=2)
    done = run(small_array(), operations)
    assert done.starts[1::2] == [3, 6, 9]  # one value a cycle enters without a gap
    assert all(right(done, operations))


@pytest.mark.parametrize("columns", [1, 4, 5, 12])
def test_one_cycle_earlier_and_the_weights_are_not_there(columns: int) -> None:
    operations = operations_of([(8, columns, [4]), (8, columns, [4])], seed=3)
    starts = earliest_starts(small_array(), operations)
    early_matmul = [starts[0], starts[1] - 1, *starts[2:]]
    assert right(run(small_array(), operations, starts), operations) == [True, True]
    assert right(run(small_array(), operations, early_matmul), operations) == [False, True]


def test_one_cycle_earlier_and_a_load_overtakes_the_matmul_in_front() -> None:
    operations = operations_of([(8, 12, [9]), (8, 12, [9]), (8, 12, [9])], seed=4)
    starts = earliest_starts(small_array(), operations)
    assert starts[4] == starts[3]  # the third load starts with the second matmul
    starts[4] -= 1
    assert right(run(small_array(), operations, starts), operations) == [True, False, True]


def test_one_cycle_earlier_and_two_matmuls_meet() -> None:
    operations = operations_of([(8, 12, [5, 5])], seed=5)
    starts = earliest_starts(small_array(), operations)
    starts[2] -= 1
    with pytest.raises(IllegalError, match="moving port"):
        run(small_array(), operations, starts)


def test_occupancy_counts_the_useful_multiplications() -> None:
    array = small_array()
    operations = operations_of([(ROWS, COLUMNS, [50])], seed=6)
    done = run(array, operations)
    assert done.cycles == 3 + 50 + ROWS + COLUMNS - 2
    assert done.macs == int(done.multiplying.sum()) == ROWS * COLUMNS * 50
    assert int(done.multiplying.max()) == ROWS * COLUMNS
    assert done.occupancy(array) == pytest.approx(50 / done.cycles)


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ([Multiply(np.ones((1, 1), np.float32))], "a load comes before"),
        ([Load(np.ones((1, 1), np.float32))], "has a matmul"),
        ([Load(np.ones((9, 1), np.float32))], "fits the array"),
        ([Load(np.ones((1, 13), np.float32))], "fits the array"),
        (
            [Load(np.ones((2, 1), np.float32)), Multiply(np.ones((3, 1), np.float32))],
            "the same rows",
        ),
    ],
)
def test_sequences_that_make_no_sense_are_refused(
    operations: list[Operation], message: str
) -> None:
    with pytest.raises(IllegalError, match=message):
        run(small_array(), operations)


def check(k: int, m: int, n: int) -> None:
    """Order, cycles, and the causes of every difference, on the default target."""
    result = compare(load_target("inf1"), k, m, n)
    assert result.exact
    assert result.readable_by_array == -(-m // 4) + n + m + 128 - 2
    assert result.readable_difference == result.short + result.narrow + result.ends
    assert result.ends == 2
    assert result.interval_by_array == max(n, -(-m // 4))
    assert result.interval_by_cost == max(n, 64)


@pytest.mark.parametrize("shape", QUICK_SET)
def test_array_and_costs_agree(shape: tuple[int, int, int]) -> None:
    check(*shape)


def test_full_width_tiles_differ_by_the_two_end_cycles_only() -> None:
    result = compare(load_target("inf1"), 128, 64, 128)
    assert (result.readable_difference, result.interval_difference) == (2, 0)


def test_a_load_of_128_columns_takes_the_documented_32_cycles() -> None:
    result = compare(load_target("trn1"), 128, 128, 5)
    assert result.exact
    assert (result.interval_by_array, result.interval_by_cost) == (32, 64)
    assert result.readable_difference == result.short + result.narrow + result.ends


@pytest.mark.parametrize("shape", [(128, 1, 5), (128, 32, 64), (128, 64, 64)])
def test_the_page_says_what_the_array_does(shape: tuple[int, int, int]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    *_, row = systolic_array.table([compare(load_target("inf1"), *shape)])
    assert row in text
    assert systolic_array.causes() in text


@pytest.mark.slow
def test_the_page_is_current() -> None:
    assert list(itertools.product(*systolic_array.SETS)) == FULL_SET
    hw = load_target("inf1")
    results = [compare(hw, *shape) for shape in FULL_SET]
    assert PAGE.read_text(encoding="utf-8") == systolic_array.page(hw, results) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("shape", FULL_SET)
def test_array_and_costs_agree_over_the_stated_set(shape: tuple[int, int, int]) -> None:
    check(*shape)
