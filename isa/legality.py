"""Whether a program is legal on a target: every rule, over whole streams at once.

In    a `Program` and the `Hardware` it is for
Out   `check` lists violations in program order; `require_legal` raises the first as IllegalError
Read  `rules.py` for the general rules; an instruction's own (`matmul-C1`) stand in its declaration
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.assembly import format_instruction
from isa.columns import BoolColumn, Columns, Header, ScalarColumns, TileColumns, Words, by_kind
from isa.dtypes import DType
from isa.encoding import decode
from isa.errors import IllegalError
from isa.footprints import OperandColumns, operands
from isa.hardware import Hardware
from isa.layout import require_well_formed, well_formed
from isa.memory import Memory, stream_name
from isa.printing import format_marks
from isa.program import Program
from isa.rules import BUFFER_RULES, KIND_RULES, OPERAND_RULES, Place
from isa.spec import REGISTRY, BitsField, Instruction, Rule

BUFFERS = -1  # stands for a stream where a violation concerns a buffer
_SILENT = ("present", "role", "is_dma", "is_column", "is_immediate")  # no news to a reader
LISTED = 100  # violations that `check` spells out unless told otherwise


@dataclass(frozen=True)
class Violation:
    """One broken rule. In the rules P-n `stream` is BUFFERS and `index` counts buffers."""

    label: str
    sentence: str
    stream: int
    index: int
    found: str


@dataclass(frozen=True)
class _Verdict:
    """A rule and the instructions that break it; `operand` is empty for rules of a kind."""

    rule: Rule
    stream: int
    broken: NDArray[np.intp]
    operand: str = ""


def every_rule() -> list[Rule]:
    """All rules there are: the general ones, then those of each instruction, by opcode."""
    kinds = [REGISTRY[opcode] for opcode in sorted(REGISTRY)]
    own = [rule for kind in kinds for rule in kind.rules]
    return [*OPERAND_RULES, *KIND_RULES, *BUFFER_RULES, *own]


def check(program: Program, hw: Hardware, limit: int = LISTED) -> list[Violation]:
    """Violations, buffers first, then by stream and instruction; at most `limit` of them.

    Those of pinned transfers are `program.loading`'s.

    Raises:
        MalformedError: a word row that is no instruction, as `encoding.decode`.
    """
    found = _check_buffers(program, hw)
    for stream in sorted(program.streams):
        words = program.streams[stream]
        require_well_formed(words, f"{stream_name(stream)} stream")
        verdicts = list(_verdicts(program, hw, stream, words))
        pairs = [(int(i), v) for v in verdicts for i in v.broken[:limit]]
        pairs.sort(key=lambda pair: pair[0])
        found += [_violation(program, hw, v, i) for i, v in pairs[: max(0, limit - len(found))]]
    return found[:limit]


def legal_mask(program: Program, hw: Hardware, stream: int, words: Words) -> BoolColumn:
    """Which of `words`, as instructions of a stream of `program`, are legal. Shape [n]."""
    legal = well_formed(words)
    kept = np.flatnonzero(legal)
    for verdict in _verdicts(program, hw, stream, words[kept]):
        legal[kept[verdict.broken]] = False
    return legal


def require_legal(program: Program, hw: Hardware) -> None:
    """Refuse an illegal program. Raises IllegalError with the first violation's label as code."""
    if len(program.pinned):
        require_legal(program.loading, hw)
    for violation in check(program, hw, limit=1):
        raise IllegalError(
            violation.label,
            violation.sentence,
            found=violation.found,
            at=_place(program, violation),
            hint=f"the target is {hw.name}",
        )


def _check_buffers(program: Program, hw: Hardware) -> list[Violation]:
    found = []
    for rule in BUFFER_RULES:
        for i, holds in enumerate(rule.holds(program, hw)):
            if not holds:
                b = program.buffers[i]
                text = (
                    f"{b.name!r} at bytes 0x{b.address:x} to 0x{b.end:x}, {b.dtype.text} "
                    f"{list(b.shape)}; the device has 0x{hw.dram_bytes:x} bytes"
                )
                found.append(Violation(rule.label, rule.sentence, BUFFERS, i, text))
    return found


