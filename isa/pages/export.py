"""The specification for programs: `docs/isa/spec.json`."""

from __future__ import annotations

import inspect
import json
from enum import IntEnum
from typing import Any

from isa.dtypes import DType
from isa.hardware import Hardware, load_target, numbers, target_names
from isa.layout import Group, layout
from isa.memory import Engine, Memory
from isa.pages.instruction_pages import example_row
from isa.printing import REQUIRED, defaults, format_value
from isa.rules import BUFFER_RULES, KIND_RULES, OPERAND_RULES
from isa.spec import (
    INSTRUCTION_BYTES,
    REGISTRY,
    WORDS,
    AnyField,
    BitsField,
    Instruction,
    Rule,
)

FORMAT = 1


def spec_text() -> str:
    """The JSON text of the whole specification."""
    parts = [f" {json.dumps(key)}: {_lines(value)}" for key, value in spec().items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(value: Any) -> str:
    """A value with one line for each of its items, so that a change shows as a line."""
    if isinstance(value, dict):
        items = [f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in value.items()]
        return "{\n  " + ",\n  ".join(items) + "\n }"
    if isinstance(value, list):
        items = [json.dumps(v, ensure_ascii=False) for v in value]
        return "[\n  " + ",\n  ".join(items) + "\n ]"
    return json.dumps(value)


def spec() -> dict[str, Any]:
    """Everything that is declared, as plain data."""
    kinds = [REGISTRY[opcode] for opcode in sorted(REGISTRY)]
    return {
        "format": FORMAT,
        "instruction_bytes": INSTRUCTION_BYTES,
        "words": WORDS,
        "engines": {e.name.lower(): {"stream": int(e), "short_name": e.short_name} for e in Engine},
        "memories": _codes(Memory),
        "dtypes": {d.text: {"code": int(d), "size_bytes": d.size_bytes} for d in DType},
        "enums": {enum.__name__: _codes(enum) for enum in enums()},
        "rules": [_rule(r) for r in (*OPERAND_RULES, *KIND_RULES, *BUFFER_RULES)],
        "instructions": [_instruction(kind) for kind in kinds],
        "targets": {name: _target(load_target(name)) for name in target_names()},
    }


def enums() -> list[type[IntEnum]]:
    """The enums that some instruction's parameter takes, by name."""
    found = {
        spec.enum.__name__: spec.enum
        for kind in REGISTRY.values()
        for spec in kind.fields.values()
        if isinstance(spec, BitsField) and spec.enum is not None
    }
    return [found[name] for name in sorted(found)]


def _codes(enum: type[IntEnum]) -> dict[str, int]:
    return {member.name.lower(): int(member) for member in enum}


def _rule(rule: Rule) -> dict[str, str]:
    return {"label": rule.label, "sentence": rule.sentence}


def _instruction(kind: type[Instruction]) -> dict[str, Any]:
    return {
        "mnemonic": kind.mnemonic,
        "opcode": kind.opcode,
        "summary": kind.summary,
        "description": inspect.cleandoc(kind.__doc__ or ""),
        "engines": [e.short_name for e in sorted(kind.engines)],
        "generations": sorted(kind.generations),
        "lanewise": kind.lanewise,
        "fields": {name: _field(kind, name, spec) for name, spec in kind.fields.items()},
        "rules": [_rule(rule) for rule in kind.rules],
        "encoding": [_group(group) for group in layout(kind)],
        "example": [f"{word:016x}" for word in example_row(kind)],
    }


def _field(kind: type[Instruction], name: str, spec: AnyField) -> dict[str, Any]:
    default = defaults(kind.opcode)[name]
    made: dict[str, Any] = {"type": type(spec).__name__.removesuffix("Field").lower()}
    if default is not REQUIRED:
        made["default"] = None if default is None else format_value(default)
    if isinstance(spec, BitsField):
        return made | {
            "width": spec.width,
            "signed": spec.signed,
            "flag": spec.flag,
            "enum": None if spec.enum is None else spec.enum.__name__,
        }
    return made | {
        "role": spec.role.name.lower(),
        "memories": [m.name.lower() for m in sorted(spec.memories)],
        "dtypes": [d.text for d in sorted(spec.dtypes)],
    }


def _group(group: Group) -> dict[str, Any]:
    """Owned masks by word, and for each variant its fixed bits and fields."""
    return {
        "name": group.name,
        "owned": {str(word): f"{mask:016x}" for word, mask in sorted(group.owned.items())},
        "variants": [
            {
                "name": v.name,
                "fixed": [[word, f"{mask:016x}", f"{value:016x}"] for word, mask, value in v.fixed],
                "fields": [[f.name, f.word, f.bit, f.width] for f in v.fields],
            }
            for v in group.variants
        ],
    }


def _target(hw: Hardware) -> dict[str, Any]:
    made: dict[str, Any] = {"summary": hw.summary}
    for name, meta in numbers().items():
        where = hw.provenance[name]
        made[name] = {
            "value": getattr(hw, name),
            "unit": meta["unit"],
            "tag": where.tag,
            "source": where.source,
        }
    return made
