"""Activation functions of the scalar engine, exact to the bit.

`functions.py` says what each function means and where it is promised, `tables.py` what the shipped
tables hold, `reference.py` how a result is computed, and `fast.py` computes the same quickly.
`scripts/generate_activation_tables.py` makes the tables, `scripts/measure_activation_errors.py`
measures them into `errors.json`.
"""

from isa.activation.functions import (
    FACTS,
    ActivationFunction,
    ActivationSet,
    FunctionFacts,
    Method,
    function_named,
    members,
    needs_table_load,
)
from isa.activation.reference import evaluate
from isa.activation.tables import Tables, load_tables, table_bytes

__all__ = [
    "FACTS",
    "ActivationFunction",
    "ActivationSet",
    "FunctionFacts",
    "Method",
    "Tables",
    "evaluate",
    "function_named",
    "load_tables",
    "members",
    "needs_table_load",
    "table_bytes",
]
