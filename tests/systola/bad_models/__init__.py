"""Models that are bad, and models that only look it: what each is, and what becomes of it.

A case writes its model into an empty folder and gives the arguments of `systola compile`: the
model's path, then options. `LEGAL` stands for a model that compiles.
"""

from __future__ import annotations

from tests.systola.bad_models.case import LEGAL, Case
from tests.systola.bad_models.files import FILES, VERSIONS
from tests.systola.bad_models.graphs import GRAPHS
from tests.systola.bad_models.operators import NODES
from tests.systola.bad_models.shapes import SHAPES
from tests.systola.bad_models.subgraphs import SUBGRAPHS
from tests.systola.bad_models.weights import WEIGHTS

__all__ = ["CASES", "LEGAL", "Case"]

CASES = [*FILES, *VERSIONS, *GRAPHS, *WEIGHTS, *NODES, *SUBGRAPHS, *SHAPES]
