"""Every rule is broken by some program, which is refused with that label; near misses pass.

The programs lie in `tests/illegal`. Each line ends with the labels it must be refused with, and a
line without any must be legal: `check` has to find exactly that.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isa.assembly import assemble
from isa.errors import IllegalError, MalformedError
from isa.examples import BUFFER, legal_rows, streams_of
from isa.hardware import Hardware, load_target
from isa.legality import BUFFERS, check, every_rule, legal_mask, require_legal
from isa.memory import stream_number
from isa.program import Program
from isa.rules import BUFFER_RULES, KIND_RULES, OPERAND_RULES
from isa.spec import REGISTRY, Instruction

ILLEGAL = Path(__file__).parent.parent / "illegal"
FILES = sorted(ILLEGAL.glob("*.s"))
KINDS = [REGISTRY[opcode] for opcode in sorted(REGISTRY)]
_EXPECTED = re.compile(r";\s*error:\s*(.*)$")
_TARGET = re.compile(r"^; target: (\S+)((?: \w+=\d+)*)$", re.MULTILINE)

Labels = dict[tuple[int, int], set[str]]


def expected_labels(text: str) -> Labels:
    """What the lines of a program say: (stream, instruction) -> labels, none for legal lines."""
    expected: Labels = {}
    stream, counts = BUFFERS, {BUFFERS: 0}
    for line in text.splitlines():
        words = line.split(";")[0].split()
        if words[:1] == [".stream"]:
            stream = stream_number(words[1])
            counts[stream] = 0
        is_buffer = words[:1] == [".buffer"]
        if is_buffer or (words and not words[0].startswith(".")):
            place = BUFFERS if is_buffer else stream
            match = _EXPECTED.search(line)
            if match:
                expected[place, counts[place]] = set(match[1].split())
            counts[place] += 1
    return expected


def target_of(text: str) -> Hardware:
    """The target that a program's head names, with the numbers it changes."""
    target = _TARGET.search(text)
    assert target, "the file names its target"
    changed = dict(pair.split("=") for pair in target[2].split())
    return replace(load_target(target[1]), **{name: int(v) for name, v in changed.items()})  # type: ignore[arg-type]  # numbers only


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_each_line_is_refused_with_its_labels_and_no_other(path: Path) -> None:
    text = path.read_text()
    found: Labels = {}
    for violation in check(assemble(text), target_of(text), limit=10_000):
        found.setdefault((violation.stream, violation.index), set()).add(violation.label)
    assert found == expected_labels(text)


def test_every_rule_is_broken_somewhere() -> None:
    broken = set()
    for path in FILES:
        for labels in expected_labels(path.read_text()).values():
            broken |= labels
    assert {rule.label for rule in every_rule()} - broken == set()


def test_labels_are_unique_and_have_a_sentence() -> None:
    rules = every_rule()
    assert len({rule.label for rule in rules}) == len(rules)
    for rule in rules:
        assert rule.sentence.endswith("."), rule.label
    for kind in KINDS:
        for rule in kind.rules:
            assert rule.label.startswith(f"{kind.mnemonic}-C")


def test_an_error_says_rule_place_finding_and_layer() -> None:
    program = assemble(
        '.layer 0 "conv1"\n.stream PE\n.from 0\nload_stationary sbuf:bf16[0..128 @0x0; 65]\n'
    )
    with pytest.raises(IllegalError) as caught:
        require_legal(program, load_target("inf1"))
    assert str(caught.value) == (
        "IllegalError: load_stationary-C2: "
        "The stationary tile has no more free elements than the array has columns.\n"
        "  found  src.free 65; pe_columns 64\n"
        "  at     PE stream, instruction 0:  load_stationary sbuf:bf16[0..128 @0x0; 65]\n"
        "  from   layer 'conv1'\n"
        "  do     the target is inf1"
    )


def test_words_that_are_no_instruction_are_malformed_not_illegal() -> None:
    with pytest.raises(MalformedError, match="SYS-I003"):
        check(Program({0: np.zeros((1, 16), np.uint64)}), load_target("inf1"))


@pytest.mark.parametrize("target", ["inf1", "trn2"])
def test_legal_rows_of_every_kind_exist_and_pass(target: str) -> None:
    hw = load_target(target)
    for kind in KINDS:
        if hw.generation in kind.generations:
            for stream in streams_of(kind, hw)[:5]:
                rows = legal_rows(kind, stream, hw, seed=1, n=20)
                assert len(rows) == 20, kind.mnemonic
                assert check(Program({stream: rows}, (BUFFER,)), hw) == []


def test_an_instruction_is_refused_on_every_other_engine_and_generation() -> None:
    hw = load_target("trn2")
    for kind in KINDS:
        able = streams_of(kind, hw)
        words = legal_rows(kind, able[0], hw, seed=1, n=1)
        for stream in (0, 1, 2, 3, 4, 5):
            labels = {v.label for v in check(Program({stream: words}, (BUFFER,)), hw)}
            assert ("E-1" in labels) == (stream not in able)
        for generation in (1, 2, 3):
            old = replace(hw, generation=generation)
            labels = {v.label for v in check(Program({able[0]: words}, (BUFFER,)), old)}
            assert ("E-2" in labels) == (generation not in kind.generations)


@pytest.mark.parametrize("rule", every_rule(), ids=lambda rule: rule.label)
def test_a_rule_judges_one_as_it_judges_many(rule: object) -> None:
    """Rules of an instruction give for each row alone what they give for the column."""
    owner = [kind for kind in KINDS if rule in kind.rules]
    assert owner or rule in (*OPERAND_RULES, *KIND_RULES, *BUFFER_RULES)
    hw = load_target("trn2")
    for kind in owner:
        words = mixed_rows(kind, hw)
        program, stream = Program({}, (BUFFER,)), streams_of(kind, hw)[0]
        whole = legal_mask(program, hw, stream, words)
        alone = [legal_mask(program, hw, stream, words[i : i + 1])[0] for i in range(len(words))]
        assert whole.tolist() == alone


def mixed_rows(
    kind: type[Instruction], hw: Hardware
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """Legal rows, and the same with a bit of an operand or parameter flipped."""
    rows = legal_rows(kind, streams_of(kind, hw)[0], hw, seed=2, n=4)
    flipped = np.concatenate([rows] * 3)
    flipped[np.arange(len(flipped)), 2 + np.arange(len(flipped)) % 12] ^= np.uint64(1 << 5)
    return np.concatenate([rows, flipped])


def test_a_hundred_thousand_instructions_are_checked_in_well_under_a_second() -> None:
    hw = load_target("trn2")
    rows = [legal_rows(k, 2, hw, 3, 200) for k in KINDS if 2 in streams_of(k, hw)]
    words = np.concatenate(rows)
    words = np.tile(words, (-(-100_000 // len(words)), 1))[:100_000]
    began = time.perf_counter()
    assert check(Program({2: words}, (BUFFER,)), hw) == []
    assert time.perf_counter() - began < 2.0  # about 0.2 s alone; the machine may be shared
