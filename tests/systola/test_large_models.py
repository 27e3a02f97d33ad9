"""Weights beside the model are mapped, not read: memory follows what is used of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from onnx import TensorProto, parser

MB = 1 << 20

# Runs the command line and says how far its memory went beyond what the imports take.
MEASURED = """
import sys
import onnx, onnxruntime, compiler.pipeline, compiler.partition, systola.api
from systola.cli import run
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return {l.split(":")[0]: int(l.split()[1]) for l in lines if l.startswith("Vm")}
before = peak()["VmRSS"]
code = run(sys.argv[1:])
print("grown", (peak()["VmHWM"] - before) >> 10)
sys.exit(code)
"""


def sparse_model(folder: Path, size: int, graph: str, rows: int) -> Path:
    """A model whose table [rows, 256] takes `size` bytes of a file without blocks on the disk."""
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {graph}')
    table = TensorProto(name="table", data_type=TensorProto.FLOAT, dims=[rows, 256])
    table.data_location = TensorProto.EXTERNAL
    table.external_data.add(key="location", value="table.bin")
    model.graph.initializer.append(table)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    with (folder / "table.bin").open("wb") as file:
        os.truncate(file.fileno(), size)
    return folder / "m.onnx"


def grown_mb(model: Path) -> int:
    """Compile in a process of its own; how many MB its memory grew at most."""
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is read from /proc")
    goal = model.parent / "m.neff"
    call = [sys.executable, "-c", MEASURED, "compile", str(model), "-o", str(goal)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert goal.stat().st_size > 0
    return int(done.stdout.split()[-1])


PART = (
    "agraph (float[16,256] x) => (float[16,64] y) "
    "{ b = Constant<value = int64[1] {100}>()  e = Constant<value = int64[1] {164}>() "
    "  w = Slice(table, b, e)  t = Transpose(w)  y = MatMul(x, t) }"
)


def test_a_part_of_50_mb_takes_its_part(tmp_path: Path) -> None:
    size = 50 * MB
    grown = grown_mb(sparse_model(tmp_path, size, PART, size // 1024))
    assert grown < 200


@pytest.mark.slow
def test_a_part_of_2_5_gb_takes_its_part(tmp_path: Path) -> None:
    size = 2560 * MB
    grown = grown_mb(sparse_model(tmp_path, size, PART, size // 1024))
    assert grown < 500


@pytest.mark.slow
def test_a_whole_weight_takes_less_than_twice_its_size(tmp_path: Path) -> None:
    rows = 1 << 18  # 256 MB
    graph = (
        "agraph (float[2,256] x) => (float[2,262144] y) { t = Transpose(table)  y = MatMul(x, t) }"
    )
    assert grown_mb(sparse_model(tmp_path, rows * 1024, graph, rows)) < 2 * 256 + 500
