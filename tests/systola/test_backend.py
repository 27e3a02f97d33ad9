"""The ONNX backend: its interface, and onnx's own suite through it."""

from __future__ import annotations

import json
import os
import unittest
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
import pytest

from isa.errors import MalformedError
from systola.backend import SystolaBackend
from tests.compiler.partition.cut_models import CASES, F, X, bert, between, model_of, node

LEAST_PASSED = 0.99
LEAST_ON_DEVICE = 0.97  # of the node tests of plain types and static shapes
_T = onnx.TensorProto
PLAIN = (
    _T.FLOAT, _T.FLOAT16, _T.BFLOAT16, _T.INT8, _T.INT16, _T.INT32, _T.UINT8, _T.UINT16, _T.UINT32,
    _T.BOOL,
)  # fmt: skip


def test_a_model_runs_on_the_device_the_host_or_both() -> None:
    plain = SystolaBackend.prepare(between(node("Relu", ["y"], ["z"]), last="z"))
    assert plain.place == "device"
    assert plain.run([X])[0].shape == (4, 4)
    both = SystolaBackend.prepare(bert(), "inf2")
    assert both.place == "both"
    assert both.report["host_ops"]
    words = model_of(
        [node("StringNormalizer", ["x"], ["y"], case_change_action="UPPER")],
        {"x": (onnx.TensorProto.STRING, [2])}, {"y": [2]}, [],
    )  # fmt: skip
    words.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.STRING
    host = SystolaBackend.prepare(words)
    assert host.place == "host"
    assert host.run([np.array(["a", "b"], object)])[0].tolist() == ["A", "B"]


def test_open_shapes_are_those_of_the_first_inputs() -> None:
    model = model_of([node("Relu", ["x"], ["y"])], {"x": (F, ["n", 3])}, {"y": ["n", 3]}, [])
    rep = SystolaBackend.prepare(model)
    assert rep.place == ""
    x = np.array([[-1, 0, 1]] * 5, np.float32)
    np.testing.assert_array_equal(rep.run({"x": x})[0], np.maximum(x, 0))
    assert rep.place == "device"


def test_a_backend_knows_its_devices_and_its_inputs() -> None:
    assert SystolaBackend.supports_device("CPU")
    assert SystolaBackend.supports_device("inf2")
    assert not SystolaBackend.supports_device("CUDA")
    model, inputs = CASES["named operator"][:2]
    with pytest.raises(MalformedError):
        SystolaBackend.prepare(model).run([*inputs.values(), X])


class Recorded(SystolaBackend):
    """The backend that remembers where its last model ran."""

    target = os.environ.get("SYSTOLA_SUITE_TARGET", "inf2")
    last: Any = None
    plain = False  # whether its last model's inputs and outputs are of plain types

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **options: Any) -> Any:
        borders = (*model.graph.input, *model.graph.output)
        cls.plain = all(i.type.tensor_type.elem_type in PLAIN for i in borders)
        cls.last = super().prepare(model, cls.target, **options)
        return cls.last

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device == "CPU"


def suite() -> dict[str, tuple[str, str, str, bool]]:
    """Test -> (pass, fail or skip; place; what was wrong; plain types), for all of onnx's own."""
    found = {}
    for case in onnx.backend.test.BackendTest(Recorded, __name__).test_cases.values():
        for name in sorted(n for n in dir(case) if n.startswith("test_") and n.endswith("_cpu")):
            Recorded.last, Recorded.plain, wrong = None, False, ""
            try:
                getattr(case(name), name)()
                verdict = "pass"
            except unittest.SkipTest:
                verdict = "skip"
            except Exception as error:
                verdict, wrong = "fail", f"{type(error).__name__}: {str(error)[:200]}"
            found[name] = (verdict, getattr(Recorded.last, "place", ""), wrong, Recorded.plain)
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_onnx_own_suite(models_dir: Path) -> None:
    found = suite()
    verdicts = Counter(entry[0] for entry in found.values())
    failed = {n: entry[2] for n, entry in found.items() if entry[0] == "fail"}
    tried = verdicts["pass"] + verdicts["fail"]
    assert verdicts["pass"] >= LEAST_PASSED * tried, failed
    classes = json.loads((models_dir.parent / "onnx_backend_anchor.json").read_text())["tests"]
    static = [n for n, entry in classes.items() if entry[:2] == ["node", "static"] and n in found]
    plain = [n for n in static if found[n][3]]
    on_device = sum(found[n][:2] == ("pass", "device") for n in plain)
    assert on_device >= LEAST_ON_DEVICE * len(plain), f"{on_device} of {len(plain)}"
