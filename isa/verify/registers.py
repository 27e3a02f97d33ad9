"""Reduce registers: what reads or goes on from them comes after what set them, in their stream.

Register p belongs to partition p of the tile that is reduced, counted from its own start, so a
command on n partitions sets registers 0 to n - 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from isa.alu import ReduceCommand
from isa.columns import Columns, by_kind
from isa.memory import Engine
from isa.order import Events
from isa.program import Program
from isa.verify.accesses import Ints
from isa.verify.faults import Fault, place

FIELDS: dict[
    str, tuple[str | ReduceCommand, str]
] = {  # mnemonic -> (what says the command, whose partitions count)
    "activation": ("reduce", "src"),
    "activation_reduce": (ReduceCommand.RESET_REDUCE, "src"),
    "tensor_scalar_reduce": ("command", "src"),
    "tensor_scalar_cumulative": ("command", "src"),
    "select_reduce": ("reduce", "dst"),
    "act_read_accumulator": (ReduceCommand.REDUCE, "dst"),
}


def faults_of_registers(program: Program, events: Events) -> Iterator[Fault]:
    """Reads of reduce registers that nothing has set."""
    for k, stream in enumerate(events.streams):
        if stream not in (Engine.SCALAR, Engine.VECTOR):
            continue
        path = events.row[events.first[k] : events.first[k + 1]]
        sets, needs = _commands(program.streams[stream])
        known = np.maximum.accumulate(np.concatenate([[0], sets[path]]))[:-1]
        for i in np.flatnonzero(needs[path] > known).tolist():
            found = f"registers 0 to {needs[path[i]] - 1} are read; {known[i]} are set"
            yield Fault("SYS-V080", found, (place(program, stream, int(path[i])),))


def _commands(words: Any) -> tuple[Ints, Ints]:
    """(registers that an instruction sets, registers that it reads), for each instruction."""
    sets, needs = np.zeros(len(words), np.int64), np.zeros(len(words), np.int64)
    for kind, index, columns in by_kind(words):
        if kind.mnemonic not in FIELDS:
            continue
        source, tile = FIELDS[kind.mnemonic]
        command = _command(columns, source)
        count = getattr(columns, tile).partitions
        starts = (ReduceCommand.RESET, ReduceCommand.RESET_REDUCE, ReduceCommand.LOAD_REDUCE)
        sets[index] = np.where(np.isin(command, starts), count, 0)
        needs[index] = np.where(command == ReduceCommand.REDUCE, count, 0)
    return sets, needs


def _command(columns: Columns, source: str | ReduceCommand) -> Ints:
    if isinstance(source, ReduceCommand):
        return np.full(len(columns), int(source), np.int64)
    value = getattr(columns, source)
    if value.dtype == bool:  # a flag: reset and reduce, or leave alone
        value = np.where(value, int(ReduceCommand.RESET_REDUCE), int(ReduceCommand.IDLE))
    return np.asarray(value, dtype=np.int64)
