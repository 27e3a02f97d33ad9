"""The batch: the one extent that most models leave free, fixed in every input at once.

Where symbolic dimensions say in their names that they are the batch, these are. In a model without
such a name it is the first dimension of every input that leaves that free. A symbol is fixed
wherever it stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from compiler.errors import UsageError

Extent = int | str | None  # known, symbolic, or unnamed and free
Extents = Mapping[str, list[Extent] | None]  # by input; None: not even the rank is known


def extents_of(info: onnx.ValueInfoProto) -> list[Extent] | None:
    """The model's extents of a tensor; None if it does not give a rank."""
    if not info.type.tensor_type.HasField("shape"):
        return None
    extents: list[Extent] = []
    for dim in info.type.tensor_type.shape.dim:
        if dim.HasField("dim_value") and dim.dim_value >= 0:
            extents.append(int(dim.dim_value))
        else:
            extents.append(str(dim.dim_param) or None)
    return extents


def with_batch(
    inputs: Sequence[onnx.ValueInfoProto], batch: int | None
) -> list[onnx.ValueInfoProto]:
    """The inputs, with `batch` in place of the free dimensions that stand for it.

    Raises:
        UsageError: SYS-F105, no input leaves its batch free, nor has it this extent already.
    """
    if batch is None:
        return list(inputs)
    declared = {i.name: extents_of(i) for i in inputs}
    batches = _batches(declared)
    known = [extents for extents in declared.values() if extents]
    if batch < 1 or not (batches or any(extents[0] == batch for extents in known)):
        raise _refused(declared, batch)
    fixed = []
    for info in inputs:
        made = onnx.ValueInfoProto()
        made.CopyFrom(info)
        for i, extent in enumerate(declared[info.name] or ()):
            if _stands(extent, i, batches):
                made.type.tensor_type.shape.dim[i].dim_value = batch
        fixed.append(made)
    return fixed


def batch_is_all(declared: Extents) -> bool:
    """Whether a batch would leave nothing free."""
    batches = _batches(declared)
    return all(
        extents is not None
        and all(isinstance(e, int) or _stands(e, i, batches) for i, e in enumerate(extents))
        for extents in declared.values()
    )


def _batches(declared: Extents) -> set[Extent]:
    """The symbols that stand for the batch; None: first dimensions without a name do, too."""
    known = [extents for extents in declared.values() if extents]
    named = {e for extents in known for e in extents if isinstance(e, str) and "batch" in e.lower()}
    return {*named} or {extents[0] for extents in known if not isinstance(extents[0], int)}


def _stands(extent: Extent, i: int, batches: set[Extent]) -> bool:
    return extent in batches and (extent is not None or i == 0)


def _refused(declared: Extents, batch: int) -> UsageError:
    shown = ", ".join(f"{name}={extents}" for name, extents in declared.items())
    return UsageError(
        "SYS-F105",
        "a batch is at least 1, and for a model that leaves its batch free",
        found=f"batch {batch}; the model says {shown}",
        hint="export the model with a free first dimension, or leave out --batch",
    )
