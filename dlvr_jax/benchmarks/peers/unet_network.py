"""The U-Net of diffusion, as `models/diffusion/unet.py` has it; layers are named as ours."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, scaled_dot_product_attention, silu


class ResidualBlock(nn.Module):
    """Twice group norm, SiLU and a 3x3 convolution, with time and class added in between; and a shortcut."""

    def __init__(self, inputs: int, maps: int, groups: int, embedding: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(groups, inputs), nn.GroupNorm(groups, maps)
        self.conv1, self.conv2 = nn.Conv2d(inputs, maps, 3, padding=1), nn.Conv2d(maps, maps, 3, padding=1)
        self.about = nn.Linear(embedding, maps)
        self.shortcut = nn.Conv2d(inputs, maps, 1) if inputs != maps else None

    def forward(self, x: Tensor, about: Tensor) -> Tensor:
        y = self.conv1(silu(self.norm1(x))) + self.about(silu(about))[:, :, None, None]
        y = self.conv2(silu(self.norm2(y)))
        return (x if self.shortcut is None else self.shortcut(x)) + y


class Attention(nn.Module):
    """Every position looks at all others: one head; one matrix makes queries, keys and values."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.packed, self.output = nn.Linear(maps, 3 * maps), nn.Linear(maps, maps)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 3, 1).flatten(1, 2)[:, None]  # (batch, head, position, maps)
        found = self.output(scaled_dot_product_attention(*self.packed(rows).chunk(3, -1)))
        return found.view(len(x), *x.shape[2:], -1).permute(0, 3, 1, 2)


class UNet(nn.Module):
    """What of a noisy image is noise. `parts` are by the names that ours have."""

    def __init__(self, flat: Mapping[str, Any], image_shape: list[int], num_classes: int) -> None:
        super().__init__()
        width, groups, (height, _, channels) = flat["model.width"], flat["model.groups"], image_shape
        self.widths, self.blocks = [width * times for times in flat["model.multipliers"]], flat["model.blocks"]
        self.register_buffer("frequencies", 10_000 ** (-torch.arange(0, width, 2) / width), persistent=False)
        self.parts = parts = nn.ModuleDict()
        parts["time1"], parts["time2"] = nn.Linear(width, 4 * width), nn.Linear(4 * width, 4 * width)
        if flat["model.conditional"]:
            parts["classes"] = nn.Embedding(num_classes + 1, 4 * width)
        heights = [-(-height // 2**level) for level in range(len(self.widths))]

        def add_block(name: str, inputs: int, level: int) -> None:
            maps = self.widths[level]
            parts[name] = ResidualBlock(inputs, maps, groups, 4 * width)
            if heights[level] in flat["model.attention"]:
                parts[f"{name}_attention_norm"] = nn.GroupNorm(groups, maps)
                parts[f"{name}_attention"] = Attention(maps)

        parts["stem"] = nn.Conv2d(channels, width, 3, padding=1)
        maps, skips, last = width, [width], len(self.widths) - 1
        for level, wide in enumerate(self.widths):
            for number in range(1, self.blocks + 1):
                add_block(f"down{level}_{number}", maps, level)
                maps = wide
                skips.append(wide)
            if level < last:
                parts[f"down{level}"] = nn.Conv2d(wide, wide, 3, stride=2)
                skips.append(wide)
        parts["middle1"], parts["middle2"] = (ResidualBlock(maps, maps, groups, 4 * width) for _ in range(2))
        parts["middle_attention_norm"], parts["middle_attention"] = nn.GroupNorm(groups, maps), Attention(maps)
        for level in reversed(range(last + 1)):
            for number in range(1, self.blocks + 2):
                add_block(f"up{level}_{number}", maps + skips.pop(), level)
                maps = self.widths[level]
            if level > 0:
                parts[f"up{level}"] = nn.Conv2d(maps, maps, 3, padding=1)
        parts["norm"], parts["output"] = nn.GroupNorm(groups, maps), nn.Conv2d(maps, channels, 3, padding=1)

    def forward(self, images: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        parts, about, last = self.parts, self._about(times, labels), len(self.widths) - 1
        x = parts["stem"](images)
        skips = [x]
        for level in range(last + 1):
            for number in range(1, self.blocks + 1):
                x = self._block(f"down{level}_{number}", x, about)
                skips.append(x)
            if level < last:
                x = parts[f"down{level}"](pad(x, (x.shape[3] % 2, 1, x.shape[2] % 2, 1)))  # an even side: behind only
                skips.append(x)
        x = self._attended("middle_attention", parts["middle1"](x, about))
        x = parts["middle2"](x, about)
        for level in reversed(range(last + 1)):
            for number in range(1, self.blocks + 2):
                x = self._block(f"up{level}_{number}", torch.cat([x, skips.pop()], 1), about)
            if level > 0:
                height, width = skips[-1].shape[2:]
                x = parts[f"up{level}"](interpolate(x, scale_factor=2)[:, :, :height, :width])
        return parts["output"](silu(parts["norm"](x))).float()

    def _about(self, times: Tensor, labels: Tensor) -> Tensor:
        """Of time and class: sine and cosine in turn go through two layers."""
        angles = times[:, None] * self.frequencies
        waves = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
        about = self.parts["time2"](silu(self.parts["time1"](waves)))
        return about + self.parts["classes"](labels) if "classes" in self.parts else about

    def _block(self, name: str, x: Tensor, about: Tensor) -> Tensor:
        x = self.parts[name](x, about)
        return self._attended(f"{name}_attention", x) if f"{name}_attention" in self.parts else x

    def _attended(self, name: str, x: Tensor) -> Tensor:
        return x + self.parts[name](self.parts[f"{name}_norm"](x))
