"""Partition: sections for the device, and the rest for the host.

*What is cut* is the model's own graph, at its top-level nodes: only there does an operator that we
cannot import exist, and only there does the host's framework understand what it is given. Cutting
the core graph would need a second evaluator, and a core op has no name that a user knows.
*Who goes to the host*: a walk like the importer's that goes on behind a refusal (`probe.py`) finds
operators without decomposition, types that no machine has and shapes that depend on data; on the
graph that is left the back end says what it has no mapping for (`lowering/refusals.py`). What the
user names goes too. Every one is listed with its reason; nothing moves silently.
*Where the cut is* (`cut.py`): host and device take turns, as few times as the graph allows, and
every section is convex by construction. Device nodes run as late as they may, so that sections are
large; a section that is too small, or does no products beside one that does, joins the host.
*Constants* belong to whoever reads them: an embedding table that only the host indexes is not in
the NEFF, a table tied to the last layer is in both. What folds away is in neither.
*A host section* is an ONNX model of its own (`host_model.py`), run by onnxruntime or, where that
lacks an operator, by onnx's reference evaluator (`compiler/host/`).

Read `compile.py` for the steps in order.
"""

from compiler.partition.compile import compile_any
from compiler.partition.model import DeviceSection, HostOp, HostSection, Partitioned

__all__ = ["DeviceSection", "HostOp", "HostSection", "Partitioned", "compile_any"]
