"""Damaged and hostile files: each is refused with a code of the format, and with nothing else."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.errors import SystolaError
from neff import from_bytes, inspect, read, to_bytes
from neff.archive import archive_chunks, header_block
from neff.header import content_uuid
from neff.layout import CODES, HEADER_FIELDS, Limits
from tests.neff.builders import small

GOOD = to_bytes(small())
ZIPPED = to_bytes(small(), compress=True)
FIELD = {f.name: f for f in HEADER_FIELDS}


def refuse(data: bytes, **options: Any) -> str:
    """The code that reading gives; any other outcome fails the test."""
    with pytest.raises(SystolaError) as caught:
        from_bytes(data, **options)
    error = caught.value
    assert error.code in CODES
    assert error.found
    assert error.at
    assert error.hint
    return error.code


def outcome(data: bytes) -> str:
    """`read`, or the code of the refusal. Any other exception fails the test."""
    try:
        from_bytes(data)
    except SystolaError as error:
        return error.code
    return "read"


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def sealed(header: bytes, payload: bytes) -> bytes:
    """A file whose size, hash and uuid are right, so that only what is behind them is tested."""
    raw = bytearray(header)
    for name, value in (
        ("data_size", len(payload).to_bytes(8, "little")),
        ("hash", hashlib.sha256(payload).digest()),
    ):
        raw[FIELD[name].offset : FIELD[name].end] = value
    raw[FIELD["uuid"].offset : FIELD["uuid"].end] = content_uuid(bytes(raw))
    return bytes(raw) + payload


def with_field(name: str, value: int | bytes) -> bytes:
    spec = FIELD[name]
    raw = bytearray(GOOD[:1024])
    data = value.to_bytes(spec.size, "little") if isinstance(value, int) else value
    raw[spec.offset : spec.end] = data.ljust(spec.size, b"\0")
    raw[FIELD["uuid"].offset : FIELD["uuid"].end] = content_uuid(bytes(raw))
    return bytes(raw) + GOOD[1024:]


def members(data: bytes = GOOD) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data[1024:])) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


def rebuilt(files: dict[str, bytes]) -> bytes:
    chunks = archive_chunks((n, len(d), [d]) for n, d in files.items())
    return sealed(GOOD[:1024], b"".join(bytes(c) for c in chunks))


# --- the header ----------------------------------------------------------------------------------

# every bit of small fields, every 11th of the large ones
HEADER_BITS = [
    bit
    for f in HEADER_FIELDS
    for bit in (
        range(f.offset * 8, f.end * 8)
        if f.size <= 8
        else range(f.offset * 8 + f.offset % 8, f.end * 8, 11)
    )
]


@pytest.mark.parametrize("field", [f.name for f in HEADER_FIELDS])
def test_a_flipped_bit_in_any_header_field_is_found(field: str) -> None:
    spec = FIELD[field]
    bits = [b for b in HEADER_BITS if spec.offset * 8 <= b < spec.end * 8]
    assert len(bits) >= 11
    for bit in bits:
        refuse(flipped(GOOD, bit))
        refuse(flipped(GOOD, bit), check_hash=field == "hash")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("pkg_version", 1, "SYS-N003"),
        ("pkg_version", 2**63, "SYS-N003"),
        ("header_size", 512, "SYS-N003"),
        ("header_size", 2**64 - 1, "SYS-N003"),
        ("data_size", 0, "SYS-N006"),
        ("data_size", 2**64 - 1, "SYS-N006"),
        ("data_size", len(GOOD) - 1023, "SYS-N006"),
        ("neff_version_major", 0, "SYS-N004"),
        ("neff_version_major", 3, "SYS-N004"),
        ("neff_version_minor", 1, "SYS-N004"),
        ("neff_build_version", b"\xff\xfe", "SYS-N003"),
        ("neff_build_version", b"a\0b", "SYS-N003"),
        ("neff_build_version", b"x" * 128, "SYS-N003"),
        ("neff_build_version", b"another", "SYS-N003"),
        ("num_tpb", 0, "SYS-N003"),
        ("num_tpb", 2, "SYS-N003"),
        ("name", b"other", "SYS-N003"),
        ("name", b"\xc3", "SYS-N003"),
        ("name", b"", "SYS-N003"),
        ("requested_tpb_count", 0, "SYS-N003"),
        ("requested_tpb_count", 2, "SYS-N003"),
        ("requested_tpb_count", 2**32 - 1, "SYS-N003"),
        ("tpb_per_node", b"", "SYS-N003"),
        ("tpb_per_node", b"\x01\0\x01", "SYS-N003"),
        ("tpb_per_node", b"\xff" * 64, "SYS-N003"),
        ("lnc_size", 2, "SYS-N003"),
        ("lnc_size", 0, "SYS-N003"),
        ("pad", b"\0\0\x01", "SYS-N003"),
        ("feature_bits", 0, "SYS-N005"),
        ("feature_bits", 0x80000000000000FF, "SYS-N005"),
        *(("feature_bits", 1 << 62 | 1 << b, "SYS-N005") for b in range(64) if b != 62),
    ],
)
def test_a_wrong_header_field_is_named(field: str, value: int | bytes, code: str) -> None:
    assert refuse(with_field(field, value)) == code


def test_unknown_features_are_named() -> None:
    with pytest.raises(SystolaError) as caught:
        from_bytes(with_field("feature_bits", 1 << 62 | 1 << 8 | 1 << 40))
    assert caught.value.found == (
        "bit 8, bit 40; known: bit 62 (systola-encoding), bit 61 (host-sections)"
    )


# --- the payload as bytes ------------------------------------------------------------------------


@pytest.mark.parametrize("data", [GOOD, ZIPPED], ids=["plain", "gzip"])
def test_a_file_cut_short_is_refused_wherever_it_is_cut(data: bytes) -> None:
    cuts = [*range(0, 1100, 13), *range(1100, len(data), 97), len(data) - 1]
    for cut in cuts:
        code = refuse(data[:cut])
        assert code == ("SYS-N002" if cut < 1024 else "SYS-N006")


def test_bytes_behind_the_end_are_refused() -> None:
    for tail in (b"\0", b"x" * 512, GOOD):
        assert refuse(GOOD + tail) == "SYS-N006"
        assert refuse(sealed(GOOD[:1024], GOOD[1024:] + tail)) == "SYS-N014"


@settings(max_examples=200, deadline=None)
@given(st.integers(8 * 1024, 8 * len(GOOD) - 1))
def test_any_flipped_bit_of_the_payload_is_found_by_the_hash(bit: int) -> None:
    assert refuse(flipped(GOOD, bit)) == "SYS-N008"


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 8 * (len(GOOD) - 1024) - 1), st.booleans())
def test_behind_a_right_hash_a_flipped_bit_is_data_or_refused(bit: int, zipped: bool) -> None:
    base = ZIPPED if zipped else GOOD
    payload = flipped(base[1024:], bit % (8 * (len(base) - 1024)))
    assert outcome(sealed(base[:1024], payload)) in {"read", *CODES}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3000), st.booleans())
def test_random_bytes_are_refused(data: bytes, headed: bool) -> None:
    refuse(sealed(GOOD[:1024], data) if headed else data)


@pytest.mark.parametrize("cut", range(0, 60, 5))
def test_a_damaged_gzip_payload_is_refused(cut: int) -> None:
    payload = ZIPPED[1024:]
    assert refuse(sealed(ZIPPED[:1024], payload[: len(payload) - 1 - cut])) == "SYS-N015"
    assert refuse(sealed(ZIPPED[:1024], payload + b"x" * (cut + 1))) == "SYS-N015"


def test_a_gzip_bomb_stops_at_the_limit() -> None:
    code = refuse(ZIPPED, limits=Limits(expanded_bytes=4096))
    assert code == "SYS-N015"


# --- tricks in the archive -----------------------------------------------------------------------


def tar_of(
    change: Callable[[tarfile.TarInfo], None], name: str = "info.json", **options: Any
) -> bytes:
    """The good archive, with one member's entry changed, by the standard library's writer."""
    options.setdefault("format", tarfile.USTAR_FORMAT)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **options) as archive:
        for member, data in members().items():
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            if member == name:
                change(entry)
            archive.addfile(entry, io.BytesIO(data) if entry.isreg() else None)
    return sealed(GOOD[:1024], out.getvalue())


BAD_NAMES = [
    "../neff.json",
    "/neff.json",
    "sg00/../neff.json",
    "./neff.json",
    "sg00//def.json",
    "sg00/def.json/",
    "sg0/def.json",
    "sg000/def.json",
    "sg00/sub/def.json",
    "sg00/pe.bin.bak",
    "sg00/PE.bin",
    "sg00/q16.bin",
    "sg00/q00.bin",
    "sg00/q-1.bin",
    "sg00/q999999999999.bin",
    "debug_info/../sg00/pe.bin",
    "debug_info/sg00/xx.bin",
    "neff.json\\..\\x",
    "C:\\neff.json",
    "NEFF.JSON",
    "con",
    "~root",
    "sg00/",
    " neff.json",
    "neff.json ",
    "sg٠٠/def.json",
    "sg00/q٣.bin",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_outside_the_closed_set_is_refused(name: str) -> None:
    def rename(entry: tarfile.TarInfo) -> None:
        entry.name = name

    assert refuse(tar_of(rename)) in ("SYS-N011", "SYS-N014")


KINDS = {
    "hard link": tarfile.LNKTYPE,
    "symbolic link": tarfile.SYMTYPE,
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
    "folder": tarfile.DIRTYPE,
    "pipe": tarfile.FIFOTYPE,
    "contiguous": tarfile.CONTTYPE,
    "old plain": tarfile.AREGTYPE,
    "sparse": tarfile.GNUTYPE_SPARSE,
    "pax": tarfile.XHDTYPE,
    "global pax": tarfile.XGLTYPE,
    "sun pax": tarfile.SOLARIS_XHDTYPE,
    "long name": tarfile.GNUTYPE_LONGNAME,
    "long link": tarfile.GNUTYPE_LONGLINK,
    "unknown": b"Z",
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("target", ["", "/etc/passwd", "../../x"])
def test_what_is_not_a_plain_file_is_refused(kind: bytes, target: str) -> None:
    block = bytearray(header_block("info.json", 0))
    block[156:157] = kind
    block[157 : 157 + len(target)] = target.encode()
    assert refuse(with_block(block)) == "SYS-N010"


def with_block(block: bytearray) -> bytes:
    """An archive whose first header block is this one, with its checksum mended."""
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return sealed(GOOD[:1024], bytes(block) + GOOD[1024 + 512 :])


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_extension_records_are_refused(format: int) -> None:
    def long(entry: tarfile.TarInfo) -> None:
        entry.name = "x" * 200
        entry.pax_headers = {"path": "neff.json", "size": "-1", "GNU.sparse.major": "1"}

    assert refuse(tar_of(long, format=format)) in ("SYS-N010", "SYS-N011", "SYS-N014")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", 0o4755),
        ("uid", 1),
        ("gid", 1),
        ("mtime", 1),
        ("uname", "root"),
        ("gname", "root"),
        ("linkname", "neff.json"),
    ],
)
def test_an_owner_a_date_or_a_mode_is_refused(field: str, value: Any) -> None:
    assert refuse(tar_of(lambda entry: setattr(entry, field, value))) == "SYS-N014"


SIZES = [
    b"77777777777\0",
    b"00000100000\0",
    b"-0000000001\0",
    b"+0000000001\0",
    b"0x000000001\0",
    b"           \0",
    b"\0" * 12,
    b"99999999999\0",
    b"000000000001",
    b"\xff" * 12,
    b"\x80" + b"\xff" * 11,
    b"\x80" + bytes(10) + b"\x10",
    b"\x80\x80" + bytes(10),
    b"\xff" + b"\xff" * 10 + b"\xf0",
]


@pytest.mark.parametrize("size", SIZES)
def test_an_impossible_size_is_refused_before_anything_is_allocated(size: bytes) -> None:
    block = bytearray(header_block("neff.json", 0))
    block[124:136] = size
    assert refuse(with_block(block)) in ("SYS-N013", "SYS-N014")


def test_a_member_twice_is_refused() -> None:
    for name, data in members().items():
        block = header_block(name, len(data)) + data + bytes(-len(data) % 512)
        assert refuse(sealed(GOOD[:1024], block + GOOD[1024:])) == "SYS-N012"


def test_a_wrong_checksum_is_refused() -> None:
    for byte in range(148, 156):
        assert refuse(sealed(GOOD[:1024], flipped(GOOD[1024:], byte * 8))) == "SYS-N014"


@pytest.mark.parametrize("name", sorted(members()))
def test_a_member_that_is_missing_or_too_long_is_refused(name: str) -> None:
    files = members()
    if not name.startswith("debug_info/sg00"):
        assert refuse(rebuilt({n: d for n, d in files.items() if n != name})) == "SYS-N016"
    longer = refuse(rebuilt(files | {name: files[name] + b"x"}))
    assert longer in ("SYS-N020", "SYS-N030", "SYS-N032", "SYS-N034")


def test_a_member_that_nothing_names_is_refused() -> None:
    for name in ("sg01/def.json", "sg00/act.bin", "sg00/q7.bin", "debug_info/sg00/act.bin"):
        assert refuse(rebuilt(members() | {name: b""})) == "SYS-N016"


# --- the documents -------------------------------------------------------------------------------

DEEP = 100_000
RAW = {
    "empty": b"",
    "not json": b"{",
    "utf-16": "{}".encode("utf-16"),
    "bad utf-8": b'{"a": "\xff"}',
    "bom": b"\xef\xbb\xbf{}",
    "two": b"{}{}",
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep, not too deep for the parser": b"[" * 200 + b"]" * 200,
    "NaN": b'{"metadata": {"a": NaN}}',
    "Infinity": b'{"metadata": {"a": Infinity}}',
    "-Infinity": b'{"metadata": {"a": -Infinity}}',
    "huge float": b'{"metadata": {"a": 1e999}}',
    "huge int": b'{"metadata": {"a": ' + b"9" * 10_000 + b"}}",
    "repeated key": b'{"metadata": {}, "metadata": {}}',
    "comment": b"{} // no",
}


@pytest.mark.parametrize("raw", RAW.values(), ids=RAW)
@pytest.mark.parametrize(
    "name", ["neff.json", "info.json", "sg00/def.json", "debug_info/layers.json"]
)
def test_a_document_that_is_no_sound_json_is_refused(name: str, raw: bytes) -> None:
    assert refuse(rebuilt(members() | {name: raw})) == "SYS-N020"


def test_a_document_over_the_limit_is_refused_by_its_size() -> None:
    limits = Limits(json_bytes=20)
    assert refuse(GOOD, limits=limits) == "SYS-N013"


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a document, the root too."""
    children: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict | list):
        children = value.items() if isinstance(value, dict) else enumerate(value)
    return [path] + [p for k, v in children for p in leaves(v, (*path, k))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


DOCUMENTS = {n: json.loads(d) for n, d in members().items() if n.endswith(".json")}
PLACES = [
    (name, path)
    for name, document in DOCUMENTS.items()
    for path in leaves(document)
    if path[:1] != ("metadata",)
]
ABSURD: list[Any] = [
    *(None, True, -1, 1.5, 2**63, 10**30, "", "../x", "x" * 5000),
    *([], {}, [[]], {"a": 1}),
]


def test_every_value_of_every_document_is_checked() -> None:
    """Each value in turn becomes each absurd one; what is not refused is a free name."""
    tried = 0
    for name, path in PLACES:
        for absurd in ABSURD:
            document = replaced(DOCUMENTS[name], path, absurd)
            data = rebuilt(members() | {name: json.dumps(document).encode()})
            tried += 1
            got = outcome(data)
            assert got in {"read", *CODES} - {"SYS-N014"}
            assert got != "read" or allowed(name, path, absurd), (name, path, absurd)
    assert tried > 1000


def allowed(name: str, path: tuple[Any, ...], value: Any) -> bool:
    """The places where such a value means something."""
    if name == "neff.json":
        tensor = len(path) == 3 and path[2] == "name" and isinstance(value, str) and value != ""
        shorter = path in (("inputs",), ("outputs",)) and value == []
        scalar = len(path) == 3 and path[2] == "shape" and value == []
        target = path == ("target",) and value == "../x"
        return tensor or shorter or scalar or target
    if name == "sg00/def.json":
        return path[-1:] == ("shape",) and value == []
    layer = name == "debug_info/layers.json" and len(path) == 2
    return layer and isinstance(value, str) and len(value) < 4096


def test_a_key_that_is_missing_or_unknown_is_refused_with_its_path() -> None:
    for name, path in PLACES:
        document = DOCUMENTS[name]
        value = document
        for step in path:
            value = value[step]
        if not isinstance(value, dict) or path in (("var",), ("engine",), ("dma_queue",)):
            continue
        for key in value:
            less = {k: v for k, v in value.items() if k != key}
            changed = replaced(document, path, less)
            data = rebuilt(members() | {name: json.dumps(changed).encode()})
            assert refuse(data) == "SYS-N021"
        changed = replaced(document, path, value | {"zzz": 1})
        data = rebuilt(members() | {name: json.dumps(changed).encode()})
        assert refuse(data) == "SYS-N021"


def test_the_error_says_where_what_and_what_to_do() -> None:
    document = replaced(DOCUMENTS["sg00/def.json"], ("var", "w", "size"), -5)
    data = rebuilt(members() | {"sg00/def.json": json.dumps(document).encode()})
    with pytest.raises(SystolaError) as caught:
        from_bytes(data)
    assert str(caught.value) == (
        "MalformedError: SYS-N021: a document follows its schema\n"
        "  found  -5; allowed is a whole number from 1 to 4611686018427387904\n"
        "  at     sg00/def.json: $.var.w.size\n"
        "  do     compile the model again, or fetch the file again"
    )


def test_many_tensors_and_buffers_are_read_in_seconds() -> None:
    n = 20_000
    one = {"type": "input", "size": 4, "dtype": "fp32", "shape": [1]}
    buffers = {f"b{i}": one | {"var_id": i, "address": 4 * i} for i in range(n)}
    tensor = {"dtype": "float32", "shape": [1], "section": "sg00"}
    inputs = [tensor | {"name": f"t{i}", "buffer": f"b{n - 1 - i}"} for i in range(n)]
    graph = DOCUMENTS["neff.json"] | {"inputs": inputs, "outputs": []}
    files = {
        "neff.json": graph,
        "info.json": {"metadata": {}},
        "debug_info/layers.json": {"sg00": []},
        "sg00/def.json": {"var": buffers, "dma_queue": {}, "engine": {}},
    }
    before = time.perf_counter()
    neff = from_bytes(rebuilt({name: json.dumps(d).encode() for name, d in files.items()}))
    assert time.perf_counter() - before < 10
    assert len(neff.inputs) == n


# --- the file ------------------------------------------------------------------------------------


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    for path, code in (
        (tmp_path, "SYS-N001"),
        (tmp_path / "none", "SYS-N001"),
        (tmp_path / "pipe", "SYS-N001"),
        (Path("/dev/null"), "SYS-N001"),
        (tmp_path / "a\0b", "SYS-N001"),
        (tmp_path / "empty", "SYS-N002"),
    ):
        for reader in (read, inspect):
            with pytest.raises(SystolaError) as caught:
                reader(path)
            assert caught.value.code == code
