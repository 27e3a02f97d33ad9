"""The format, declared: the header's fields, the archive's members, the limits of both.

The header is the public one, field by field (neuron-facts 5.1). Where the public text leaves room,
the choices are ours:

- `hash` is the SHA-256 of the payload: every byte behind the header.
- `uuid` is derived from the content: a version-8 UUID out of the SHA-256 of the header with its
  uuid zero. It changes with any bit of the header, which the hash does not cover.
- `pkg_version` is 2, the packager's documented default; that 2 means SHA-256 is assumed.
- Engine programs are in Systola's own encoding, since the real one is not public. A feature bit
  outside the set that the public runtime is known to support (issue 820: 0x80000000000000ff) says
  so: a real runtime refuses our files, and we refuse its.

The payload is a ustar archive, as it stands so that weights can be mapped, or compressed by gzip.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from isa.errors import MalformedError
from isa.memory import FIRST_QUEUE, stream_name, stream_number

HEADER_BYTES = 1024
PACKAGE_VERSION = 2
VERSION = (2, 0)  # major, minor: a reader takes its own major, and no newer minor
BUILD_VERSION = "systola 0.1.0"
MAX_NODES = 64
GZIP_MAGIC = b"\x1f\x8b"

SYSTOLA_ENCODING = 1 << 62
HOST_SECTIONS = 1 << 61  # the payload is a model in sections: `partitioned.py`
FEATURES = {SYSTOLA_ENCODING: "systola-encoding", HOST_SECTIONS: "host-sections"}
# names that the public packager lists, without their bits
REQUIRED_FEATURES = SYSTOLA_ENCODING


@dataclass(frozen=True)
class HeaderField:
    """A field of the header. `kind`: integer (little endian), text (NUL padded), or raw bytes."""

    name: str
    offset: int
    size: int
    kind: str

    @property
    def end(self) -> int:
        """One past its last byte."""
        return self.offset + self.size


# fmt: off
HEADER_FIELDS = (
    HeaderField("pkg_version",           0,   8, "integer"),
    HeaderField("header_size",           8,   8, "integer"),
    HeaderField("data_size",            16,   8, "integer"),
    HeaderField("neff_version_major",   24,   8, "integer"),
    HeaderField("neff_version_minor",   32,   8, "integer"),
    HeaderField("neff_build_version",   40, 128, "text"),
    HeaderField("num_tpb",             168,   4, "integer"),
    HeaderField("hash",                172,  32, "raw"),
    HeaderField("uuid",                204,  16, "raw"),
    HeaderField("name",                220, 256, "text"),
    HeaderField("requested_tpb_count", 476,   4, "integer"),
    HeaderField("tpb_per_node",        480,  64, "raw"),
    HeaderField("feature_bits",        544,   8, "integer"),
    HeaderField("lnc_size",            552,   4, "integer"),
    HeaderField("pad",                 556, 468, "raw"),
)
# fmt: on
FIELD = {f.name: f for f in HEADER_FIELDS}


@dataclass(frozen=True)
class Limits:
    """What a reader is willing to take. Every size is checked before memory is taken for it."""

    json_bytes: int = 64 << 20
    json_depth: int = 64
    members: int = 4096
    expanded_bytes: int = 4 << 30  # of a compressed payload
    name_chars: int = 4096
    buffers: int = 1 << 20
    layers: int = 1 << 24
    rank: int = 64
    dram_bytes: int = 1 << 40  # a DMA address has 40 bits


LIMITS = Limits()
MAX_QUEUES = 16  # hardware.dma_queues goes no higher
CONSTANT_ALIGNMENT = 64  # bytes, inside constants.bin

GRAPH = "neff.json"
INFO = "info.json"
LAYERS = "debug_info/layers.json"
PARTITION = "partition.json"
_SECTION = re.compile(r"sg[0-9]{2}")
_MEMBER = re.compile(r"(?:(sg[0-9]{2})/(def\.json|constants\.bin|([a-z]+[0-9]*)\.bin))")
_PART = re.compile(r"section[0-9]{2}\.(?:neff|onnx)")
_DEBUG = re.compile(r"debug_info/(sg[0-9]{2})/([a-z]+[0-9]*)\.bin")


def section_name(index: int) -> str:
    """`sg00`, `sg01`, ..."""
    return f"sg{index:02d}"


PINNED = "pinned"
"""The queue set whose transfers run once, when the model is loaded (neuron-facts 1.2)."""


def part_name(index: int, on_host: bool) -> str:
    """`section00.onnx`, `section01.neff`, ...: a section of a partitioned model."""
    return f"section{index:02d}.{'onnx' if on_host else 'neff'}"


def stream_file(stream: int) -> str:
    """`pe`, `act`, `dve`, `pool`, `sp`, `q0`, ..."""
    return stream_name(stream).lower()


def stream_of_file(name: str) -> int | None:
    """The inverse of `stream_file`; None when it names no stream."""
    try:
        stream = stream_number(name if name.startswith("q") else name.upper())
    except ValueError:
        return None
    known = 0 <= stream < FIRST_QUEUE + MAX_QUEUES and stream_file(stream) == name
    return stream if known else None


def is_section(name: str) -> bool:
    """Whether it is the name of a section's folder."""
    return _SECTION.fullmatch(name) is not None


def is_member(name: str) -> bool:
    """Whether an archive may hold a member of that name: the names are a closed set."""
    if name in (GRAPH, INFO, LAYERS, PARTITION) or _PART.fullmatch(name):
        return True
    match = _MEMBER.fullmatch(name)
    if match is not None:
        known = match[3] in (None, "constants", PINNED)
        return known or stream_of_file(match[3]) is not None
    match = _DEBUG.fullmatch(name)
    return match is not None and stream_of_file(match[2]) is not None


def member_limit(name: str, limits: Limits) -> int:
    """Bytes that a member of that name may have."""
    return limits.json_bytes if name.endswith(".json") else limits.dram_bytes


CODES = {
    "SYS-N001": "the file cannot be opened",
    "SYS-N002": "the file is too short for a header",
    "SYS-N003": "a header field has a value that it cannot have",
    "SYS-N004": "the file is of a version that this reader does not know",
    "SYS-N005": "the file needs features that this reader does not know",
    "SYS-N006": "the payload's size is not the header's",
    "SYS-N007": "the header does not agree with its own uuid",
    "SYS-N008": "the payload does not agree with the header's hash",
    "SYS-N010": "an archive member is not a plain file",
    "SYS-N011": "an archive member has a name that is not allowed",
    "SYS-N012": "an archive has a member twice",
    "SYS-N013": "an archive member's size is impossible",
    "SYS-N014": "the archive's structure is broken",
    "SYS-N015": "the compressed payload cannot be expanded",
    "SYS-N016": "the archive lacks a member, or has one that nothing names",
    "SYS-N020": "a JSON document cannot be read",
    "SYS-N021": "a JSON document does not follow its schema",
    "SYS-N030": "a stream is not a whole number of instructions",
    "SYS-N031": "the buffers do not fit together",
    "SYS-N032": "the constants do not fit their buffers",
    "SYS-N033": "the model's tensors do not fit their buffers",
    "SYS-N034": "the debug map does not fit the program",
    "SYS-N035": "a name or a number is out of bounds",
    "SYS-N036": "the links between sections do not fit their buffers",
    "SYS-N037": "the sections of a model do not fit together",
}


def malformed(code: str, message: str, **details: Any) -> MalformedError:
    """The error of one of `CODES`; it says what to do even when the caller does not."""
    details.setdefault("hint", "compile the model again, or fetch the file again")
    return MalformedError(code, message, **details)
