"""`python -m traces FILE`: where the time of each engine and queue went, as JSON."""

from __future__ import annotations

import json
import sys

from isa.errors import SystolaError
from traces.store import load
from traces.utilization import disagreements, sums, utilization


def main(arguments: list[str]) -> int:
    """Exit code 0 when the file was read, 2 on wrong usage, 3 when it is refused."""
    if len(arguments) != 1:
        print("usage: python -m traces FILE", file=sys.stderr)
        return 2
    try:
        trace = load(arguments[0])
    except SystolaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    tracks = {
        u.track: {
            "busy_ticks": u.busy,
            "waiting_ticks": {cause.text: ticks for cause, ticks in u.waiting.items()},
            "done_ticks": u.done,
        }
        for u in utilization(trace)
    }
    found = {"tracks": tracks, "sums": sums(trace), "disagreements": disagreements(trace)}
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
