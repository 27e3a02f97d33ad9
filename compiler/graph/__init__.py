"""The tensor IR: static shapes, SSA values, a few dozen core ops.

Read `graph.py` (what a graph is), `ops.py` (the table of core ops), `evaluate.py` (what they mean),
`verify.py` (what is well formed), `text.py` (print and parse), `builder.py` (how graphs are made).
"""
