"""Who is better with the host, where a host section stands anyway.

- A gather by run-time index whose operands are the host's: the device would multiply the whole
  table with a one-hot matrix, the host reads the rows.
- What converts or moves 64-bit integers that the host made: the device keeps them in 32 bits, and
  nobody has proved their range.
- A join of tensors that only the host makes and only the join reads: one crosses, not several.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from compiler.partition.calls import Call
from compiler.partition.probe import Probed

CARRIES = (
    "Cast", "CastLike", "Expand", "Identity", "Reshape", "Slice", "Squeeze", "Tile", "Transpose",
    "Unsqueeze",
)  # fmt: skip
JOINS = ("Add", "Sub", "Mul", "Sum", "Concat")


def preferred(probed: Probed, host: Mapping[str, str]) -> dict[str, str]:
    """Calls that go to the host as well -> why; `host` are those that have to."""
    at_hand = set(probed.inputs) | set(probed.constants)
    made: set[str] = set()  # by the host, from what is at hand
    readers = Counter(r for c in probed.calls for r in c.reads)
    found: dict[str, str] = {}
    for call in probed.calls:
        if not all(r in at_hand or r in made for r in call.reads):
            continue
        if call.name in host:
            made.update(call.writes)
        elif _gathers(call, probed):
            found[call.name] = (
                "it gathers by an index known only at run time, from what the host has: "
                "on the device that is a product with the whole table"
            )
            made.update(call.writes)
        elif call.op in CARRIES and _is_wide(call.reads[0], probed, made):
            found[call.name] = (
                "it reads 64-bit integers of the host, whose range is not proved: "
                "the device keeps them in 32 bits"
            )
            made.update(call.writes)
        elif _joins(call, probed, made, readers):
            found[call.name] = "it joins tensors of the host, so that fewer bytes cross"
            made.update(call.writes)
    return found


def _gathers(call: Call, probed: Probed) -> bool:
    node = call.proto
    return call.op == "Gather" and node.input[1] not in probed.constants


def _is_wide(tensor: str, probed: Probed, made: Collection[str]) -> bool:
    value = probed.values.get(tensor)
    return tensor in made and value is not None and value.dtype.name in ("int64", "uint64")


def _joins(call: Call, probed: Probed, made: set[str], readers: Mapping[str, int]) -> bool:
    if call.op not in JOINS:
        return False
    moving = [r for r in call.reads if r not in probed.constants]
    return len(moving) > 1 and all(
        r in made and readers[r] == 1 and r not in probed.outputs for r in moving
    )
