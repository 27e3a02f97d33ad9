"""Modules written for `unseen`, of layers that PyTorch has. Each function builds one."""

from __future__ import annotations

from typing import Any


def spread_batch_norms(model: Any) -> Any:
    """Give every batch norm statistics of its own, so that folding one is not folding nothing."""
    import torch

    for m in model.modules():
        if isinstance(m, (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)):
            torch.nn.init.uniform_(m.weight, 0.5, 1.5)
            torch.nn.init.normal_(m.bias, 0.0, 0.2)
            statistics = dict(m.named_buffers())
            statistics["running_mean"].normal_(0.0, 0.1)
            statistics["running_var"].uniform_(0.05, 0.4)
    return model


def yolo(classes: int = 4) -> Any:
    """Images [b, 3, h, w] to boxes and scores [b, anchors, 4 + classes]; h and w in 16s."""
    import torch
    from torch import nn

    def conv(c_in: int, c_out: int, k: int = 1, s: int = 1) -> Any:
        return nn.Sequential(
            nn.Conv2d(c_in, c_out, k, s, k // 2, bias=False), nn.BatchNorm2d(c_out), nn.SiLU()
        )

    class Csp(nn.Module):
        """Half of the channels pass a residual bottleneck; all parts are joined."""

        def __init__(self, c_in: int, c: int) -> None:
            super().__init__()
            self.first, self.last = conv(c_in, c), conv(c // 2 * 3, c)
            self.inner = nn.Sequential(conv(c // 2, c // 2, 3), conv(c // 2, c // 2, 3))

        def forward(self, x: Any) -> Any:
            a, b = self.first(x).chunk(2, 1)
            return self.last(torch.cat((a, b, b + self.inner(b)), 1))

    class Yolo(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(conv(3, 16, 3, 2), conv(16, 24, 3, 2), Csp(24, 24))
            self.p3 = nn.Sequential(conv(24, 32, 3, 2), Csp(32, 32))
            self.p4 = nn.Sequential(conv(32, 48, 3, 2), Csp(48, 48))
            self.pool = nn.MaxPool2d(5, 1, 2)
            self.joined = conv(48 * 3, 48)
            self.top = Csp(48 + 32, 32)
            self.heads = nn.ModuleList(nn.Conv2d(c, 4 * 8 + classes, 1) for c in (32, 48))
            self.bins = nn.Parameter(torch.arange(8.0), requires_grad=False)

        def forward(self, image: Any) -> Any:
            a = self.p3(self.stem(image))
            b = self.p4(a)
            once = self.pool(b)
            b = self.joined(torch.cat((b, once, self.pool(once)), 1))
            a = self.top(torch.cat((nn.functional.interpolate(b, scale_factor=2.0), a), 1))
            found = [self.boxes(head(x)) for head, x in zip(self.heads, (a, b), strict=True)]
            return torch.cat(found, 1)

        def boxes(self, x: Any) -> Any:
            """Distances are expectations over 8 bins; corners from the cell's middle."""
            n, _, h, w = x.shape
            x = x.flatten(2).transpose(1, 2)
            sides = x[..., :32].reshape(n, h * w, 4, 8).softmax(-1) @ self.bins
            ys, xs = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
            middle = torch.stack((xs, ys), -1).reshape(1, h * w, 2) + 0.5
            corners = torch.cat((middle - sides[..., :2], middle + sides[..., 2:]), -1)
            return torch.cat((corners / w, x[..., 32:].sigmoid()), -1)

    return spread_batch_norms(Yolo())


def recurrent() -> Any:
    """Sequences [steps, batch, 24] to [steps, batch, 10]."""
    from torch import nn

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(24, 20, bidirectional=True)
            self.lstm = nn.LSTM(40, 32, num_layers=2)
            self.head = nn.Linear(32, 10)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(self.gru(x)[0])[0])

    return Recurrent()


def se_net() -> Any:
    """Images [b, 3, h, w] to 10 logits."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self, c: int, c_out: int, k: int, s: int) -> None:
            super().__init__()
            wide = 4 * c
            self.spread = nn.Sequential(nn.Conv2d(c, wide, 1), nn.BatchNorm2d(wide), nn.SiLU())
            self.depth = nn.Sequential(
                nn.Conv2d(wide, wide, k, s, k // 2, groups=wide), nn.BatchNorm2d(wide), nn.SiLU()
            )
            self.gate = nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Conv2d(wide, c // 4, 1), nn.SiLU(),
                nn.Conv2d(c // 4, wide, 1), nn.Sigmoid(),
            )  # fmt: skip
            self.project = nn.Sequential(nn.Conv2d(wide, c_out, 1), nn.BatchNorm2d(c_out))
            self.skip = s == 1 and c == c_out

        def forward(self, x: Any) -> Any:
            y = self.depth(self.spread(x))
            y = self.project(y * self.gate(y))
            return x + y if self.skip else y

    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.SiLU(),
        Block(16, 16, 3, 1), Block(16, 24, 5, 2), Block(24, 24, 5, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Hardswish(), nn.Linear(24, 10),
    )  # fmt: skip
    return spread_batch_norms(net)


def diffusion_block() -> Any:
    """Features [b, 32, h, w], a time [b, 32] and a text [b, tokens, 24] to features."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ModuleList(nn.GroupNorm(8, 32) for _ in range(3))
            self.convs = nn.ModuleList(nn.Conv2d(32, 32, 3, padding=1) for _ in range(2))
            self.time = nn.Linear(32, 32)
            self.layers = nn.ModuleList(nn.LayerNorm(32) for _ in range(3))
            self.alone = nn.MultiheadAttention(32, 2, batch_first=True)
            self.across = nn.MultiheadAttention(32, 2, batch_first=True, kdim=24, vdim=24)
            self.gated, self.back = nn.Linear(32, 128), nn.Linear(64, 32)

        def forward(self, x: Any, time: Any, text: Any) -> Any:
            silu, gelu = nn.functional.silu, nn.functional.gelu
            y = self.convs[0](silu(self.norms[0](x))) + self.time(silu(time))[:, :, None, None]
            x = x + self.convs[1](silu(self.norms[1](y)))
            n, c, h, w = x.shape
            t = self.norms[2](x).flatten(2).transpose(1, 2)
            u = self.layers[0](t)
            t = t + self.alone(u, u, u, need_weights=False)[0]
            t = t + self.across(self.layers[1](t), text, text, need_weights=False)[0]
            a, gate = self.gated(self.layers[2](t)).chunk(2, -1)
            t = t + self.back(a * gelu(gate))
            return x + t.transpose(1, 2).reshape(n, c, h, w)

    return Block()


def graph_net() -> Any:
    """Nodes [n, 12] and adjacency [n, n] to [n, 5]; negative edges are cut, rows normalised."""
    import torch
    from torch import nn

    class GraphNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in ((12, 32), (32, 32), (32, 5)))

        def forward(self, nodes: Any, adjacency: Any) -> Any:
            edges = torch.relu(adjacency) + torch.eye(adjacency.shape[0])
            scale = edges.sum(1).pow(-0.5)
            edges = scale[:, None] * edges * scale[None, :]
            for layer in self.layers:
                nodes = nn.functional.elu(edges @ layer(nodes))
            return nodes

    return GraphNet()
