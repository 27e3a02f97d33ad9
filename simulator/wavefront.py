"""Feed the systolic array: when each operation may start, and what enters which row in which cycle.

In    a sequence of `Load` and `Multiply`
Out   `ArrayRun`: the products, the cycle in which each value left, and the work a cycle
Read  `systolic.py` for the array itself

Row k of the array receives everything k cycles after row 0, so that a moving value meets the
partial sum coming from above; the start of an operation is its first cycle in row 0. With C columns
in M, packets of G columns and R rows:

    matmul at t      moving column n is in PE (k, m) in cycle t + n + k + m,
                     its sum leaves column m in cycle t + n + m + R - 1
    load at s        packet g enters in cycle s + g; the weight of PE (k, m) arrives in cycle
                     s + k + m + floor(m / G), while the swap mark passes in cycle t + k + m

From which the earliest starts follow (and a test shows that one cycle less gives a wrong product):

    a load may start with the matmul in front    its weights stay behind that one's swap mark
    a matmul starts ceil(M / G) cycles after its load, and N cycles after the matmul in front
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isa.errors import IllegalError
from isa.fma import Float32Array
from simulator.systolic import NO_GROUP, Edge, IntArray, SystolicArray


@dataclass(frozen=True, eq=False)
class Load:
    """Load a stationary tile, float32 [K, M], into the shadow weights."""

    stationary: Float32Array


@dataclass(frozen=True, eq=False)
class Multiply:
    """Multiply a moving tile, float32 [K, N], by the stationary tile loaded last."""

    moving: Float32Array


Operation = Load | Multiply


@dataclass(frozen=True, eq=False)
class ArrayRun:
    """What a sequence of operations did.

    starts: first cycle of every operation in row 0; products: [M, N] of every matmul; left_at: as
    products, the cycle in which the value left the array (it can be read from the next one on);
    multiplying: PEs that multiplied, for every cycle; macs: multiplications that were asked for.
    """

    starts: list[int]
    products: list[Float32Array]
    left_at: list[IntArray]
    multiplying: IntArray
    macs: int

    @property
    def cycles(self) -> int:
        """Cycles until the last result has left."""
        return 1 + max(int(left.max()) for left in self.left_at)

    def occupancy(self, array: SystolicArray) -> float:
        """Useful multiplications over what the array could have done in these cycles."""
        return self.macs / (self.cycles * array.rows * array.columns)


def earliest_starts(array: SystolicArray, operations: Sequence[Operation]) -> list[int]:
    """The first cycle of each operation in row 0, as soon as the one in front allows."""
    starts: list[int] = []
    load_port = moving_port = loaded = now = 0
    for operation in operations:
        if isinstance(operation, Load):
            now = max(now, load_port)
            loaded = load_port = now + packets(array, operation)
        else:
            now = max(now, loaded, moving_port)
            moving_port = now + operation.moving.shape[1]
        starts.append(now)
    return starts


def packets(array: SystolicArray, load: Load) -> int:
    """Cycles for which a load occupies the weight port of a row."""
    columns: int = load.stationary.shape[1]
    return -(-columns // array.packet_columns)


def run(
    array: SystolicArray, operations: Sequence[Operation], starts: Sequence[int] | None = None
) -> ArrayRun:
    """Run operations to the last result, at their earliest starts or at the ones given.

    Raises IllegalError for tiles that do not fit the array or each other, for a matmul without a
    load, and for two values that meet at a row's input. Starts that are too early for the weights
    are not refused: the array then computes what such an array would.
    """
    stationary = _stationary_of_each(array, operations)
    chosen = list(starts) if starts is not None else earliest_starts(array, operations)
    feed = _Feed(array, operations, chosen)
    leaving: list[list[tuple[np.float32, int]]] = [[] for _ in range(array.columns)]
    multiplying: list[int] = []
    for cycle in range(feed.length + array.rows + array.columns):
        sums, valid = array.step(feed.edge(cycle))
        multiplying.append(array.multiplying)
        for column in np.flatnonzero(valid):
            leaving[column].append((sums[column], cycle))
    values = np.array([[value for value, _ in column] for column in leaving], dtype=np.float32)
    cycles = np.array([[cycle for _, cycle in column] for column in leaving], dtype=np.int64)
    return _collect(operations, stationary, chosen, values, cycles, np.array(multiplying))


class _Feed:
    """The inputs of row 0, cycle by cycle; row k receives the same places k cycles later."""

    def __init__(
        self, array: SystolicArray, operations: Sequence[Operation], starts: Sequence[int]
    ) -> None:
        self.rows, width = array.rows, array.packet_columns
        self.length = max(
            start + (packets(array, op) if isinstance(op, Load) else op.moving.shape[1])
            for op, start in zip(operations, starts, strict=True)
        )
        shape = (array.rows, self.length)
        self.moving, self.valid = np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
        self.swap = np.zeros(shape, np.bool_)
        self.packet = np.zeros((*shape, width), np.float32)
        self.group = np.full(shape, NO_GROUP, np.int64)
        fresh = False
        for operation, start in zip(operations, starts, strict=True):
            if isinstance(operation, Load):
                self._add_load(operation.stationary, start, width)
            else:
                self._add_matmul(operation.moving, start, fresh)
            fresh = isinstance(operation, Load)

    def edge(self, cycle: int) -> Edge:
        """What the rows receive in a cycle: row k what row 0 received k cycles before."""
        row = np.arange(self.rows)
        at = cycle - row
        inside = (at >= 0) & (at < self.length)
        place = row, np.where(inside, at, 0)
        return Edge(
            self.moving[place],
            self.valid[place] & inside,
            self.swap[place] & inside,
            self.packet[place],
            np.where(inside, self.group[place], NO_GROUP),
        )

    def _add_load(self, stationary: Float32Array, start: int, width: int) -> None:
        rows, columns = stationary.shape
        count = -(-columns // width)
        whole = np.zeros((rows, count * width), np.float32)
        whole[:, :columns] = stationary
        place = slice(None, rows), slice(start, start + count)
        _require(
            bool((self.group[place] == NO_GROUP).all()),
            "two loads share a cycle of the weight port",
        )
        self.packet[place] = whole.reshape(rows, count, width)
        self.group[place] = np.arange(count)

    def _add_matmul(self, moving: Float32Array, start: int, fresh: bool) -> None:
        rows, columns = moving.shape
        place = slice(None, rows), slice(start, start + columns)
        _require(not self.valid[place].any(), "two matmuls share a cycle of the moving port")
        self.moving[place], self.valid[place] = moving, True
        self.swap[:rows, start] = fresh


def _stationary_of_each(
    array: SystolicArray, operations: Sequence[Operation]
) -> list[Float32Array]:
    """The stationary tile that each matmul uses, once shapes and order are found sound."""
    held: Float32Array | None = None
    used: list[Float32Array] = []
    for operation in operations:
        if isinstance(operation, Load):
            held = operation.stationary
            rows, columns = held.shape
            fits = 0 < rows <= array.rows and 0 < columns <= array.columns
            _require(fits, "the stationary tile fits the array", f"{rows} x {columns}")
        else:
            if held is None:
                raise IllegalError("SYS-A001", "a load comes before the first matmul")
            shapes = f"{held.shape} and {operation.moving.shape}"
            agree = held.shape[0] == operation.moving.shape[0] and operation.moving.shape[1] > 0
            _require(agree, "stationary and moving tile have the same rows", shapes)
            used.append(held)
    _require(bool(used), "the sequence has a matmul")
    return used


def _collect(
    operations: Sequence[Operation],
    stationary: list[Float32Array],
    starts: list[int],
    values: Float32Array,
    cycles: IntArray,
    multiplying: IntArray,
) -> ArrayRun:
    """Cut what left the columns ([columns, all N in order]) into the matmuls' products."""
    matmuls = [op for op in operations if isinstance(op, Multiply)]
    ends = np.cumsum([op.moving.shape[1] for op in matmuls])
    products: list[Float32Array] = []
    left_at: list[IntArray] = []
    macs = 0
    for op, weights, end in zip(matmuls, stationary, ends, strict=True):
        place = slice(None, weights.shape[1]), slice(int(end) - op.moving.shape[1], int(end))
        products.append(values[place])
        left_at.append(cycles[place])
        macs += weights.size * op.moving.shape[1]
    return ArrayRun(starts, products, left_at, multiplying, macs)


def _require(holds: bool, rule: str, found: str = "") -> None:
    if not holds:
        raise IllegalError("SYS-A001", rule, found=found)
