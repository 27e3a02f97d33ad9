"""The command line: what it prints, its JSON keys, its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper as oh
import pytest

import systola.cli
from systola.report import KEYS
from tests.systola.conftest import DIGITS

Call = Callable[..., tuple[int, Any]]
COMMANDS = (
    *("demo", "compile", "run", "accuracy", "plot"),
    *("verify", "inspect", "disassemble", "targets", "isa", "operators"),
)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run a command with --json; its exit code and the one object that it prints."""
    monkeypatch.delenv("SYSTOLA_DEBUG", raising=False)

    def run(*arguments: object) -> tuple[int, Any]:
        code = systola.cli.run([*map(str, arguments), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def text(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = systola.cli.run([*map(str, arguments)])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def one_node(path: Path, op: str, shape: list[Any], domain: str = "") -> Path:
    value = oh.make_tensor_value_info
    graph = oh.make_graph(
        [oh.make_node(op, ["x"], ["y"], name="the_node", domain=domain)], "g",
        [value("x", onnx.TensorProto.FLOAT, shape)], [value("y", onnx.TensorProto.FLOAT, shape)],
    )  # fmt: skip
    opsets = [oh.make_opsetid("", 17), *([oh.make_opsetid(domain, 1)] if domain else [])]
    onnx.save(oh.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


# --- what works ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(command: str, text: Any) -> None:
    code, out, _ = text(command, "--help")
    assert code == 0
    assert "--json" in out


def test_compile_reports_every_key(call: Call, tmp_path: Path) -> None:
    goal, report = tmp_path / "d.neff", tmp_path / "d.json"
    code, found = call("compile", DIGITS, "-o", goal, "--report", report)
    assert code == 0
    assert goal.is_file()
    assert set(KEYS) <= set(found)
    assert set(KEYS) <= set(json.loads(report.read_text()))
    assert found["macs"] == found["macs_on_device"] == 38124800
    assert found["host_ops"] == []
    assert found["bound_ratio"] == found["cycles"] / found["bound_cycles"] >= 1
    assert 0 < found["pe_utilization"] <= 1
    assert found["dram_bytes"] >= found["dram_bytes_compulsory"] > 0
    assert 0 < found["psum_peak_bytes"] <= 2 * 2**20


def test_a_run_gives_outputs_a_trace_and_the_compiled_cycles(
    call: Call, digits: systola.CompiledModel, digits_neff: Path, tmp_path: Path
) -> None:
    images = np.load(DIGITS.parent / "digits_test.npz")["x"][:50]
    np.savez(tmp_path / "in.npz", x=images)
    code, found = call(
        "run", digits_neff, "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz",
        "--trace", tmp_path / "t.json",
    )  # fmt: skip
    assert code == 0
    assert set(KEYS) <= set(found)
    assert found["cycles"] == digits.report["cycles"]
    assert found["drawn_inputs"] == []
    assert np.load(tmp_path / "out.npz")["logits"].shape == (50, 10)
    code, drawn = call("plot", tmp_path / "t.json", "-o", tmp_path / "t.png")
    assert code == 0
    assert drawn["cycles"] == found["cycles"]
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_says_which_inputs_it_drew(digits_neff: Path, call: Call, text: Any) -> None:
    assert call("run", digits_neff)[1]["drawn_inputs"] == ["x"]
    code, out, err = text("run", digits_neff)
    assert code == 0
    assert "drawn from a fixed seed" in err
    assert "cycles" in out


def test_run_compiles_a_model_first(call: Call) -> None:
    code, found = call("run", DIGITS, "--auto-cast", "matmult", "--auto-cast-type", "fp16")
    assert code == 0
    assert found["compile_s"] > 0


def test_accuracy_ranks_layers_by_the_models_names(call: Call) -> None:
    code, found = call("accuracy", DIGITS)
    assert code == 0
    assert [e["name"] for e in found["outputs"]] == ["logits"]
    assert found["outputs"][0]["relative_max"] < 0.05
    errors = [e["relative_rms"] for e in found["layers"]]
    assert len(errors) >= 8
    assert errors == sorted(errors, reverse=True)


def test_what_was_compiled_verifies(call: Call, digits_neff: Path) -> None:
    code, found = call("verify", digits_neff)
    assert (code, found["sound"], found["faults"]) == (0, True, [])


def test_a_neff_is_inspected_and_disassembled(call: Call, digits_neff: Path, text: Any) -> None:
    code, found = call("inspect", digits_neff)
    assert code == 0
    assert found["inputs"][0]["shape"] == [50, 1, 8, 8]
    assert text("inspect", digits_neff)[0] == 0
    code, out, _ = text("disassemble", digits_neff)
    assert code == 0
    assert ".stream PE" in out
    assert call("disassemble", digits_neff)[1]["sections"]["sg00"] == out


def test_the_specification_is_shown(call: Call, text: Any) -> None:
    assert set(call("targets")[1]["targets"]) == {"inf1", "inf2", "trn1", "trn2"}
    code, out, _ = text("targets", "inf1")
    assert code == 0
    assert "assumed" in out
    assert len(call("isa")[1]["instructions"]) > 50
    assert call("isa", "matmul")[1]["mnemonic"] == "matmul"
    assert "matmul-C1" in text("isa", "matmul")[1]


def test_a_users_own_target_is_taken(
    call: Call, digits: systola.CompiledModel, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    own.write_text('base = "inf1"\nname = "own"\nsummary = "slower"\npe_clock_hz = 500_000_000\n')
    code, found = call("targets", own)
    assert code == 0
    assert found["targets"][str(own)]["values"]["pe_clock_hz"]["value"] == 500_000_000
    code, found = call("run", DIGITS, "--target", own)
    assert code == 0
    assert found["target"] == "own"
    assert found["cycles"] > digits.report["cycles"]
    code, found = call("compile", DIGITS, "--target", own, "-o", tmp_path / "own.neff")
    assert code == 0
    assert call("run", tmp_path / "own.neff", "--target", own)[1]["cycles"] == found["cycles"]
    refused(call("run", tmp_path / "own.neff"), "SYS-T001")


# --- what is refused -----------------------------------------------------------------------------


def refused(found: tuple[int, Any], code: str, exit_code: int = 3) -> dict[str, Any]:
    assert found[0] == exit_code
    error: dict[str, Any] = found[1]["error"]
    assert error["code"] == code, error
    assert found[1]["exit_code"] == exit_code
    return error


def test_files_that_cannot_be_read_are_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    (tmp_path / "bad.neff").write_bytes(b"no neff")
    refused(call("compile", tmp_path / "none.onnx", "-o", tmp_path / "x"), "SYS-F001")
    refused(call("compile", tmp_path / "bad.onnx", "-o", tmp_path / "x"), "SYS-F002")
    refused(call("run", tmp_path / "none.neff"), "SYS-N001")
    for command in ("run", "verify", "inspect", "disassemble"):
        assert call(command, tmp_path / "bad.neff")[0] == 3
    refused(call("plot", tmp_path / "none.json", "-o", tmp_path / "x.png"), "SYS-E002")
    refused(call("run", DIGITS, "--inputs", tmp_path / "none.npz"), "SYS-U001")
    with (tmp_path / "one.npy").open("wb") as file:
        np.save(file, np.ones(3))
    refused(call("run", DIGITS, "--inputs", tmp_path / "one.npy"), "SYS-U001")
    (tmp_path / "one.npy").unlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.neff", "bad.onnx"]


def test_a_file_that_cannot_be_written_is_refused_before_the_work(
    call: Call, tmp_path: Path
) -> None:
    missing, made = tmp_path / "missing", tmp_path / "made.neff"
    none = tmp_path / "none.onnx"  # not reached
    for arguments in (
        ("compile", none, "-o", missing / "m.neff"),
        ("compile", none, "-o", tmp_path),
        ("compile", none, "-o", made, "--report", missing / "r.json"),
        ("run", none, "--outputs", missing / "o.npz"),
        ("run", none, "--trace", missing / "t.json"),
        ("explain", none, "--plot", missing / "p.png"),
    ):
        code, found = call(*arguments)
        refused((code, found), "SYS-F001")
        assert found["error"]["message"] == "the file cannot be written"
    assert not list(tmp_path.iterdir())


def test_a_model_is_not_overwritten(call: Call, tmp_path: Path) -> None:
    model = one_node(tmp_path / "m.onnx", "Relu", [4, 8])
    before = model.read_bytes()
    for arguments in (("compile", "-o"), ("run", "--outputs")):
        command, option = arguments
        code, found = call(command, model, option, tmp_path / "." / "m.onnx")
        assert (code, found["error"]["code"]) == (2, "SYS-U000")
        assert "overwritten" in found["error"]["message"]
    assert model.read_bytes() == before


def test_inputs_that_do_not_fit_are_refused(call: Call, digits_neff: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.ones((1, 1, 8, 8), np.float32))
    refused(call("run", digits_neff, "--inputs", tmp_path / "in.npz"), "SYS-R022")
    np.savez(tmp_path / "in.npz", z=np.ones(1))
    refused(call("run", digits_neff, "--inputs", tmp_path / "in.npz"), "SYS-R021")


def test_a_free_dimension_is_asked_for_and_can_be_given(call: Call, tmp_path: Path) -> None:
    model = one_node(tmp_path / "m.onnx", "Relu", ["batch", 8])
    code, found = call("run", model)
    assert code == 3
    assert "--shape" in found["error"]["hint"]
    assert "--batch" in found["error"]["hint"]
    for option in (("--shape", "x=4,8"), ("--batch", "4")):
        code, found = call("run", model, *option)
        assert code == 0
        assert found["output_tensors"]["y"]["shape"] == [4, 8]
    for command in ("accuracy", "explain", "bench"):
        assert call(command, model, "--batch", "4")[0] == 0
    assert call("run", model, "--shape", "z=4,8")[0] in (2, 3)


def test_an_operator_without_mapping_is_named(call: Call, tmp_path: Path) -> None:
    model = one_node(tmp_path / "m.onnx", "Frobnicate", [1, 8], domain="com.example")
    code, found = call("compile", model, "-o", tmp_path / "m.neff")
    assert code == 3
    assert "Frobnicate" in json.dumps(found)
    assert found["error"]["missing"][0]["node"] == "the_node"
    assert not (tmp_path / "m.neff").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("compile", DIGITS),
        ("compile", DIGITS, "-o", "x.neff", "--auto-cast", "some"),
        ("run", DIGITS, "--shape", "x"),
        ("run", DIGITS, "--shape", "x=1,-3"),
        ("run", DIGITS, "--shape", "x=1,a"),
        ("run", DIGITS, "--batch", "0"),
        ("run", DIGITS, "--shape", "x=1", "--shape", "x=2"),
        ("plot", "t.json", "-o", "t.gif"),
        ("isa", "frobnicate"),
        ("frobnicate",),
        ("run",),
        ("targets", "--frobnicate"),
    ],
)
def test_wrong_usage_has_its_exit_code(arguments: tuple[object, ...], call: Call) -> None:
    refused(call(*arguments), "SYS-U000", exit_code=2)


def test_options_of_compile_do_not_apply_to_a_neff(call: Call, digits_neff: Path) -> None:
    refused(call("run", digits_neff, "--auto-cast", "none"), "SYS-U000", exit_code=2)


def test_an_unknown_target_is_refused(call: Call) -> None:
    refused(call("run", DIGITS, "--target", "inf9"), "SYS-T001")


def test_an_unknown_kind_of_trace_is_refused_before_the_run(call: Call, digits_neff: Path) -> None:
    refused(call("run", digits_neff, "--trace", "t.txt"), "SYS-E001")


def test_a_fault_of_ours_is_one_line_and_no_traceback(
    text: Any, monkeypatch: pytest.MonkeyPatch, digits_neff: Path
) -> None:
    import isa.verify

    def broken(*_: object) -> list[object]:
        raise RuntimeError("the cause")

    monkeypatch.delenv("SYSTOLA_DEBUG", raising=False)
    monkeypatch.setattr(isa.verify, "verify", broken)
    code, out, err = text("verify", digits_neff)
    assert code == 1
    assert out == ""
    assert "RuntimeError: the cause" in err
    assert "Traceback" not in err
    monkeypatch.setenv("SYSTOLA_DEBUG", "1")
    with pytest.raises(RuntimeError):
        text("verify", digits_neff)


def test_output_that_nobody_reads_is_no_error(digits_neff: Path) -> None:
    systola_ = f"{sys.executable} -m systola disassemble {digits_neff}"
    command = systola_ + " | head -n 1; exit ${PIPESTATUS[0]}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "SYSTOLA_DEBUG": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_the_demos_folder_must_be_one(call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(call("demo", "--out", tmp_path / "file"), "SYS-F001")
