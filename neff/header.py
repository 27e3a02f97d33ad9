"""The 1024-byte header: fields <-> bytes, and what is checked before the payload is looked at."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from neff.layout import (
    FEATURES,
    FIELD,
    HEADER_BYTES,
    HEADER_FIELDS,
    MAX_NODES,
    PACKAGE_VERSION,
    REQUIRED_FEATURES,
    VERSION,
    HeaderField,
    malformed,
)


@dataclass(frozen=True)
class Header:
    """The header's fields under their public names; `uuid` follows from the others."""

    data_size: int
    hash: bytes
    name: str
    neff_build_version: str
    num_tpb: int = 1
    requested_tpb_count: int = 1
    tpb_per_node: bytes = b"\x01"
    feature_bits: int = REQUIRED_FEATURES
    lnc_size: int = 1
    pkg_version: int = PACKAGE_VERSION
    header_size: int = HEADER_BYTES
    neff_version_major: int = VERSION[0]
    neff_version_minor: int = VERSION[1]

    def to_bytes(self) -> bytes:
        """The 1024 bytes, with the uuid that belongs to them."""
        raw = bytearray(HEADER_BYTES)
        for spec in HEADER_FIELDS:
            if spec.name not in ("uuid", "pad"):
                raw[spec.offset : spec.end] = _field_bytes(spec, getattr(self, spec.name))
        raw[FIELD["uuid"].offset : FIELD["uuid"].end] = content_uuid(bytes(raw))
        return bytes(raw)


def is_neff(start: bytes) -> bool:
    """Whether a file that begins so is meant to be a NEFF: by the header's first two fields."""
    fields = (FIELD["pkg_version"], PACKAGE_VERSION), (FIELD["header_size"], HEADER_BYTES)
    return all(start[f.offset : f.end] == _field_bytes(f, value) for f, value in fields)


def content_uuid(raw: bytes) -> bytes:
    """The uuid of a header, from all its other bytes: version 8 of RFC 9562."""
    spec = FIELD["uuid"]
    zeroed = raw[: spec.offset] + bytes(spec.size) + raw[spec.end :]
    digest = bytearray(hashlib.sha256(zeroed).digest()[: spec.size])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return bytes(digest)


def header_text(text: str, spec: HeaderField) -> str:
    """A text cut at a character's end so that it fits the field with its closing NUL."""
    return text.encode("utf-8")[: spec.size - 1].decode("utf-8", errors="ignore")


def _field_bytes(spec: HeaderField, value: Any) -> bytes:
    if spec.kind == "integer":
        return int(value).to_bytes(spec.size, "little")
    raw = header_text(value, spec).encode("utf-8") if spec.kind == "text" else bytes(value)
    return raw.ljust(spec.size, b"\0")


def parse_header(raw: bytes, file_bytes: int) -> Header:
    """A header from the file's first 1024 bytes.

    Args:
        raw: the first bytes of the file, at most 1024.
        file_bytes: size of the whole file.
    Raises:
        MalformedError: SYS-N002 .. SYS-N007.
    """
    if len(raw) < HEADER_BYTES:
        raise malformed(
            "SYS-N002",
            "a NEFF starts with a header of 1024 bytes",
            found=f"{len(raw)} bytes in all",
            at="byte 0",
        )
    numbers: dict[str, Any] = {
        f.name: int.from_bytes(raw[f.offset : f.end], "little")
        for f in HEADER_FIELDS
        if f.kind == "integer"
    }
    _check_package(numbers)
    _check_version(numbers)
    _check_features(numbers["feature_bits"])
    _check_size(numbers["data_size"], file_bytes)
    nodes = raw[FIELD["tpb_per_node"].offset : FIELD["tpb_per_node"].end]
    _check_cores(numbers, nodes)
    _check_pad(raw)
    _check_uuid(raw)
    digest = raw[FIELD["hash"].offset : FIELD["hash"].end]
    return Header(
        hash=digest,
        name=_text(raw, FIELD["name"]),
        neff_build_version=_text(raw, FIELD["neff_build_version"]),
        tpb_per_node=nodes.rstrip(b"\0"),
        **numbers,
    )


def _at(name: str) -> str:
    return f"byte {FIELD[name].offset}, header field {name}"


def _wrong(name: str, message: str, found: str, code: str = "SYS-N003") -> Exception:
    return malformed(code, message, found=found, at=_at(name))


