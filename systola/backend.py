"""Systola as an ONNX backend: what onnx's own test suite, and whoever knows its interface, calls.

    from systola.backend import SystolaBackend
    rep = SystolaBackend.prepare(model, "inf2")
    outputs = rep.run([image])

A model whose shapes its inputs leave open is compiled when the first inputs come. What the device
cannot do is on the host; `rep.report["host_ops"]` says what, and `rep.place` is "device", "both" or
"host". Computed in FP32 unless `auto_cast` says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep

from compiler.errors import ShapeError, UnsupportedError
from compiler.frontends.onnx.model import OLDEST_OPSET
from compiler.host import choose, open_section
from isa.errors import MalformedError, SystolaError
from isa.hardware import target_names
from systola.api import compile as compile_model
from systola.models import CompiledModel

CONVERTED_OPSET = 13
"""What models older than we read are converted to."""
_OPEN = ("SYS-F101",)  # an input's dimension is not in the model
_NOTHING_LEFT = ("SYS-P004", "SYS-F201", "SYS-F202")  # all is the host's, or too old or new for us
_MISCONVERTED = ("SYS-F112",)  # what onnx's converter leaves of broadcasting in old operators
_LEAST_IR = 8  # initializers need not be inputs


class SystolaRep(BackendRep):
    """A model that can be run.

    Attributes:
        place: where it runs: "device", "both" or "host"; "" before it is compiled.
        report: of the compilation; what the host runs alone has only `host_ops`.
    """

    def __init__(self, model: onnx.ModelProto, options: Mapping[str, Any]) -> None:
        self._given, self._model, self._options = model, _modern(model), dict(options)
        self._run: Any = None
        self.place = ""
        self.report: dict[str, Any] = {}

    def compile(self, shapes: Mapping[str, Sequence[int]] | None = None) -> None:
        """Compile for the shapes of the model's inputs.

        Raises:
            SystolaError: the model is refused.
        """
        try:
            made = compile_model(self._model, shapes=shapes, host_dynamic=True, **self._options)
        except SystolaError as error:
            converted = self._model is not self._given and error.code in _MISCONVERTED
            if error.code not in _NOTHING_LEFT and not converted:
                raise
            self._on_host(error)
            return
        self._run, self.report = made.run, made.report
        self.place = "device" if isinstance(made, CompiledModel) else "both"

    def _on_host(self, error: SystolaError) -> None:
        data = bytes(self._given.SerializeToString())
        engine, apart = choose(data)
        section = open_section(data, engine, apart)
        missing = getattr(error, "missing", ())
        self.report = {"host_ops": [{"op": o, "node": n, "reason": r} for o, n, r in missing]}
        self._run, self.place = section.run, "host"

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        """The outputs in the model's order.

        Args:
            inputs: in the order of the model's inputs, or by name.
        Raises:
            SystolaError: an input does not fit, or the model is refused.
        """
        feeds = self._feeds(inputs)
        if self._run is None:
            self.compile({n: a.shape for n, a in feeds.items() if isinstance(a, np.ndarray)})
        found = self._run(feeds)
        outputs = found if isinstance(found, dict) else found.outputs
        return tuple(outputs[o.name] for o in self._model.graph.output)

    def _feeds(self, inputs: Any) -> dict[str, Any]:
        if isinstance(inputs, Mapping):
            return {n: _array(a) for n, a in inputs.items()}
        given = {t.name for t in self._model.graph.initializer}
        names = [i.name for i in self._model.graph.input if i.name not in given]
        values = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        if len(values) > len(names):  # initializers that are inputs too
            names = [i.name for i in self._model.graph.input]
        if len(values) > len(names):
            raise MalformedError(
                "SYS-R021", "a model is given its inputs", found=f"{len(values)} for {len(names)}"
            )
        return {n: _array(a) for n, a in zip(names, values, strict=False)}


def _array(value: Any) -> Any:
    return value if isinstance(value, list) or value is None else np.asarray(value)


class SystolaBackend(Backend):
    """The backend. `device` is a target's name; onnx's own "CPU" stands for the default target."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **options: Any) -> SystolaRep:
        """Compile a model.

        Args:
            options: those of `systola.compile`.
        Raises:
            SystolaError: the model is refused.
        """
        chosen = {"auto_cast": "none", **options}
        if device.upper() != "CPU":
            chosen["target"] = device
        rep = SystolaRep(model, chosen)
        try:
            rep.compile()
        except (ShapeError, UnsupportedError) as error:
            if error.code not in _OPEN:
                raise
        return rep

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether it is a target."""
        return device.upper() == "CPU" or device in target_names()


def _modern(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in an operator set that we read, if onnx can convert it; else as it is."""
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if not versions or versions[0] >= OLDEST_OPSET:
        return model
    try:
        converted = onnx.version_converter.convert_version(model, CONVERTED_OPSET)
    except Exception:  # whatever onnx raises: it has no conversion
        return model
    converted.ir_version = max(converted.ir_version, _LEAST_IR)
    return converted
