"""Architectures that no pass was written with in mind, in sizes that simulate in seconds.

Exported by the tracer that runs the module once (`dynamo=False`): its graphs keep chains of shape
arithmetic, unfolded constants and control values that the other exporter removes. Each architecture
is a function of nothing to a `Trace`; `traced_model` does the rest. Needs the extra `zoo`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import onnx

from benchmarks.zoo.exported import SEED, Trace
from benchmarks.zoo.second_wave import decoder_step, flow, separator, u_net, video
from benchmarks.zoo.unseen_modules import diffusion_block, graph_net, recurrent, se_net, yolo

OPSET = 17
EAGER: dict[str, Any] = {"attn_implementation": "eager"}
DEVIATION: dict[str, Any] = {"initializer_range": 0.15}
"""Of random weights: about 1/sqrt(48)."""


def traced_model(
    architecture: Callable[[], Trace], dynamic: Mapping[str, Mapping[int, str]] | None = None
) -> onnx.ModelProto:
    """Export an architecture, with the axes of `dynamic` (by input: axis to symbol) left open."""
    import torch

    torch.manual_seed(SEED)
    torch.backends.mha.set_fastpath_enabled(False)
    data = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        trace = architecture()
        torch.onnx.export(
            trace.module.eval(),
            tuple(trace.inputs.values()),
            data,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(trace.inputs),
            output_names=["output"],
            dynamic_axes={k: dict(v) for k, v in (dynamic or {}).items()},
        )
    return onnx.load_from_string(data.getvalue())


def _called(model: Any, inputs: dict[str, Any], pick: str, **given: Any) -> Trace:
    """A module that passes its inputs by name and returns the field `pick` of what comes."""
    import torch

    class Called(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: Any) -> Any:
            return getattr(self.model(**dict(zip(inputs, values, strict=True)), **given), pick)

    return Trace(Called(), inputs)


def _plain(module: Any, *shapes: tuple[int, ...]) -> Trace:
    import torch

    return Trace(module, {f"input_{i}": torch.randn(s) for i, s in enumerate(shapes)})


def segformer() -> Trace:
    """SegFormer: strided attention, depthwise convolutions, resized features; 64 x 64."""
    import torch
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    options: dict[str, Any] = dict(
        depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 48, 64], num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=48, num_labels=7, **DEVIATION, **EAGER,
    )  # fmt: skip
    images = {"pixel_values": torch.randn(1, 3, 64, 64)}
    return _called(SegformerForSemanticSegmentation(SegformerConfig(**options)), images, "logits")


def detector() -> Trace:
    """A one-stage detector: CSP blocks, SiLU, pooled pyramid, two scales, decoded boxes."""
    return _plain(yolo(), (1, 3, 64, 64))


def yolos() -> Trace:
    """YOLOS: detection tokens in a ViT, interpolated positions; boxes."""
    import torch
    from transformers import YolosConfig, YolosForObjectDetection

    options: dict[str, Any] = dict(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96,
        image_size=[48, 64], num_detection_tokens=10, num_labels=5, **DEVIATION, **EAGER,
    )  # fmt: skip
    images = {"pixel_values": torch.randn(1, 3, 48, 64)}
    return _called(YolosForObjectDetection(YolosConfig(**options)), images, "pred_boxes")


def gru_lstm() -> Trace:
    """A bidirectional GRU into a two-layer LSTM, 12 steps."""
    return _plain(recurrent(), (12, 2, 24))


def mamba() -> Trace:
    """Mamba's slow path: the scan as a loop over 8 tokens."""
    import torch
    from transformers import MambaConfig, MambaModel

    config = MambaConfig(
        hidden_size=32,
        state_size=8,
        num_hidden_layers=2,
        vocab_size=64,
        use_cache=False,
        **DEVIATION,
    )
    return _called(
        MambaModel(config), {"inputs_embeds": torch.randn(1, 8, 32)}, "last_hidden_state"
    )


def t5() -> Trace:
    """T5 whole: relative positions, cross attention; 16 tokens to 8."""
    import torch
    from transformers import T5Config, T5Model

    config = T5Config(
        d_model=48, d_kv=16, d_ff=96, num_layers=2, num_heads=3, vocab_size=64, use_cache=False,
        feed_forward_proj="gated-gelu", **EAGER,
    )  # fmt: skip
    inputs = {
        "inputs_embeds": torch.randn(1, 16, 48),
        "decoder_inputs_embeds": torch.randn(1, 8, 48),
    }
    return _called(T5Model(config), inputs, "last_hidden_state")


