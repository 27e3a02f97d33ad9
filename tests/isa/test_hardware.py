"""Targets: numbers with a source, agreement with what is public, and clear refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from isa.errors import MalformedError
from isa.hardware import (
    DEFAULT_TARGET,
    TAGS,
    Hardware,
    load_target,
    numbers,
    parse_target,
    target_names,
)
from isa.memory import PSUM, SBUF, Engine

MINE = 'base = "inf1"\nname = "mine"\nsummary = "wider"\n'


def test_the_built_in_targets_come_default_first() -> None:
    assert target_names() == ["inf1", "inf2", "trn1", "trn2"]
    assert DEFAULT_TARGET == "inf1"


@pytest.mark.parametrize("name", ["inf1", "inf2", "trn1", "trn2"])
def test_every_number_has_a_unit_a_tag_and_a_source(name: str) -> None:
    hw = load_target(name)
    assert hw.name == name
    assert set(hw.provenance) == set(numbers())
    for key, where in hw.provenance.items():
        assert where.tag in TAGS, key
        assert where.source, key
        assert numbers()[key]["unit"], key


def test_inf1_agrees_with_what_is_public() -> None:
    hw = load_target("inf1")
    tera_flops = 2 * hw.macs_per_cycle * hw.pe_clock_hz / 1e12
    assert 16.0 <= tera_flops < 16.5  # "16 TFLOPS" of BF16 a core
    assert hw.cores_per_chip == 4
    assert hw.dram_bytes_per_s == 50 << 30
    assert hw.core_dram_bytes_per_s > 21e9  # BERT-base's weights in under 7.9 ms
    assert hw.semaphores == 32
    assert not hw.has_stream(Engine.GPSIMD)
    assert hw.has_stream(Engine.VECTOR)


def test_streams_are_five_sequencers_and_the_queues() -> None:
    hw = load_target("trn1")
    assert hw.streams == 5 + hw.dma_queues
    assert [s for s in range(-1, hw.streams + 1) if hw.has_stream(s)] == list(range(hw.streams))


@pytest.mark.parametrize("name", ["inf1", "inf2", "trn1", "trn2"])
def test_every_clock_is_a_whole_number_of_ticks(name: str) -> None:
    hw = load_target(name)
    for stream in range(hw.streams):
        assert hw.ticks_per_cycle(stream) * hw.clock_hz(stream) == hw.ticks_per_s
    assert hw.ns_to_ticks(0) == 0
    assert hw.ns_to_ticks(1) * 10**9 >= hw.ticks_per_s > (hw.ns_to_ticks(1) - 1) * 10**9


def test_sizes_follow_from_partitions_and_banks() -> None:
    hw = load_target("inf1")
    assert hw.psum_banks == 8
    assert hw.sbuf_bytes == 12 << 20
    assert hw.partition_bytes(SBUF) == 96 * 1024
    assert hw.partition_bytes(PSUM) == 16 * 1024


def test_a_users_target_starts_from_a_built_in_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        MINE + "pe_columns = 128\ndma_queues = { value = 8, tag = 'M', source = 'seen' }\n"
    )
    hw = load_target(str(path))
    assert (hw.name, hw.pe_columns, hw.pe_rows, hw.dma_queues) == ("mine", 128, 128, 8)
    assert hw.provenance["pe_columns"].tag == "I"
    assert hw.provenance["dma_queues"].source == "seen"
    assert isinstance(hw, Hardware)


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [
        ("name = ", "SYS-T002", ""),
        ('name = "x"\nsummary = "y"\n', "SYS-T003", "missing: generation"),
        (MINE + "pe_row = 64\n", "SYS-T004", "pe_row"),
        (MINE + "pe_rows = 129\n", "SYS-T005", "129 rows; allowed 1 to 128"),
        (MINE + "pe_rows = 0\n", "SYS-T005", "0 rows; allowed 1 to 128"),
        (MINE + "pe_rows = 64.0\n", "SYS-T005", "64.0"),
        (MINE + "has_gpsimd = true\n", "SYS-T005", "True"),
        (MINE + "pe_rows = { value = 64, tag = 'X', source = 's' }\n", "SYS-T005", "tag 'X'"),
        (MINE + "pe_rows = { value = 64, tag = 'D', source = '' }\n", "SYS-T005", "source ''"),
        (MINE + "psum_bank_bytes = 3000\n", "SYS-T006", ""),
        (MINE + "dma_engines_per_chip = 4\n", "SYS-T006", ""),
        (MINE + "pe_moving_max = 513\n", "SYS-T006", ""),
        ('base = "inf9"\n', "SYS-T001", "'inf9'; built in are inf1, inf2, trn1, trn2"),
    ],
)
def test_a_bad_target_is_refused(text: str, code: str, found: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_target(text, "mine.toml")
    assert caught.value.code == code
    assert found in caught.value.found
    assert "mine.toml" in caught.value.at


def test_a_number_at_the_edge_of_its_range_is_taken() -> None:
    assert parse_target(MINE + "pe_rows = 1\n", "mine.toml").pe_rows == 1
    assert parse_target(MINE + "pe_rows = 128\n", "mine.toml").pe_rows == 128


def test_an_unknown_target_is_answered_with_the_known_ones() -> None:
    with pytest.raises(MalformedError, match="SYS-T001") as caught:
        load_target("inf7")
    assert "inf1, inf2, trn1, trn2" in caught.value.found
