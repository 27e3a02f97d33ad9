"""How large a sum of products of whole numbers may be, from what is known of its operands.

        max over n of  sum over k of |a[k]| |b[k, n]|

Ranges bound what is computed; of a constant operand the sums are taken as they are.
"""

from __future__ import annotations

import numpy as np

from compiler.graph.graph import Array, Node


def largest_of(array: Array) -> int:
    """The largest magnitude of whole numbers."""
    return int(np.abs(array.astype(np.int64)).max(initial=0))


def product_bound(node: Node, known: list[Array | None], largest: list[int]) -> int:
    """The largest magnitude of a conv's or matmul's results, whatever the order of the sums.

    Args:
        known: the operands that are constant.
        largest: the largest magnitude of each.
    """
    sums = {i: _largest_sum(node, i, a) for i, a in enumerate(known) if a is not None}
    bounds = [total * largest[1 - i] for i, total in sums.items()]
    return min([*bounds, depth(node) * largest[0] * largest[1]])


def _largest_sum(node: Node, i: int, array: Array) -> int:
    """The largest sum of absolute values that one result takes of a constant operand."""
    magnitudes = np.abs(array.astype(np.int64))
    if node.op == "conv":
        if i == 0:
            return depth(node) * int(magnitudes.max(initial=0))
        return int(magnitudes.reshape(array.shape[0], -1).sum(1).max(initial=0))
    swapped = bool(node.attrs["transpose_b" if i else "transpose_a"])
    axis = (-2 if i else -1) if not swapped else (-1 if i else -2)
    return int(magnitudes.sum(axis).max(initial=0))


def depth(node: Node) -> int:
    """How many products one result adds up."""
    if node.op == "conv":
        return int(np.prod(node.inputs[1].shape[1:], dtype=np.int64))
    return node.inputs[0].shape[-2 if node.attrs["transpose_a"] else -1]
