"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class AutoCast(StrEnum):
    """What is computed in 16 bits."""

    ALL = "all"
    MATMULT = "matmult"
    NONE = "none"


class AutoCastType(StrEnum):
    """The 16-bit type."""

    BF16 = "bf16"
    FP16 = "fp16"


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """NAME=1,3,224,224 as a name and extents. Raises typer.BadParameter."""
    name, equals, numbers = text.rpartition("=")
    try:
        shape = tuple(int(n) for n in numbers.split(",")) if numbers.strip() else ()
    except ValueError:
        shape = (-1,)
    if not equals or not name or any(n < 1 for n in shape):
        raise typer.BadParameter(
            f"{text!r} is no shape; write NAME=1,3,224,224, each number at least 1"
        )
    return name, shape


def shapes_of(texts: list[str] | None) -> dict[str, tuple[int, ...]]:
    """The shapes that `--shape` gave, by input name. Raises typer.BadParameter."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts or ():
        name, shape = parse_shape(text)
        if shapes.get(name, shape) != shape:
            raise typer.BadParameter(f"--shape gives {name!r} two shapes")
        shapes[name] = shape
    return shapes


ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX model.")]
NeffFile = Annotated[Path, typer.Argument(metavar="FILE.neff", help="A compiled model.")]
Target = Annotated[
    str | None,
    typer.Option(
        "--target", metavar="T", help="A target's name, or the path of its TOML file. [inf1]"
    ),
]
Cast = Annotated[AutoCast, typer.Option("--auto-cast", help="What is computed in 16 bits.")]
CastType = Annotated[AutoCastType, typer.Option("--auto-cast-type", help="The 16-bit type.")]
Shapes = Annotated[
    list[str] | None,
    typer.Option(
        "--shape", metavar="NAME=1,3,224,224", help="An input's static shape; may be repeated."
    ),
]
Inputs = Annotated[
    Path | None,
    typer.Option(
        "--inputs",
        metavar="IN.npz",
        help="Arrays by input name; what is missing is drawn from a fixed seed.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
