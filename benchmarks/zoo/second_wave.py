"""The second wave of modules written for `unseen`: images, volumes, sound, and a decoder's step."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from benchmarks.zoo.unseen_modules import spread_batch_norms


def u_net() -> Any:
    """Images [b, 3, h, w] to 5 classes a pixel; h and w in 8s."""
    import torch
    from torch import nn

    def twice(a: int, b: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(),
            nn.Conv2d(b, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(),
        )  # fmt: skip

    class UNet(nn.Module):
        def __init__(self, widths: tuple[int, ...] = (16, 32, 48, 64)) -> None:
            super().__init__()
            steps = list(pairwise(widths))
            self.down = nn.ModuleList(twice(a, b) for a, b in ((3, widths[0]), *steps))
            self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in steps)
            self.back = nn.ModuleList(twice(2 * a, a) for a, _ in steps)
            self.last = nn.Conv2d(widths[0], 5, 1)

        def forward(self, x: Any) -> Any:
            skips = []
            for i, layer in enumerate(self.down):
                x = layer(nn.functional.max_pool2d(x, 2) if i else x)
                skips.append(x)
            for i in reversed(range(len(self.up))):
                x = self.back[i](torch.cat((skips[i], self.up[i](x)), 1))
            return self.last(x)

    return spread_batch_norms(UNet())


def video() -> Any:
    """Frames [b, 3, t, h, w] to 12 logits: kernels of space, of time, and of both."""
    from torch import nn

    def conv(a: int, b: int, k: tuple[int, int, int], s: tuple[int, int, int]) -> Any:
        pads = tuple(n // 2 for n in k)
        return nn.Sequential(nn.Conv3d(a, b, k, s, pads, bias=False), nn.BatchNorm3d(b), nn.ReLU())

    net = nn.Sequential(
        conv(3, 16, (3, 5, 5), (1, 2, 2)), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        conv(16, 24, (1, 3, 3), (1, 1, 1)), conv(24, 24, (3, 1, 1), (2, 1, 1)),
        conv(24, 32, (3, 3, 3), (2, 2, 2)), nn.AdaptiveAvgPool3d(1), nn.Flatten(),
        nn.Linear(32, 12),
    )  # fmt: skip
    return spread_batch_norms(net)


def flow() -> Any:
    """Two images [1, 3, h, w] to the motion between them: correlations, one warping."""
    import torch
    from torch import nn

    class Flow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            act = nn.LeakyReLU(0.1)
            self.features = nn.Sequential(
                nn.Conv2d(3, 16, 3, 2, 1), act, nn.Conv2d(16, 32, 3, 2, 1), act
            )
            self.coarse = nn.Sequential(
                nn.Conv2d(73, 32, 3, padding=1), act, nn.Conv2d(32, 2, 3, padding=1)
            )
            self.fine = nn.Sequential(
                nn.Conv2d(66, 32, 3, padding=1), act, nn.Conv2d(32, 2, 3, padding=1)
            )

        def forward(self, first: Any, second: Any) -> Any:
            a, b = self.features(first), self.features(second)
            h, w = a.shape[2:]
            wide = nn.functional.pad(b, (1, 1, 1, 1))
            near = [wide[:, :, i : i + h, j : j + w] for i in range(3) for j in range(3)]
            likeness = torch.cat([(a * n).mean(1, keepdim=True) for n in near], 1)
            motion = self.coarse(torch.cat((likeness, a, b), 1))
            ys, xs = torch.linspace(-1, 1, h), torch.linspace(-1, 1, w)
            grid = torch.stack(torch.meshgrid(ys, xs, indexing="ij")[::-1], -1)[None]
            places = grid + 0.1 * motion.permute(0, 2, 3, 1)
            warped = nn.functional.grid_sample(b, places, padding_mode="border", align_corners=True)
            motion = motion + self.fine(torch.cat((warped, a, motion), 1))
            return nn.functional.interpolate(motion, scale_factor=4, mode="bilinear")

    return Flow()


def separator() -> Any:
    """Sound [1, 1, n] to two sounds: Conv-TasNet, masks over a learned basis."""
    from torch import nn

    def block(dilation: int) -> Any:
        return nn.Sequential(
            nn.Conv1d(32, 64, 1), nn.PReLU(), nn.GroupNorm(1, 64),
            nn.Conv1d(64, 64, 3, padding=dilation, dilation=dilation, groups=64), nn.PReLU(),
            nn.GroupNorm(1, 64), nn.Conv1d(64, 32, 1),
        )  # fmt: skip

    class Separator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.basis = nn.Conv1d(1, 64, 16, 8, bias=False)
            self.first = nn.Sequential(nn.GroupNorm(1, 64), nn.Conv1d(64, 32, 1))
            self.blocks = nn.ModuleList(block(2**i) for i in range(4))
            self.masks = nn.Conv1d(32, 128, 1)
            self.back = nn.ConvTranspose1d(64, 1, 16, 8, bias=False)

        def forward(self, sound: Any) -> Any:
            waves = self.basis(sound).relu()
            x = self.first(waves)
            for layer in self.blocks:
                x = x + layer(x)
            masks = self.masks(x).sigmoid().reshape(2, 64, -1)
            return self.back(waves * masks).reshape(1, 2, -1)

    return Separator()


def decoder_step() -> Any:
    """Tokens [1, t], their positions, and the keys and values [1, 2, past, 16] of what was before,
    to logits and the keys and values of all: rotated, four heads a key, causal."""
    import torch
    from torch import nn

    def rotated(x: Any, angles: Any) -> Any:
        a, b = x.chunk(2, -1)
        return x * angles.cos() + torch.cat((-b, a), -1) * angles.sin()

    class Norm(nn.Module):
        def __init__(self, d: int) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.rand(d) + 0.5)

        def forward(self, x: Any) -> Any:
            return self.scale * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)

    class Step(nn.Module):
        def __init__(self, d: int = 128, heads: int = 8, keys: int = 2) -> None:
            super().__init__()
            self.heads, self.keys, self.wide = heads, keys, d // heads
            self.tokens = nn.Embedding(60, d)
            self.qkv = nn.Linear(d, (heads + 2 * keys) * self.wide, bias=False)
            self.out, self.norm, self.last = nn.Linear(d, d), Norm(d), Norm(d)
            self.gate, self.up, self.down = (
                nn.Linear(a, b, bias=False) for a, b in ((d, 3 * d), (d, 3 * d), (3 * d, d))
            )

        def forward(self, ids: Any, positions: Any, old_keys: Any, old_values: Any) -> Any:
            x, past, t = self.tokens(ids), old_keys.shape[2], ids.shape[1]
            steps = 10000 ** (-torch.arange(0, self.wide, 2).float() / self.wide)
            angles = (positions[..., None].float() * steps).repeat(1, 1, 2)[:, None]
            y = self.qkv(self.norm(x)).view(1, t, -1, self.wide).transpose(1, 2)
            q, k, v = y.split((self.heads, self.keys, self.keys), 1)
            k = torch.cat((old_keys, rotated(k, angles)), 2)
            v = torch.cat((old_values, v), 2)
            each = self.heads // self.keys
            scores = rotated(q, angles) @ k.repeat_interleave(each, 1).transpose(-1, -2)
            mask = torch.full((t, past + t), -math.inf).triu(past + 1)
            seen = (scores / math.sqrt(self.wide) + mask).softmax(-1)
            y = (seen @ v.repeat_interleave(each, 1)).transpose(1, 2).reshape(x.shape)
            x = x + self.out(y)
            y = self.last(x)
            x = x + self.down(nn.functional.silu(self.gate(y)) * self.up(y))
            return x @ self.tokens.weight.T, k, v

    return Step()
