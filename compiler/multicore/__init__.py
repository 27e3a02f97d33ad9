"""Several runs and several cores: weights that stay in SBUF, and models cut over cores.

pin.py        weights loaded once: a program parted into what loading runs and what every run runs
"""
