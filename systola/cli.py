"""The command line. Commands live in `commands/`, and import what they need when they run.

Exit codes: 0 done; 1 a fault of ours; 2 wrong usage; 3 the input is refused, with its error code.
With `--json`, stdout carries exactly one JSON object, an error's too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from isa.errors import SystolaError
from systola import console
from systola.commands import bench, explaining, files, models, specification

app = typer.Typer(
    name="systola",
    help="Compile models for an Inferentia-like accelerator, and run them on its simulator.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _command in (
    *(models.demo, models.compile, models.run, models.accuracy, explaining.explain, bench.bench),
    *(files.plot, files.verify, files.inspect, files.disassemble),
    *(specification.targets, specification.isa, specification.operators),
):
    app.command()(_command)


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        from systola import __version__

        print(f"systola {__version__}")
        raise typer.Exit(0)


def run(arguments: Sequence[str]) -> int:
    """Run one command; give the exit code."""
    as_json = "--json" in arguments
    try:
        code: Any = app(list(arguments), standalone_mode=False, prog_name="systola")
        sys.stdout.flush()
        return int(code) if isinstance(code, int) else 0
    except typer.Exit as done:
        return int(done.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        console.say("stopped")
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystolaError as error:
        if console.debugging():
            raise
        return console.refuse(error, as_json)
    except Exception as error:
        if hasattr(error, "format_message"):
            return _wrong_usage(error, as_json)
        if console.debugging():
            raise
        return console.fail(error, as_json)


def _wrong_usage(error: Any, as_json: bool) -> int:
    """The option parser's own complaint."""
    message = str(error.format_message()).replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    usage = context.get_usage() if context is not None else ""
    if not message or message.startswith(usage):  # `systola` alone: the complaint is the help
        print(context.get_help() if context is not None else usage)
        return 2
    if as_json:
        shown = {"kind": "UsageError", "code": "SYS-U000", "message": message}
        console.emit({"error": {**shown, "found": "", "at": usage, "hint": ""}, "exit_code": 2})
    else:
        console.say(f"{usage}\nUsageError: SYS-U000: {message}".lstrip())
    return 2


def main() -> None:
    """The `systola` command."""
    sys.exit(run(sys.argv[1:]))