def _verdicts(program: Program, hw: Hardware, stream: int, words: Words) -> Iterator[_Verdict]:
    """Every rule that some instruction of the stream breaks."""
    for kind, index, columns in by_kind(words):
        at = Place(hw, stream, program, columns)
        for rule in KIND_RULES:
            yield from _broken(rule, rule.holds(at), stream, index)
        for operand in operands(columns):
            for rule in OPERAND_RULES:
                holds = ~operand.present | rule.holds(operand, at)
                yield from _broken(rule, holds, stream, index, operand.name)
        for rule in kind.rules:
            yield from _broken(rule, rule.holds(columns, hw), stream, index)


def _broken(
    rule: Rule, holds: Any, stream: int, index: NDArray[np.intp], operand: str = ""
) -> Iterator[_Verdict]:
    broken = index[~np.broadcast_to(np.asarray(holds, dtype=np.bool_), len(index))]
    if len(broken):
        yield _Verdict(rule, stream, broken, operand)


# --- what was found ------------------------------------------------------------------------------


class _Watched:
    """Stands in for an instruction, an operand or a target, and notes what a rule looks at."""

    def __init__(self, target: Any, path: str, notes: dict[str, str]) -> None:
        self._target, self._path, self._notes = target, path, notes

    def __getattr__(self, name: str) -> Any:
        target = self._target
        if isinstance(target, Columns) and name in ("kind", "words"):
            return getattr(target, name)
        if isinstance(target, Columns) and name not in target.kind.fields:
            member = getattr(target.kind, name)
            if isinstance(member, property) and member.fget is not None:
                return member.fget(self)
            return partial(member, self) if callable(member) else member
        value = getattr(target, name)
        path = f"{self._path}.{name}" if self._path else name
        if isinstance(value, Header):
            self._notes["semaphores used"] = format_marks(decode(target.columns.words[0].tolist()))
            return value
        if isinstance(value, Hardware | Columns):
            return _Watched(value, "", self._notes)
        if isinstance(value, TileColumns | ScalarColumns):
            return _Watched(value, path, self._notes)
        if name not in _SILENT and isinstance(value, np.ndarray | int | frozenset):
            spec = target.kind.fields.get(name) if isinstance(target, Columns) else None
            self._notes[path] = _shown(name, value, spec)
        return value


def _shown(name: str, value: Any, spec: Any) -> str:
    """A value as a person reads it: codes by name, an array of one as a number."""
    if isinstance(value, frozenset):
        return ", ".join(v.name.lower() for v in sorted(value))
    plain = np.asarray(value).reshape(-1).tolist()
    if len(plain) > 1:
        return str(plain)
    number = int(plain[0])
    if name == "stream":
        return stream_name(number)
    enums = {"memory": Memory, "dtype": DType}
    enum = spec.enum if isinstance(spec, BitsField) and spec.enum else enums.get(name)
    named = enum is not None and number in [int(member) for member in enum]
    return enum(number).name.lower() if enum and named else str(number)


def _violation(program: Program, hw: Hardware, verdict: _Verdict, index: int) -> Violation:
    notes: dict[str, str] = {}
    words = program.streams[verdict.stream][index : index + 1]
    kind: type[Instruction] = REGISTRY[int(words[0, 0]) & 0xFF]
    columns = Columns(words, kind)
    at = _Watched(Place(hw, verdict.stream, program, columns), "", notes)
    rule = verdict.rule
    if verdict.operand:
        operand = OperandColumns(verdict.operand, kind.fields[verdict.operand], columns)
        rule.holds(_Watched(operand, verdict.operand, notes), at)
    elif rule in KIND_RULES:
        rule.holds(at)
    else:
        rule.holds(_Watched(columns, "", notes), _Watched(hw, "", notes))
    found = "; ".join(f"{path} {text}" for path, text in notes.items())
    return Violation(rule.label, rule.sentence, verdict.stream, index, found)


def _place(program: Program, violation: Violation) -> str:
    if violation.stream == BUFFERS:
        return f"buffer {violation.index}"
    row = program.streams[violation.stream][violation.index]
    text = format_instruction(decode(row.tolist()), program.buffers)
    place = f"{stream_name(violation.stream)} stream, instruction {violation.index}:  {text}"
    layers = program.debug.get(violation.stream)
    if layers is not None and violation.index < len(layers) and layers[violation.index] >= 0:
        place += f"\n  from   layer {program.layers[layers[violation.index]]!r}"
    return place
