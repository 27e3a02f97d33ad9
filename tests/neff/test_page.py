"""`docs/neff.md` says what `neff/layout.py` says."""

from __future__ import annotations

import itertools
from pathlib import Path

from neff.layout import CODES, HEADER_BYTES, HEADER_FIELDS

PAGE = (Path(__file__).parents[2] / "docs" / "neff.md").read_text(encoding="utf-8").splitlines()


def test_the_page_has_every_header_field_where_it_is() -> None:
    rows = [line.split("|")[1:4] for line in PAGE if line.count("|") == 5]
    table = [[cell.strip(" `") for cell in row] for row in rows]
    expected = [[str(f.offset), str(f.size), f.name] for f in HEADER_FIELDS]
    assert [row for row in table if row[0].isdigit()] == expected


def test_the_header_has_no_gap() -> None:
    assert HEADER_FIELDS[0].offset == 0
    assert HEADER_FIELDS[-1].end == HEADER_BYTES
    for one, other in itertools.pairwise(HEADER_FIELDS):
        assert one.end == other.offset


def test_the_page_has_every_code() -> None:
    for code, text in CODES.items():
        assert f"| {code} | {text} |" in PAGE
