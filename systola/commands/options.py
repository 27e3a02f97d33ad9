"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Cut:
    """What was asked of the cuts, between device and host and between cores."""

    must_compile: bool = False
    minimum_segment_size: int = 1
    host_ops: tuple[str, ...] = ()
    host_nodes: tuple[str, ...] = ()
    host_dynamic: bool = False
    pipeline_cores: int = 1
    pin_weights: bool = False

    @classmethod
    def of(
        cls,
        must_compile: bool,
        size: int,
        ops: list[str] | None,
        nodes: list[str] | None,
        dynamic: bool,
        pipeline_cores: int = 1,
        pin_weights: bool = False,
    ) -> Cut:
        """From the options as the command line has them."""
        host = (tuple(ops or ()), tuple(nodes or ()), dynamic)
        return cls(must_compile, size, *host, pipeline_cores, pin_weights)


@dataclass(frozen=True)
class Effort:
    """How long to look for a faster program."""

    level: int = 2
    budget: int = 24


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


@dataclass(frozen=True)
class Extents:
    """What was given of the extents that a model leaves free."""

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    batch: int | None = None

    @classmethod
    def of(cls, shapes: list[str] | None, batch: int | None) -> Extents:
        """From `--shape` and `--batch`. Raises typer.BadParameter."""
        return cls(shapes_of(shapes), batch)


@dataclass(frozen=True)
class Chosen:
    """What a model is compiled for, and in which types and extents."""

    target: str | None = None
    auto_cast: AutoCast = AutoCast.ALL
    auto_cast_type: AutoCastType = AutoCastType.BF16
    extents: Extents = field(default_factory=Extents)


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
Batch = Annotated[
    int | None,
    typer.Option(
        "--batch",
        min=1,
        metavar="N",
        help="The extent of the batch, in every input that leaves it free.",
    ),
]
MustCompile = Annotated[
    bool,
    typer.Option("--must-compile", help="Refuse a model that does not run wholly on the device."),
]
SegmentSize = Annotated[
    int,
    typer.Option(
        "--minimum-segment-size",
        min=1,
        metavar="N",
        help="Operations that a section of the device has at least, where there are several.",
    ),
]
HostOps = Annotated[
    list[str] | None,
    typer.Option("--host-op", metavar="OP", help="Keep an operator on the host; may be repeated."),
]
HostNodes = Annotated[
    list[str] | None,
    typer.Option("--host-node", metavar="NAME", help="Keep a node on the host; may be repeated."),
]
HostDynamic = Annotated[
    bool,
    typer.Option("--host-dynamic", help="Leave to the host what has shapes that depend on data."),
]
Cores = Annotated[
    int,
    typer.Option(
        "--cores", min=1, metavar="N", help="Copy the model to N cores, each with its own items."
    ),
]
PipelineCores = Annotated[
    int,
    typer.Option(
        "--pipeline-cores",
        min=1,
        metavar="N",
        help="Cut the model over N cores: weights stay in SBUF, activations are handed on.",
    ),
]
OptimizeLevel = Annotated[
    int,
    typer.Option(
        "-O",
        min=1,
        max=3,
        metavar="LEVEL",
        help="1 takes what fits first, 2 compares, 3 searches long (the simulator is the judge).",
    ),
]
Budget = Annotated[
    int,
    typer.Option("--budget", min=1, metavar="N", help="Settings that -O3 may evaluate."),
]
PinWeights = Annotated[
    bool,
    typer.Option(
        "--pin-weights", help="Keep in SBUF over all runs what weights there is room for."
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
HostTimeout = Annotated[
    float | None,
    typer.Option(
        "--host-timeout",
        min=0,
        metavar="S",
        help="Seconds that a section of the host may take; 0 is any time. [600]",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
