"""Static memory allocation: offsets for boxes of bytes x time, or quadrants x bytes x time.

problem.py   Problem, Solution
checker.py   what a solution is; shares no code with what finds one
solver.py    solve(problem, capacity), minimise(problem)
greedy.py    the fast tier, for 100,000 boxes;  search.py  the exact tier, for hard instances
splitting.py independent parts of what is left;  state.py  the search's arrays
orders.py    which boxes first;  bounds.py  the largest live sum, sections, parts

It knows nothing of programs and schedules: `compiler/schedule` asks it for addresses.
"""

from compiler.memory.problem import Problem, Solution, problem, read_csv
from compiler.memory.solver import MOST_PAIRED, fullest_first, minimise, solve

__all__ = [
    "MOST_PAIRED",
    "Problem",
    "Solution",
    "fullest_first",
    "minimise",
    "problem",
    "read_csv",
    "solve",
]