def bart() -> Trace:
    """BART whole: learned positions, causal and cross attention; 16 tokens to 8, from ids."""
    import torch
    from transformers import BartConfig, BartModel

    config = BartConfig(
        d_model=48, encoder_layers=2, decoder_layers=2, encoder_attention_heads=3,
        decoder_attention_heads=3, encoder_ffn_dim=96, decoder_ffn_dim=96, vocab_size=64,
        max_position_embeddings=64, use_cache=False, init_std=0.15, **EAGER,
    )  # fmt: skip
    inputs = {
        "input_ids": torch.randint(3, 64, (1, 16)),
        "decoder_input_ids": torch.randint(3, 64, (1, 8)),
    }
    return _called(BartModel(config), inputs, "last_hidden_state")


def wav2vec2() -> Trace:
    """Wav2Vec2's encoder: strided 1-d convolutions of 2,000 samples, grouped positions."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    config = Wav2Vec2Config(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96,
        conv_dim=[32, 32, 32], conv_stride=[5, 4, 2], conv_kernel=[10, 8, 4],
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, **DEVIATION, **EAGER,
    )  # fmt: skip
    sound = {"input_values": torch.randn(1, 2000)}
    return _called(Wav2Vec2Model(config), sound, "last_hidden_state")


def deberta() -> Trace:
    """DeBERTa v2: attention to contents and to relative positions, by gathers."""
    import torch
    from transformers import DebertaV2Config, DebertaV2Model

    options: dict[str, Any] = dict(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96,
        vocab_size=64, relative_attention=True, position_buckets=8, max_position_embeddings=32,
        pos_att_type=["p2c", "c2p"], norm_rel_ebd="layer_norm", share_att_key=True, **DEVIATION,
    )  # fmt: skip
    return _called(
        DebertaV2Model(DebertaV2Config(**options)),
        {"inputs_embeds": torch.randn(1, 16, 48)},
        "last_hidden_state",
    )


def efficient() -> Trace:
    """EfficientNet's blocks: depthwise, squeeze and excite, swish."""
    return _plain(se_net(), (1, 3, 48, 48))


def diffusion() -> Trace:
    """A block of a diffusion U-Net: group norms, a time embedding, cross attention."""
    return _plain(diffusion_block(), (1, 32, 8, 8), (1, 32), (1, 7, 24))


def graph() -> Trace:
    """Three graph convolutions over a dense adjacency of 20 nodes."""
    return _plain(graph_net(), (20, 12), (20, 20))


def bert_open() -> Trace:
    """BERT with a mask, exported with batch and length open."""
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96,
        vocab_size=64, max_position_embeddings=64, **DEVIATION, **EAGER,
    )  # fmt: skip
    inputs = {
        "inputs_embeds": torch.randn(2, 12, 48),
        "attention_mask": torch.ones(2, 12, dtype=torch.int64),
    }
    model = BertModel(config, add_pooling_layer=False)
    return _called(model, inputs, "last_hidden_state")


def segmenter() -> Trace:
    """A U-Net of four levels: skips across it, transposed convolutions; 64 x 64."""
    return _plain(u_net(), (1, 3, 64, 64))


def frames() -> Trace:
    """A video classifier: convolutions over space, over time, over both; 8 frames of 32 x 32."""
    return _plain(video(), (1, 3, 8, 32, 32))


def motion() -> Trace:
    """Optical flow: correlations of two images, and one sampled where the other moves."""
    return _plain(flow(), (1, 3, 64, 64), (1, 3, 64, 64))


def speakers() -> Trace:
    """Conv-TasNet: strided frames of sound, dilated depthwise convolutions, group norms."""
    return _plain(separator(), (1, 1, 2008))


def poolformer() -> Trace:
    """PoolFormer: pooling for attention, norms over whole images; 64 x 64."""
    import torch
    from transformers import PoolFormerConfig, PoolFormerModel

    config = PoolFormerConfig(hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1])
    images = {"pixel_values": torch.randn(1, 3, 64, 64)}
    return _called(PoolFormerModel(config), images, "last_hidden_state")


def decoder() -> Trace:
    """A decoder's step: 8 tokens behind 24 whose keys and values come in and go out longer."""
    import torch

    past = {f"old_{name}": torch.randn(1, 2, 24, 16) for name in ("keys", "values")}
    tokens = {"ids": torch.randint(0, 60, (1, 8)), "positions": torch.arange(24, 32)[None]}
    return Trace(decoder_step(), {**tokens, **past})
