"""What the documents point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("isa", "neff", "traces", "simulator", "compiler", "systola", "tests", "benchmarks")
IDS = [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [x for x in links if "://" not in x and not (page.parent / x).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_files_that_are_named_exist(page: Path) -> None:
    pattern = rf"`((?:{'|'.join(FOLDERS)})/[\w./]+\.(?:py|toml))`"
    named = re.findall(pattern, page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {page.name for page in PAGES[1:]} - {"index.md"}
    assert {name for name in pages if f"]({name})" not in index} == set()


def test_the_compilers_page_names_every_graph_pass() -> None:
    page = (ROOT / "docs" / "compiler.md").read_text(encoding="utf-8")
    files = {f.name for f in (ROOT / "compiler" / "graph_passes").glob("*.py")}
    beside = {"__init__.py", "rebuild.py", "last_bits.py"}  # what passes are made with
    assert {name for name in files - beside if f"{name}`" not in page} == set()


def test_sections_of_the_collected_facts_are_in_the_page_of_sources() -> None:
    page = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| (\d[\d.]*) \|", page, re.MULTILINE))
    files = [f for folder in FOLDERS for f in (ROOT / folder).rglob("*.py")]
    cited = re.compile(r"neuron-facts (\d(?:\.\d)?)(?:(?:, | to )(\d\.\d))*")
    found = {
        n for f in files for m in cited.finditer(f.read_text("utf-8")) for n in m.groups() if n
    }
    assert found - rows == set()
