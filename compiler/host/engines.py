"""The engines of the host: a serialised ONNX model becomes a function of arrays by name.

An array is numpy's; text is an array of objects, a sequence a list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import onnx

from compiler.host.halves import widened

Feeds: TypeAlias = Mapping[str, Any]
Runner: TypeAlias = Callable[[Feeds], dict[str, Any]]


def open_onnxruntime(model: bytes) -> Runner:
    """By onnxruntime on one thread, so that the same inputs give the same bits; in FP32 what it
    does not run in FP16 and BF16.

    Raises:
        Exception: onnxruntime's own kinds, which share no base: it does not run the model.
    """
    try:
        return _by_onnxruntime(model)
    except Exception:  # onnxruntime's own kinds share no base
        wide = _in_fp32(model, _by_onnxruntime)
        if wide is None:
            raise
        return wide


def open_reference(model: bytes) -> Runner:
    """By onnx's reference evaluator; FP16 and BF16 in FP32 where it can.

    Raises:
        Exception: of onnx's kinds: it does not run the model.
    """
    first = _by_reference(model)
    wide = _in_fp32(model, _by_reference)
    if wide is None:
        return first

    def run(feeds: Feeds) -> dict[str, Any]:
        try:
            return wide(feeds)
        except Exception:  # any kind: it does not run the model so
            return first(feeds)

    return run


def _in_fp32(model: bytes, engine: Callable[[bytes], Runner]) -> Runner | None:
    """The model by an engine with what is FP16 or BF16 computed in FP32; None if nothing is.

    Raises:
        Exception: of the engine's kinds: it does not run the model so.
    """
    wide = widened(model)
    if wide is None:
        return None
    run = engine(wide.model)
    return lambda feeds: wide.found(run(wide.fed(dict(feeds))))


def _by_onnxruntime(model: bytes) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    border = (*session.get_inputs(), *session.get_outputs())
    if any("bfloat16" in tensor.type for tensor in border):
        raise TypeError("onnxruntime takes no BF16 from numpy")
    names = [o.name for o in session.get_outputs()]

    def run(feeds: Feeds) -> dict[str, Any]:
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))

    return run


def _by_reference(model: bytes) -> Runner:
    from onnx.reference import ReferenceEvaluator

    proto = onnx.load_model_from_string(model)
    names = [o.name for o in proto.graph.output]
    codes = [o.type.tensor_type.elem_type for o in proto.graph.output]
    evaluator = ReferenceEvaluator(proto)

    def run(feeds: Feeds) -> dict[str, Any]:
        found = evaluator.run(names, dict(feeds))
        return {n: _typed(v, c) for n, v, c in zip(names, found, codes, strict=True)}

    return run


def _typed(value: Any, code: int) -> Any:
    """A tensor in the type that the model says: the evaluator may compute in a wider one."""
    numeric = isinstance(value, np.ndarray | np.generic) and value.dtype.kind not in "OSU"
    if not numeric or code in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        return value
    return np.asarray(value).astype(onnx.helper.tensor_dtype_to_np_dtype(code), copy=False)


ENGINES: dict[str, Callable[[bytes], Runner]] = {
    "onnxruntime": open_onnxruntime,
    "reference": open_reference,
}


UNABLE = ("Fail", "NotImplemented", "RuntimeException")
"""onnxruntime's kinds for what it cannot run; others say that the inputs are wrong."""


def opened(model: bytes, engine: str) -> Runner:
    """A model opened by an engine. What onnxruntime has an operator for and yet does not run (it
    knows only when it is asked to) goes to the reference, and stays onnxruntime's error if that
    does not run it either.

    Raises:
        Exception: of the engine's kinds: it does not take the model.
    """
    first = ENGINES[engine](model)

    def run(feeds: Feeds) -> dict[str, Any]:
        plain = {name: _plain(value) for name, value in feeds.items()}
        try:
            found = first(plain)
        except Exception as error:  # onnxruntime's own kinds share no base
            if engine != "onnxruntime" or type(error).__name__ not in UNABLE:
                raise
            try:
                found = open_reference(model)(plain)
            except Exception:
                raise error from None
        return {name: _plain(value) for name, value in found.items()}

    return run


def _plain(value: Any) -> Any:
    """numpy's scalars as arrays; sequences and what is left out as they are."""
    return value if isinstance(value, list) or value is None else np.asarray(value)
