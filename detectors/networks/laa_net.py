"""LAA-Net: an EfficientNet-B4 and a gated pyramid that say whether a face is blended, and mark the places that show it.

Sources: Nguyen et al., "LAA-Net: Localized Artifact Attention Network for Quality-Agnostic and Generalizable Deepfake
Detection", CVPR 2024; the trunk: Tan & Le, "EfficientNet", ICML 2019.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

Padding = tuple[int, int, int, int]
"""Left, right, top, bottom."""

HALVING: Padding = (0, 1, 0, 1)
STAGES: tuple[tuple[int, int, int, int, Padding | None], ...] = (
    # blocks, kernel, expansion, channels; padding of the first block where that one halves the map
    (2, 3, 1, 24, None),
    (4, 3, 6, 32, HALVING),
    # At 384 px "same" padding would be (1, 2, 1, 2) here; published weights were trained with that of 380 px.
    (4, 5, 6, 56, (2, 2, 2, 2)),
    (6, 3, 6, 112, HALVING),
    (6, 5, 6, 160, None),
    (8, 5, 6, 272, (1, 2, 1, 2)),
    (2, 3, 6, 448, None),
)
DROPPED = 0.2
"""How often the last block's own part is left out in training; the first one's never, the others' in proportion."""
TAPS = (9, 21, 31)
"""Blocks whose output the pyramid reads."""


class LAAOutput(NamedTuple):
    """`logit` (B, 1): fake; `heatmap` (B, 1, 96, 96): logits of vulnerable points; `consistency` (B, 256, 96, 96).

    Cells whose consistency vectors have a large inner product are equally blended.
    """

    logit: torch.Tensor
    heatmap: torch.Tensor
    consistency: torch.Tensor


class LAANet(nn.Module):
    """Faces (B, 3, 384, 384) to `LAAOutput`."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = PaddedConv2d(3, 48, 3, HALVING), trunk_norm(48)
        self._blocks = nn.ModuleList(trunk_blocks())
        self._conv_head, self._bn1 = nn.Conv2d(448, 1792, 1, bias=False), trunk_norm(1792)
        self.deconv_1 = nn.Sequential(unit(1792, 448, 3))
        self.deconv_2 = nn.Sequential(unit(2 * 448, 160, 3), *doubling(160))
        self.deconv_3 = nn.Sequential(unit(2 * 160, 56, 3), *doubling(56))
        self.deconv_4 = nn.Sequential(Inception(2 * 56, 28), *doubling(112))
        self.hm = nn.Sequential(*head(112), nn.Conv2d(64, 1, 1))
        self.cls = nn.Sequential(*head(112), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 1))
        self.cstency = nn.Sequential(*head(112), nn.Conv2d(64, 256, 1))

    def forward(self, faces: torch.Tensor) -> LAAOutput:
        c3, c4, c5, c6 = self.trunk(faces)
        x = gated(self.deconv_1(c6), c5)
        x = gated(self.deconv_2(x), c4)
        x = gated(self.deconv_3(x), c3)
        x = functional.relu(self.deconv_4(x))
        return LAAOutput(self.cls(x), self.hm(x), self.cstency(x))

    def trunk(self, faces: torch.Tensor) -> list[torch.Tensor]:
        """Maps of 48, 24, 12 and 12 cells a side, with 56, 160, 448 and 1792 channels."""
        x = functional.silu(self._bn0(self._conv_stem(faces)))
        taps = []
        for number, block in enumerate(self._blocks):
            x = block(x)
            if number in TAPS:
                taps.append(x)
        return [*taps, functional.silu(self._bn1(self._conv_head(x)))]


class PaddedConv2d(nn.Conv2d):
    """Halves the map; padded more on some sides than on others."""

    def __init__(self, inputs: int, outputs: int, kernel: int, padding: Padding, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride=2, groups=groups, bias=False)
        self.sides = padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(functional.pad(x, self.sides))


class MBConv(nn.Module):
    """Expand, filter each channel in space, weigh the channels, project; plus the input where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, expansion: int, padding: Padding | None) -> None:
        super().__init__()
        width, squeezed = inputs * expansion, inputs // 4
        self.expands = expansion > 1
        self.keeps_shape = padding is None and inputs == outputs
        self.dropped = 0.0
        if self.expands:
            self._expand_conv, self._bn0 = nn.Conv2d(inputs, width, 1, bias=False), trunk_norm(width)
        self._depthwise_conv = (
            PaddedConv2d(width, width, kernel, padding, groups=width)
            if padding
            else nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width, bias=False)
        )
        self._bn1 = trunk_norm(width)
        self._se_reduce, self._se_expand = nn.Conv2d(width, squeezed, 1), nn.Conv2d(squeezed, width, 1)
        self._project_conv, self._bn2 = nn.Conv2d(width, outputs, 1, bias=False), trunk_norm(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.silu(self._bn0(self._expand_conv(x))) if self.expands else x
        y = functional.silu(self._bn1(self._depthwise_conv(y)))
        weights = self._se_expand(functional.silu(self._se_reduce(y.mean(dim=(2, 3), keepdim=True))))
        y = self._bn2(self._project_conv(y * weights.sigmoid()))
        if not self.keeps_shape:
            return y
        if self.training and self.dropped:  # stochastic depth: Huang et al., ECCV 2016
            y = y * torch.empty_like(y[:, :1, :1, :1]).bernoulli_(1 - self.dropped) / (1 - self.dropped)
        return x + y


class Inception(nn.Module):
    """Four views of (B, inputs, H, W), `width` channels each; one 1 x 1 unit serves them all."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.pw_block = unit(inputs, width, 1)
        self.conv3_block = unit(width, width, 3)
        self.conv5_block = unit(width, width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        point, spread = self.pw_block(x), self.pw_block(functional.max_pool2d(x, 3, stride=1, padding=1))
        return torch.cat([point, self.conv3_block(point), self.conv5_block(point), spread], dim=1)


def gated(top: torch.Tensor, lateral: torch.Tensor) -> torch.Tensor:
    """The finer level joins the coarser one only with what that one does not already say."""
    return torch.cat([top, (1 - top.sigmoid()) * lateral], dim=1)


def trunk_blocks() -> list[MBConv]:
    blocks, inputs = [], 48
    for count, kernel, expansion, channels, padding in STAGES:
        for index in range(count):
            blocks.append(MBConv(inputs, channels, kernel, expansion, None if index else padding))
            inputs = channels
    for number, block in enumerate(blocks):
        block.dropped = DROPPED * number / len(blocks)
    return blocks


def trunk_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def unit(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def doubling(channels: int) -> tuple[nn.Module, nn.Module]:
    """The map twice as large, without a ReLU."""
    convolution = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(channels)


def head(inputs: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    return nn.Conv2d(inputs, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()
