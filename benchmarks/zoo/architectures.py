"""The architectures that the zoo exports: a batch (and what the input is) to a traced module.

Transformers of text come in two forms. `tokens` takes token ids, as the model is used; on a target
without addressing at run time the embedding goes to the host. `embeds` takes the embedded tokens:
all of it runs on the device.
"""

from __future__ import annotations

from typing import Any

from benchmarks.zoo.exported import DEVIATION, Trace

EAGER: dict[str, Any] = {"attn_implementation": "eager", "initializer_range": DEVIATION}
CLASSES: dict[str, Any] = {"num_labels": 1000}
LARGE: dict[str, Any] = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}
"""BERT-large."""


def _text(model: Any, batch: int, tokens: int, embeds: bool, mask: bool) -> Trace:
    """A model over `tokens` tokens; its first output."""
    import torch

    class Text(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, first: Any, attention_mask: Any = None) -> Any:
            given = {"inputs_embeds" if embeds else "input_ids": first}
            if attention_mask is not None:
                given["attention_mask"] = attention_mask
            return self.model(**given)[0]

    width = model.config.hidden_size
    inputs: dict[str, Any] = (
        {"inputs_embeds": torch.randn(batch, tokens, width)}
        if embeds
        else {"input_ids": torch.randint(0, model.config.vocab_size, (batch, tokens))}
    )
    if mask and not embeds:
        inputs["attention_mask"] = torch.ones(batch, tokens, dtype=torch.int64)
    return Trace(Text(), inputs)


def _image(model: Any, batch: int, calibrate: bool = False) -> Trace:
    """An image classifier at 224 x 224; its logits."""
    import torch

    class Image(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: Any) -> Any:
            return self.model(pixel_values=pixel_values)[0]

    if calibrate:
        _fit_batch_norms(model)
    return Trace(Image(), {"pixel_values": torch.randn(batch, 3, 224, 224)})


def _fit_batch_norms(model: Any) -> None:
    """Batch-norm statistics of random images."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.normal_(module.bias, 0.0, 0.1)
    model.train()
    with torch.no_grad():
        model(pixel_values=torch.randn(2, 3, 224, 224))
    model.eval()


def bert(batch: int, size: str = "base", embeds: bool = False, tokens: int = 128) -> Trace:
    """BERT base or large, without its pooler: the last layer's state."""
    from transformers import BertConfig, BertModel

    options: Any = EAGER | LARGE if size == "large" else EAGER
    model = BertModel(BertConfig(**options), add_pooling_layer=False)
    return _text(model, batch, tokens, embeds, mask=True)


def distilbert(batch: int, embeds: bool = False, tokens: int = 128) -> Trace:
    """Six layers of BERT-base."""
    from transformers import DistilBertConfig, DistilBertModel

    config = DistilBertConfig(**EAGER)
    return _text(DistilBertModel(config), batch, tokens, embeds, mask=True)


def gpt2(batch: int, embeds: bool = False, tokens: int = 128) -> Trace:
    """GPT-2 small with its head: logits of every token."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(**EAGER, use_cache=False)
    return _text(GPT2LMHeadModel(config), batch, tokens, embeds, mask=False)


def llama(batch: int, embeds: bool = False, tokens: int = 128) -> Trace:
    """A decoder in Llama's manner: rotary positions, grouped keys, gated MLP, 12 layers of 768."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        **EAGER,
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=4,
        vocab_size=32000,
        use_cache=False,
        tie_word_embeddings=True,
    )
    return _text(LlamaForCausalLM(config), batch, tokens, embeds, mask=False)


def vit(batch: int) -> Trace:
    """ViT-B/16."""
    from transformers import ViTConfig, ViTForImageClassification

    return _image(ViTForImageClassification(ViTConfig(**EAGER, **CLASSES)), batch)


def swin(batch: int) -> Trace:
    """Swin-T."""
    from transformers import SwinConfig, SwinForImageClassification

    return _image(SwinForImageClassification(SwinConfig(**EAGER, **CLASSES)), batch)


def convnext(batch: int) -> Trace:
    """ConvNeXt-T."""
    from transformers import ConvNextConfig, ConvNextForImageClassification

    config = ConvNextConfig(initializer_range=DEVIATION, **CLASSES)
    return _image(ConvNextForImageClassification(config), batch)


def mobilenet_v2(batch: int) -> Trace:
    """MobileNetV2 of width 1, with symmetric padding."""
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    config = MobileNetV2Config(tf_padding=False, **CLASSES)
    return _image(MobileNetV2ForImageClassification(config), batch, calibrate=True)
