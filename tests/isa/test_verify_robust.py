"""Programs that nobody wrote: the verifier answers, and what it accepts runs without a trap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from isa.assembly import assemble
from isa.hardware import Hardware, load_target
from isa.program import Program
from isa.semantics import run_reference
from isa.verify import Fault, verify
from tests.strategies import programs

BASE = """
.buffer x input bf16 [32, 16] @0x0
.buffer t scratch bf16 [32, 16] @0x400
.buffer y output bf16 [32, 16] @0x800
.stream PE
  load_stationary sbuf:bf16[0..32 @0x0; 16]  ?s0>=1
  matmul psum:fp32[0..16 @0x0; 16], sbuf:bf16[0..32 @0x0; 16], start
  matmul psum:fp32[0..16 @0x0; 16], sbuf:bf16[0..32 @0x0; 16], stop  !s1+1
.stream ACT
  activation sbuf:bf16[0..16 @0x100; 16], psum:fp32[0..16 @0x0; 16]  ?s1>=1 !s2+1
.stream DVE
  memset sbuf:bf16[0..32 @0x40; 16], 1.0
  tensor_copy sbuf:bf16[0..16 @0x40; 16], sbuf:bf16[0..16 @0x100; 16]  ?s2>=1 !s3+1
.stream q0
  dma_copy sbuf:bf16[0..32 @0x0; 16], dram:bf16[@x; 32, 16]  !s0+1
  dma_copy dram:bf16[@t; 32, 16], sbuf:bf16[0..32 @0x40; 16]  ?s3>=1
  dma_copy dram:bf16[@y; 32, 16], dram:bf16[@t; 32, 16]
"""


@pytest.fixture(scope="module")
def hw() -> Hardware:
    return replace(load_target("inf1"), sbuf_partition_bytes=512, psum_partition_bytes=2048)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_any_program_gets_an_answer(program: Program) -> None:
    for target in ("inf1", "inf2"):
        assert all(isinstance(fault, Fault) for fault in verify(program, load_target(target)))


def mutants(seed: int, count: int) -> list[Program]:
    """The base program with one to three fields' bits changed in one to two instructions."""
    rng, base, made = np.random.default_rng(seed), assemble(BASE), []
    for _ in range(count):
        streams = {s: words.copy() for s, words in base.streams.items()}
        for _ in range(int(rng.integers(1, 3))):
            words = streams[int(rng.choice(list(streams)))]
            used = np.flatnonzero(words.any(axis=0))
            row, word = int(rng.integers(len(words))), int(rng.choice(used))
            for _ in range(int(rng.integers(1, 3))):
                words[row, word] ^= np.uint64(1) << np.uint64(rng.integers(64))
        made.append(replace(base, streams=streams))
    return made


def accepted_and_trapped(programs: list[Program], hw: Hardware) -> tuple[int, int]:
    accepted = 0
    for program in programs:
        if not verify(program, hw):
            accepted += 1
            run_reference(program, hw)  # raises TrapError where the verifier was wrong
    return accepted, len(programs)


def test_what_is_accepted_runs_without_a_trap(hw: Hardware) -> None:
    assert not verify(assemble(BASE), hw)
    accepted, tried = accepted_and_trapped(mutants(1, 400), hw)
    assert 0 < accepted < tried


@pytest.mark.slow
def test_what_is_accepted_of_thousands_runs_without_a_trap(hw: Hardware) -> None:
    accepted, tried = accepted_and_trapped(mutants(2, 6000), hw)
    assert 0 < accepted < tried


def test_every_wait_of_the_base_program_is_needed(hw: Hardware) -> None:
    for wait in ("?s0>=1", "?s1>=1", "?s2>=1", "?s3>=1"):
        faults = verify(assemble(BASE.replace(f"  {wait}", "")), hw)
        assert faults, wait
        assert {fault.code for fault in faults} <= {"SYS-V020", "SYS-V021"}