def _check_package(numbers: dict[str, int]) -> None:
    for name, allowed in (("pkg_version", PACKAGE_VERSION), ("header_size", HEADER_BYTES)):
        if numbers[name] != allowed:
            raise malformed(
                "SYS-N003",
                "the file is a NEFF, of a package format that is known",
                found=f"{numbers[name]}; allowed is {allowed}",
                at=_at(name),
                hint="`systola compile MODEL -o OUT.neff` makes one; a damaged one reads so",
            )


def _check_version(numbers: dict[str, int]) -> None:
    major, minor = numbers["neff_version_major"], numbers["neff_version_minor"]
    if major != VERSION[0] or minor > VERSION[1]:
        name = "neff_version_minor" if major == VERSION[0] else "neff_version_major"
        raise malformed(
            "SYS-N004",
            "the file is of a version that this reader does not know",
            found=f"{major}.{minor}; known are {VERSION[0]}.0 to {VERSION[0]}.{VERSION[1]}",
            at=_at(name),
            hint="read it with the Systola that wrote it, or compile the model again",
        )


def _check_features(bits: int) -> None:
    unknown = [i for i in range(64) if bits >> i & 1 and 1 << i not in FEATURES]
    missing = [name for bit, name in FEATURES.items() if REQUIRED_FEATURES & bit & ~bits]
    if not unknown and not missing:
        return
    found = ", ".join(f"bit {i}" for i in unknown) or f"0x{bits:x} lacks {', '.join(missing)}"
    known = ", ".join(f"bit {b.bit_length() - 1} ({n})" for b, n in FEATURES.items())
    raise malformed(
        "SYS-N005",
        "the file needs features that this reader does not have",
        found=f"{found}; known: {known}",
        at=_at("feature_bits"),
        hint="a NEFF made for real hardware cannot be read; a newer one needs a newer Systola",
    )


def _check_size(data_size: int, file_bytes: int) -> None:
    rest = file_bytes - HEADER_BYTES
    if data_size != rest:
        raise _wrong(
            "data_size",
            "the payload is as large as the header says",
            f"{rest} bytes behind the header; the header says {data_size}",
            "SYS-N006",
        )


def _text(raw: bytes, spec: HeaderField) -> str:
    data = raw[spec.offset : spec.end]
    text, _, rest = data.partition(b"\0")
    try:
        if not any(rest) and len(text) < spec.size:
            return text.decode("utf-8")
    except UnicodeDecodeError:
        pass
    message = f"{spec.name} is UTF-8 text, filled up with zeros"
    raise _wrong(spec.name, message, repr(data.rstrip(b"\0")[:40]))


def _check_cores(numbers: dict[str, int], nodes: bytes) -> None:
    count = len(nodes.rstrip(b"\0"))
    cores = sum(nodes)
    if not 1 <= count <= MAX_NODES or 0 in nodes[:count]:
        message = "every node up to the last has a core"
        raise _wrong("tpb_per_node", message, f"{list(nodes[: max(count, 1)])}")
    if numbers["num_tpb"] != cores:
        message = "num_tpb is the sum over the nodes"
        raise _wrong("num_tpb", message, f"{numbers['num_tpb']}; the nodes have {cores}")
    if not 1 <= numbers["requested_tpb_count"] <= 1 << 16:
        message = "a program asks for 1 to 65536 cores"
        raise _wrong("requested_tpb_count", message, str(numbers["requested_tpb_count"]))
    if numbers["lnc_size"] != 1:
        message = "a logical core is one core"
        raise _wrong("lnc_size", message, f"{numbers['lnc_size']}; allowed is 1")


def _check_pad(raw: bytes) -> None:
    spec = FIELD["pad"]
    pad = raw[spec.offset : spec.end]
    if any(pad):
        first = next(i for i, byte in enumerate(pad) if byte)
        raise malformed(
            "SYS-N003",
            "the end of the header is zero",
            found=f"0x{pad[first]:02x}",
            at=f"byte {spec.offset + first}, header field pad",
        )


def _check_uuid(raw: bytes) -> None:
    spec = FIELD["uuid"]
    found, expected = raw[spec.offset : spec.end], content_uuid(raw)
    if found != expected:
        raise _wrong(
            "uuid",
            "the uuid follows from the rest of the header, so one of the two was changed",
            f"{found.hex()}; the header gives {expected.hex()}",
            "SYS-N007",
        )
