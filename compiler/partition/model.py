"""What a partitioned compilation leaves: sections in order, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compiler.pipeline import Compiled
from neff.partitioned import DevicePart, HostPart, PartitionedNeff, PartTensor


@dataclass(frozen=True)
class HostOp:
    """An operator that runs on the host, and why it does."""

    node: str
    op: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """The entry of a report's `host_ops`."""
        return {"node": self.node, "op": self.op, "reason": self.reason}


@dataclass(frozen=True)
class HostSection:
    """A section of the host: an ONNX model of its own, and who runs it."""

    part: HostPart
    operations: int


@dataclass(frozen=True)
class DeviceSection:
    """A section of the device: a compiled model whose tensors bear the model's own names."""

    compiled: Compiled
    operations: int


@dataclass(frozen=True)
class Partitioned:
    """A model in sections.

    Attributes:
        sections: in the order in which they run.
        inputs, outputs: the model's own.
        report: the keys of a compilation's report, of the device sections together.
    """

    name: str
    target: str
    sections: tuple[HostSection | DeviceSection, ...]
    inputs: tuple[PartTensor, ...]
    outputs: tuple[PartTensor, ...]
    host_ops: tuple[HostOp, ...]
    metadata: dict[str, Any]
    report: dict[str, Any]

    @property
    def device(self) -> Sequence[DeviceSection]:
        """The sections of the device, in order."""
        return [s for s in self.sections if isinstance(s, DeviceSection)]

    @property
    def neff(self) -> PartitionedNeff:
        """What a file holds."""
        parts = [
            s.part if isinstance(s, HostSection) else DevicePart(s.compiled.neff)
            for s in self.sections
        ]
        return PartitionedNeff(
            self.name, self.target, tuple(parts), self.inputs, self.outputs, self.metadata
        )
