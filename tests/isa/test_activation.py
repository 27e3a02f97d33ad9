"""Activation functions: two evaluators, one meaning; error bounds; every special value."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from isa.activation import (
    FACTS,
    ActivationFunction,
    ActivationSet,
    Method,
    evaluate,
    function_named,
    load_tables,
    members,
    needs_table_load,
    table_bytes,
)
from isa.activation.fast import activate, evaluate_fast
from isa.activation.functions import ERROR_BOUND_ULP
from isa.activation.tables import ROWS_FILE, SEGMENTS_FILE
from scripts import generate_activation_tables, measure_activation_errors

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
F = ActivationFunction
COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
INF, NAN, TINY = np.inf, np.nan, 2.0**-149
LARGEST = float(np.finfo(np.float32).max)
TABLE_FUNCTIONS = [f for f in F if FACTS[f].method is not Method.ARITHMETIC]
every_function = pytest.mark.parametrize("function", list(F), ids=lambda f: f.name.lower())
every_table = pytest.mark.parametrize("function", TABLE_FUNCTIONS, ids=lambda f: f.name.lower())


def bits_of(x: Floats) -> NDArray[np.uint32]:
    return np.ascontiguousarray(x, np.float32).view(np.uint32)


@pytest.fixture(scope="module")
def any_bits() -> Floats:
    """Random bit patterns, then the edges of every binade, then numbers of everyday size."""
    count = 1 << (17 if COMPILED else 9)
    random = np.random.default_rng(7)
    words = random.integers(0, 1 << 32, count, np.uint64).astype(np.uint32)
    starts = np.arange(512, dtype=np.uint32) << 23
    edges = np.concatenate([starts, starts + 1, starts + 0x400000, starts + 0x7FFFFF])
    everyday = (random.standard_normal(count) * 4).astype(np.float32)
    return np.concatenate([np.concatenate([words, edges]).view(np.float32), everyday])


@every_function
def test_both_evaluators_give_the_same_bits(function: F, any_bits: Floats) -> None:
    alpha = np.float32(-0.3)
    expected = bits_of(evaluate(function, any_bits, alpha))
    assert np.array_equal(bits_of(evaluate_fast(function, any_bits, float(alpha))), expected)
    in_place = any_bits.copy()
    activate(int(function), in_place, alpha, in_place, load_tables())
    assert np.array_equal(bits_of(in_place), expected)


@given(
    st.sampled_from(list(F)),
    st.integers(0, 2**32 - 1),
    st.floats(width=32, allow_nan=True, allow_infinity=True),
)
def test_both_evaluators_agree_on_any_single_number(function: F, bits: int, alpha: float) -> None:
    x = np.array([bits], np.uint32).view(np.float32)
    fast = evaluate_fast(function, x, alpha)
    assert np.array_equal(bits_of(fast), bits_of(evaluate(function, x, alpha)))


@every_function
def test_a_nan_result_is_the_canonical_one(function: F, any_bits: Floats) -> None:
    result = bits_of(evaluate(function, any_bits, np.nan))
    nan = (result & 0x7FFFFFFF) > 0x7F800000
    assert nan[np.isnan(any_bits)].all()
    assert (result[nan] == 0x7FC00000).all()


# fmt: off
#                           -inf  -largest   -tiny    -0   +0   tiny  largest  +inf
SPECIAL_RESULTS = {
    F.COPY:                 (-INF, -LARGEST, -TINY, -0.0, 0.0, TINY, LARGEST, INF),
    F.RELU:                 (0.0, 0.0, 0.0, 0.0, 0.0, TINY, LARGEST, INF),
    F.ABS:                  (INF, LARGEST, TINY, 0.0, 0.0, TINY, LARGEST, INF),
    F.SIGN:                 (-1, -1, -1, 0.0, 0.0, 1, 1, 1),
    F.SQUARE:               (INF, INF, 0.0, 0.0, 0.0, 0.0, INF, INF),
    F.SIGMOID:              (0.0, 0.0, 0.5, 0.5, 0.5, 0.5, 1, 1),
    F.TANH:                 (-1, -1, -TINY, -0.0, 0.0, TINY, 1, 1),
    F.SILU:                 (-0.0, -0.0, -0.0, -0.0, 0.0, 0.0, LARGEST, INF),
    F.SILU_DX:              (-0.0, -0.0, 0.5, 0.5, 0.5, 0.5, 1, 1),
    F.GELU:                 (-0.0, -0.0, -0.0, -0.0, 0.0, 0.0, LARGEST, INF),
    F.GELU_DX:              (-0.0, -0.0, 0.5, 0.5, 0.5, 0.5, 1, 1),
    F.GELU_APPRX_TANH:      (-0.0, -0.0, -0.0, -0.0, 0.0, 0.0, LARGEST, INF),
    F.GELU_APPRX_SIGMOID:   (-0.0, -0.0, -0.0, -0.0, 0.0, 0.0, LARGEST, INF),
    F.GELU_APPRX_SIGMOID_DX: (-0.0, -0.0, 0.5, 0.5, 0.5, 0.5, 1, 1),
    F.ERF:                  (-1, -1, -TINY, -0.0, 0.0, TINY, 1, 1),
    F.ERF_DX:               (0.0, 0.0, 1.1283792, 1.1283792, 1.1283792, 1.1283792, 0.0, 0.0),
    F.EXP:                  (0.0, 0.0, 1, 1, 1, 1, INF, INF),
    F.LOG:                  (NAN, NAN, NAN, -INF, -INF, -103.27893, 88.72284, INF),
    F.SOFTPLUS:             (0.0, 0.0, 0.6931472, 0.6931472, 0.6931472, 0.6931472, LARGEST, INF),
    F.MISH:                 (-0.0, -0.0, -TINY, -0.0, 0.0, TINY, LARGEST, INF),
    F.SQRT:                 (NAN, NAN, NAN, -0.0, 0.0, 3.743392e-23, 2.0**64, INF),
    F.RSQRT:                (NAN, NAN, NAN, -INF, INF, 2.6713738e22, 5.421011e-20, 0.0),
    F.RECIPROCAL:           (-0.0, -(2.0**-128), -INF, -INF, INF, INF, 2.0**-128, 0.0),
    F.SIN:                  (NAN, 0.7568025, -TINY, -0.0, 0.0, TINY, -0.7568025, NAN),
    F.ARCTAN:               (-1.5707964, -1.5707964, -TINY, -0.0, 0.0, TINY, 1.5707964, 1.5707964),
}
# fmt: on


@pytest.mark.parametrize("function", list(SPECIAL_RESULTS), ids=lambda f: f.name.lower())
def test_special_values(function: F) -> None:
    x = np.array([-INF, -LARGEST, -TINY, -0.0, 0.0, TINY, LARGEST, INF], np.float32)
    expected = np.array(SPECIAL_RESULTS[function], np.float32)
    assert [hex(b) for b in bits_of(evaluate(function, x))] == [
        hex(b) for b in np.where(np.isnan(expected), 0x7FC00000, bits_of(expected))
    ]


def test_prelu_multiplies_the_negative_side() -> None:
    x = np.array([-INF, -3, -0.0, 0.0, 2, INF], np.float32)
    expected = np.array([-INF, -0.75, -0.0, 0.0, 2, INF], np.float32)
    assert np.array_equal(bits_of(evaluate(F.PRELU, x, 0.25)), bits_of(expected))
    assert np.isnan(evaluate(F.PRELU, np.float32(-INF), 0.0)).all()


def test_the_reference_takes_an_alpha_for_each_row() -> None:
    x = -np.ones((2, 3), np.float32)
    result = evaluate("prelu", x, np.array([[0.5], [2.0]]))
    assert result.tolist() == [[-0.5] * 3, [-2.0] * 3]


def test_exp_overflows_where_the_exact_function_does() -> None:
    x = np.array([0x42B17216, 0x42B17217, 0x42B17218, 0x42B20000], np.uint32).view(np.float32)
    assert np.isinf(evaluate(F.EXP, x)).tolist() == [False, False, True, True]


@every_table
def test_error_over_a_sample_keeps_the_bound(function: F) -> None:
    x = measure_activation_errors.dense_inputs(strata=1 << 13, uniform=1 << 13)
    report = measure_activation_errors.measure_fp32(function, x, subsample=32)
    assert report["max_ulp"] <= ERROR_BOUND_ULP


@every_table
def test_error_over_some_bf16_inputs_keeps_the_bound(function: F) -> None:
    x = measure_activation_errors.within(function, measure_activation_errors.bf16_inputs())[::131]
    truth = measure_activation_errors.truth_of(function, x)
    assert measure_activation_errors.measure(function, x, truth)["max_ulp"] <= ERROR_BOUND_ULP


SCALED: dict[F, Callable[[Doubles], Doubles]] = {
    F.SQRT: np.sqrt,
    F.RSQRT: lambda x: 1 / np.sqrt(x),
    F.RECIPROCAL: lambda x: 1 / x,
}


@pytest.mark.skipif(not COMPILED, reason="sixteen million numbers")
@pytest.mark.parametrize("function", list(SCALED), ids=lambda f: f.name.lower())
def test_scaled_functions_are_within_one_ulp_over_every_mantissa(function: F) -> None:
    for start in (0x3F800000, 0x40000000):  # [1, 2) and [2, 4): both parities of the exponent
        x = (np.arange(1 << 23, dtype=np.uint32) + np.uint32(start)).view(np.float32)
        truth = SCALED[function](x.astype(np.float64))
        errors = measure_activation_errors.errors_in_ulp(evaluate_fast(function, x), truth)
        assert errors.max() <= 0.75


@every_table
def test_the_written_errors_keep_the_bound(function: F) -> None:
    written = json.loads(measure_activation_errors.ERRORS_FILE.read_text(encoding="utf-8"))
    entry = written["functions"][function.name.lower()]
    assert entry["bound_ulp"] == ERROR_BOUND_ULP
    for inputs in ("bf16", "fp32", "every_fp32"):
        assert entry[inputs]["max_ulp"] <= ERROR_BOUND_ULP
    assert entry["table_bytes"] == table_bytes(function)
    assert entry["id"] == function


def test_rows_point_inside_the_segments() -> None:
    rows, segments, _ = load_tables()
    last = (rows >> 5).astype(np.int64) + (0x7FFFFF >> (rows & 31))
    assert rows.shape == (512 * len(F),)
    assert segments.shape[1:] == (5,)
    assert last.max() < len(segments)
    assert np.isfinite(np.delete(segments, 1, axis=1)).all()


def test_the_tables_are_of_moderate_size() -> None:
    assert ROWS_FILE.stat().st_size + SEGMENTS_FILE.stat().st_size < 2_000_000


def test_one_function_regenerates_to_the_shipped_segments() -> None:
    builder = generate_activation_tables.TableBuilder()
    generate_activation_tables.add_scaled(builder, F.SQRT)
    rows, segments, _ = load_tables()
    first = int(rows[512 * F.SQRT + 126] >> 5)
    shipped = segments[first : first + len(builder.segments)]
    assert np.array_equal(bits_of(np.array(builder.segments, np.float32)), bits_of(shipped))


@pytest.mark.slow
def test_the_script_regenerates_the_shipped_tables(tmp_path: Path) -> None:
    generate_activation_tables.main(tmp_path)
    for shipped in (ROWS_FILE, SEGMENTS_FILE):
        assert (tmp_path / shipped.name).read_bytes() == shipped.read_bytes()


@pytest.mark.slow
def test_the_script_measures_what_is_written() -> None:
    written = json.loads(measure_activation_errors.ERRORS_FILE.read_text(encoding="utf-8"))
    for name, entry in measure_activation_errors.report(every=False)["functions"].items():
        for sample in ("bf16", "fp32"):
            assert entry[sample]["max_ulp"] == pytest.approx(
                written["functions"][name][sample]["max_ulp"], rel=0.01
            )


def test_functions_without_a_table_never_load_a_set() -> None:
    for function in (F.COPY, F.RELU, F.PRELU, F.ABS, F.SIGN, F.SQUARE):
        assert not needs_table_load(function, None)
        assert all(function in members(group) for group in ActivationSet)
        assert table_bytes(function) == 0


def test_a_set_is_loaded_once_for_all_its_functions() -> None:
    assert needs_table_load(F.EXP, None)
    assert needs_table_load(F.EXP, ActivationSet.GELU_AND_OTHERS)
    assert not needs_table_load(F.LOG, FACTS[F.EXP].group)
    assert {FACTS[f].group for f in F} == set(ActivationSet)


def test_names() -> None:
    assert function_named("identity") is F.COPY
    assert function_named("Gelu_Apprx_Tanh") is F.GELU_APPRX_TANH
    with pytest.raises(KeyError):
        function_named("softsign")


def test_the_promise_lies_inside_the_measured_range() -> None:
    for function in F:
        facts = FACTS[function]
        assert facts.valid[0] <= facts.promised[0] <= facts.promised[1] <= facts.valid[1]
