"""What is written is read back, the same way every time, and by other readers too."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from isa.errors import IllegalError, SystolaError
from isa.program import BufferKind, DramBuffer, Program
from neff import ModelTensor, Neff, from_bytes, inspect, read, to_bytes, write
from tests.neff.builders import neffs, same, small


@settings(max_examples=60, deadline=None)
@given(neffs())
def test_what_is_written_is_read_back(neff: Neff) -> None:
    assert same(from_bytes(to_bytes(neff)), neff)
    assert same(from_bytes(to_bytes(neff, compress=True)), neff)


@settings(max_examples=30, deadline=None)
@given(neffs())
def test_writing_what_was_read_gives_the_same_bytes(neff: Neff) -> None:
    data = to_bytes(neff)
    assert to_bytes(from_bytes(data)) == data


def test_the_order_of_metadata_and_streams_does_not_show() -> None:
    one, other = small(), small()
    streams = dict(reversed(list(other.program.streams.items())))
    program = Program(streams, other.program.buffers, other.program.debug, other.program.layers)
    turned = Neff.single(
        other.name,
        other.target,
        program,
        other.constants,
        inputs=other.inputs,
        outputs=other.outputs,
        metadata=dict(reversed(list(other.metadata.items()))),
    )
    assert to_bytes(one) == to_bytes(turned)


def test_a_file_has_the_bytes_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "small.neff"
    write(small(), path)
    assert path.read_bytes() == to_bytes(small())
    assert same(read(path), small())
    assert [p.name for p in tmp_path.iterdir()] == ["small.neff"]


def test_constants_are_views_of_the_mapped_file(tmp_path: Path) -> None:
    path = tmp_path / "small.neff"
    write(small(), path)
    weights = read(path).constants["w"]
    assert not weights.flags.owndata
    assert not weights.flags.writeable


def test_the_public_parser_finds_its_fields() -> None:
    """The layout `168xI304xI64B` of the public TensorFlow integration (neuron-facts 5.1)."""
    data = to_bytes(small())
    tpb, requested, *nodes = struct.unpack("<168xI304xI64B", data[:544])
    assert (tpb, requested, nodes[:2]) == (1, 1, [1, 0])
    assert struct.unpack_from("<QQQQQ", data) == (2, 1024, len(data) - 1024, 2, 0)
    assert data[40:53] == b"systola 0.1.0"
    assert data[220:226] == b"small\0"


def test_another_tar_reader_opens_the_payload() -> None:
    with tarfile.open(fileobj=io.BytesIO(to_bytes(small())[1024:])) as archive:
        names = archive.getnames()
        graph = json.load(archive.extractfile("neff.json"))  # type: ignore[arg-type]
        program = archive.extractfile("sg00/pe.bin").read()  # type: ignore[union-attr]
    assert names == [
        "neff.json",
        "info.json",
        "debug_info/layers.json",
        "sg00/def.json",
        "sg00/pe.bin",
        "sg00/q0.bin",
        "debug_info/sg00/pe.bin",
        "sg00/constants.bin",
    ]
    assert graph["inputs"][0] == {
        "name": "image",
        "dtype": "float32",
        "shape": [4, 32],
        "section": "sg00",
        "buffer": "x",
    }
    assert program == small().program.streams[0].tobytes()


def test_a_compressed_payload_is_plain_gzip_without_a_date() -> None:
    data = to_bytes(small(), compress=True)
    assert data[1024 + 4 : 1024 + 8] == bytes(4)
    assert gzip.decompress(data[1024:]) == to_bytes(small())[1024:]


def test_inspect_shows_header_streams_buffers_and_tensors(tmp_path: Path) -> None:
    path = tmp_path / "small.neff"
    header = write(small(), path)
    shown = json.loads(json.dumps(inspect(path)))
    assert shown["header"]["hash"] == header.hash.hex()
    assert shown["header"]["features"] == ["systola-encoding"]
    section = shown["sections"][0]
    assert section["instructions"] == 8
    assert section["streams"]["PE"]["instructions"] == 3
    assert sum(section["streams"]["q0"]["opcodes"].values()) == 5
    assert [b["kind"] for b in section["buffers"]] == ["input", "constant", "scratch", "output"]
    assert shown["metadata"]["options"] == {"auto-cast": "all"}
    assert sum(m["size_bytes"] for m in shown["members"]) < path.stat().st_size


def _changed(**fields: object) -> Neff:
    import dataclasses

    return dataclasses.replace(small(), **fields)  # type: ignore[arg-type]


def _with_buffers(*buffers: DramBuffer) -> Neff:
    return Neff.single("m", "inf1", Program({}, buffers))


A = DramBuffer("a", BufferKind.SCRATCH, 0, 8)


@pytest.mark.parametrize(
    ("neff", "code"),
    [
        (_with_buffers(A, DramBuffer("b", BufferKind.SCRATCH, 7, 8)), "SYS-N031"),
        (_with_buffers(A, DramBuffer("a", BufferKind.SCRATCH, 8, 8)), "SYS-N031"),
        (_with_buffers(DramBuffer("a", BufferKind.SCRATCH, (1 << 40) - 7, 8)), "SYS-N031"),
        (_with_buffers(DramBuffer("a", BufferKind.SCRATCH, 0, 0)), "SYS-N031"),
        (_with_buffers(DramBuffer("a", BufferKind.SCRATCH, 0, 8, shape=(9,))), "SYS-N031"),
        (_with_buffers(DramBuffer("a", BufferKind.CONSTANT, 0, 8)), "SYS-N032"),
        (_changed(name=""), "SYS-N035"),
        (_changed(name="a\0b"), "SYS-N035"),
        (_changed(name="\ud800"), "SYS-N035"),
        (_changed(cores=0), "SYS-N035"),
        (_changed(sections=()), "SYS-N035"),
        (_changed(metadata={"a": float("nan")}), "SYS-N035"),
        (_changed(metadata={"a": {1: 2}}), "SYS-N035"),
        (_changed(metadata={"a": object()}), "SYS-N035"),
        (_changed(inputs=(ModelTensor("i", "float32", (4, 32), "y"),)), "SYS-N033"),
        (_changed(inputs=(ModelTensor("i", "float32", (4, 33), "x"),)), "SYS-N033"),
        (_changed(inputs=(ModelTensor("i", "string", (4, 32), "x"),)), "SYS-N033"),
        (_changed(inputs=(ModelTensor("i", "float32", (4, 32), "x", 1),)), "SYS-N033"),
        (Neff.single("m", "inf1", Program({0: np.zeros((2, 15), np.uint64)})), "SYS-N030"),
        (Neff.single("m", "inf1", Program({40: np.zeros((2, 16), np.uint64)})), "SYS-N035"),
        (Neff.single("m", "inf1", Program({}, debug={0: np.zeros(1, np.int32)})), "SYS-N034"),
    ],
)
def test_an_unsound_model_is_not_written(neff: Neff, code: str, tmp_path: Path) -> None:
    with pytest.raises(IllegalError) as caught:
        write(neff, tmp_path / "out.neff")
    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystolaError) as caught:
        write(small(), tmp_path / "none" / "out.neff")
    assert caught.value.code == "SYS-F001"
