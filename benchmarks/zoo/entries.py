"""The models of the zoo, each declared once: how it is made, and what the project asks of it.

A name says architecture, size and batch: `bert-base-s128-b8` is BERT-base on 8 sequences of 128
tokens. `-embeds` takes embedded tokens rather than ids, so that nothing of it needs a host.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from onnx import ModelProto, TensorProto

from benchmarks.zoo import architectures, unseen
from benchmarks.zoo.exported import Trace, exported_model
from benchmarks.zoo.light import light_model
from benchmarks.zoo.matmul import matmul_model
from benchmarks.zoo.unseen import traced_model

BF16 = TensorProto.BFLOAT16


@dataclass(frozen=True)
class Entry:
    """One model.

    Attributes:
        make: builds it; seconds to a minute.
        source: what it comes from: onnx, transformers, unseen (small, traced), or none.
        limit: the ratio to the bound that is asked for on inf1, one core, BF16; None where none is.
        tokens: takes token ids.
        reference: onnxruntime can run it.
        shapes: by input, where the file leaves axes open.
    """

    name: str
    make: Callable[[], ModelProto]
    source: str
    limit: float | None = None
    tokens: bool = False
    reference: bool = True
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def batch(self) -> int:
        """Items a run."""
        tail = self.name.removesuffix("-embeds").rpartition("-b")[2]
        return int(tail) if tail.isdigit() else 1


def _light(name: str, file: str, batch: int, limit: float | None) -> Entry:
    return Entry(f"{name}-b{batch}", partial(light_model, file, batch), "onnx", limit)


def _export(name: str, trace: Callable[[], Trace], limit: float | None) -> Entry:
    return Entry(name, partial(exported_model, trace), "transformers", limit)


def _image(
    name: str, architecture: Callable[[int], Trace], batch: int, limit: float | None
) -> Entry:
    return _export(f"{name}-b{batch}", partial(architecture, batch), limit)


def _text(
    name: str, architecture: Callable[..., Trace], batch: int, limit: float | None
) -> tuple[Entry, Entry]:
    """With embedded tokens, and with token ids."""
    full = f"{name}-s128-b{batch}"
    make = partial(exported_model, partial(architecture, batch))
    return (
        _export(f"{full}-embeds", partial(architecture, batch, embeds=True), limit),
        Entry(full, make, "transformers", limit, tokens=True),
    )


def _unseen(
    name: str,
    architecture: Callable[[], Trace],
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    open_axes: Mapping[str, Mapping[int, str]] | None = None,
) -> Entry:
    make = partial(traced_model, architecture, open_axes)
    return Entry(f"unseen-{name}", make, "unseen", shapes=shapes or {})


_TEXT_AXES = {0: "batch", 1: "tokens"}

_bert_large = partial(architectures.bert, size="large")

ENTRIES: dict[str, Entry] = {
    e.name: e
    for e in (
        Entry("matmul-4096", partial(matmul_model, 4096, BF16), "none", 1.03, reference=False),
        Entry("matmul-4096-fp32", partial(matmul_model, 4096), "none"),
        *_text("bert-base", architectures.bert, 1, 1.10),
        *_text("bert-base", architectures.bert, 6, None),
        *_text("bert-base", architectures.bert, 8, 1.15),
        *_text("bert-large", _bert_large, 1, None),
        *_text("distilbert", architectures.distilbert, 1, None),
        *_text("gpt2", architectures.gpt2, 1, 1.15),
        *_text("llama", architectures.llama, 1, None),
        _image("vit-b16", architectures.vit, 1, 1.15),
        _image("vit-b16", architectures.vit, 8, 1.20),
        _image("swin-t", architectures.swin, 1, None),
        _light("resnet50", "resnet50", 1, 1.15),
        _light("resnet50", "resnet50", 8, 1.25),
        _light("resnet50", "resnet50", 10, None),
        _light("vgg19", "vgg19", 1, 1.15),
        _light("alexnet", "bvlc_alexnet", 1, 1.15),
        _light("zfnet", "zfnet512", 1, 1.15),
        _light("inception_v1", "inception_v1", 1, 1.6),
        _light("inception_v2", "inception_v2", 1, 1.6),
        _light("densenet121", "densenet121", 1, 1.6),
        _light("squeezenet", "squeezenet", 1, 1.6),
        _light("shufflenet", "shufflenet", 1, 1.6),
        _image("mobilenet_v2", architectures.mobilenet_v2, 1, 1.6),
        _image("convnext-t", architectures.convnext, 1, None),
        _unseen("segformer", unseen.segformer),
        _unseen("detector", unseen.detector),
        _unseen("yolos", unseen.yolos),
        _unseen("gru-lstm", unseen.gru_lstm),
        _unseen("mamba", unseen.mamba),
        _unseen("t5", unseen.t5),
        _unseen("bart", unseen.bart),
        _unseen("wav2vec2", unseen.wav2vec2),
        _unseen("deberta", unseen.deberta),
        _unseen("efficient", unseen.efficient),
        _unseen("diffusion", unseen.diffusion),
        _unseen("graph", unseen.graph),
        _unseen("segmenter", unseen.segmenter),
        _unseen("frames", unseen.frames),
        _unseen("motion", unseen.motion),
        _unseen("speakers", unseen.speakers),
        _unseen("poolformer", unseen.poolformer),
        _unseen("decoder", unseen.decoder),
        _unseen(
            "bert-open",
            unseen.bert_open,
            {"inputs_embeds": (2, 12, 48), "attention_mask": (2, 12)},
            dict.fromkeys(("inputs_embeds", "attention_mask", "output"), _TEXT_AXES),
        ),
        _unseen(
            "detector-open",
            unseen.detector,
            {"input_0": (1, 3, 64, 96)},
            {"input_0": {0: "batch", 2: "height", 3: "width"}, "output": {0: "batch", 1: "boxes"}},
        ),
    )
}
"""By name. Limits are those of the issue; a limit of an architecture holds for both its forms."""


def chosen(patterns: list[str]) -> list[str]:
    """Names of the zoo that match a pattern; all where none is given. Raises SystemExit."""
    for pattern in patterns:
        if not fnmatch.filter(ENTRIES, pattern):
            raise SystemExit(f"no model is called {pattern!r}; known are {', '.join(ENTRIES)}")
    return [n for n in ENTRIES if not patterns or any(fnmatch.fnmatch(n, p) for p in patterns)]
