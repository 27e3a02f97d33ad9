"""One page an engine: syntax, operands, encoding, rules, cost, example of each instruction."""

from __future__ import annotations

import inspect
import textwrap
from functools import cache

import numpy as np

from isa.columns import Columns
from isa.dtypes import EVERY_DTYPE
from isa.encoding import decode, encode
from isa.examples import legal_rows, streams_of
from isa.hardware import Hardware, load_target, target_names
from isa.layout import Bits, Group, layout
from isa.memory import Engine
from isa.pages.markdown import code, page, prose, table
from isa.printing import REQUIRED, defaults, format_instruction, format_value
from isa.spec import REGISTRY, BitsField, DmaField, Instruction, Role, ScalarField, TileField

CANDIDATES = 400  # legal instructions among which the shortest serves as the example
PAGES = {
    Engine.TENSOR: ("tensor.md", "Tensor engine (PE)"),
    Engine.SCALAR: ("scalar.md", "Scalar engine (ACT)"),
    Engine.VECTOR: ("vector.md", "Vector engine (DVE)"),
    Engine.GPSIMD: ("gpsimd.md", "GpSimd engine (POOL)"),
    Engine.DMA: ("dma.md", "DMA queues"),
    Engine.SYNC: ("control.md", "Control and synchronisation"),
}


def page_of(kind: type[Instruction]) -> Engine:
    """The engine whose page describes a kind: control for what every sequencer has."""
    return Engine.SYNC if Engine.SYNC in kind.engines else min(kind.engines)


def kinds_by_page() -> dict[Engine, list[type[Instruction]]]:
    """The kinds of each page, by opcode."""
    kinds = [REGISTRY[opcode] for opcode in sorted(REGISTRY)]
    return {engine: [k for k in kinds if page_of(k) is engine] for engine in PAGES}


def instruction_pages() -> dict[str, str]:
    """File name -> text of each engine's page."""
    made = {}
    for engine, kinds in kinds_by_page().items():
        name, title = PAGES[engine]
        heads = [(f"[`{k.mnemonic}`](#{k.mnemonic})", k.summary) for k in kinds]
        doc = inspect.getdoc(inspect.getmodule(kinds[0])) if kinds else None
        made[name] = page(
            title,
            doc or "No instruction is declared for this engine.",
            table(("instruction", "meaning"), heads) if heads else "",
            *(_instruction(kind) for kind in kinds),
        )
    return made


def _instruction(kind: type[Instruction]) -> str:
    engines = ", ".join(e.short_name for e in sorted(kind.engines))
    generations = ", ".join(f"v{g}" for g in sorted(kind.generations))
    operands = [name for name, spec in kind.fields.items() if not isinstance(spec, BitsField)]
    parts = [
        f"## {kind.mnemonic}",
        f"**{kind.summary}**",
        prose(kind.__doc__),
        f"Engines {engines}. NeuronCore {generations}. Opcode `0x{kind.opcode:02x}`.",
        "### Syntax",
        code(_syntax(kind)),
        _operands(kind) if operands else "",
        _parameters(kind) if len(operands) < len(kind.fields) else "",
        "### Encoding",
        _encoding(kind),
        "### Rules",
        _rules(kind),
        "### Cost",
        _cost(kind),
        "### Example",
        code(example(kind)),
    ]
    return "\n\n".join(part for part in parts if part)


def _syntax(kind: type[Instruction]) -> str:
    parts = []
    for name, default in defaults(kind.opcode).items():
        spec = kind.fields[name]
        if default is REQUIRED:
            parts.append(name)
        elif isinstance(spec, BitsField) and spec.flag:
            parts.append(f"[{name}]")
        else:
            shown = "" if default is None else format_value(default)
            parts.append(f"[{name}={shown or '...'}]")
    lines = textwrap.wrap(f"{kind.mnemonic} {', '.join(parts)}".strip(), 92)
    return "\n    ".join([*lines[:-1], f"{lines[-1]}  [?sN>=V] [?sN>=V] [!sN+A]"])


def _operands(kind: type[Instruction]) -> str:
    rows = []
    for name, spec in kind.fields.items():
        if isinstance(spec, BitsField):
            continue
        memories = ", ".join(m.name for m in sorted(spec.memories))
        types = (
            "every"
            if spec.dtypes == EVERY_DTYPE
            else ", ".join(d.text for d in sorted(spec.dtypes))
        )
        optional = not isinstance(spec, DmaField) and spec.optional
        role = "read" if spec.role is Role.SOURCE else "written"
        rows.append((f"`{name}`", _form(spec), role, memories, types, "yes" if optional else ""))
    head = ("operand", "form", "role", "memories", "data types", "optional")
    return table(head, rows)


def _form(spec: TileField | DmaField | ScalarField) -> str:
    if isinstance(spec, TileField):
        return "tile"
    if isinstance(spec, DmaField):
        return "DMA pattern"
    return " or ".join(["immediate"] * spec.immediate + ["column"] * spec.column)


