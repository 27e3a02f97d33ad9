"""Transposed convolution: one ordinary convolution of stride 1 for each phase of the output.

    y[q * stride + r] = sum over k with k * dilation = r + pad (mod stride) of
                        w[k] * x[q + (r + pad - k * dilation) / stride]

Nothing is stuffed with zeros: a phase reads only the taps that reach it, and its tiles are written
(with what is fused behind them) to every stride-th position of the result.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from compiler.graph.attrs import integer, integers, pairs
from compiler.graph.graph import Array, Node
from compiler.lowering.context import Lowering, Spec, device_dtype
from compiler.lowering.contract import contract
from compiler.lowering.convolution import weight_terms
from compiler.lowering.terms import Term
from compiler.lowering.weights import Behind, Shifted, transfer_span
from compiler.lowering.window import padded_input
from compiler.tiles.view import Factor, View

Tap = tuple[int, int]
"""(kernel position, shift of the input)"""


@dataclass(frozen=True)
class _Phase:
    """Every stride-th output position of one dimension: from `first`, `count` of them."""

    first: int
    count: int
    taps: list[Tap]


def conv_transpose(lo: Lowering, node: Node, spec: Spec, behind: Behind) -> None:
    """y = conv_transpose(x, w); w is constant, or there is one group."""
    constant = lo.graph.constants.get(node.inputs[1].id)
    strides = integers(node, "strides")
    phases = [_phases(node, d) for d in range(len(strides))]
    extents = node.inputs[0].shape[2:]
    pads = []
    for extent, mine in zip(extents, phases, strict=True):
        shifts = [(shift, p.count) for p in mine for _, shift in p.taps]
        low = max(0, -min(s for s, _ in shifts))
        pads.append((low, max(0, max(s + n for s, n in shifts) - extent)))
    padded = replace(node, attrs={"pads": tuple(pads)})
    view = padded_input(lo, padded, 0.0, from_first=constant is None)
    for chosen in itertools.product(*phases):
        box = [(p.first, p.count, s) for p, s in zip(chosen, strides, strict=True)]
        taps = list(itertools.product(*(p.taps for p in chosen)))
        moving = [_shifted(view, tap, pads, [p.count for p in chosen]) for tap in taps]
        phase = _onto(behind, box)
        if constant is None:
            sides = [_computed(lo, node, tap, view) for tap in taps]
            terms = [Term(s, m) for s, m in zip(sides, moving, strict=True)]
            shape = (*node.output.shape[:2], *(p.count for p in chosen))
            contract(lo, shape, 1, spec.block, terms, phase)
        else:
            weights = _full_weights(constant, integer(node, "groups"))
            pieces = np.stack([_piece(weights, tap) for tap in taps])
            _phase(lo, node, spec, phase, moving, pieces)


def _phases(node: Node, d: int) -> list[_Phase]:
    stride, dilation = integers(node, "strides")[d], integers(node, "dilations")[d]
    pad, kernel = pairs(node, "pads")[d][0], node.inputs[1].shape[d + 2]
    extent = node.output.shape[d + 2]
    found = []
    for r in range(min(stride, extent)):
        reach = [r + pad - k * dilation for k in range(kernel)]
        taps = [(k, x // stride) for k, x in enumerate(reach) if x % stride == 0]
        found.append(_Phase(r, -(-(extent - r) // stride), taps or [(-1, 0)]))
    return found


def _full_weights(weights: Array, groups: int) -> Array:
    """[C, O / groups, *K] as [O, C, *K], zero across groups."""
    channels, each = weights.shape[:2]
    full = np.zeros((each * groups, channels, *weights.shape[2:]), weights.dtype)
    mine = channels // groups
    for g in range(groups):
        part = weights[g * mine : (g + 1) * mine]
        full[g * each : (g + 1) * each, g * mine : (g + 1) * mine] = part.swapaxes(0, 1)
    return full


def _piece(weights: Array, tap: tuple[Tap, ...]) -> Array:
    """The weights [O, C] of one tap; zeros for a phase that no tap reaches."""
    at = tuple(k for k, _ in tap)
    if -1 in at:
        return np.zeros(weights.shape[:2], weights.dtype)
    for k in at:
        weights = weights[:, :, k]
    return weights


def _computed(lo: Lowering, node: Node, tap: tuple[Tap, ...], x: View) -> View:
    """Weights [C, O, *K] in SBUF at one tap: dimensions [1, O, 1.., C]."""
    value = node.inputs[1]
    channels, outputs = value.shape[:2]
    ones: list[tuple[Factor, ...]] = [()] * len(tap)
    shape = (1, outputs, *([1] * len(tap)), channels)
    if any(k < 0 for k, _ in tap):  # no tap reaches the phase
        zeros = lo.filled(x.dtype, 0.0)
        same = tuple(f if f.part else Factor(f.extent, 0) for f in x.factors[1])
        return replace(zeros, shape=shape, factors=((), (Factor(outputs, 0),), *ones, same))
    side = lo.from_first(value, Spec.of(value.shape, 0))
    for d, (k, _) in enumerate(tap):
        cut = side.slice(d + 2, k, 1)
        assert cut is not None, "the kernel's dimensions are free"
        side = cut
    return replace(side, shape=shape, factors=((), side.factors[1], *ones, side.factors[0]))


def _shifted(view: View, tap: tuple[Tap, ...], pads: list[Tap], counts: list[int]) -> View:
    """The padded input from one tap: dimensions [N, 1, *positions of the phase, C]."""
    offset = view.offset
    spatial: list[tuple[Factor, ...]] = []
    for d, ((_, shift), (low, _), count) in enumerate(zip(tap, pads, counts, strict=True)):
        factors = [f for f in view.factors[d + 2] if f.extent > 1]
        step = factors[0].stride if factors else 1
        offset += (shift + low) * step
        spatial.append((Factor(count, step),))
    return replace(
        view,
        shape=(view.shape[0], 1, *counts, view.shape[1]),
        factors=(view.factors[0], (), *spatial, view.factors[1]),
        offset=offset,
    )


def _onto(behind: Behind, box: list[tuple[int, int, int]]) -> Behind:
    """What is behind the product, on the positions (first, count, step) of one phase."""

    def cut(view: View) -> View:
        for d, (first, count, step) in enumerate(box):
            made = view.slice(d + 2, first, count, step)
            assert made is not None, "spatial dimensions are free and dense"
            view = made
        return view

    ready = behind.ready
    return replace(
        behind,
        ready=replace(
            ready,
            tiles=[cut(v) for v in ready.tiles],
            columns=[cut(v) for v in ready.columns],
            outs={i: cut(v) for i, v in ready.outs.items()},
        ),
    )


def _phase(
    lo: Lowering, node: Node, spec: Spec, behind: Behind, moving: list[View], pieces: Array
) -> None:
    """The contraction of one phase, by transfers of weights."""
    dtype, outputs = device_dtype(node.inputs[1].dtype), pieces.shape[1]
    span = transfer_span(
        lo, pieces.shape[0] * pieces.shape[2] * dtype.size_bytes, outputs, spec, True
    )
    counts = moving[0].shape[2:-1]
    for first in range(0, outputs, span):
        part = pieces[:, first : first + span]
        terms = weight_terms(lo, part, moving, dtype, node.inputs[1].name, len(counts))
        shape = (node.output.shape[0], part.shape[1], *counts)
        contract(lo, shape, 1, spec.block, terms, Shifted(behind, 1, first))
