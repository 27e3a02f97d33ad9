"""Which dimension of each value lies on partitions.

Readers say what they want: a contraction its summed dimension, pooling its channels, a reduction
anything but the reduced axes. Wishes travel backwards through elementwise nodes and views, and a
producer that is free to choose (a contraction can put either side of its product on partitions)
follows the heaviest. Where wishes conflict, the value is moved for the readers that lost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from compiler.graph.attrs import flag, integer, integers, pairs, text
from compiler.graph.graph import Graph, Node, Value
from compiler.lowering.band import banded_dim
from compiler.lowering.context import PARTITIONS, Spec
from compiler.lowering.groups import is_elementwise
from compiler.lowering.image import find_images, image_bytes
from isa.hardware import Hardware

VIEWS = ("reshape", "transpose", "slice", "broadcast_to")
MOVED = ("concat", "reshape", "transpose")
Wishes = dict[int, dict[Spec, float]]


def wishes(graph: Graph, others: Mapping[str, dict[Spec, float]] | None = None) -> Wishes:
    """For every value the layouts that its readers want, by weight.

    Args:
        others: what readers outside of the graph want of its outputs, by name.
    """
    others = others or {}
    wanted: Wishes = {v.id: dict(others.get(v.name, {})) for v in graph.values()}
    parts = _inner_parts(graph)
    for node in reversed(graph.nodes):
        for i, value in enumerate(node.inputs):
            if value.id in graph.constants:
                continue
            for spec, weight in _wish(graph, node, i, value, wanted, parts).items():
                if spec.dim < len(value.shape):
                    old = wanted[value.id].get(spec, 0.0)
                    wanted[value.id][spec] = old + weight
    return wanted


def best(wanted: Wishes, value: Value, allowed: set[int] | None = None) -> Spec:
    """The heaviest wish for a value, or the largest dimension where there is none."""
    found = [
        (weight, -spec.dim, spec)
        for spec, weight in wanted[value.id].items()
        if allowed is None or spec.dim in allowed
    ]
    positive = [f for f in found if f[0] > 0]
    if positive:
        return max(positive, key=lambda f: (f[0], f[1]))[2]
    banned = {spec.dim for weight, _, spec in found if weight < 0}
    dims = [d for d in range(len(value.shape)) if allowed is None or d in allowed]
    free = [d for d in dims if d not in banned] or dims
    if not free:
        return Spec(0, 1)
    return Spec.of(value.shape, max(free, key=lambda d: (min(value.shape[d], PARTITIONS), -d)))


def bytes_a_partition(
    graph: Graph, item: int, hw: Hardware, from_dram: bool = True
) -> dict[int, int]:
    """Value id -> bytes in each of its partitions, as far as layouts can be told beforehand.

    Args:
        from_dram: convolutions may read images from DRAM.
    """
    images = find_images(graph, hw) if from_dram else {}
    dims, parted = partition_dims(graph), read_in_parts(graph)
    late = _become_outputs(graph)
    out = {v.id: 0 if v.id in parted else _spread(v, dims[v.id], item) for v in graph.inputs}
    for node in graph.nodes:
        for value in node.outputs:
            if value.id in parted:
                out[value.id] = 0
            elif node.op in VIEWS and node.inputs[0].id in out and node.inputs[0].id not in parted:
                out[value.id] = out[node.inputs[0].id]
            else:
                size = max(item, value.dtype.itemsize) if value.id in late else item
                out[value.id] = _spread(value, dims[value.id], size)
    for image in images.values():
        out[image.value.id] = 0  # it stays in DRAM
    values = {v.id: v for v in graph.values()}
    return out | {i: image_bytes(image, values[i], item) for i, image in images.items()}


def partition_dims(graph: Graph) -> dict[int, int]:
    """Value id -> the dimension that will lie on partitions, as far as it can be told beforehand;
    constants are not in it."""
    wanted = wishes(graph)
    dims = {v.id: best(wanted, v).dim if v.shape else 0 for v in graph.inputs}
    for node in graph.nodes:
        for value in node.outputs:
            source = next((v for v in node.inputs if v.id in dims and v.shape == value.shape), None)
            across = banded_dim(node) if node.op == "reduce_window" else None
            if across is not None:
                dims[value.id] = across
            elif node.op in ("conv", "conv_transpose", "reduce_window"):
                dims[value.id] = 1
            elif is_elementwise(node) and source is not None:
                dims[value.id] = dims[source.id]
            else:
                dims[value.id] = best(wanted, value).dim if value.shape else 0
    return dims


def _become_outputs(graph: Graph) -> set[int]:
    """Joined values that nothing but movements makes outputs of: they have the outputs' types."""
    readers = graph.consumers()
    late = {v.id for v in graph.outputs}
    for node in reversed(graph.nodes):
        behind = readers.get(node.output.id, [])
        if len(behind) == 1 and behind[0].op in MOVED and behind[0].output.id in late:
            late.add(node.output.id)
    return {n.output.id for n in graph.nodes if n.op == "concat" and n.output.id in late}


def read_in_parts(graph: Graph) -> set[int]:
    """The inputs that stay in DRAM, for only slices of them are read, each loaded when needed:
    slices of the input, or of what reshapes and transposes alone make of it."""
    readers, found = graph.consumers(), set()
    for value in graph.inputs:
        chain = [value]
        here = readers.get(value.id, [])
        while len(here) == 1 and here[0].op in ("reshape", "transpose"):
            chain.append(here[0].output)
            here = readers.get(chain[-1].id, [])
        if len(here) > 1 and all(r.op == "slice" for r in here):
            found |= {v.id for v in chain}
    return found


