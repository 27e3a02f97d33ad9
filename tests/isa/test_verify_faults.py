"""Programs that the verifier must refuse, with codes and lines, and near misses that pass."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from isa.assembly import assemble
from isa.errors import IllegalError
from isa.hardware import Hardware, load_target
from isa.memory import stream_number
from isa.verify import SENTENCES, require_sound, verify

FAULTS = Path(__file__).parent.parent / "faults"
PRELUDE = """
.stream DVE
  memset sbuf:uint8[0..128 @0x0; 4096], 0.0  !s31+1
"""
NOT_IN_FILES = {"SYS-V090"}  # needs a program too large to write down: its own tests below


@dataclass(frozen=True)
class Case:
    """One program of a file: its text, the codes expected, the (stream, index) of its errors."""

    title: str
    text: str
    codes: frozenset[str]
    lines: frozenset[tuple[int, int]]


def cases() -> list[Case]:
    """Every program of every file."""
    return [
        _case(path.stem, part)
        for path in sorted(FAULTS.glob("*.s"))
        for part in re.split(r"^; === ", path.read_text(), flags=re.M)[1:]
    ]


def _case(file: str, part: str) -> Case:
    title, rest = part.split("\n", 1)
    expected = re.search(r"^; expect (.*)$", rest, flags=re.M)
    assert expected, title
    codes = frozenset(expected[1].split()) - {"sound"}
    if file == "tensor":
        rest = PRELUDE + re.sub(r"^(\.stream (?:PE|ACT))$", r"\1\n  nop  ?s31>=1", rest, flags=re.M)
    lines, stream, index = set(), -1, 0
    for line in rest.splitlines():
        if line.startswith(".stream"):
            name = line.split()[1]
            stream, index = -1 if name == "pinned" else stream_number(name), 0
        elif line.startswith("  "):
            if line.endswith("; error"):
                lines.add((stream, index))
            index += 1
    return Case(f"{file}: {title}", rest, codes, frozenset(lines))


@pytest.fixture(scope="module")
def hw() -> Hardware:
    return replace(load_target("inf1"), semaphore_max=1000)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.title)
def test_a_program_gets_exactly_the_verdict_written_above_it(case: Case, hw: Hardware) -> None:
    faults = verify(assemble(case.text), hw)
    assert {fault.code for fault in faults} == case.codes, [str(fault) for fault in faults]
    named = {(place.stream, place.index) for fault in faults for place in fault.places}
    assert named == case.lines or not case.lines
    assert "Sys" not in str(faults)


def test_every_fault_class_has_a_program() -> None:
    tried = {code for case in cases() for code in case.codes}
    assert tried | NOT_IN_FILES == set(SENTENCES)
    assert len(tried) > 12


def test_there_are_near_misses_in_every_file() -> None:
    for stem in {case.title.split(":")[0] for case in cases()}:
        mine = [case for case in cases() if case.title.startswith(f"{stem}:")]
        assert any(not case.codes for case in mine)
        assert any(case.codes for case in mine)


def test_a_refusal_names_both_instructions_their_layers_and_why(hw: Hardware) -> None:
    program = assemble(
        """
.layer 0 "conv1"
.layer 1 "relu1"
.stream DVE
.from 0
  memset sbuf:fp32[0..32 @0x0; 4], 1.0
.stream ACT
.from 1
  activation sbuf:fp32[0..32 @0x40; 4], sbuf:fp32[0..32 @0x2; 2]
""".replace("@0x2; 2", "@0x8; 4")
    )
    with pytest.raises(IllegalError) as refusal:
        require_sound(program, hw)
    text = str(refusal.value)
    assert "SYS-V020: two engines touch the same bytes in a fixed order when one writes" in text
    assert "both touch SBUF partition 0, byte 8, at least one writes" in text
    assert "ACT instruction 0: activation sbuf:fp32[0..32 @0x40; 4]" in text
    assert "DVE instruction 0: memset sbuf:fp32[0..32 @0x0; 4], 1.0  (layer conv1)" in text
    assert "(layer relu1)" in text


def test_a_deadlock_shows_its_cycle(hw: Hardware) -> None:
    program = assemble(".stream DVE\n  nop ?s1>=2 !s0+1\n.stream ACT\n  nop ?s0>=1 !s1+2\n")
    (fault,) = verify(program, hw)
    assert fault.found == (
        "ACT waits for semaphore 0 >= 1 (it holds 0), which DVE has yet to signal; "
        "DVE waits for semaphore 1 >= 2 (it holds 0), which ACT has yet to signal"
    )


def test_a_sound_program_is_accepted_silently(hw: Hardware) -> None:
    require_sound(assemble(".stream DVE\n  nop\n"), hw)
    assert verify(assemble(""), hw) == []


def test_unreadable_words_are_faults_and_not_crashes(hw: Hardware) -> None:
    program = assemble(".stream DVE\n  nop\n  nop\n")
    program.streams[2][1, 5] = 7
    (fault,) = verify(program, hw)
    assert (fault.code, fault.label) == ("SYS-V001", "SYS-I004")
    program.streams[2][1, 0] = 0xEE
    (fault,) = verify(program, hw)
    assert (fault.code, fault.label) == ("SYS-V001", "SYS-I003")


def test_accesses_too_irregular_to_follow_are_refused(hw: Hardware) -> None:
    line = "  dma_copy dram:uint8[@t; 65536:128, 65536:131], dram:uint8[@x; 65536:128, 65536:131]\n"
    program = assemble(
        ".buffer x input uint8 [33554432] @0x0\n.buffer t scratch uint8 [33554432] @0x2000000\n"
        ".stream q0\n" + line
    )
    assert {fault.code for fault in verify(program, hw)} <= {"SYS-V071", "SYS-V090"}
    assert verify(program, hw)
