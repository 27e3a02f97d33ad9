"""The proof of a zoo program: what it looks at, and what it takes to hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.zoo.proof import Proof, line, proved

SOUND = Proof("0123456789abcdef", 100, 1, 0.001, same_bits=True, same_bytes=True)


def test_anything_wrong_is_enough() -> None:
    assert SOUND.holds
    assert replace(SOUND, same_bits=None).holds, "too large for the reference"
    for wrong in (
        {"same_bits": False},
        {"same_bytes": False},
        {"same_bytes": None},
        {"predicted_error": -0.02},
        {"fault": "SYS-V010"},
    ):
        assert not replace(SOUND, **wrong).holds


def test_a_line_says_what_does_not_hold() -> None:
    assert line("m", SOUND) == "| m | 100 | 1 | +0.10 % | yes | yes | 0123456789ab |"
    assert "**no**" in line("m", replace(SOUND, same_bits=False))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet-b1", "shufflenet-b1", "mobilenet_v2-b1"])
def test_a_program_of_the_zoo_is_proved(name: str) -> None:
    assert proved(name, "inf1", 1e9).holds
