"""What a run did, and when: events as arrays, and the ways to look at them.

Read `events.py` (the record), `utilization.py` and `occupancy.py` (sums over time), `store.py`
(files), `chrome.py` and `perfetto.py` (what viewers open), `plots.py` (pictures).
"""

from traces.events import Events, MemoryUse, WaitCause
from traces.store import load, save
from traces.trace import Trace

__all__ = ["Events", "MemoryUse", "Trace", "WaitCause", "load", "save"]
