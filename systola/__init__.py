"""The front door: compile a model, run it on a simulated device, see what happened.

    import systola

    model = systola.compile("model.onnx")         # or with target=, batch=, shapes=
    model.save("model.neff")
    result = systola.load("model.neff").run({"x": image})
    result.outputs["logits"], result.timing.cycles, result.report["pe_utilization"], result.trace

What the device cannot do runs on the host, and `model.report["host_ops"]` says why. The same on the
command line: `systola --help`. Read `api.py` (Python), `models.py` and `sections.py` (what can be
run), `cli.py` (command line), `accuracy.py` (compiled against FP32), `demo.py` (the main job on the
built-in model).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from systola.api import (
        CompiledModel,
        CompiledSections,
        Model,
        Result,
        SectionedModel,
        SectionsResult,
        compile,
        load,
    )

__version__ = "0.1.0"
__all__ = [
    "CompiledModel", "CompiledSections", "Model", "Result", "SectionedModel", "SectionsResult",
    "__version__", "compile", "load",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """The API is imported when it is first used: `systola --help` needs none of it."""
    if name in __all__:
        from systola import api

        return getattr(api, name)
    raise AttributeError(f"module 'systola' has no attribute {name!r}")
