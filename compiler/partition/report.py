"""The report of a model in sections: device sections added up, the host named operation by
operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compiler.partition.model import DeviceSection, HostOp, HostSection

SUMS = (
    "cycles", "time_s", "bound_cycles", "bound_column_cycles", "macs", "dram_bytes",
    "dram_bytes_compulsory", "instructions", "predicted_cycles",
)  # fmt: skip
PEAKS = ("sbuf_peak_bytes", "psum_peak_bytes")
NOTE = (
    "cycles, time and bound are those of the device: the host's time is not counted, "
    "nor the way of {bytes:,} bytes a run between the two"
)


def combined(
    name: str,
    sections: Sequence[HostSection | DeviceSection],
    host_ops: Sequence[HostOp],
    host_macs: int,
    crossing: tuple[int, int],
    peak_macs_a_cycle: float,
) -> dict[str, Any]:
    """The report of all sections.

    Args:
        host_macs: multiply-accumulates on the host.
        crossing: bytes from the host to the device, and back.
        peak_macs_a_cycle: of the array, a base cycle.
    """
    device = [s.compiled.report for s in sections if isinstance(s, DeviceSection)]
    whole: dict[str, Any] = dict(device[-1])  # the last has the wall times of all
    for keys, together in ((SUMS, sum), (PEAKS, max)):
        for key in keys:
            if all(key in r for r in device):  # a pipeline over cores predicts no cycles
                whole[key] = together(r[key] for r in device)
    on_device = whole["macs"]
    notes = [str(n) for r in device for n in r.get("notes", ())]
    return whole | {
        "model": name,
        "bound_ratio": whole["cycles"] / whole["bound_cycles"],
        "pe_utilization": on_device / (peak_macs_a_cycle * max(1, whole["cycles"])),
        "macs": on_device + host_macs,
        "macs_on_device": on_device,
        "macs_on_device_share": on_device / (on_device + host_macs) if on_device else 0.0,
        "host_ops": [op.to_json() for op in host_ops],
        "host_to_device_bytes": crossing[0],
        "device_to_host_bytes": crossing[1],
        "sections": [_section(s) for s in sections],
        "notes": list(dict.fromkeys([*notes, NOTE.format(bytes=sum(crossing))])),
    }


def _section(section: HostSection | DeviceSection) -> Mapping[str, Any]:
    if isinstance(section, HostSection):
        return {
            "on": "host",
            "operations": section.operations,
            "engine": section.part.engine,
            "own_process": section.part.apart,
            "takes": list(section.part.takes),
            "gives": list(section.part.gives),
        }
    report = section.compiled.report
    shown = ("cycles", "time_s", "bound_cycles", "bound_ratio", "macs", "dram_bytes")
    return {
        "on": "device",
        "operations": section.operations,
        **{key: report[key] for key in shown if key in report},
        "takes": [t.name for t in section.compiled.neff.inputs],
        "gives": [t.name for t in section.compiled.neff.outputs],
    }
