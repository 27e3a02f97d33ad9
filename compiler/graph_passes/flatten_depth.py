"""flatten-depth: convolutions of volumes are convolutions of their images.

Before    y = conv(x, w)             x [n, c, d, h, w], a kernel of k images
After     z = concat of x[:, :, i::s] for i < k, as [n * d', k * c, h, w]
          y = conv(z, w as [o, k * c, ..]), as [n, o, d', ..]

All that is known of images then serves volumes: rows and taps that share the array, strips, borders
between images. With k = 1 nothing is joined, and where k = s the parts are a reshape. A kernel
that is one number an image (k x 1 x 1) stays: its taps are whole images, and none is read twice.

Leaves   a graph that evaluates to the same values.
"""

from __future__ import annotations

from compiler.graph.attrs import integer, integers, pairs
from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import Graph, Node, Value
from compiler.graph_passes.rebuild import Rebuilder

FULL = 128
"""Rows of the array: with so many channels the images of a kernel need not share them."""


def flatten_depth(graph: Graph) -> Graph:
    """The graph with convolutions of volumes made of images; itself where there is none."""
    if not any(_flattens(graph, n) for n in graph.nodes):
        return graph
    return _Flattened(graph).run()


def _flattens(graph: Graph, node: Node) -> bool:
    if node.op != "conv" or node.inputs[0].rank != 5 or not graph.is_constant(node.inputs[1]):
        return False
    w = node.inputs[1].shape
    images = w[2] == 1 or w[2] * w[1] <= FULL or _in_blocks(node)
    return (
        not node.attrs.get("fill") and integer(node, "groups") == 1 and w[3:] != (1, 1) and images
    )


def _in_blocks(node: Node) -> bool:
    """Whether each image is read by one output alone, and none is left over."""
    depth, k, stride = (
        node.inputs[0].shape[2],
        node.inputs[1].shape[2],
        integers(node, "strides")[0],
    )
    dense = integers(node, "dilations")[0] == 1 and pairs(node, "pads")[0] == (0, 0)
    return k == stride and dense and depth % k == 0


class _Flattened(Rebuilder):
    keeps_names = True

    def node(self, node: Node) -> None:
        if not _flattens(self.graph, node):
            super().node(node)
            return
        b, x = self.b, self.new[node.inputs[0].id]
        n, o, depth, *image = node.output.shape
        weights = self.graph.constants[node.inputs[1].id]
        k, c = weights.shape[2], weights.shape[1]
        made = _blocks(b, x, k) if k > 1 and _in_blocks(node) else _joined(b, x, node, depth)
        flat = weights.swapaxes(1, 2).reshape(o, k * c, *weights.shape[3:])
        attrs = {key: integers(node, key)[1:] for key in ("strides", "dilations")}
        images = b.emit(
            "conv", made, b.constant(flat, name=node.inputs[1].name),
            pads=tuple(pairs(node, "pads")[1:]), groups=1, **attrs,
        )  # fmt: skip
        split = b.emit("reshape", images, shape=(n, depth, o, *image))
        self.bind(node.output, b.emit("transpose", split, perm=(0, 2, 1, 3, 4)))


def _blocks(b: GraphBuilder, x: Value, k: int) -> Value:
    """[n, c, d, h, w] as [n * d / k, k * c, h, w]."""
    n, c, d, *image = x.shape
    split = b.emit("reshape", x, shape=(n, c, d // k, k, *image))
    turned = b.emit("transpose", split, perm=(0, 2, 3, 1, 4, 5))
    return b.emit("reshape", turned, shape=(n * d // k, k * c, *image))


def _joined(b: GraphBuilder, x: Value, node: Node, depth: int) -> Value:
    """The images that each output reads, one behind the other as channels."""
    stride, dilation = integers(node, "strides")[0], integers(node, "dilations")[0]
    pads, k = pairs(node, "pads")[0], node.inputs[1].shape[2]
    if pads != (0, 0):
        around = ((0, 0), (0, 0), pads, (0, 0), (0, 0))
        x = b.emit("pad", x, pads=around, mode="constant", value=0.0)
    n, c, _, *image = x.shape
    parts = []
    for i in range(k):
        size = (depth - 1) * stride + 1
        part = b.emit(
            "slice", x, starts=(0, 0, i * dilation, 0, 0), sizes=(n, c, depth, *image),
            steps=(1, 1, stride, 1, 1),
        )  # fmt: skip
        assert i * dilation + size <= x.shape[2], "a window stays inside the padded volume"
        turned = b.emit("transpose", part, perm=(0, 2, 1, 3, 4))
        parts.append(b.emit("reshape", turned, shape=(n * depth, c, *image)))
    return b.emit("concat", *parts, axis=1) if k > 1 else parts[0]
