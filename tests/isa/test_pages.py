"""The manual is current, complete, and its examples are true; the command does what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from isa.__main__ import main
from isa.assembly import assemble, assemble_line
from isa.encoding import encode
from isa.hardware import load_target
from isa.legality import check, every_rule
from isa.memory import stream_number
from isa.pages import DOCS, pages, stale_pages
from isa.pages.export import spec
from isa.spec import BY_MNEMONIC

BY_HAND = {"order.md"}
PROGRAM = """\
.buffer y output fp32 [2, 4] @0x0
.stream DVE
memset sbuf:fp32[0..2 @0x0; 4], 2.5  !s0+1
.stream q0
dma_copy dram:fp32[@y; 2, 4], sbuf:fp32[0..2 @0x0; 4]  ?s0>=1
"""


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages()


def test_the_manual_in_docs_is_current() -> None:
    assert stale_pages() == [], "run `python -m isa pages`"


def test_no_page_is_left_over(made: dict[str, str]) -> None:
    assert {path.name for path in DOCS.iterdir()} <= set(made) | BY_HAND


def test_every_instruction_and_every_rule_has_its_place(made: dict[str, str]) -> None:
    text = "\n".join(made.values())
    for mnemonic in BY_MNEMONIC:
        assert text.count(f"\n## {mnemonic}\n") == 1
    for rule in every_rule():
        assert f"`{rule.label}`" in made["rules.md"]


def test_every_link_leads_somewhere(made: dict[str, str]) -> None:
    headings = {
        name: {h.lower() for h in re.findall(r"^#+ (\S+)$", text, re.MULTILINE)}
        for name, text in made.items()
    }
    for name, text in made.items():
        if name.endswith(".md"):
            for target, anchor in re.findall(r"\]\(([\w.]*)(?:#([\w.]+))?\)", text):
                assert target in made or target in BY_HAND or not target, (name, target)
                assert not anchor or anchor in headings[target or name], (name, target, anchor)


def test_every_example_is_its_words(made: dict[str, str]) -> None:
    exported = json.loads(made["spec.json"])["instructions"]
    assert len(exported) == len(BY_MNEMONIC)
    text = "\n".join(made.values())
    for entry in exported:
        example = re.search(
            rf"\n## {entry['mnemonic']}\n.*?### Example\n\n```\n(.*?)\n", text, re.DOTALL
        )
        assert example is not None
        assert encode(assemble_line(example[1])) == [int(word, 16) for word in entry["example"]]


def test_every_example_is_legal() -> None:
    for entry in spec()["instructions"]:
        line = BY_MNEMONIC[entry["mnemonic"]]
        hw = load_target("inf1" if 1 in line.generations else "trn2")
        text = pages_example(entry["mnemonic"])
        stream = next(s for s in ("PE", "ACT", "DVE", "POOL", "SP", "q0")
                      if s[:1] == "q" or s in entry["engines"])  # fmt: skip
        program = assemble(f".buffer s scratch uint8 [1048576] @0x0\n.stream {stream}\n{text}\n")
        assert stream_number(stream) in program.streams
        assert check(program, hw) == [], text


def pages_example(mnemonic: str) -> str:
    from isa.pages.instruction_pages import example

    return example(BY_MNEMONIC[mnemonic]).split("\n")[0]


def test_pages_do_not_depend_on_the_run(made: dict[str, str]) -> None:
    assert pages() == made


def test_words_written_by_assemble_are_read_by_disassemble(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "p.s"
    source.write_text(PROGRAM)
    assert main(["assemble", str(source), "-o", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main(["disassemble", str(tmp_path / "out")]) == 0
    again = capsys.readouterr().out
    assert [line.strip() for line in again.split("\n") if line.strip()] == PROGRAM.split("\n")[:-1]


def test_run_prints_what_the_program_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.s").write_text(PROGRAM)
    assert main(["run", str(tmp_path / "p.s")]) == 0
    assert capsys.readouterr().out.startswith("y: 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5\n")


def test_check_names_the_rules_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.s").write_text(".stream DVE\nmemset sbuf:fp32[0..2 @0x2; 4], 2.5\n")
    assert main(["check", str(tmp_path / "p.s")]) == 1
    assert capsys.readouterr().out.startswith("O-6: ")


@pytest.mark.parametrize("text", [".stream PX\n", ".stream DVE\nfoo\n", "\x00", "\xff"])
def test_bad_text_ends_in_a_message_and_code_3(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.s").write_text(text, encoding="latin-1")
    assert main(["check", str(tmp_path / "p.s")]) == 3
    assert capsys.readouterr().err.startswith("MalformedError: SYS-A")


def test_a_missing_file_ends_in_a_message_and_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "no-such-file.s"]) == 3
    assert "no-such-file.s" in capsys.readouterr().err


def test_the_specification_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spec"]) == 0
    assert set(json.loads(capsys.readouterr().out)) >= {"instructions", "rules", "targets", "enums"}
