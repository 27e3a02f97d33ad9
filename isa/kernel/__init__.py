"""The kernel builder: write instructions on named buffers in program order; addresses, engine
streams and semaphores follow.

    builder.py       Kernel: buffers, and one method an instruction
    virtual.py       VirtualProgram: what was written, as arrays
    dependencies.py  which instruction must see which, from the boxes they touch
    synchronize.py   waits and signals that keep those orders across streams; a Program
"""

from isa.kernel.builder import Ap, DmaAp, Kernel
from isa.kernel.synchronize import synchronize
from isa.kernel.virtual import Buffer, VirtualProgram

__all__ = ["Ap", "Buffer", "DmaAp", "Kernel", "VirtualProgram", "synchronize"]
