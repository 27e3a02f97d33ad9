"""`python -m neff FILE`: everything the file says of itself, as JSON."""

from __future__ import annotations

import json
import sys

from isa.errors import SystolaError
from neff.inspection import inspect


def main(arguments: list[str]) -> int:
    """Exit code 0 when the file was read, 2 on wrong usage, 3 when it is refused."""
    if len(arguments) != 1:
        print("usage: python -m neff FILE", file=sys.stderr)
        return 2
    try:
        print(json.dumps(inspect(arguments[0]), indent=2))
    except SystolaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