def _spread(value: Value, dim: int, item: int) -> int:
    if not value.shape:
        return item
    extent = max(1, value.shape[dim])
    return math.prod(value.shape) // extent * -(-extent // PARTITIONS) * item


def _wish(
    graph: Graph, node: Node, i: int, value: Value, wanted: Wishes, parts: dict[int, set[int]]
) -> dict[Spec, float]:
    shape, size = value.shape, float(math.prod(value.shape))
    if not shape:
        return {}
    if node.op == "matmul":
        swap = flag(node, "transpose_b" if i else "transpose_a")
        last, second = len(shape) - 1, len(shape) - 2
        k = (second if not swap else last) if i else (last if not swap else second)
        return {Spec.of(shape, k): 2 * size}
    if node.op in ("conv", "conv_transpose"):
        return {Spec.of(shape, 1): 2 * size}
    if node.op == "reduce_window":
        across = banded_dim(node)
        if across is not None:
            return {Spec.of(shape, across): 2 * size}
        return {Spec.of(shape, 1): size}
    if node.op == "reduce":
        return _reduce_wish(node, value, wanted, size)
    if is_elementwise(node):
        return _same(node, value, wanted, size)
    if node.op == "transpose":
        perm = integers(node, "perm")
        return {Spec(perm[s.dim], s.block): w for s, w in wanted[node.output.id].items()}
    if node.op == "reshape":
        return _through_reshape(value, node.output, wanted)
    if node.op in ("slice", "concat", "pad", "broadcast_to", "copy", "bitcast"):
        found = _same(node, value, wanted, size)
        inner = parts.get(value.id, set()) if node.op == "slice" else set()
        short = [d for d in inner if node.output.shape[d] < value.shape[d] < PARTITIONS]
        for d in {*_cut_inside_quadrants(node, i), *short}:
            for spec in [s for s in found if s.dim == d]:
                del found[spec]
            found[Spec.of(shape, d)] = -3 * size
        return found
    return {}


def _inner_parts(graph: Graph) -> dict[int, set[int]]:
    """Value id -> dimensions that a reshape made of the inner part of a longer one.

    Several of them share a block of partitions (the heads of a query), and a cut inside of each
    leaves ranges of partitions with gaps, which no engine reads.
    """
    found: dict[int, set[int]] = {}
    for node in graph.nodes:
        known = found.get(node.inputs[0].id, set())
        if node.op == "transpose":
            perm = integers(node, "perm")
            found[node.output.id] = {d for d, source in enumerate(perm) if source in known}
        elif node.op == "reshape":
            old, new = node.inputs[0].shape, node.output.shape
            found[node.output.id] = {
                d
                for d in range(1, len(new))
                if (mapped := _map_dim(new, old, Spec(d, 1))) and old[mapped.dim] > new[d]
            }
        elif is_elementwise(node) and node.inputs[0].shape == node.output.shape:
            found[node.output.id] = known
    return {v: dims for v, dims in found.items() if dims}


def _cut_inside_quadrants(node: Node, i: int) -> list[int]:
    """Dimensions cut at a place where no engine may start: not a multiple of 32 partitions."""
    if node.op == "slice":
        starts, steps = integers(node, "starts"), integers(node, "steps")
        return [d for d, (a, s) in enumerate(zip(starts, steps, strict=True)) if a % 32 or s != 1]
    if node.op == "pad":
        return [d for d, (low, _) in enumerate(pairs(node, "pads")) if low % 32]
    if node.op == "concat":
        axis = integer(node, "axis")
        at = sum(v.shape[axis] for v in node.inputs[:i])
        return [axis] if at % 32 else []
    return []


def _reduce_wish(node: Node, value: Value, wanted: Wishes, size: float) -> dict[Spec, float]:
    axes = integers(node, "axes")
    out: dict[Spec, float] = {}
    if text(node, "kind") not in ("sum", "mean"):
        for axis in axes:
            out[Spec.of(value.shape, axis)] = -4 * size
    return out


def _same(node: Node, value: Value, wanted: Wishes, size: float) -> dict[Spec, float]:
    out: dict[Spec, float] = {}
    shift = len(node.output.shape) - len(value.shape)
    for spec, weight in wanted[node.output.id].items():
        d = spec.dim - shift
        if d >= 0 and (value.shape[d] > 1 or value.shape == node.output.shape or weight < 0):
            block = min(spec.block, value.shape[d])
            out[Spec(d, block)] = out.get(Spec(d, block), 0.0) + weight * 0.9
    return out


def _through_reshape(value: Value, output: Value, wanted: Wishes) -> dict[Spec, float]:
    """A wish for dimension d of the result, said of the operand: the factor must be innermost."""
    out: dict[Spec, float] = {}
    for spec, weight in wanted[output.id].items():
        mapped = _map_dim(output.shape, value.shape, spec)
        if mapped is not None:
            out[mapped] = out.get(mapped, 0.0) + weight * 0.9
    return out


def _map_dim(new: tuple[int, ...], old: tuple[int, ...], spec: Spec) -> Spec | None:
    inner = math.prod(new[spec.dim + 1 :])
    extent = new[spec.dim]
    if extent <= 1:
        return None
    place = 1
    for d in range(len(old) - 1, -1, -1):
        if place == inner and old[d] > 1:
            if old[d] == extent:
                return Spec(d, spec.block)
            if old[d] % extent == 0:  # the operand's dimension is split; ours is the inner part
                return Spec(d, _joint_block(old[d], extent))
            return None
        place *= old[d]
    return None


def _joint_block(whole: int, part: int) -> int:
    """Block for a dimension of `whole` whose inner `part` will lie on partitions by itself."""
    if part > PARTITIONS:
        return PARTITIONS if part % PARTITIONS == 0 else part
    if part in (32, 64, 128):
        return min(whole, PARTITIONS)
    return part
