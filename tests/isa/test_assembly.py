"""Text and program are two forms of one thing, and errors point at the place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.assembly import assemble, assemble_line, disassemble, format_instruction
from isa.dtypes import BF16, FP32, DType
from isa.errors import MalformedError
from isa.hardware import load_target
from isa.instructions.dma import DmaCopy
from isa.instructions.tensor import MultiplyMoving
from isa.legality import check
from isa.memory import DRAM, PSUM, SBUF
from isa.printing import format_dims
from isa.program import BufferKind, DramBuffer, Program
from isa.spec import Instruction, Signal, Wait
from isa.tiles import DmaTile, Immediate, Tile, contiguous
from tests.strategies import instructions, programs, same_program

MATMUL = MultiplyMoving(
    dst=Tile(PSUM, 0, 64, 0, FP32, contiguous(512)),
    moving=Tile(SBUF, 0, 128, 0x1000, BF16, ((112, 9), (2, 56))),
    start=True,
    waits=(Wait(3, 5),),
    signal=Signal(4, 1),
)
MATMUL_TEXT = (
    "matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..128 @0x1000; 9:112, 56:2], start  ?s3>=5 !s4+1"
)


@settings(max_examples=300, deadline=None)
@given(instructions)
def test_an_instruction_reads_back_from_its_text(instruction: Instruction) -> None:
    assert assemble_line(format_instruction(instruction)) == instruction


@settings(max_examples=100, deadline=None)
@given(programs())
def test_a_program_reads_back_from_its_text(program: Program) -> None:
    text = disassemble(program)
    assert same_program(assemble(text), program)
    assert disassemble(assemble(text)) == text


def test_an_instruction_is_written_as_the_manual_shows() -> None:
    assert format_instruction(MATMUL) == MATMUL_TEXT
    assert assemble_line(MATMUL_TEXT) == MATMUL


def test_dram_is_named_by_its_buffers() -> None:
    buffers = (DramBuffer("w", BufferKind.CONSTANT, 0x40, 0x40),)
    copy = DmaCopy(
        dst=DmaTile(SBUF, 0, BF16, contiguous(4), start=3, partitions=2),
        src=DmaTile(DRAM, 0x50, BF16, contiguous(2, 4)),
    )
    text = format_instruction(copy, buffers)
    assert text == "dma_copy sbuf:bf16[3..5 @0x0; 4], dram:bf16[@w+0x10; 2, 4]"


def test_a_step_is_left_out_where_it_is_the_contiguous_one() -> None:
    assert format_dims(contiguous(1, 3, 224, 224)) == "3, 224, 224"
    assert format_dims(((0, 1), (0, 1), (0, 1), (0, 1))) == "1"
    assert format_dims(((0, 4), (1, 8))) == "4:0, 8"
    assert format_dims(((-8, 4), (1, 8))) == "4:-8, 8"
    assert format_dims(((7, 1), (1, 8))) == "1:7, 8"


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (0x3FC00000, "1.5"),
        (0x80000000, "-0.0"),
        (0x7F800000, "inf"),
        (0xFF800000, "-inf"),
        (0x7FC00001, "0x7fc00001"),
        (0x00000001, "1e-45"),
    ],
)
def test_an_immediate_keeps_its_bits(bits: int, text: str) -> None:
    line = f"memset sbuf:fp32[0..1 @0x0; 1], {text}"
    memset = assemble_line(line)
    assert memset.value == Immediate(bits)  # type: ignore[attr-defined]
    assert format_instruction(memset) == line


def test_a_comment_may_follow_and_a_semicolon_in_brackets_is_none() -> None:
    program = assemble(f"; nothing\n.stream PE ; tensor\n {MATMUL_TEXT}   ; a comment [\n\n")
    assert program.instructions == 1


@pytest.mark.parametrize(
    ("text", "code", "at", "found"),
    [
        ("nop $", "A001", "line 2, column 5", "'$'"),
        ("matmull x", "A002", "line 2, column 1", "'matmull'"),
        (".streem PE", "A003", "line 2, column 2", "'streem'"),
        (".stream PX", "A004", "line 2, column 9", "'PX'"),
        ("memset dbuf:fp32[0..1 @0; 1], 0", "A005", "line 2, column 8", "'dbuf'"),
        ("memset sbuf:fp33[0..1 @0; 1], 0", "A005", "line 2, column 13", "'fp33'"),
        ("tensor_copy sbuf:fp32[0..1 @0; 1], sbuf:fp32[0..1 @0; 1], fast", "A006", "", "'fast'"),
        ("nop 5", "A007", "line 2, column 5", "'5'"),
        ("nop ?x3>=1", "A007", "line 2, column 6", "'x3'"),
        ("nop ?s3>=", "A007", "line 2, column 10", "the line ends"),
        ("nop ?s256>=1", "A008", "line 2, column 1", "wait semaphore = 256; allowed 0 to 255"),
        ("nop ?s1>=1 ?s1>=1 ?s1>=1", "A008", "line 2, column 19", "a third"),
        ("memset sbuf:fp32[4..4 @0; 1], 0", "A008", "line 2, column 18", "4..4"),
        ("memset sbuf:fp32[0..1 @0; 1,1,1,1,1], 0", "A008", "line 2, column 25", "5"),
        ("memset sbuf:fp32[0..1 @0; 0], 0", "A008", "line 2, column 1", "dst.num = 0"),
        ("memset sbuf:fp32[0..1 @0; 1], 1e60", "A008", "line 2, column 31", "1e60"),
        ("memset sbuf:fp32[0..1 @0; 1], -1e999", "A008", "line 2, column 31", "-1e999"),
        (".buffer x input bf16 [1] @0x4000000000000000", "A008", "line 2, column 9", ""),
        ("memset sbuf:fp32[0..1 @0; 1]", "A009", "line 2, column 29", "none"),
        ("dma_copy dram:fp32[@w; 1], dram:fp32[@w; 1]", "A010", "line 2, column 21", "'w'"),
        (".from 0", "A010", "line 2, column 7", "0"),
        (".layer 1 x", "A010", "line 2, column 8", "1; the next is 0"),
        (f"{MATMUL_TEXT.split('  ')[0]}, start", "A011", "", "'start'"),
    ],
)
def test_an_error_points_at_its_place(text: str, code: str, at: str, found: str) -> None:
    with pytest.raises(MalformedError) as caught:
        assemble(f".stream PE\n{text}\n")
    assert caught.value.code == f"SYS-{code}"
    assert caught.value.found == found or not found
    assert caught.value.at == at or not at


LINES = st.sampled_from(
    [
        "",
        "; comment [",
        ".stream PE",
        ".stream q0",
        ".from 0",
        ".from none",
        '.layer 0 "conv"',
        '.buffer "x y" input bf16 [1, 3] @0x0 size=7',
        "nop !s1+1",
        MATMUL_TEXT,
        "memset sbuf:fp32[0..1 @0x0; 1], -inf  ?s1>=2",
        "dma_copy dram:fp32[@w+0x4; 2:3, 64], sbuf:fp32[0..64 @0x0; 2]",
    ]
)
PIECES = st.sampled_from(
    [*" ;,:.@=+?![]-", "..", ">=", "0x", "9" * 40, "9" * 5000, "٣", "nan", '"']
)


@settings(max_examples=300, deadline=None)
@given(st.lists(LINES, max_size=4), st.lists(st.tuples(st.integers(0, 300), PIECES), max_size=3))
def test_damaged_text_is_assembled_or_refused(
    lines: list[str], damage: list[tuple[int, str]]
) -> None:
    text = "\n".join([".buffer w scratch fp32 [64] @0x40", *lines])
    for place, piece in damage:
        text = text[:place] + piece + text[place + 1 :]
    program = assembled_or_refused(text)
    if program is not None:
        assert same_program(assemble(disassemble(program)), program)
        check(program, load_target("inf1"))


@given(st.text())
def test_any_text_is_assembled_or_refused(text: str) -> None:
    assembled_or_refused(text)


def assembled_or_refused(text: str) -> Program | None:
    """The program, or nothing where the text is refused by a line's error."""
    try:
        return assemble(text)
    except MalformedError as error:
        places = (error.code.startswith("SYS-A"), error.at.startswith("line "))
    assert places == (True, True)
    return None


def test_an_instruction_outside_a_stream_is_refused() -> None:
    with pytest.raises(MalformedError, match="SYS-A012"):
        assemble("nop\n")


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(MalformedError) as caught:
        assemble_line("matmull x")
    assert caught.value.hint == "did you mean matmul?"


@pytest.mark.parametrize("dtype", list(DType))
def test_every_data_type_has_a_name(dtype: DType) -> None:
    line = f"memset sbuf:{dtype.text}[0..1 @0x0; 1], 0.0"
    assert format_instruction(assemble_line(line)) == line
