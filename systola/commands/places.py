"""Files that a command is to write: what is asked of them before the long work."""

from __future__ import annotations

from pathlib import Path

import typer


def require_places(*paths: Path | None) -> None:
    """Raise SYS-F001, before long work, where one of the files could not be written."""
    from isa.files import require_place

    for path in paths:
        if path is not None:
            require_place(path)


def require_apart(model: Path, *paths: Path | None) -> None:
    """Raise typer.BadParameter where a file to be written is the model that is read."""
    for path in paths:
        if path is not None and path.exists() and model.exists() and path.samefile(model):
            raise typer.BadParameter(f"{str(path)!r} is the model itself: it would be overwritten")


def require_picture(path: Path | None) -> None:
    """Raise typer.BadParameter where a plot has no name of a picture, or SYS-F001 no place."""
    if path is not None and path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise typer.BadParameter(f"{path.name!r}: a picture ends in .png, .svg or .pdf")
    require_places(path)


def require_npz(path: Path | None) -> None:
    """Raise typer.BadParameter where outputs are to be written as something else."""
    if path is not None and path.suffix != ".npz":
        raise typer.BadParameter(f"{str(path)!r}: outputs are an archive of arrays, .npz")
