"""The pages that are about no single engine: index, encoding, rules, data types, targets."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import isa.columns
import isa.dtypes
import isa.printing
import isa.rules
import isa.spec
from isa import coverage
from isa.dtypes import DType
from isa.hardware import TAGS, Hardware, load_target, numbers, target_names
from isa.layout import layout
from isa.memory import Engine, Memory
from isa.pages.export import enums
from isa.pages.instruction_pages import PAGES, kinds_by_page
from isa.pages.markdown import code, codes, page, table
from isa.rules import BUFFER_RULES, KIND_RULES, OPERAND_RULES
from isa.spec import BY_MNEMONIC

ACTIVATION_ERRORS = Path(__file__).parents[1] / "activation" / "errors.json"


def reference_pages() -> dict[str, str]:
    """File name -> text."""
    made = {
        "index.md": _index(),
        "assembly.md": _assembly(),
        "encoding.md": _encoding(),
        "rules.md": _rules(),
        "dtypes.md": _dtypes(),
        "targets.md": _targets(),
    }
    if ACTIVATION_ERRORS.is_file():
        made["activation.md"] = _activation(json.loads(ACTIVATION_ERRORS.read_text("utf-8")))
    made["coverage.md"] = _coverage()
    return made


# --- index ---------------------------------------------------------------------------------------

_MACHINE = """\
A core runs one program a *stream*: one for each engine, one for each DMA queue. A stream is
executed in order; streams meet only at semaphores. An instruction starts when all earlier ones of
its stream have taken effect and its waits are met, reads all its inputs before it writes, and
signals when it has completed. [The order model](order.md) says what is ordered, and what a race is.
"""

_READING = """\
Read in this order: this page, [assembly text](assembly.md), the [tensor engine](tensor.md),
[data types](dtypes.md), [the order model](order.md); the rest when you need it.
"""


def _index() -> str:
    engines = [(e.short_name, e.name.lower(), int(e), f"[{PAGES[e][1]}]({PAGES[e][0]})")
               for e in Engine]  # fmt: skip
    memories = [(m.name, int(m), text) for m, text in _MEMORIES.items()]
    lists = []
    for engine, kinds in kinds_by_page().items():
        name, title = PAGES[engine]
        links = ", ".join(f"[`{k.mnemonic}`]({name}#{k.mnemonic})" for k in kinds)
        lists.append(f"- {title}: {links or 'none'}")
    others = [
        "- [Assembly text](assembly.md)",
        "- [Encoding](encoding.md)",
        "- [General rules](rules.md)",
        "- [Data types](dtypes.md)",
        "- [Activation functions](activation.md)",
        "- [Targets: every number and where it comes from](targets.md)",
        "- [Order model](order.md) (written by hand)",
        "- [Coverage of the public instruction list](coverage.md)",
        "- `spec.json`: all of this for programs",
    ]
    return page(
        "The machine",
        _READING,
        _MACHINE,
        "## Streams",
        table(("stream", "engine", "number", "page"), engines),
        "DMA queue *i* is stream 5 + *i*, named `q0`, `q1`, ... .",
        "## Memories",
        table(("memory", "code", "what it is"), memories),
        "An operand names `partitions` neighbouring partitions, a byte address that is the same in "
        "each, and up to four dimensions of (step, count) in elements.",
        f"## The {len(BY_MNEMONIC)} instructions",
        "\n".join(lists),
        "## The other pages",
        "\n".join(others),
    )


_MEMORIES = {
    Memory.DRAM: "flat bytes, reached by DMA only; a program sees a window with named buffers",
    Memory.SBUF: "128 partitions; engines and DMA read and write it",
    Memory.PSUM: "128 partitions of banks; the tensor engine adds FP32 products into it",
}


# --- text and bits -------------------------------------------------------------------------------


def _assembly() -> str:
    import isa.assembly  # the printer is imported by it, not it by the printer

    instruction = inspect.getdoc(isa.printing) or ""
    program = inspect.getdoc(isa.assembly) or ""
    return page(
        "Assembly text",
        "## A program",
        _rest(program),
        "## An instruction",
        _rest(instruction),
        "## Tools",
        code(
            "python -m isa check FILE.s --target inf1     # every violated rule, by line\n"
            "python -m isa assemble FILE.s -o FOLDER      # one file of words a stream\n"
            "python -m isa disassemble FOLDER\n"
            "python -m isa run FILE.s --target inf1       # the reference interpreter"
        ),
    )


def _rest(docstring: str) -> str:
    return docstring.split("\n", 1)[1].strip("\n")


def _encoding() -> str:
    header = [g for g in layout(BY_MNEMONIC["nop"]) if g.name in ("opcode", "waits", "signal")]
    rows = []
    for group in header:
        for variant in group.variants:
            fixed = ", ".join(f"word {w} & 0x{m:x} = 0x{v:x}" for w, m, v in variant.fixed)
            fields = ", ".join(
                f"{f.name} word {f.word} [{f.bit}:{f.bit + f.width}]" for f in variant.fields
            )
            rows.append((group.name, variant.name, fixed, fields))
    spec = inspect.getdoc(isa.spec) or ""
    words = spec[spec.index("The 16 words") :]
    operand = inspect.getdoc(isa.encoding) or ""
    parts = [f"## {enum.__name__}\n\n{codes(enum)}" for enum in enums()]
    return page(
        "Encoding",
        "An instruction is 128 bytes: 16 words of 64 bits, little endian. A decoder refuses every "
        "row that an encoder cannot make: unknown codes, dimensions without elements, and any bit "
        "set that no present field owns. So each instruction has exactly one encoding.",
        words,
        "## Header",
        table(("group", "variant", "fixed bits", "fields"), rows),
        "## Operands",
        operand[operand.index("A tile's first word") :],
        "# Codes of parameters",
        *parts,
    )


def _rules() -> str:
    def rows(rules: list[Any]) -> list[tuple[str, str]]:
        return [(f"`{rule.label}`", rule.sentence) for rule in rules]

    own = [(f"`{r.label}`", r.sentence) for k in BY_MNEMONIC.values() for r in k.rules]
    doc = inspect.getdoc(isa.rules) or ""
    return page(
        "Rules",
        "Every instruction of a program is held to these rules before it is loaded, and to its "
        "own. An error names the rule's label.",
        doc[doc.index("PSUM operands") :],
        "## Operands",
        table(("rule", ""), rows(OPERAND_RULES)),
        "## Streams, engines, semaphores",
        table(("rule", ""), rows(KIND_RULES)),
        "## DRAM buffers",
        table(("rule", ""), rows(BUFFER_RULES)),
        "## Rules of single instructions",
        table(("rule", ""), own),
    )


# --- values --------------------------------------------------------------------------------------


def _dtypes() -> str:
    floats, integers = [], []
    for d in DType:
        head: tuple[object, ...] = (f"`{d.text}`", f"0x{int(d):x}", d.size_bytes)
        if not d.is_float:
            info = np.iinfo(d.numpy)
            integers.append((*head, info.min, info.max))
        elif d is DType.TF32:
            floats.append((*head, 8, 10, *_extremes(np.float32, 10)))
        else:
            finfo = _finfo(d.numpy)
            floats.append((*head, finfo.nexp, finfo.nmant, *_extremes(d.numpy, finfo.nmant)))
    head = ("type", "code", "bytes", "exponent bits", "mantissa bits", "largest", "least normal")
    return page(
        "Data types",
        inspect.getdoc(isa.dtypes) or "",
        "## Floating point",
        table((*head, "least above 0"), floats),
        "## Integers",
        table(("type", "code", "bytes", "least", "greatest"), integers),
    )


def _extremes(numpy_type: Any, mantissa: int) -> tuple[str, str, str]:
    """Largest finite, smallest normal, smallest positive number of a type."""
    info = _finfo(numpy_type)
    least_normal = float(info.smallest_normal)
    largest = float(info.max)
    if mantissa < info.nmant:  # TF32: the numbers of FP32 that have fewer bits
        largest = (2.0 - 2.0**-mantissa) * 2.0 ** (info.maxexp - 1)
    least = least_normal * 2.0**-mantissa
    return f"{largest:.6g}", f"{least_normal:.6g}", f"{least:.6g}"


def _finfo(numpy_type: Any) -> Any:
    describe: Any = ml_dtypes.finfo  # ml_dtypes gives no types for it
    return describe(numpy_type)


def _activation(errors: dict[str, Any]) -> str:
    rows = []
    for name, entry in errors["functions"].items():
        bf16, fp32 = entry["bf16"], entry["fp32"]
        promised = ", ".join(_number(x) for x in entry["promised"])
        rows.append(
            (
                f"`{name}`",
                entry["id"],
                f"`{entry['formula']}`",
                entry["set"],
                f"[{promised}]",
                f"{_number(bf16['max_ulp'])} at {_number(bf16['at'])}",
                f"{_number(fp32['max_ulp'])} at {_number(fp32['at'])}",
                bf16["bf16_misrounded"],
            )
        )
    head = ("function", "code", "formula", "table set", "accurate over",
            "BF16 inputs: worst", "FP32 sample: worst", "BF16 misrounded")  # fmt: skip
    return page(
        "Activation functions",
        f"Worst error of each function against high-precision arithmetic, in {errors['unit']}: "
        "over every finite BF16 input, and over a dense FP32 sample. The last column counts BF16 "
        "inputs whose result, rounded to BF16, is not the nearest BF16 number.",
        table(head, rows),
    )


def _number(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


# --- targets and coverage ------------------------------------------------------------------------


def _targets() -> str:
    names = target_names()
    hardware = [load_target(name) for name in names]
    rows = [
        (f"`{number}`", meta["unit"], *(getattr(hw, number) for hw in hardware))
        for number, meta in numbers().items()
    ]
    return page(
        "Targets",
        'A target is a TOML file; a user\'s own may start from a built-in one (`base = "inf1"`). '
        f"Tags: {', '.join(f'{tag} {text}' for tag, text in TAGS.items())}. Numbers in parentheses "
        "are sections of the project's collection of public facts.",
        table(("number", "unit", *names), rows),
        *(_provenance(hw) for hw in hardware),
    )


def _provenance(hw: Hardware) -> str:
    rows = []
    for number in numbers():
        where = hw.provenance[number]
        rows.append((f"`{number}`", getattr(hw, number), where.tag, where.source))
    return f"## {hw.name}\n\n{hw.summary}\n\n" + table(("number", "value", "tag", "source"), rows)


def _coverage() -> str:
    return page(
        "Coverage",
        inspect.getdoc(coverage) or "",
        "## Left out\n\n" + table(("instruction", "facts", "reason"), coverage.LEFT_OUT),
        "## Under another name\n\n" + table(("instruction", "facts", "here"), coverage.ELSEWHERE),
    )
