"""The manual: `docs/isa/`, generated from the declarations.

`pages()` gives every file's text, `write_pages` writes them, `stale_pages` names those that differ.
One page, `order.md`, is written by hand; the index links to it.
"""

from __future__ import annotations

from pathlib import Path

from isa.pages.export import spec_text
from isa.pages.instruction_pages import instruction_pages
from isa.pages.reference_pages import reference_pages

__all__ = ["DOCS", "pages", "spec_text", "stale_pages", "write_pages"]

DOCS = Path(__file__).parents[2] / "docs" / "isa"


def pages() -> dict[str, str]:
    """File name -> text of every generated file, in reading order."""
    return {**reference_pages(), **instruction_pages(), "spec.json": spec_text()}


def write_pages(folder: Path = DOCS) -> list[Path]:
    """Write the manual into a folder, made if it is not there. Gives the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in pages().items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def stale_pages(folder: Path = DOCS) -> list[str]:
    """Names of generated files that are missing from a folder or differ from it."""
    return [name for name, text in pages().items() if _text_of(folder / name) != text]


def _text_of(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
