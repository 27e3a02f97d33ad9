"""What holds of every instruction, and that each one has its example."""

from __future__ import annotations

from pathlib import Path

import pytest

import isa.instructions  # noqa: F401  (fills the registry)
from isa import coverage
from isa.hardware import load_target, target_names
from isa.memory import Engine
from isa.spec import BY_MNEMONIC, REGISTRY, Instruction

KINDS = [REGISTRY[opcode] for opcode in sorted(REGISTRY)]
EXAMPLES = "".join(
    path.read_text() for path in sorted(Path(__file__).parent.glob("test_instructions_*.py"))
)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.mnemonic for kind in KINDS])
def test_an_instruction_is_declared_whole(kind: type[Instruction]) -> None:
    assert f"{kind.__name__}(" in EXAMPLES, "an example runs it"
    assert kind.execute is not Instruction.execute
    assert kind.summary.endswith((".", ":", "nop."))
    assert kind.engines <= set(Engine)
    assert kind.generations <= {1, 2, 3}
    for rule in kind.rules:
        assert rule.label.startswith(f"{kind.mnemonic}-C")
        assert rule.sentence.endswith(".")


def test_v1_has_no_gpsimd_and_no_dma_arithmetic() -> None:
    gpsimd_only = [k for k in KINDS if k.engines == {Engine.GPSIMD}]
    assert gpsimd_only
    assert all(1 not in k.generations for k in gpsimd_only)
    queues = {k.mnemonic for k in KINDS if Engine.DMA in k.engines and 1 in k.generations}
    assert queues == {"dma_copy", "nop", "sem_clear", "drain", "notify"}


@pytest.mark.parametrize("name", target_names())
def test_a_target_has_instructions_for_every_engine_it_has(name: str) -> None:
    hw = load_target(name)
    for engine in Engine:
        if engine is Engine.GPSIMD and not hw.has_gpsimd:
            continue
        assert any(engine in k.engines and min(hw.generation, 3) in k.generations for k in KINDS)


def test_what_is_left_out_is_not_declared() -> None:
    assert not {entry.name for entry in coverage.LEFT_OUT} & set(BY_MNEMONIC)
    assert all(entry.text for entry in (*coverage.LEFT_OUT, *coverage.ELSEWHERE))
