"""`python -m isa`: assemble, disassemble, check, run, pages, spec."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isa.assembly import assemble, disassemble
from isa.encoding import from_bytes, to_bytes
from isa.errors import MalformedError, SystolaError
from isa.hardware import DEFAULT_TARGET, load_target
from isa.legality import BUFFERS, check, require_legal
from isa.memory import stream_name, stream_number
from isa.pages import DOCS, spec_text, stale_pages, write_pages
from isa.program import BufferKind, Program
from isa.semantics import run_reference

SHOWN_ELEMENTS = 8
DIRECTIVES = "program.s"  # beside the words: buffers and layers, as text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code (0 done, 1 violations or stale pages, 3 refused)."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except SystolaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m isa", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    to_words = command("assemble", _assemble, "text to words, one file a stream")
    to_words.add_argument("file", type=Path)
    to_words.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    command("disassemble", _disassemble, "words to text").add_argument("folder", type=Path)
    for name, run, text in (
        ("check", _check, "every violated rule"),
        ("run", _run, "run by the reference interpreter, from DRAM filled with zeros"),
    ):
        added = command(name, run, text)
        added.add_argument("file", type=Path)
        added.add_argument("--target", default=DEFAULT_TARGET)
    manual = command("pages", _pages, "write the manual")
    manual.add_argument("folder", type=Path, nargs="?", default=DOCS)
    manual.add_argument("--check", action="store_true", help="only name pages that are stale")
    command("spec", _spec, "print the specification as JSON")
    return parser


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MalformedError("SYS-A000", "the file can be read", found=str(error)) from None


def _assemble(options: argparse.Namespace) -> int:
    program = assemble(_read(options.file))
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    for stream, words in program.streams.items():
        (folder / f"{stream_name(stream)}.bin").write_bytes(to_bytes(words))
    head = disassemble(Program({}, program.buffers, {}, program.layers))
    (folder / DIRECTIVES).write_text(head, encoding="utf-8")
    print(f"{program.instructions} instructions in {len(program.streams)} streams: {folder}")
    return 0


def _disassemble(options: argparse.Namespace) -> int:
    folder: Path = options.folder
    head = assemble(_read(folder / DIRECTIVES))
    streams = {}
    for path in folder.glob("*.bin"):
        try:
            streams[stream_number(path.stem)] = from_bytes(path.read_bytes(), path.name)
        except ValueError:
            raise MalformedError("SYS-A004", "no stream has that name", found=path.stem) from None
    program = Program(dict(sorted(streams.items())), head.buffers, {}, head.layers)
    print(disassemble(program), end="")
    return 0


def _check(options: argparse.Namespace) -> int:
    program = assemble(_read(options.file))
    violations = check(program, load_target(options.target))
    for v in violations:
        place = "buffer" if v.stream == BUFFERS else f"{stream_name(v.stream)} instruction"
        print(f"{v.label}: {v.sentence}\n  found  {v.found}\n  at     {place} {v.index}")
    print(f"{program.instructions} instructions, {len(violations)} violations")
    return 1 if violations else 0


def _run(options: argparse.Namespace) -> int:
    program = assemble(_read(options.file))
    hw = load_target(options.target)
    require_legal(program, hw)
    state = run_reference(program, hw, np.zeros(program.dram_bytes, np.uint8))
    for buffer in program.buffers:
        if buffer.kind in (BufferKind.OUTPUT, BufferKind.SCRATCH):
            data = np.asarray(state.dram)[buffer.address : buffer.end]
            whole = len(data) // buffer.dtype.size_bytes * buffer.dtype.size_bytes
            values = data[:whole].view(buffer.dtype.numpy)
            dots = " ..." if len(values) > SHOWN_ELEMENTS else ""
            shown = " ".join(str(x) for x in values[:SHOWN_ELEMENTS].tolist())
            print(f"{buffer.name}: {shown}{dots}")
    print(f"{program.instructions} instructions done")
    return 0


def _pages(options: argparse.Namespace) -> int:
    if options.check:
        stale = stale_pages(options.folder)
        for name in stale:
            print(f"stale: {name}")
        return 1 if stale else 0
    for path in write_pages(options.folder):
        print(path)
    return 0


def _spec(options: argparse.Namespace) -> int:
    print(spec_text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
