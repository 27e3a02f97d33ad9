"""Several runs and several cores: weights that stay in SBUF, and models cut over cores.

pin.py        weights loaded once: a program parted into what loading runs and what every run runs
cut.py        where to cut a graph: the slowest stage as fast as can be, its weights in its SBUF
split.py      the stages' graphs, and who gets what from whom
stages.py     the whole way, from an imported graph to a NEFF with a section a core
"""
