"""The front door: compile a model, run it on a simulated device, see what happened.

    import systola

    model = systola.compile("model.onnx")         # or with target=, auto_cast=, shapes=
    model.save("model.neff")
    result = systola.load("model.neff").run({"x": image})
    result.outputs["logits"], result.timing.cycles, result.report["pe_utilization"], result.trace

The same on the command line: `systola --help`. Read `api.py` (Python), `cli.py` (command line),
`accuracy.py` (compiled against FP32), `demo.py` (the main job on the built-in model).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from systola.api import CompiledModel, Model, Result, compile, load

__version__ = "0.1.0"
__all__ = ["CompiledModel", "Model", "Result", "__version__", "compile", "load"]


def __getattr__(name: str) -> Any:
    """The API is imported when it is first used: `systola --help` needs none of it."""
    if name in __all__:
        from systola import api

        return getattr(api, name)
    raise AttributeError(f"module 'systola' has no attribute {name!r}")
