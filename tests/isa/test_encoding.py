"""Encoder and decoder are inverse, encodings are disjoint, and nothing else than a refusal happens.

Proofs are over the table of `isa.layout`, for every word of 1024 bits; random rows show that the
table and the decoder are the same function.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.dtypes import FP32
from isa.encoding import decode, encode, encode_all, from_bytes, to_bytes
from isa.errors import IllegalError, MalformedError
from isa.examples import Numbers64, uniform_rows
from isa.instructions.vector import Memset
from isa.layout import Bits, Variant, layout, require_well_formed, well_formed
from isa.memory import SBUF
from isa.spec import REGISTRY, WORDS, Instruction, Wait
from isa.tiles import Immediate, Tile
from tests.strategies import instructions_of

KINDS = [REGISTRY[opcode] for opcode in sorted(REGISTRY)]
IDS = [kind.mnemonic for kind in KINDS]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=IDS)


@every_kind
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_decoding_gives_back_what_was_encoded(kind: type[Instruction], data: st.DataObject) -> None:
    instruction = data.draw(instructions_of(kind))
    assert decode(encode(instruction)) == instruction


@pytest.mark.slow
@every_kind
@settings(max_examples=1000, deadline=None)
@given(data=st.data())
def test_decoding_gives_back_a_thousand_of_a_kind(
    kind: type[Instruction], data: st.DataObject
) -> None:
    instruction = data.draw(instructions_of(kind))
    assert decode(encode(instruction)) == instruction


@every_kind
def test_encoding_gives_back_what_was_decoded(kind: type[Instruction]) -> None:
    for row in uniform_rows(kind, seed=1, n=40).tolist():
        assert encode(decode(row)) == row


def test_bytes_are_little_endian_words() -> None:
    words = encode_all([Memset(Tile(SBUF, 0, 1, 0, FP32, ()), Immediate.of(1.0))])
    assert to_bytes(words)[:8] == int(words[0, 0]).to_bytes(8, "little")
    assert np.array_equal(from_bytes(to_bytes(words)), words)
    with pytest.raises(MalformedError, match="SYS-I002"):
        from_bytes(b"\0" * 127)


@pytest.mark.parametrize(
    "memset",
    [
        Memset(Tile(SBUF, 128, 1, 0, FP32, ()), Immediate(0)),
        Memset(Tile(SBUF, 0, 129, 0, FP32, ()), Immediate(0)),
        Memset(Tile(SBUF, 0, 0, 0, FP32, ()), Immediate(0)),
        Memset(Tile(SBUF, 0, 1, -4, FP32, ()), Immediate(0)),
        Memset(Tile(SBUF, 0, 1, 0, FP32, ((1, 65536),)), Immediate(0)),
        Memset(Tile(SBUF, 0, 1, 0, FP32, ((32768, 1),)), Immediate(0)),
        Memset(Tile(SBUF, 0, 1, 0, FP32, ((1, 0),)), Immediate(0)),
        Memset(Tile(SBUF, 0, 1, 0, FP32, ()), Immediate(1 << 32)),
        Memset(Tile(SBUF, 0, 1, 0, FP32, ()), Immediate(0), waits=(Wait(256, 0),)),
        Memset(Tile(SBUF, 0, 1, 0, FP32, ()), Immediate(0), waits=(Wait(0, 0),) * 3),
    ],
)
def test_a_field_that_does_not_fit_is_refused(memset: Memset) -> None:
    with pytest.raises(IllegalError, match="SYS-I001"):
        encode(memset)


# --- random words --------------------------------------------------------------------------------


def random_rows(n: int, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """Rows to decode: a quarter uniform, the rest instructions with some bits flipped."""
    numbers = Numbers64(seed)
    each = -(-3 * n // 4 // len(KINDS))
    rows = np.concatenate(
        [uniform_rows(kind, seed * 1000 + i, each) for i, kind in enumerate(KINDS)]
    )
    for _ in range(2):
        flips = numbers.below(3, len(rows)) == 0
        word, bit = numbers.below(WORDS, len(rows)), numbers.below(64, len(rows))
        rows[np.flatnonzero(flips), word[flips]] ^= np.uint64(1) << bit[flips].astype(np.uint64)
    uniform = numbers.draw(n // 4 * WORDS).reshape(-1, WORDS)
    known = numbers.among(tuple(sorted(REGISTRY)), len(uniform)).astype(np.uint64)
    half = numbers.below(2, len(uniform)) == 0
    uniform[half, 0] = uniform[half, 0] & ~np.uint64(0xFF) | known[half]
    return np.concatenate([rows, uniform])


def decodes_or_is_refused(n: int, seed: int) -> None:
    rows = random_rows(n, seed)
    good = well_formed(rows)
    assert 0.1 < good.mean() < 0.9
    for row, expected in zip(rows.tolist(), good.tolist(), strict=True):
        try:
            instruction = decode(row)
        except MalformedError:
            assert not expected
        else:
            assert expected
            assert encode(instruction) == row


def test_random_words_decode_or_are_refused() -> None:
    decodes_or_is_refused(20_000, seed=1)


@pytest.mark.slow
def test_a_million_random_words_decode_or_are_refused() -> None:
    for seed in range(10):
        decodes_or_is_refused(100_000, seed + 2)


def test_a_stream_with_one_bad_row_is_refused_by_its_place() -> None:
    words = np.concatenate([uniform_rows(kind, 1, 1) for kind in KINDS])
    require_well_formed(words, "PE stream")
    words[3, 0] |= np.uint64(1 << 63)
    with pytest.raises(MalformedError) as caught:
        require_well_formed(words, "PE stream")
    assert caught.value.code == "SYS-I004"
    assert caught.value.at == "PE stream, instruction 3"


# --- proofs --------------------------------------------------------------------------------------

WORD = [z3.BitVec(f"w{i}", 64) for i in range(WORDS)]


def taken(field: Bits, words: list[z3.BitVecRef]) -> z3.BitVecRef:
    return z3.Extract(field.bit + field.width - 1, field.bit, words[field.word])


def in_variant(owned: dict[int, int], variant: Variant) -> z3.BoolRef:
    """The formula that a group of WORD is in a variant: fixed bits, codes, zeros elsewhere."""
    zero = dict(owned)
    holds = []
    for word, mask, value in variant.fixed:
        holds.append(WORD[word] & mask == value)
        zero[word] &= ~mask
    for field in variant.fields:
        zero[field.word] &= ~field.mask
        if field.codes is not None:
            holds.append(z3.Or([taken(field, WORD) == code for code in field.codes]))
        if field.nonzero:
            holds.append(taken(field, WORD) != 0)
    return z3.And(holds + [WORD[word] & mask == 0 for word, mask in zero.items() if mask])


def is_a(kind: type[Instruction]) -> z3.BoolRef:
    """The formula that WORD is a well-formed instruction of a kind."""
    rest = dict.fromkeys(range(WORDS), (1 << 64) - 1)
    holds = []
    for group in layout(kind):
        for word, mask in group.owned.items():
            assert rest[word] & mask == mask, f"{group.name} shares bits with another field"
            rest[word] &= ~mask
        holds.append(z3.Or([in_variant(group.owned, variant) for variant in group.variants]))
    return z3.And(holds + [WORD[word] & mask == 0 for word, mask in rest.items() if mask])


def test_no_word_is_an_instruction_of_two_kinds() -> None:
    solver = z3.Solver()
    chosen = {kind: z3.Bool(kind.mnemonic) for kind in KINDS}
    for kind, switch in chosen.items():
        solver.add(z3.Implies(switch, is_a(kind)))
    for a, b in combinations(KINDS, 2):
        assert solver.check(chosen[a], chosen[b]) == z3.unsat, (a.mnemonic, b.mnemonic)
    for kind, switch in chosen.items():
        assert solver.check(switch) == z3.sat, f"no word is a {kind.mnemonic}"


@every_kind
def test_a_group_is_in_one_variant_only(kind: type[Instruction]) -> None:
    for group in layout(kind):
        for a, b in combinations(group.variants, 2):
            solver = z3.Solver()
            solver.add(in_variant(group.owned, a), in_variant(group.owned, b))
            assert solver.check() == z3.unsat, (group.name, a.name, b.name)


@every_kind
def test_taking_fields_out_and_putting_them_in_are_inverse(kind: type[Instruction]) -> None:
    for group in layout(kind):
        for variant in group.variants:
            fields = [z3.BitVec(field.name, field.width) for field in variant.fields]
            put = put_in(variant, fields)
            out = [taken(f, put) == v for f, v in zip(variant.fields, fields, strict=True)]
            again = put_in(variant, [taken(field, WORD) for field in variant.fields])
            same = [again[word] == WORD[word] & mask for word, mask in group.owned.items()]
            solver = z3.Solver()
            solver.add(z3.Not(z3.And(z3.And(out), implies_same(group.owned, variant, same))))
            assert solver.check() == z3.unsat, (group.name, variant.name)


def put_in(variant: Variant, fields: list[z3.BitVecRef]) -> list[z3.BitVecRef]:
    """Words that hold the variant's fixed bits and the fields, zero elsewhere."""
    words = [z3.BitVecVal(0, 64) for _ in range(WORDS)]
    for word, _, value in variant.fixed:
        words[word] |= value
    for spec, field in zip(variant.fields, fields, strict=True):
        words[spec.word] |= (
            z3.ZeroExt(64 - spec.width, field) << spec.bit if spec.width < 64 else field
        )
    return words


def implies_same(owned: dict[int, int], variant: Variant, same: list[z3.BoolRef]) -> z3.BoolRef:
    """Where WORD is in the variant, putting back what was taken out gives WORD."""
    return z3.Implies(in_variant(owned, variant), z3.And(same))
