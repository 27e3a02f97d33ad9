"""Models in sections at the front door: saved, loaded, run, shown, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import neff
import systola
import systola.cli
from isa.errors import MalformedError, SystolaError
from neff.layout import HEADER_BYTES
from systola.accuracy import measure
from systola.report import KEYS, of_file
from tests.compiler.partition.cut_models import CASES, X, bert, text
from traces.utilization import disagreements

Call = Callable[..., tuple[int, Any]]
INPUTS: dict[str, Any] = {
    "ids": np.arange(16)[None] * 500,
    "kinds": np.arange(16)[None] // 8,
    "mask": (np.arange(16)[None] < 12).astype(np.int64),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("host") / "bert.onnx"
    onnx.save(bert(), path)
    return path


@pytest.fixture(scope="module")
def compiled(model: Path) -> systola.CompiledSections:
    made = systola.compile(model, auto_cast="none")
    assert isinstance(made, systola.CompiledSections)
    return made


@pytest.fixture(scope="module")
def file(compiled: systola.CompiledSections, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("neff") / "bert.neff"
    compiled.save(path)
    return path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: object) -> tuple[int, Any]:
        code = systola.cli.run([*map(str, arguments), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_a_saved_model_runs_as_the_compiled_one(
    compiled: systola.CompiledSections, file: Path, model: Path
) -> None:
    loaded = systola.load(file)
    assert isinstance(loaded, systola.SectionedModel)
    assert [(t.name, t.dtype, t.shape) for t in loaded.inputs] == [
        (name, "int64", (1, 16)) for name in ("ids", "kinds", "mask")
    ]
    first, second = compiled.run(INPUTS), loaded.run(INPUTS)
    np.testing.assert_array_equal(first.outputs["o"], second.outputs["o"])
    assert set(KEYS) <= set(second.report)
    assert second.report["cycles"] == first.report["cycles"] == compiled.report["cycles"]
    wanted = onnxruntime.InferenceSession(str(model)).run(None, INPUTS)[0]
    assert np.abs(second.outputs["o"] - wanted).max() <= 1e-5 * np.ptp(wanted)


def test_what_is_not_given_is_drawn(compiled: systola.CompiledSections) -> None:
    result = compiled.run({"ids": INPUTS["ids"]})
    assert result.drawn_inputs == ("kinds", "mask")
    assert compiled.run({"ids": INPUTS["ids"]}).outputs["o"].tobytes() == (
        result.outputs["o"].tobytes()
    )


def test_inputs_that_do_not_fit_are_refused(compiled: systola.CompiledSections) -> None:
    for inputs, code in (
        ({"nobody": np.zeros(1)}, "SYS-R021"),
        ({"ids": np.zeros((2, 16), np.int64)}, "SYS-R022"),
        ({"ids": np.zeros((1, 16))}, "SYS-R023"),
    ):
        with pytest.raises(MalformedError) as caught:
            compiled.run(inputs)
        assert caught.value.code == code


def test_an_index_outside_its_table_is_refused_by_the_host(
    compiled: systola.CompiledSections,
) -> None:
    with pytest.raises(SystolaError) as caught:
        compiled.run({**INPUTS, "ids": INPUTS["ids"] + 9000})
    assert caught.value.code == "SYS-H002"


def test_text_is_not_drawn() -> None:
    with pytest.raises(MalformedError) as caught:
        systola.compile(text()).run({})
    assert caught.value.code == "SYS-R020"
    assert "'words'" in caught.value.found


def test_a_trace_of_several_sections_adds_up() -> None:
    case, inputs = CASES["no decomposition"][:2]
    compiled = systola.compile(case)
    assert isinstance(compiled, systola.CompiledSections)
    assert len(compiled.device_models) == 2
    result = compiled.run(inputs)
    trace = result.trace
    assert disagreements(trace) == []
    assert trace.cycles == result.report["cycles"] == sum(r.timing.cycles for r in result.results)
    assert len(trace.events) == result.report["instructions"]
    np.testing.assert_allclose(result.values["x"], X)


def test_accuracy_sees_the_layers_of_every_section(
    compiled: systola.CompiledSections, model: Path
) -> None:
    found = measure(compiled, model, INPUTS)
    assert found.outputs[0].relative_max < 1e-5
    assert {"q", "k", "v", "att"} <= {layer.name for layer in found.layers}


def test_the_commands_take_a_model_in_sections(call: Call, file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", **INPUTS)
    out, trace = tmp_path / "out.npz", tmp_path / "t.json"
    code, found = call(
        "run", file, "--inputs", tmp_path / "in.npz", "--outputs", out, "--trace", trace
    )
    assert code == 0
    assert found["host_ops"][0]["op"] == "Gather"
    assert np.load(out)["o"].shape == (1, 16, 32)
    assert trace.is_file()
    code, shown = call("verify", file)
    assert (code, shown["sound"], shown["instructions"]) == (0, True, found["instructions"])
    code, shown = call("inspect", file)
    assert [h["gives"] for h in shown["host_sections"]] == [["wt"]]
    assert [s["name"] for s in shown["sections"]] == ["section01/sg00"]
    code, shown = call("disassemble", file)
    assert list(shown["sections"]) == ["section01/sg00"]


def test_the_report_is_text_as_well(
    file: Path, capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path
) -> None:
    goal = tmp_path / "m.neff"
    assert systola.cli.run(["compile", str(model), "-o", str(goal), "--host-op", "Softmax"]) == 0
    shown = capsys.readouterr().out
    assert "Softmax 'p': Softmax is kept on the host, as asked" in shown.replace("Softmax ''", "")
    assert "100.00 % of the products; 2 sections, 2 on the host" in shown
    assert systola.cli.run(["compile", str(model), "-o", str(goal), "--must-compile"]) == 3
    assert "SYS-P001" in capsys.readouterr().err


def test_a_file_of_sections_is_read_with_distrust(file: Path) -> None:
    data = file.read_bytes()
    with pytest.raises(SystolaError) as caught:
        neff.read(file)
    assert caught.value.code == "SYS-N005"
    for place in (HEADER_BYTES + 5, len(data) // 2, len(data) - 1500):
        damaged = bytearray(data)
        damaged[place] ^= 1
        with pytest.raises(SystolaError) as caught:
            neff.model_from_bytes(bytes(damaged))
        assert caught.value.code == "SYS-N008"
    with pytest.raises(SystolaError):
        neff.model_from_bytes(data[:-512])


def test_sections_that_do_not_fit_together_are_refused(compiled: systola.CompiledSections) -> None:
    from dataclasses import replace

    parts = compiled.neff.parts
    for broken in (parts[::-1], parts[1:], (*parts, parts[0]), parts[:1]):
        with pytest.raises(SystolaError) as caught:
            neff.partitioned_bytes(replace(compiled.neff, parts=tuple(broken)))
        assert caught.value.code == "SYS-N037"


def test_a_file_may_claim_anything_of_its_host() -> None:
    for claim in (1, ["Gather"], [{"node": 1, "op": "x", "reason": "y"}], {"a": 1}):
        assert of_file({"report": {"host_ops": claim}})["host_ops"] is None


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "most"), [("none", 0.0), ("all", 0.101)])
def test_a_quantised_model_is_exact_and_all_on_the_device(
    models_dir: Path, mode: str, most: float
) -> None:
    """In 16 bits its output is off by one of its steps at most."""
    folder = models_dir / "mobilenet_v2_qlinear"
    compiled = systola.compile(folder / "mobilenet_v2_quant.onnx", auto_cast=mode)
    assert compiled.report["host_ops"] == []
    reference = np.load(folder / "reference.npz")
    found = compiled.run({"input": reference["in_input"][:1]}).outputs["output"]
    assert np.abs(found - reference["out_output"][:1]).max() <= most


def test_the_device_may_be_several_cores(model: Path, compiled: systola.CompiledSections) -> None:
    piped = systola.compile(model, auto_cast="none", pipeline_cores=2)
    assert piped.report["host_ops"] == compiled.report["host_ops"]
    found, wanted = (m.run(INPUTS).outputs["o"] for m in (piped, compiled))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


FOREVER = """<ir_version: 8, opset_import: ["" : 17]> agraph (float[2,2] x) => (float[2,2] y) {
    m = MatMul(x, x)
    s = ReduceSum<keepdims = 0>(m)
    zero = Constant<value = float {0}>()
    go = Greater(s, zero)
    y = Loop<body = g1 (int64 i, bool c, float[2,2] a) => (bool d, float[2,2] b) {
        d = Identity(go)  b = Neg(a)
    }>("", go, m)
}"""


def test_a_loop_that_never_ends_is_ended(call: Call, tmp_path: Path) -> None:
    """Twice the identity goes round for ever, its negative not at all; then all is as before."""
    onnx.save(onnx.parser.parse_model(FOREVER), tmp_path / "m.onnx")
    model = systola.compile(tmp_path / "m.onnx", host_dynamic=True)
    turn = np.array([[0, 1], [-1, 0]], np.float32)  # its square is minus the identity
    model.host_timeout_s = 0.5
    with pytest.raises(SystolaError) as caught:
        model.run({"x": np.eye(2, dtype=np.float32)})
    assert caught.value.code == "SYS-H004"
    assert "part 2 of 2, which makes 'y'" in caught.value.at
    np.testing.assert_array_equal(model.run({"x": turn}).outputs["y"], -np.eye(2))
    np.savez(tmp_path / "in.npz", x=np.eye(2, dtype=np.float32))
    given = ("--inputs", tmp_path / "in.npz", "--host-timeout", "0.5")
    code, found = call("run", tmp_path / "m.onnx", "--host-dynamic", *given)
    assert code == 3
    assert found["error"]["code"] == "SYS-H004"
