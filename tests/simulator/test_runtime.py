"""Load, bind, run, fetch: the runtime on small kernels of the kernel builder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import neff
from isa.activation.functions import ActivationFunction
from isa.alu import AluOp
from isa.dtypes import DType
from isa.encoding import encode_all
from isa.errors import IllegalError, MalformedError, SystolaError
from isa.hardware import load_target
from isa.instructions.vector import Memset
from isa.kernel.builder import Ap, DmaAp, Kernel
from isa.memory import DRAM, SBUF, Engine
from isa.program import BufferKind, DramBuffer, Program
from isa.semantics import run_reference
from isa.tiles import Immediate, Tile
from neff import ModelTensor, Neff
from simulator.runtime import Device
from simulator.tensors import from_bytes, to_bytes
from traces.utilization import disagreements, sums

HW = load_target("inf1")
ROWS, COLUMNS = 8, 32


def affine_model(dtype: DType = DType.FP32, *, name: str = "float32") -> Neff:
    """y = relu(w * x + 1), an input, a constant and an output of [8, 32]."""
    k = Kernel(HW)
    size, dims = dtype.size_bytes, ((1, COLUMNS),)
    shape, total = (ROWS, COLUMNS), ROWS * COLUMNS * size
    x = k.dram("x", total, BufferKind.INPUT, dtype, shape)
    w = k.dram("w", total, BufferKind.CONSTANT, dtype, shape)
    y = k.dram("y", total, BufferKind.OUTPUT, dtype, shape)
    a, b = (k.sbuf(ROWS, COLUMNS * size, n) for n in "ab")
    flat = ((1, ROWS * COLUMNS),)
    ap_a, ap_b = (Ap(t, 0, ROWS, 0, dtype, dims) for t in (a, b))
    k.set_layer("mul")
    for tile, source, queue in ((a, x, 0), (b, w, 1)):
        k.dma(DmaAp(tile, 0, ROWS, 0, dtype, dims), DmaAp(source, 0, 1, 0, dtype, flat), queue)
    k.tensor_tensor(ap_a, ap_a, ap_b, AluOp.MULTIPLY)
    k.set_layer("relu")
    k.activation(ap_b, ap_a, ActivationFunction.RELU, bias=1.0)
    k.dma(DmaAp(y, 0, 1, 0, dtype, flat), DmaAp(b, 0, ROWS, 0, dtype, dims), 0)
    weights = np.arange(ROWS * COLUMNS, dtype=np.float32).astype(dtype.numpy)
    return Neff.single(
        "affine",
        HW.name,
        k.build(),
        {"w": weights.view(np.uint8)},
        inputs=(ModelTensor("input", name, shape, "x"),),
        outputs=(ModelTensor("output", name, shape, "y"),),
    )


def image(seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((ROWS, COLUMNS)).astype(np.float32)


def expected(x: Any) -> Any:
    weights = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)
    return np.maximum(x * weights + np.float32(1), np.float32(0))


def test_a_model_computes_what_its_program_says(tmp_path: Path) -> None:
    neff.write(affine_model(), tmp_path / "m.neff")
    model = Device(HW).load(tmp_path / "m.neff")
    for seed in (0, 1, 0):
        result = model.run({"input": image(seed)})
        assert list(result.outputs) == ["output"]
        assert np.array_equal(result.outputs["output"], expected(image(seed)))


def test_a_bf16_model_takes_fp32_and_rounds_it() -> None:
    model = Device("inf1").load(affine_model(DType.BF16))
    x = image()
    rounded = x.astype(ml_dtypes.bfloat16).astype(np.float32)
    weights = np.arange(ROWS * COLUMNS).astype(ml_dtypes.bfloat16).astype(np.float32)
    product = (rounded * weights.reshape(x.shape)).astype(ml_dtypes.bfloat16).astype(np.float32)
    y = np.maximum(product + np.float32(1), 0).astype(ml_dtypes.bfloat16)
    found = model.run({"input": x}).outputs["output"]
    assert found.dtype == np.float32
    assert np.array_equal(found, y.astype(np.float32))


def test_counters_say_what_the_program_did() -> None:
    result = Device(HW).load(affine_model()).run({"input": image()})
    counters, size = result.counters, ROWS * COLUMNS * 4
    assert counters["instructions"] == result.model.program.instructions
    assert (counters["dram_read_bytes"], counters["dram_written_bytes"]) == (2 * size, size)
    assert counters["macs"] == 0
    assert counters["reference_instructions"] == 0
    assert counters["total_ticks"] == result.timing.total_ticks > 0


def test_the_trace_adds_up_to_the_counters() -> None:
    result = Device(HW).load(affine_model()).run({"input": image()})
    trace = result.trace({"note": 1})
    assert disagreements(trace) == []
    assert set(sums(trace)) <= set(trace.counters)
    assert trace.layers == ("mul", "relu")
    assert trace.metadata["note"] == 1


def test_function_and_time_can_be_left_out() -> None:
    model = Device(HW).load(affine_model())
    whole = model.run({"input": image()})
    function = model.run({"input": image()}, function_only=True)
    time = model.run(timing_only=True)
    assert function.timings == ()
    assert np.array_equal(function.outputs["output"], whole.outputs["output"])
    assert time.outputs == {}
    assert time.timing.total_ticks == whole.timing.total_ticks
    with pytest.raises(MalformedError, match="SYS-R025"):
        model.run(function_only=True, timing_only=True)


def refused(inputs: dict[str, Any], code: str) -> str:
    model = Device(HW).load(affine_model())
    with pytest.raises(MalformedError) as caught:
        model.run(inputs)
    assert caught.value.code == code
    return str(caught.value)


def test_an_input_that_does_not_fit_is_refused() -> None:
    assert "no 'input'" in refused({}, "SYS-R020")
    assert "its inputs are 'input'" in refused({"x": image()}, "SYS-R021")
    assert "[32, 8]; the model takes [8, 32]" in refused({"input": image().T}, "SYS-R022")
    wide = image().astype(np.float64)
    assert "float64; the model takes float32" in refused({"input": wide}, "SYS-R023")
    assert "complex64" in refused({"input": image().astype(np.complex64)}, "SYS-R023")
    assert "<U1" in refused({"input": np.full((ROWS, COLUMNS), "a")}, "SYS-R023")


def test_a_type_that_widens_is_taken() -> None:
    halves = image().astype(np.float16)
    found = Device(HW).load(affine_model()).run({"input": halves}).outputs["output"]
    assert np.array_equal(found, expected(halves.astype(np.float32)))


def test_missing_inputs_are_drawn_from_the_seed_and_named() -> None:
    model = Device(HW).load(affine_model())
    first, again, other = (model.run(seed=s) for s in (3, 3, 4))
    assert first.drawn == ("input",)
    assert np.array_equal(first.outputs["output"], again.outputs["output"])
    assert not np.array_equal(first.outputs["output"], other.outputs["output"])
    assert model.run({"input": image()}, seed=3).drawn == ()


def test_sections_run_on_cores_of_their_own_and_share_the_chip() -> None:
    model = affine_model()
    first, (x,), (y,) = model.sections[0], model.inputs, model.outputs
    both = replace(
        model,
        sections=(first, first),
        inputs=(x, replace(x, name="other", section=1)),
        outputs=(y, replace(y, name="other", section=1)),
    )
    result = Device(HW).load(both).run({"input": image(0), "other": image(1)})
    assert np.array_equal(result.outputs["output"], expected(image(0)))
    assert np.array_equal(result.outputs["other"], expected(image(1)))
    alone = Device(HW).load(model).run(timing_only=True).timing.total_ticks
    assert [t.total_ticks >= alone for t in result.timings] == [True, True]


def racy_model() -> Neff:
    """Two engines write the same bytes."""
    tile = Tile(SBUF, 0, 1, 0, DType.FP32, ((1, 4),))
    row = encode_all([Memset(tile, Immediate(0))])
    return Neff.single("racy", HW.name, Program({int(Engine.VECTOR): row, int(Engine.SYNC): row}))


def test_an_unsound_program_is_refused_unless_told_not_to_look() -> None:
    with pytest.raises(IllegalError):
        Device(HW).load(racy_model())
    Device(HW).load(racy_model(), check=False).run()


def test_a_program_for_more_queues_than_there_are_is_refused() -> None:
    model = affine_model()
    streams = dict(model.program.streams)
    streams[5 + HW.dma_queues] = streams.pop(6)
    many = Neff.single("many", HW.name, Program(streams, model.program.buffers), model.constants)
    with pytest.raises(SystolaError):
        Device(HW).load(many)


def test_the_fast_simulator_leaves_the_same_window_as_the_reference() -> None:
    model = affine_model()
    loaded = Device(HW).load(model)
    loaded.run({"input": image()})
    (core,) = loaded.cores
    window = np.zeros_like(core.dram)
    for name in ("x", "w"):
        buffer = core.buffer(name)
        window[buffer.address : buffer.end] = core.view(name)
    assert np.array_equal(run_reference(model.program, HW, window).dram, core.dram)


def buffer_of(dtype: DType, count: int) -> DramBuffer:
    return DramBuffer("b", BufferKind.INPUT, 0, count * dtype.size_bytes, dtype, (count,))


@pytest.mark.parametrize("name", ["bool", "int8", "uint8", "int32", "int64", "float16", "float32"])
@pytest.mark.parametrize("dtype", [DType.FP32, DType.INT32])
def test_small_whole_numbers_survive_any_pair_of_types(name: str, dtype: DType) -> None:
    tensor = ModelTensor("t", name, (2, 3), "b")
    values = np.array([[0, 1, 2], [3, 0, 100]]).astype(tensor.numpy)
    data = to_bytes(values, buffer_of(dtype, 6))
    back = from_bytes(data, buffer_of(dtype, 6), tensor)
    assert back.dtype == tensor.numpy
    assert np.array_equal(back, values)


def test_an_integer_that_does_not_fit_is_refused() -> None:
    with pytest.raises(MalformedError, match="SYS-R024") as caught:
        to_bytes(np.array([0, 2**40]), buffer_of(DType.INT32, 2), "input 'i'")
    assert "values from 0 to 1099511627776" in caught.value.found


def test_outputs_saturate_and_nan_is_zero() -> None:
    tensor = ModelTensor("t", "int8", (4,), "b")
    data = np.array([300, -300, np.nan, 2.5], np.float32).view(np.uint8)
    assert from_bytes(data, buffer_of(DType.FP32, 4), tensor).tolist() == [127, -128, 0, 2]


def test_a_window_that_is_too_large_is_an_error_not_a_crash() -> None:
    huge = DramBuffer("b", BufferKind.SCRATCH, 1 << 62, 1)
    with pytest.raises(SystolaError, match="SYS-R026"):
        Device(HW).load(Neff.single("m", HW.name, Program({}, (huge,))), check=False)


def test_dram_is_reached_by_queues_only() -> None:
    tile = Tile(DRAM, 0, 1, 0, DType.FP32, ((1, 1),))
    program = Program({int(Engine.VECTOR): encode_all([Memset(tile, Immediate(0))])})
    with pytest.raises(IllegalError, match="O-1"):
        Device(HW).load(Neff.single("m", HW.name, program))
