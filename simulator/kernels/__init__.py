"""Numba kernels: pure functions on arrays, each held to a plain reference by a test."""

from simulator.kernels.matmul import (
    matmul_tile,
    matmul_tile_accumulate,
    matmul_tile_int8,
    matmul_tile_int8_accumulate,
    matmul_tile_into,
)

__all__ = [
    "matmul_tile",
    "matmul_tile_accumulate",
    "matmul_tile_int8",
    "matmul_tile_int8_accumulate",
    "matmul_tile_into",
]
