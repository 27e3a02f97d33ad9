"""Make the table and its page anew, in the checkout or the folder given."""

from __future__ import annotations

import sys
from pathlib import Path

from systola.operators.page import write

if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2])
