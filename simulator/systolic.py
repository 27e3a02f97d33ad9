"""The systolic array, register by register and cycle by cycle.

In    what enters at the left edge in each cycle (`Edge`)
Out   what leaves at the bottom: the sums of one cycle, a column each
Read  `wavefront.py` for who feeds it and when, `systolic_cost.py` for how it compares with the
      instruction costs; `isa/fma.py` for the arithmetic

Row k of the array belongs to partition k of both operands, column m to column m of the stationary
tile. Every value moves one processing element (PE) a cycle and no wire is longer than that:

    moving values    left to right, each used by every PE on its way
    partial sums     top to bottom, from +0; a PE without a moving value passes the sum on as it is,
                     so rows below the contraction change nothing, not even the sign of a zero
    weights          left to right, in packets of a few neighbouring columns, each with the number
                     of its group; a PE takes its weight from the packet of its group in passing
    the swap mark    with the first moving value of a matmul: shadow weight becomes active weight

So a PE holds an active weight, a shadow weight, a moving value, a partial sum, and the packet that
is passing. The inner structure of the real array is not public: this one is assumed, as the
plainest that has the documented properties (two weights a PE, a load four times as fast as a matmul
of the same free size and hidden behind the matmul in front, one moving column a cycle).
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from isa.fma import Float32Array, fma32

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

Register = TypeVar("Register", bound=np.generic)

NO_GROUP = -1


@dataclass(frozen=True)
class Edge:
    """What the rows receive in one cycle.

    moving, moving_valid, swap: [rows]; packet: [rows, packet columns]; group: [rows], the group of
    columns that the packet is for, or NO_GROUP.
    """

    moving: Float32Array
    moving_valid: BoolArray
    swap: BoolArray
    packet: Float32Array
    group: IntArray


class SystolicArray:
    """The registers of rows x columns PEs, all zero and empty at first."""

    def __init__(self, rows: int, columns: int, packet_columns: int) -> None:
        grid = (rows, columns)
        self.rows, self.columns, self.packet_columns = rows, columns, packet_columns
        self.active = np.zeros(grid, dtype=np.float32)
        self.shadow = np.zeros(grid, dtype=np.float32)
        self.moving = np.zeros(grid, dtype=np.float32)
        self.moving_valid = np.zeros(grid, dtype=np.bool_)
        self.swap = np.zeros(grid, dtype=np.bool_)
        self.partial = np.zeros(grid, dtype=np.float32)
        self.partial_valid = np.zeros(grid, dtype=np.bool_)
        self.packet = np.zeros((*grid, packet_columns), dtype=np.float32)
        self.group = np.full(grid, NO_GROUP, dtype=np.int64)
        column = np.arange(columns)
        self._own_group, self._own_slot = column // packet_columns, column % packet_columns

    def step(self, edge: Edge) -> tuple[Float32Array, BoolArray]:
        """One cycle. Returns the sums that leave each column, and which of them are results."""
        moving = _from_the_left(edge.moving, self.moving)
        valid = _from_the_left(edge.moving_valid, self.moving_valid)
        swap = _from_the_left(edge.swap, self.swap)
        packet = _from_the_left(edge.packet, self.packet)
        group = _from_the_left(edge.group, self.group)

        active = np.where(swap, self.shadow, self.active)
        partial = _from_above(self.partial)
        partial_valid = _from_above(self.partial_valid)
        partial[valid] = fma32(active[valid], moving[valid], partial[valid])
        partial_valid[0] = valid[0]

        mine = group == self._own_group
        weights = packet[:, np.arange(self.columns), self._own_slot]
        shadow = np.where(
            mine, weights, self.shadow
        )  # after the swap: that one read the old weight

        self.moving, self.moving_valid, self.swap = moving, valid, swap
        self.packet, self.group = packet, group
        self.active, self.shadow = active, shadow
        self.partial, self.partial_valid = partial, partial_valid
        return partial[-1], partial_valid[-1]

    @property
    def multiplying(self) -> int:
        """PEs that multiplied in the last cycle."""
        return int(self.moving_valid.sum())


def _from_the_left(
    entering: npt.NDArray[Register], held: npt.NDArray[Register]
) -> npt.NDArray[Register]:
    return np.concatenate([entering[:, None], held[:, :-1]], axis=1)


def _from_above(held: npt.NDArray[Register]) -> npt.NDArray[Register]:
    return np.concatenate([np.zeros_like(held[:1]), held[:-1]], axis=0)
