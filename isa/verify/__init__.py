"""The verifier: proves before a program runs that nothing in it can go wrong.

    verify(program, hw)           every fault found, most basic first; none means sound
    require_sound(program, hw)    raises IllegalError with the first

A sound program has no race, no deadlock, no access outside its memories and buffers, no read of
what was never written, and whole accumulation groups; so it has one result under every interleaving
(docs/isa/order.md says why). Read `faults.py` for the classes, `isa/order.py` for happens-before,
`walk.py` for the check of every byte. The compiler's semaphore inserter shares no code with this.
"""

from isa.verify.faults import SENTENCES, Fault, Place
from isa.verify.verifier import require_sound, verify

__all__ = ["SENTENCES", "Fault", "Place", "require_sound", "verify"]
