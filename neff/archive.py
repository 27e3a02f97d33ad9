"""The payload's archive: ustar in one canonical form.

A member's header block is a function of its name and size, and of nothing else. So the reader
takes name and size out of a block and compares the whole block with the one that the writer makes:
a link, a device, an extension record, an owner or a date leaves no way to pass. What is tested
first is what lets the error say why.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from neff.layout import LIMITS, Limits, is_member, malformed, member_limit

BLOCK = 512
END = bytes(2 * BLOCK)
_OCTAL_LIMIT = 8**11  # the size field's eleven octal digits; above it, base 256
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"5": "a folder",
    b"6": "a pipe",
    b"7": "a contiguous file",
    b"S": "a sparse file",
    b"x": "a pax record",
    b"g": "a global pax record",
    b"L": "a long-name record",
    b"K": "a long-link record",
}

Chunk = bytes | memoryview


@dataclass(frozen=True)
class Member:
    """A file in the archive; `offset` is that of its first byte in the archive."""

    name: str
    offset: int
    size: int


def header_block(name: str, size: int) -> bytes:
    """The block in front of a member. Raises ValueError for a name over 100 bytes."""
    encoded = name.encode("ascii")
    if len(encoded) > 100 or size < 0:
        raise ValueError(name)
    raw = bytearray(BLOCK)
    raw[0 : len(encoded)] = encoded
    raw[100:108], raw[108:116], raw[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    raw[124:136] = b"%011o\0" % size if size < _OCTAL_LIMIT else b"\x80" + size.to_bytes(11, "big")
    raw[136:148], raw[148:156], raw[156:157] = b"00000000000\0", b"        ", b"0"
    raw[257:265] = b"ustar\x0000"
    raw[329:337], raw[337:345] = b"0000000\0", b"0000000\0"
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


def archive_chunks(members: Iterable[tuple[str, int, Iterable[Chunk]]]) -> Iterator[Chunk]:
    """The archive piece by piece, so that weights are never copied.

    Args:
        members: name, size in bytes, and the pieces that make up that size.
    """
    for name, size, pieces in members:
        yield header_block(name, size)
        yield from pieces
        yield bytes(-size % BLOCK)
    yield END


def list_members(archive: memoryview, limits: Limits = LIMITS) -> dict[str, Member]:
    """Every member by name. Nothing is copied or allocated by a size that the archive claims.

    Raises:
        MalformedError: SYS-N010 .. SYS-N014.
    """
    members: dict[str, Member] = {}
    offset = 0
    while True:
        block = bytes(archive[offset : offset + BLOCK])
        if len(block) < BLOCK:
            raise _broken("an archive ends with two blocks of zeros", "it ends before", offset)
        if not any(block):
            break
        member = _member(block, offset, len(archive), limits)
        if member.name in members:
            message = "an archive has each member once"
            raise malformed("SYS-N012", message, found=member.name, at=_at(offset))
        if len(members) >= limits.members:
            message = "an archive has a bounded number of members"
            raise malformed("SYS-N013", message, found=f"over {limits.members}", at=_at(offset))
        members[member.name] = member
        end = member.offset + member.size
        offset = end + -end % BLOCK
        if any(archive[end:offset]):
            raise _broken("a member is filled up with zeros", "other bytes behind it", end)
    if len(archive) != offset + len(END) or any(archive[offset:]):
        raise _broken("an archive ends with two blocks of zeros", "other bytes behind it", offset)
    return members


def _at(offset: int, name: str = "") -> str:
    return f"archive byte {offset}" + (f", member {name}" if name else "")


def _broken(message: str, found: str, offset: int, name: str = "") -> Exception:
    return malformed("SYS-N014", message, found=found, at=_at(offset, name))


def _member(block: bytes, offset: int, archive_bytes: int, limits: Limits) -> Member:
    shown = block[:100].partition(b"\0")[0].decode("ascii", errors="backslashreplace")
    kind = block[156:157]
    if kind != b"0":
        raise malformed(
            "SYS-N010",
            "an archive holds plain files only",
            found=_KINDS.get(kind, f"kind {kind!r}"),
            at=_at(offset, shown),
        )
    if not is_member(shown):
        raise malformed(
            "SYS-N011",
            "an archive holds files of known names only, and none outside its folders",
            found=repr(shown),
            at=_at(offset),
        )
    size = _size(block[124:136], offset, shown)
    room = archive_bytes - offset - BLOCK
    allowed = min(room, member_limit(shown, limits))
    if size > allowed:
        raise malformed(
            "SYS-N013",
            "a member fits in its archive, and in what is allowed for its kind",
            found=f"{size} bytes; at most {max(allowed, 0)}",
            at=_at(offset, shown),
        )
    expected = header_block(shown, size)
    if block != expected:
        byte = next(i for i in range(BLOCK) if block[i] != expected[i])
        message = "a member's block follows from its name and size"
        found = f"byte {byte} is 0x{block[byte]:02x}; it would be 0x{expected[byte]:02x}"
        raise _broken(message, found, offset, shown)
    return Member(shown, offset + BLOCK, size)


def _size(raw: bytes, offset: int, name: str) -> int:
    digits = raw[:11]
    if raw[0] == 0x80:
        return int.from_bytes(raw[1:], "big")
    if raw[11] == 0 and all(0x30 <= d <= 0x37 for d in digits):
        return int(digits, 8)
    raise malformed(
        "SYS-N013",
        "a member's size is a whole number that is not negative",
        found=repr(raw),
        at=_at(offset + 124, name),
    )


def compressed(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """The chunks as one gzip stream without name or date."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    for chunk in chunks:
        yield packer.compress(chunk)
    yield packer.flush()


def expand(payload: memoryview, limits: Limits = LIMITS) -> memoryview:
    """A gzip payload as the archive it holds.

    Raises:
        MalformedError: SYS-N015 damaged, with bytes behind its end, or larger than allowed.
    """
    unpacker = zlib.decompressobj(31)
    pieces: list[bytes] = []
    size = 0
    for data in _pieces(payload):
        try:
            piece = unpacker.decompress(data, limits.expanded_bytes - size + 1)
        except zlib.error as error:
            raise _unpackable("the compressed payload is whole", str(error)) from None
        size += len(piece)
        if size > limits.expanded_bytes:
            found = f"more than {limits.expanded_bytes} bytes"
            raise _unpackable("a compressed payload expands to what is allowed", found)
        pieces.append(piece)
        if unpacker.unused_data:
            raise _unpackable("nothing follows the compressed payload", "more bytes")
    if not unpacker.eof:
        raise _unpackable("the compressed payload is whole", "it ends too early")
    return memoryview(b"".join(pieces))


def _pieces(payload: memoryview, step: int = 1 << 20) -> Iterator[memoryview]:
    return (payload[i : i + step] for i in range(0, len(payload), step))


def _unpackable(message: str, found: str) -> Exception:
    hint = "fetch the file again, or compile the model without --compress"
    return malformed("SYS-N015", message, found=found, at="payload", hint=hint)
