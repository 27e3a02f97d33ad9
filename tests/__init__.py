"""Tests; a package only so that shared strategies import as `tests.strategies`."""
