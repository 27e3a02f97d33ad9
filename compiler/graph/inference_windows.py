"""Result types of convolutions and pooling; see `inference.py` for the conventions."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.errors import ShapeError
from compiler.graph.graph import Shape, TensorType
from compiler.graph.inference import Attrs, Types, listing, need, need_kind, promote


def window_extent(
    extent: int, window: int, stride: int, dilation: int, pads: tuple[int, int]
) -> int:
    """How many windows fit: floor((extent + pads - span) / stride) + 1."""
    span = (window - 1) * dilation + 1
    padded = extent + pads[0] + pads[1]
    need(
        window > 0 and stride > 0 and dilation > 0 and min(pads) >= 0,
        "SYS-F113",
        "window, stride and dilation are positive and pads are not negative",
        lambda: f"window {window}, stride {stride}, dilation {dilation}, pads {pads}",
    )
    need(
        span <= padded,
        "SYS-F115",
        "a window fits in its padded input",
        lambda: f"the window spans {span}; the input has {extent} elements and pads {pads}",
    )
    return (padded - span) // stride + 1


def _windows(spatial: Shape, window: Shape, attrs: Attrs) -> Shape:
    """How many windows fit along each spatial dimension."""
    places = zip(spatial, window, attrs["strides"], attrs["dilations"], attrs["pads"], strict=True)
    return tuple(window_extent(*args) for args in places)


def _spatial(rank: int, attrs: Attrs, names: Sequence[str]) -> None:
    for name in names:
        if len(attrs[name]) != rank:
            raise ShapeError(
                "SYS-F113",
                "window attributes have one entry for each spatial dimension",
                found=f"{name} = {attrs[name]}; {rank} spatial dimensions",
            )


def conv(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    x, w = types
    need_kind(types, "fi")
    rank, groups = len(x.shape) - 2, attrs["groups"]
    need(
        rank >= 1 and len(w.shape) == len(x.shape),
        "SYS-F114",
        "a convolution has x [N, C, *S] and w [O, C/groups, *K]",
        lambda: listing(types),
    )
    whole = TensorType(_unfolded(types, attrs), x.dtype)
    need(
        groups > 0 and whole.shape[1] == w.shape[1] * groups and w.shape[0] % groups == 0,
        "SYS-F114",
        "channels of x = groups * channels of w, and groups divides the output channels",
        lambda: f"groups {groups}, {listing(types)}",
    )
    _spatial(rank, attrs, ("strides", "pads", "dilations"))
    need(
        len(attrs["fill"]) in (0, whole.shape[1]),
        "SYS-F114",
        "the padding is zero or has one number a channel",
        lambda: f"{len(attrs['fill'])} numbers, {listing(types)}",
    )
    spatial = _windows(whole.shape[2:], w.shape[2:], attrs)
    return (TensorType(_folded(whole.shape[0], w.shape[0], spatial, attrs), promote(types)),)


def _unfolded(types: Types, attrs: Attrs) -> Shape:
    """The shape of a convolution's input whose rows lie in blocks, as channels, side by side."""
    blocks, shared = attrs["folds"][0], attrs["shared"][0]
    n, c, h, *rest = types[0].shape
    need(
        blocks >= 1 and c % blocks == 0,
        "SYS-F114",
        "each folded block of rows has as many channels",
        lambda: f"{blocks} blocks, {listing(types)}",
    )
    return (n, c // blocks, blocks * h - (blocks - 1) * shared, *rest)


def _folded(n: int, channels: int, spatial: Shape, attrs: Attrs) -> Shape:
    """The shape of a convolution's result, its rows in blocks that lie side by side as channels."""
    blocks, shared = attrs["folds"][1], attrs["shared"][1]
    rows = spatial[0] + attrs["lead"] + (blocks - 1) * shared
    need(
        blocks >= 1 and rows % blocks == 0,
        "SYS-F114",
        "each folded block of rows has as many rows",
        lambda: f"{blocks} blocks that share {shared}, {spatial[0]} rows",
    )
    return (n, channels * blocks, rows // blocks, *spatial[1:])


def conv_transpose(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    x, w = types
    need_kind(types, "fi")
    rank, groups = len(x.shape) - 2, attrs["groups"]
    need(
        rank >= 1 and len(w.shape) == len(x.shape),
        "SYS-F114",
        "a transposed convolution has x [N, C, *S] and w [C, O/groups, *K]",
        lambda: listing(types),
    )
    need(
        groups > 0 and x.shape[1] == w.shape[0] and x.shape[1] % groups == 0,
        "SYS-F114",
        "x and w have the same input channels, and groups divides them",
        lambda: f"groups {groups}, {listing(types)}",
    )
    _spatial(rank, attrs, ("strides", "pads", "dilations", "output_padding"))
    spatial = []
    for i in range(rank):
        span = (w.shape[2 + i] - 1) * attrs["dilations"][i] + 1
        full = (x.shape[2 + i] - 1) * attrs["strides"][i] + span + attrs["output_padding"][i]
        extent = full - sum(attrs["pads"][i])
        if extent < 1:
            raise ShapeError(
                "SYS-F115",
                "a transposed convolution leaves a positive extent",
                found=f"{extent} in spatial dimension {i}",
            )
        spatial.append(extent)
    shape = (x.shape[0], w.shape[1] * groups, *spatial)
    return (TensorType(shape, promote(types)),)


def reduce_window(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    need_kind(types, "fi")
    rank = len(x.shape) - 2
    need(
        attrs["kind"] in ("max", "sum"),
        "SYS-F113",
        "a window reduces by max or sum",
        lambda: str(attrs["kind"]),
    )
    need(rank >= 1, "SYS-F114", "a windowed op has x [N, C, *S]", lambda: listing(types))
    _spatial(rank, attrs, ("window", "strides", "dilations", "pads"))
    spatial = _windows(x.shape[2:], attrs["window"], attrs)
    return (TensorType((*x.shape[:2], *spatial), x.dtype),)
