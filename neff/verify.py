"""What a sound model is, whether it was just compiled or just read.

This is about the container: names, buffers, constants, tensors, debug map. That the program itself
is legal and free of races is `isa.verify`'s to say, and the runtime's to ask.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isa.errors import IllegalError
from isa.program import BufferKind, Program, Words
from isa.spec import WORDS
from neff.layout import LIMITS, MAX_NODES, Limits, section_name, stream_of_file
from neff.layout import stream_file as file_of
from neff.model import TENSOR_DTYPES, ModelTensor, Neff, Section


def _wrong(code: str, message: str, found: str, at: str) -> IllegalError:
    return IllegalError(code, message, found=found, at=at, hint="compile the model again")


def require_sound(neff: Neff, limits: Limits = LIMITS) -> None:
    """Raise on the first thing that is wrong.

    Raises:
        IllegalError: SYS-N030 .. SYS-N036.
    """
    for text, at in ((neff.name, "name"), (neff.target, "target"), (neff.build_version, "build")):
        _check_name(text, at, limits)
    if not 1 <= len(neff.sections) <= MAX_NODES:
        message = f"a model has 1 to {MAX_NODES} sections"
        raise _wrong("SYS-N035", message, str(len(neff.sections)), "sections")
    if not 1 <= neff.cores <= 1 << 16:
        raise _wrong("SYS-N035", "a program asks for 1 to 65536 cores", str(neff.cores), "cores")
    for index, section in enumerate(neff.sections):
        _check_section(section, section_name(index), limits)
    _check_tensors(neff, neff.inputs, BufferKind.INPUT, limits)
    _check_tensors(neff, neff.outputs, BufferKind.OUTPUT, limits)
    _check_links(neff)


def _check_name(text: str, at: str, limits: Limits) -> None:
    try:
        sound = len(text.encode("utf-8")) > 0 and len(text) <= limits.name_chars
    except UnicodeEncodeError:
        sound = False
    if not sound or "\0" in text:
        message = f"a name has 1 to {limits.name_chars} characters, and no zero byte"
        raise _wrong("SYS-N035", message, repr(text[:60]), at)


def _check_section(section: Section, at: str, limits: Limits) -> None:
    program = section.program
    _check_streams(program, at)
    _check_buffers(program, at, limits)
    _check_constants(section, at)
    _check_debug(program, at)
    for layer in program.layers:
        _check_name(layer or "-", f"{at}, layers", limits)  # a layer may have no name


def _check_streams(program: Program, at: str) -> None:
    _check_words(program.pinned, f"{at}, pinned")
    for stream, words in program.streams.items():
        if stream < 0 or stream_of_file(file_of(stream)) != stream:
            raise _wrong("SYS-N035", "a stream has a number of a core", str(stream), at)
        _check_words(words, f"{at}, stream {stream}")


def _check_words(words: Words, at: str) -> None:
    if words.dtype != np.uint64 or words.ndim != 2 or words.shape[1] != WORDS:
        found = f"{words.dtype} {words.shape}; allowed is uint64 [n, {WORDS}]"
        raise _wrong("SYS-N030", "a stream is a whole number of instructions", found, at)


def _check_buffers(program: Program, at: str, limits: Limits) -> None:
    names: set[str] = set()
    end = 0
    for buffer in program.buffers:
        place = f"{at}, buffer {buffer.name[:60]}"
        _check_name(buffer.name, place, limits)
        if buffer.name in names:
            raise _wrong("SYS-N031", "buffers have different names", buffer.name[:60], at)
        names.add(buffer.name)
        if buffer.address < end:
            message = "buffers stand in address order, and none runs into the next"
            found = f"address {buffer.address}; the one before ends at {end}"
            raise _wrong("SYS-N031", message, found, place)
        end = buffer.end
        if buffer.size_bytes < 1 or end > limits.dram_bytes:
            message = f"a buffer has a byte at least, and ends within {limits.dram_bytes}"
            found = f"{buffer.size_bytes} bytes at {buffer.address}"
            raise _wrong("SYS-N031", message, found, place)
        needed = _elements(buffer.shape, place, limits) * buffer.dtype.size_bytes
        if buffer.shape and needed > buffer.size_bytes:
            found = f"{list(buffer.shape)} {buffer.dtype.text} need {needed} bytes"
            message = f"a buffer's shape fits in its {buffer.size_bytes} bytes"
            raise _wrong("SYS-N031", message, found, place)


def _elements(shape: Sequence[int], at: str, limits: Limits) -> int:
    count = 1
    for n in shape[: limits.rank]:
        count *= n
        if n < 0 or count > limits.dram_bytes:
            break
    if len(shape) > limits.rank or any(n < 0 for n in shape) or count > limits.dram_bytes:
        message = f"a shape has at most {limits.rank} dimensions of reasonable size"
        raise _wrong("SYS-N031", message, str(list(shape[:8])), at)
    return count


def _check_constants(section: Section, at: str) -> None:
    buffers = {b.name: b.size_bytes for b in section.constant_buffers()}
    unequal = sorted(set(buffers) ^ set(section.constants))
    if unequal:
        message = "every constant buffer has its bytes, and nothing else has"
        raise _wrong("SYS-N032", message, unequal[0][:60], at)
    for name, data in section.constants.items():
        if data.dtype != np.uint8 or data.shape != (buffers[name],):
            found = f"{data.dtype} {list(data.shape)}; the buffer is uint8 [{buffers[name]}]"
            message = "a constant is as large as its buffer"
            raise _wrong("SYS-N032", message, found, f"{at}, buffer {name[:60]}")


def _check_debug(program: Program, at: str) -> None:
    for stream, layer_of in program.debug.items():
        place = f"{at}, debug map of stream {stream}"
        length = len(program.streams.get(stream, ()))
        if stream not in program.streams or layer_of.shape != (length,):
            message = "a debug map has an entry for each instruction"
            found = f"{list(layer_of.shape)}; the stream has {length}"
            raise _wrong("SYS-N034", message, found, place)
        if layer_of.dtype != np.int32:
            raise _wrong("SYS-N034", "a debug map is int32", str(layer_of.dtype), place)
        if length and not (layer_of.min() >= -1 and layer_of.max() < len(program.layers)):
            message = f"a debug map names one of {len(program.layers)} layers, or -1"
            found = f"{layer_of.min()} to {layer_of.max()}"
            raise _wrong("SYS-N034", message, found, place)


def _check_tensors(
    neff: Neff, tensors: tuple[ModelTensor, ...], kind: BufferKind, limits: Limits
) -> None:
    names: set[str] = set()
    buffers = [{b.name: b for b in s.program.buffers} for s in neff.sections]
    for tensor in tensors:
        at = f"{kind.value} {tensor.name[:60]}"
        _check_name(tensor.name, at, limits)
        if tensor.name in names:
            raise _wrong("SYS-N033", f"{kind.value}s have different names", tensor.name[:60], at)
        names.add(tensor.name)
        if tensor.dtype not in TENSOR_DTYPES:
            message = f"a tensor's dtype is one of {', '.join(TENSOR_DTYPES)}"
            raise _wrong("SYS-N033", message, repr(tensor.dtype)[:60], at)
        if not 0 <= tensor.section < len(neff.sections):
            message = f"a tensor is in one of {len(neff.sections)} sections"
            raise _wrong("SYS-N033", message, str(tensor.section), at)
        buffer = buffers[tensor.section].get(tensor.buffer)
        if buffer is None or buffer.kind is not kind:
            found = f"{tensor.buffer[:60]!r}: {buffer.kind.value if buffer else 'no such buffer'}"
            message = f"an {kind.value} is bound to a buffer of that kind"
            raise _wrong("SYS-N033", message, found, at)
        needed = _elements(tensor.shape, at, limits) * buffer.dtype.size_bytes
        if needed > buffer.size_bytes:
            found = f"{list(tensor.shape)} as {buffer.dtype.text}: {needed} bytes"
            message = f"a tensor fits in its buffer of {buffer.size_bytes} bytes"
            raise _wrong("SYS-N033", message, found, at)


def _check_links(neff: Neff) -> None:
    """Each names an output and an input of a later section, alike in type and size, fed once."""
    buffers = [{b.name: b for b in s.program.buffers} for s in neff.sections]
    fed = {(t.section, t.buffer) for t in neff.inputs}
    for number, link in enumerate(neff.links):
        at = f"link {number}"
        ends = []
        for (section, name), kinds in (
            (link.source, (BufferKind.OUTPUT, BufferKind.INPUT)),
            (link.target, (BufferKind.INPUT,)),
        ):
            buffer = buffers[section].get(name) if 0 <= section < len(buffers) else None
            if buffer is None or buffer.kind not in kinds:
                found = f"section {section}, {name[:60]!r}"
                message = "a link leads from an output or an input to an input"
                raise _wrong("SYS-N036", message, found, at)
            ends.append((buffer.size_bytes, buffer.dtype))
        if link.source[0] >= link.target[0] or ends[0] != ends[1]:
            found = f"{link.source} to {link.target}"
            message = "a link leads to a later section, and its ends have one size and type"
            raise _wrong("SYS-N036", message, found, at)
        if link.target in fed:
            message = "an input is fed once, by the caller or by a link"
            raise _wrong("SYS-N036", message, str(link.target)[:60], at)
        fed.add(link.target)
