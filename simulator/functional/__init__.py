"""Function, fast: what a program computes, bit for bit as the reference interpreter says.

    table.py        program -> rows of numbers, decoded once; forms.py says how, kind by kind
    simulator.py    rows and a State -> the State that the program leaves
    loop.py         instructions in a legal order; stages.py what they are made of
    patterns.py     access patterns -> consecutive elements and back
    conversions.py  data types;  alu.py  operators

What the compiled loop does not know, the reference interpreter executes on the same memories.
"""

from simulator.functional.simulator import FunctionalRun, run_fast, simulate
from simulator.functional.table import FunctionalProgram, prepare

__all__ = ["FunctionalProgram", "FunctionalRun", "prepare", "run_fast", "simulate"]
