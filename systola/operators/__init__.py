"""Where every ONNX operator runs, by data type: found by trying, not by a list.

    python -m systola.operators          writes systola/data/operators.json and docs/operators.md

Read `samples.py` (what is tried), `survey.py` (where it runs), `page.py` (the table).
"""

from systola.operators.page import name_of, otherwise, page, signs, table

__all__ = ["name_of", "otherwise", "page", "signs", "table"]
