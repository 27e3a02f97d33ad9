"""What the walk found, as faults with places and addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isa.memory import FIRST_QUEUE
from isa.order import Order
from isa.program import BufferKind, Program
from isa.verify.accesses import Spaces
from isa.verify.cells import Cells, piece_of
from isa.verify.faults import Fault, Place, place
from isa.verify.walk import Finding, Walk

CODES = {
    Finding.NO_GROUP: "SYS-V050",
    Finding.STARTED_TWICE: "SYS-V051",
    Finding.GROUP_READ: "SYS-V052",
    Finding.GROUP_WRITTEN: "SYS-V053",
    Finding.NEVER_CLOSED: "SYS-V054",
    Finding.OTHER_TILE: "SYS-V055",
    Finding.PINNED_WRITTEN: "SYS-V035",
}
TEXTS = {
    Finding.NO_GROUP: "no group is open at {}",
    Finding.STARTED_TWICE: "the first instruction's group is still open at {}",
    Finding.GROUP_READ: "the first instruction's group is still open at {}",
    Finding.GROUP_WRITTEN: "the first instruction's group is still open at {}",
    Finding.NEVER_CLOSED: "its group stays open at {}",
    Finding.OTHER_TILE: "the first instruction started the group on another tile; they meet at {}",
    Finding.PINNED_WRITTEN: "loading has put a constant at {}, and the next run would miss it",
}


@dataclass(frozen=True)
class Report:
    """Turns cells and ids back into words."""

    program: Program
    order: Order
    cells: Cells
    spaces: Spaces

    def faults(self, walk: Walk) -> Iterator[Fault]:
        """A fault for each pair of instructions and kind, races first."""
        order = np.argsort(walk.findings[:, 0], kind="stable")
        seen: set[tuple[int, int, int]] = set()
        races: list[tuple[int, int]] = []
        for kind, a, b, cell in walk.findings[order].tolist():
            if (kind, a, b) in seen:
                continue
            seen.add((kind, a, b))
            if kind == Finding.RACE:
                races.append((a, b))
                yield self._race(a, b, cell)
            elif kind == Finding.UNWRITTEN:
                if not any(self._same_race(b, one) for one in races):
                    yield self._unwritten(b, cell)
            else:
                places = tuple(self._place(i) for i in (a, b) if i >= 0)
                text = TEXTS[Finding(kind)].format(self._where(cell))
                yield Fault(CODES[Finding(kind)], text, places)

    def unwritten_outputs(self, walk: Walk) -> Iterator[Fault]:
        """Output buffers with bytes that nothing writes."""
        cells, bits, ranks = self.cells, self.cells.bits, self.cells.ranks
        back = cells.dram_piece * (cells.classes - 1)
        for k, buffer in enumerate(self.program.buffers):
            if buffer.kind is not BufferKind.OUTPUT or not buffer.size_bytes:
                continue
            shift = int(self.spaces.shift[k])
            low = int(piece_of(bits, ranks, buffer.address + shift))
            high = int(piece_of(bits, ranks, buffer.end + shift))
            missing = np.flatnonzero(walk.writer[back + low : back + high] < 0)
            if len(missing):
                byte = cells.byte_of(low + int(missing[0])) - shift - buffer.address
                found = f"byte {byte} of {buffer.name!r} (and perhaps more) is never written"
                yield Fault("SYS-V033", found)

    def _same_race(self, b: int, race: tuple[int, int]) -> bool:
        """Whether a read came too early because of a race that is reported already: one between
        its stream and an instruction that nothing orders after the read."""
        stream = self.order.events.place(b)[0]
        return any(
            self.order.events.place(one)[0] == stream and not self.order.before(b, other)
            for one, other in (race, race[::-1])
        )

    def _race(self, a: int, b: int, cell: int) -> Fault:
        streams = [self.order.events.place(i)[0] for i in (a, b)]
        code = "SYS-V021" if max(streams) >= FIRST_QUEUE else "SYS-V020"
        found = f"both touch {self._where(cell)}, at least one writes, and nothing orders them"
        hint = "let the later one wait for a semaphore that the earlier one signals"
        return Fault(code, found, (self._place(a), self._place(b)), hint)

    def _unwritten(self, b: int, cell: int) -> Fault:
        byte, _ = self.cells.locate(cell)
        code = "SYS-V030" if byte < self.spaces.psum else "SYS-V031"
        code = code if byte < self.spaces.dram else "SYS-V032"
        return Fault(code, f"{self._where(cell)} was never written", (self._place(b),))

    def _where(self, cell: int) -> str:
        byte, partition = self.cells.locate(cell)
        if byte < self.spaces.psum:
            return f"SBUF partition {partition}, byte {byte}"
        if byte < self.spaces.dram:
            return f"PSUM partition {partition}, byte {byte - self.spaces.psum}"
        for k, buffer in enumerate(self.program.buffers):
            offset = byte - int(self.spaces.shift[k]) - buffer.address
            if self.spaces.watched[k] and 0 <= offset < buffer.size_bytes:
                return f"byte {offset} of buffer {buffer.name!r}"
        raise AssertionError(cell)

    def _place(self, i: int) -> Place:
        return place(self.program, *self.order.events.place(i))
