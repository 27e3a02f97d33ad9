"""Measure the activation functions: `python -m scripts.measure_activation_errors [FILE.json]`.

In    the shipped tables, through the fast evaluator
Out   `isa/activation/errors.json`: per function the worst error over every finite BF16 input (by
      mpmath), over a dense FP32 sample (float64; the worst points and a subsample by mpmath), and,
      of the table functions, over every single FP32 number from 2^-8 to 16 of both signs (the same)

Errors are in units in the last place of the exact result, |y - f(x)| / 2^(max(e, -126) - 23) where
2^e <= |f(x)| < 2^(e+1). The relative error is taken over results of normal size, the absolute one
over results of at most 1. Only x in the function's valid range counts.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import mpf
from numpy.typing import NDArray

from isa.activation.fast import evaluate_fast
from isa.activation.functions import ERROR_BOUND_ULP, FACTS, ActivationFunction, Method
from isa.activation.tables import ROWS_FILE, table_bytes
from scripts.activation_doubles import DOUBLES, PRELU_ALPHA
from scripts.activation_formulas import FORMULAS

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

ERRORS_FILE = ROWS_FILE.with_name("errors.json")
STRATA = 1 << 21  # of equal count of FP32 bit patterns, one sample from each
UNIFORM = 1 << 20  # samples uniform on [-16, 16], where networks live
SEED = 20190
RECHECKED = 64
SUBSAMPLE = 2048
EVERY_EXPONENTS = range(-8, 4)  # of the exhaustive part, where networks live and tables are curved
CHUNK = 1 << 22


def bf16_inputs() -> Floats:
    """Every finite BF16 number, as FP32."""
    x = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    return x[np.isfinite(x)]


def dense_inputs(strata: int = STRATA, uniform: int = UNIFORM) -> Floats:
    """The stated FP32 sample; the same on every machine."""
    random = np.random.Generator(np.random.PCG64(SEED))
    step = (1 << 32) // strata
    bits = np.arange(strata, dtype=np.int64) * step + random.integers(0, step, strata)
    spread = bits.astype(np.uint32).view(np.float32)
    fractions = random.integers(-(1 << 24), 1 << 24, uniform).astype(np.float64)
    near = (fractions * 2.0**-20).astype(np.float32)
    x = np.concatenate([spread, near])
    return np.asarray(x[np.isfinite(x)], np.float32)


def within(function: ActivationFunction, x: Floats) -> Floats:
    """The samples inside the function's valid range; zero is left to the special results."""
    low, high = FACTS[function].valid
    keep = (x >= low) & (x <= high)
    return x[keep & (x != 0)] if FACTS[function].zeros else x[keep]


def truth_of(function: ActivationFunction, x: Floats) -> Doubles:
    """f(x) from the exact formula, rounded to float64."""
    if function not in FORMULAS:  # direct arithmetic, exact in float64
        return DOUBLES[function](x.astype(np.float64))
    f = FORMULAS[function]
    return np.array([float(f(mpf(float(v)))) for v in x], np.float64)


def errors_in_ulp(y: Floats, truth: Doubles) -> Doubles:
    """Distance in units in the last place; where f rounds to infinity, 0 if y is that infinity."""
    exponent = np.maximum(np.frexp(truth)[1] - 1, -126) - 23
    overflow = np.abs(truth) >= 2.0**128 - 2.0**103
    finite = np.where(overflow, np.copysign(2.0**128, truth), truth)
    wide = y.astype(np.float64)
    reached = np.where(np.isinf(wide), np.copysign(2.0**128, wide), wide)
    unit: Doubles = np.ldexp(1.0, np.where(overflow, 104, exponent))
    result: Doubles = np.abs(reached - finite) / unit
    return result


def measure(function: ActivationFunction, x: Floats, truth: Doubles) -> dict[str, Any]:
    """Worst errors of the shipped function against `truth` at x."""
    y = evaluate_fast(function, x, float(PRELU_ALPHA))
    ulp = errors_in_ulp(y, truth)
    with np.errstate(invalid="ignore"):  # infinities meet where both overflow
        difference = np.abs(y.astype(np.float64) - truth)
    normal = (np.abs(truth) >= 2.0**-126) & (np.abs(truth) < 2.0**128) & np.isfinite(y)
    relative = np.divide(difference, np.abs(truth), out=np.zeros_like(truth), where=normal)
    small = np.abs(truth) <= 1
    worst = int(np.argmax(ulp))
    return {
        "inputs": int(x.size),
        "max_ulp": rounded_up(float(ulp[worst])),
        "at": float(x[worst]),
        "max_relative": rounded_up(float(relative.max())),
        "max_absolute": rounded_up(float(np.max(difference, where=small, initial=0.0))),
    }


def rounded_up(value: float) -> float:
    """Three significant digits, never below the value."""
    if value == 0:
        return 0.0
    digits = 2 - int(np.floor(np.log10(value)))
    text = float(f"{value:.2e}")
    return text if text >= value else float(f"{text + 10.0**-digits:.2e}")


