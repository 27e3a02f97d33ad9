"""The survey: where each operator runs, found by trying it.

A sample is on the device if the importer decomposes it and the back end has a mapping for all of
it; integer operands that decide shapes may have to be constants for that.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from compiler.clock import Clock
from compiler.frontends.onnx.model import read_model
from compiler.frontends.onnx.registry import importer_of
from compiler.graph_passes import simplify
from compiler.host.engines import open_onnxruntime, open_reference
from compiler.lowering.lower import unmapped
from compiler.options import Options
from compiler.partition.probe import probe
from compiler.pipeline import prepare_graph
from isa.errors import SystolaError
from isa.hardware import load_target
from systola.operators.samples import TYPES, Sample, main_type, retyped, types_of

DOMAINS = ("", "ai.onnx.ml")


@dataclass(frozen=True)
class Place:
    """Where a sample runs: device, host or none; if not on the device, why."""

    where: str
    reason: str = ""


def place_of(sample: Sample, target: str) -> Place:
    """Where a sample runs on a target."""
    found = _on_device(sample.model, target)
    if found.where != "device" and "known at compile time" in found.reason:
        frozen = _on_device(_frozen(sample), target)
        if frozen.where == "device":
            return frozen
        found = frozen
    if found.where == "device" or _runs_on_host(sample.model):
        return found
    return Place("none", found.reason)


def _on_device(model: onnx.ModelProto, target: str) -> Place:
    try:
        probed = probe(read_model(model), {}, {})
        if probed.host:
            return Place("host", next(iter(probed.host.values())))
        options = Options(target=target, auto_cast="none")
        graph = prepare_graph(simplify(probed.graph), options, Clock(lambda _: None))
        bad = unmapped(graph, load_target(target))
        return Place("host", bad[0][1]) if bad else Place("device")
    except SystolaError as error:
        return Place("host", f"{error.args[1]}: {error.found}")


def _frozen(sample: Sample) -> onnx.ModelProto:
    """The model with its integer and small operands behind the first as constants."""
    model = onnx.ModelProto()
    model.CopyFrom(sample.model)
    keep = []
    for i, info in enumerate(model.graph.input):
        value = sample.inputs.get(info.name)
        if i and isinstance(value, np.ndarray) and _decides_shapes(value):
            model.graph.initializer.append(numpy_helper.from_array(value, info.name))
        else:
            keep.append(info)
    del model.graph.input[:]
    model.graph.input.extend(keep)
    return model


def _decides_shapes(value: np.ndarray[Any, Any]) -> bool:
    """Whether a shape may depend on it: integers, and few numbers of any kind."""
    return value.dtype.kind in "iub" or (value.size <= 4 and value.dtype.kind not in "OUS")


def _runs_on_host(model: onnx.ModelProto) -> bool:
    data = bytes(model.SerializeToString())
    for opened in (open_onnxruntime, open_reference):
        try:
            opened(data)
            return True
        except Exception:  # the engines' own kinds share no base: it does not run there
            continue
    return False


def survey(known: Mapping[tuple[str, str], Sequence[Sample]], target: str) -> list[dict[str, Any]]:
    """A row for every operator of the installed onnx, in order."""
    names = {
        (str(s.domain), str(s.name))
        for s in onnx.defs.get_all_schemas()
        if not s.deprecated and s.domain in DOMAINS
    }
    return [row(d, op, known.get((d, op), ()), target) for d, op in sorted(names)]


def row(domain: str, op: str, cases: Sequence[Sample], target: str) -> dict[str, Any]:
    """What the cases of an operator say of it."""
    if not cases:
        return _untried(domain, op)
    places: dict[str, list[Place]] = defaultdict(list)
    good: Sample | None = None
    for sample in cases:
        kind = main_type(sample)
        if kind in TYPES:
            place = place_of(sample, target)
            places[kind].append(place)
            if place.where == "device" and good is None:
                good = sample
    model = good or next(iter(cases), None)
    for kind in TYPES:
        changed = retyped(model, kind) if model is not None and kind not in places else None
        if changed is not None:
            places[kind].append(place_of(changed, target))
    tried = [p for found in places.values() for p in found]
    reasons = Counter(_plain(p.reason) for p in tried if p.where != "device")
    return {
        "domain": domain,
        "op": op,
        "cases": len(cases),
        "on_device": sum(p.where == "device" for p in tried),
        "tried": len(tried),
        "types": {kind: _summary(found) for kind, found in sorted(places.items())},
        "reasons": [reason for reason, _ in reasons.most_common(4)],
    }


def _untried(domain: str, op: str) -> dict[str, Any]:
    """The row of an operator that onnx has no test case for: what its importer's absence says."""
    schema: Any = onnx.defs.get_schema(op, domain)  # onnx's stubs leave function queries out
    version = onnx.defs.onnx_opset_version() if not domain else schema.since_version
    known = importer_of(domain, op, version) is not None or schema.has_function
    where = {} if known else dict.fromkeys(types_of(schema), "host")
    return {
        "domain": domain, "op": op, "cases": 0, "on_device": 0, "tried": 0, "types": where,
        "reasons": [] if known else ["no decomposition into core ops"],
    }  # fmt: skip


def _summary(places: Sequence[Place]) -> str:
    where = {p.where for p in places}
    if len(where) == 1:
        return where.pop()
    return "some" if "device" in where else "host"


def _plain(reason: str) -> str:
    """A reason without the names of one model."""
    text = re.sub(r"'[^']*' ", "", reason.split(": ")[0])
    return re.sub(r"\b\d+(?:\.\d+)? (?=iterations|operations)", "some ", text).strip()
