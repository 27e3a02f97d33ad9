"""The host: who runs what the device cannot.

onnxruntime first, in FP32 where it lacks an operator in FP16 or BF16 (`halves.py`); onnx's
reference evaluator where that lacks an operator or a type. A section with operators that are known
to end the process on a shape they cannot bear (windows larger than their input, above all) runs in
another process (`apart.py`): what happens there is an error here.

Codes   SYS-H001  neither of the two runs an operator       (at compile time)
        SYS-H002  a host section failed on its inputs       SYS-H003  its process ended
        SYS-H004  it took longer than it may
"""

from compiler.host.apart import TIMEOUT_S
from compiler.host.choose import choose, deviates
from compiler.host.engines import ENGINES, Feeds, Runner
from compiler.host.sections import Section, open_section

__all__ = [
    "ENGINES", "TIMEOUT_S", "Feeds", "Runner", "Section", "choose", "deviates", "open_section",
]  # fmt: skip