def measure_bf16(function: ActivationFunction) -> dict[str, Any]:
    """Every finite BF16 input in the valid range, each against the exact formula."""
    x = within(function, bf16_inputs())
    truth = truth_of(function, x)
    report = measure(function, x, truth)
    y = evaluate_fast(function, x, float(PRELU_ALPHA))
    ideal = bf16_of_truth(truth)
    report["bf16_misrounded"] = int(np.sum(to_bf16(y) != ideal))
    return report


def measure_fp32(
    function: ActivationFunction, x: Floats, subsample: int = SUBSAMPLE
) -> dict[str, Any]:
    """The dense sample by float64, its worst points and a subsample by the exact formula."""
    x = within(function, x)
    with np.errstate(all="ignore"):
        quick = DOUBLES[function](x.astype(np.float64))
    ulp = errors_in_ulp(evaluate_fast(function, x, float(PRELU_ALPHA)), quick)
    again = np.union1d(np.argsort(ulp)[-RECHECKED:], np.arange(0, x.size, x.size // subsample))
    exact = truth_of(function, x[again])
    yardstick = errors_in_ulp(evaluate_fast(function, x[again], float(PRELU_ALPHA)), exact)
    apart = float(np.max(np.abs(yardstick - ulp[again])))
    if apart > 0.05:
        raise ArithmeticError(f"{function.name}: the float64 yardstick is off by {apart} ulp")
    quick[again] = exact
    return measure(function, x, quick)


def measure_every(function: ActivationFunction) -> dict[str, Any]:
    """Every FP32 number of both signs in EVERY_EXPONENTS; the worst eight of a chunk by mpmath."""
    count, worst, place = 0, 0.0, 0.0
    first, last = (int((e + 127) << 23) for e in (EVERY_EXPONENTS.start, EVERY_EXPONENTS.stop))
    for sign in (0, 1 << 31):
        for start in range(first, last, CHUNK):
            bits = np.arange(CHUNK, dtype=np.uint32) + np.uint32(sign + start)
            x = within(function, bits.view(np.float32))
            count += x.size
            with np.errstate(all="ignore"):
                quick = DOUBLES[function](x.astype(np.float64))
            ulp = errors_in_ulp(evaluate_fast(function, x), quick)
            x = x[np.argsort(ulp)[-8:]] if x.size < CHUNK else x[np.argpartition(ulp, -8)[-8:]]
            exact = errors_in_ulp(evaluate_fast(function, x), truth_of(function, x))
            if x.size and exact.max() > worst:
                worst, place = float(exact.max()), float(x[np.argmax(exact)])
    return {"inputs": count, "max_ulp": rounded_up(worst), "at": place}


def bf16_of_truth(truth: Doubles) -> Floats:
    """The BF16 number nearest to f(x) (through round-to-odd FP32: one rounding)."""
    with np.errstate(over="ignore"):
        nearest = truth.astype(np.float32)
    bits = nearest.view(np.uint32).copy()
    inexact = (nearest != truth) & np.isfinite(nearest)
    away = inexact & (np.abs(nearest.astype(np.float64)) > np.abs(truth))
    bits = np.where(away, bits - 1, bits)  # toward zero
    return to_bf16(np.where(inexact, bits | 1, bits).astype(np.uint32).view(np.float32))


def to_bf16(y: Floats) -> Floats:
    """Rounded to nearest even to BF16, as FP32."""
    bits = y.view(np.uint32).astype(np.uint64)
    top = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16
    return top.astype(np.uint32).view(np.float32)


def report(every: bool = True) -> dict[str, Any]:
    """All functions, in order of identifier; without `every`, not the exhaustive part."""
    dense = dense_inputs()
    functions = {}
    for function in ActivationFunction:
        facts = FACTS[function]
        functions[function.name.lower()] = {
            "id": int(function),
            "formula": facts.formula,
            "set": facts.group.name.lower(),
            "method": facts.method.name.lower(),
            "promised": [str(v) for v in facts.promised],
            "measured_over": [str(v) for v in facts.valid],
            "table_bytes": table_bytes(function),
            "bound_ulp": ERROR_BOUND_ULP if facts.method is not Method.ARITHMETIC else 0.5,
            "bf16": measure_bf16(function),
            "fp32": measure_fp32(function, dense),
        }
        if every and facts.method is not Method.ARITHMETIC:
            functions[function.name.lower()]["every_fp32"] = measure_every(function)
        print(function.name.lower(), functions[function.name.lower()], flush=True)
    return {
        "unit": "ulp of the exact result, FP32",
        "seed": SEED,
        "every_fp32_range": [2.0**EVERY_EXPONENTS.start, 2.0**EVERY_EXPONENTS.stop],
        "functions": functions,
    }


def main(path: Path) -> None:
    """Measure and write the file."""
    path.write_text(json.dumps(report(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ERRORS_FILE)
