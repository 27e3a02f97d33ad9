"""Neff: a compiled model, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from isa.program import BufferKind, DramBuffer, Program
from neff.layout import BUILD_VERSION

Bytes = NDArray[np.uint8]

# what a model's own inputs and outputs may be made of: NumPy's names, and those of ml_dtypes
TENSOR_DTYPES: dict[str, np.dtype[np.generic]] = {
    name: np.dtype(name)
    for name in (
        *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
        *("float16", "float32", "float64"),
    )
}
for _kind in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3, ml_dtypes.float8_e5m2):
    TENSOR_DTYPES[np.dtype(_kind).name] = np.dtype(_kind)


@dataclass(frozen=True)
class ModelTensor:
    """An input or output under the model's own name, dtype and shape.

    The buffer holds its elements in row-major order in the buffer's own dtype; the runtime casts.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    buffer: str
    section: int = 0

    @property
    def elements(self) -> int:
        """Elements in all."""
        return prod(self.shape)

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The model's dtype."""
        return TENSOR_DTYPES[self.dtype]


@dataclass(frozen=True)
class Section:
    """What one core runs: a program, and the bytes of each of its constant buffers.

    `constants` are uint8 [size_bytes]; read from a file they are views of the mapped file.
    """

    program: Program
    constants: Mapping[str, Bytes] = field(default_factory=dict)

    def buffer(self, name: str) -> DramBuffer | None:
        """A DRAM buffer by name."""
        return next((b for b in self.program.buffers if b.name == name), None)

    def constant_buffers(self) -> list[DramBuffer]:
        """The buffers that `constants` fills, in address order."""
        return [b for b in self.program.buffers if b.kind is BufferKind.CONSTANT]


@dataclass(frozen=True)
class Link:
    """Bytes handed on between sections: what one leaves in an output buffer, or was given in an
    input buffer, is another's input.

    `source` and `target` are (section, buffer); a source comes before its target.
    """

    source: tuple[int, str]
    target: tuple[int, str]


@dataclass(frozen=True)
class Neff:
    """A compiled model.

    Attributes:
        name: the model's name.
        target: name of the hardware it was compiled for (isa.hardware).
        sections: one a core that takes part; the first is `sg00`.
        inputs, outputs: the model's own tensors, in the model's order.
        metadata: JSON-able: compiler version, options, report. No NaN, text keys only. It is part
            of the bytes: what differs from run to run, a wall time above all, has no place in it.
        cores: cores asked for at compile time.
        build_version: what wrote it.
        links: what sections hand on to later ones.
    """

    name: str
    target: str
    sections: tuple[Section, ...]
    inputs: tuple[ModelTensor, ...] = ()
    outputs: tuple[ModelTensor, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    cores: int = 1
    build_version: str = BUILD_VERSION
    links: tuple[Link, ...] = ()

    @classmethod
    def single(
        cls,
        name: str,
        target: str,
        program: Program,
        constants: Mapping[str, Bytes] | None = None,
        **others: Any,
    ) -> Neff:
        """A model of one section; `others` are the further attributes."""
        return cls(name, target, (Section(program, constants or {}),), **others)

    @property
    def program(self) -> Program:
        """The first section's program."""
        return self.sections[0].program

    @property
    def constants(self) -> Mapping[str, Bytes]:
        """The first section's constants."""
        return self.sections[0].constants