def _parameters(kind: type[Instruction]) -> str:
    rows = []
    for name, spec in kind.fields.items():
        if isinstance(spec, BitsField):
            if spec.flag:
                values = "flag"
            elif spec.enum is not None:
                values = f"[{spec.enum.__name__}](encoding.md#{spec.enum.__name__.lower()})"
            else:
                values = f"{'signed ' if spec.signed else ''}{spec.width}-bit number"
            default = defaults(kind.opcode)[name]
            rows.append((f"`{name}`", values, "" if spec.flag else format_value(default)))
    return table(("parameter", "values", "default"), rows)


def _encoding(kind: type[Instruction]) -> str:
    """Which bits of which word hold what; waits and signal, common to all, have their own page."""
    by_word: dict[int, list[str]] = {}
    for group in layout(kind):
        if group.name in ("waits", "signal"):
            continue
        for word in sorted(group.owned):
            by_word.setdefault(word, []).append(_owned(kind, group, word))
    rows = [(word, "; ".join(filter(None, texts))) for word, texts in sorted(by_word.items())]
    note = (
        "Waits and signal stand in words 0 and 1, see [encoding](encoding.md). Other bits are zero."
    )
    return table(("word", "bits"), rows) + "\n\n" + note


def _owned(kind: type[Instruction], group: Group, word: int) -> str:
    if group.name == "opcode":
        return f"opcode [0:8] = 0x{kind.opcode:02x}"
    variants = []
    for variant in group.variants:
        fields = [f for f in variant.fields if f.word == word]
        fixed = [f"{_bits_of(mask)} = {_value_of(mask, value)}"
                 for w, mask, value in variant.fixed if w == word]  # fmt: skip
        if fields or fixed:
            texts = [*(f"{f.name} {_range(f)}" for f in fields), *fixed]
            label = f"*{variant.name}*: " if len(group.variants) > 1 else ""
            variants.append(label + ", ".join(texts))
    return " / ".join(variants)


def _range(field: Bits) -> str:
    return f"[{field.bit}:{field.bit + field.width}]"


def _bits_of(mask: int) -> str:
    low = (mask & -mask).bit_length() - 1
    high = mask.bit_length()
    return f"[{low}:{high}]" if high - low > 1 else f"[{low}]"


def _value_of(mask: int, value: int) -> int:
    return value >> ((mask & -mask).bit_length() - 1)


def _rules(kind: type[Instruction]) -> str:
    lines = [f"- `{rule.label}` {rule.sentence}" for rule in kind.rules]
    return "\n".join([*lines, "- and the [general rules](rules.md)"])


def _cost(kind: type[Instruction]) -> str:
    source = textwrap.dedent(inspect.getsource(kind.occupancy))
    row = example_row(kind)
    columns = Columns(np.array([row], np.uint64), kind)
    cycles = []
    for name in target_names():
        hw = load_target(name)
        if _has(kind, hw):
            occupancy = np.broadcast_to(kind.occupancy(columns, hw), 1)  # type: ignore[arg-type]  # columns stand in for an instruction
            cycles.append(f"{name} {int(occupancy[0])}")
    return (
        "Engine cycles before the next instruction of the stream can start:\n\n"
        + code(source, "python")
        + f"\n\nThe example below: {', '.join(cycles)}."
    )


def _has(kind: type[Instruction], hw: Hardware) -> bool:
    return hw.generation in kind.generations and bool(streams_of(kind, hw))


@cache
def _example_row(opcode: int) -> tuple[int, ...]:
    kind = REGISTRY[opcode]
    targets = [load_target(name) for name in target_names()]
    hw = next(target for target in targets if _has(kind, target))
    rows = legal_rows(kind, streams_of(kind, hw)[0], hw, seed=1, n=CANDIDATES).tolist()
    assert rows, f"no legal example of {kind.mnemonic} was found"
    return tuple(min(rows, key=lambda row: _plainness(decode(row))))


def example_row(kind: type[Instruction]) -> tuple[int, ...]:
    """The words of a legal instruction of a kind: of those drawn, the plainest."""
    return _example_row(kind.opcode)


def _plainness(instruction: Instruction) -> tuple[int, int, int, str]:
    text = format_instruction(instruction)
    return (text.count("=") + text.count("[0..1 "), text.count("; 1]"), len(text), text)


def example(kind: type[Instruction]) -> str:
    """An example line, and its words that are not zero."""
    row = example_row(kind)
    assert encode(decode(row)) == list(row)
    words = [f"{i}: {word:016x}" for i, word in enumerate(row) if word]
    lines = [" ".join(words[i : i + 4]) for i in range(0, len(words), 4)]
    return "\n".join([format_instruction(decode(row)), *(f"    ; {line}" for line in lines)])


__all__ = ["PAGES", "example", "example_row", "instruction_pages", "kinds_by_page"]
