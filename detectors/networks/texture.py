"""Telltale's own small network of texture: the beginning of EfficientNet-Lite0, averaged over regions of the face.

Source of the trunk: Tan & Le, "EfficientNet", ICML 2019, in its Lite form without squeeze-and-excite and with ReLU6;
its tensors have the names of the weights that were published for PyTorch.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

PLACES = 5
"""Four of the face, and the surroundings."""
REGIONS = 5
"""The whole face, and each of its places."""
WIDTH = 2 * (16 + 24 + 40)
LEAST = 0.01
"""Added before a logarithm, whose slope would be infinite where a channel is flat."""


class Trunk(nn.Module):
    """Its first five blocks, 58 000 weights.

    From images (b, 3, 128, 128) in [-1, 1]: what it has at a half, a quarter and an eighth of their size, 16, 24 and 40
    channels. The last of them sees 67 px around a place, the first 7.
    """

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, 1, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        self._blocks = nn.ModuleList(
            [
                _Block(32, 16, wider=1, side=3, stride=1),
                _Block(16, 24, wider=6, side=3, stride=2),
                _Block(24, 24, wider=6, side=3, stride=1),
                _Block(24, 40, wider=6, side=5, stride=2),
                _Block(40, 40, wider=6, side=5, stride=1),
            ]
        )

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        x = functional.relu6(self._bn0(self._conv_stem(images)))
        found = []
        for block in self._blocks:
            x = block(x)
            found.append(x)
        return found[::2]


class _Block(nn.Module):
    def __init__(self, into: int, out: int, *, wider: int, side: int, stride: int) -> None:
        super().__init__()
        within = into * wider
        if wider > 1:
            self._expand_conv = nn.Conv2d(into, within, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(within, eps=1e-3)
        self._depthwise_conv = nn.Conv2d(within, within, side, stride, side // 2, groups=within, bias=False)
        self._bn1 = nn.BatchNorm2d(within, eps=1e-3)
        self._project_conv = nn.Conv2d(within, out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(out, eps=1e-3)
        self._wider, self._alike = wider > 1, into == out and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = functional.relu6(self._bn0(self._expand_conv(x))) if self._wider else x
        inner = self._bn2(self._project_conv(functional.relu6(self._bn1(self._depthwise_conv(inner)))))
        return x + inner if self._alike else inner


class Texture(nn.Module):
    """Log-odds of each region, linear in what is found in it alone and in how that differs from the surroundings."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.weight = nn.Parameter(torch.zeros(REGIONS, 2, WIDTH))
        self.bias = nn.Parameter(torch.zeros(REGIONS))

    def forward(self, images: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """(b, 5), from images and the place of every pixel, int64 (b, 128, 128): 1 on, 0 for none, the last around."""
        return (found_in(self.trunk(images), places) * self.weight).sum(dim=(-2, -1)) + self.bias


def folded(network: Texture) -> Texture:
    """The same in eval mode, its normalisations taken into the convolutions and channels last: three times as fast."""
    pairs = (("_conv_stem", "_bn0"), ("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
    for part in network.eval().trunk.modules():
        for conv, norm in pairs:
            if hasattr(part, conv):
                setattr(part, conv, fuse_conv_bn_eval(getattr(part, conv), getattr(part, norm)))
                setattr(part, norm, nn.Identity())
    network.trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def found_in(maps: Sequence[torch.Tensor], places: torch.Tensor) -> torch.Tensor:
    """(b, 5, 2, WIDTH): of every channel the mean and the logarithm of the deviation over each region, and less those
    of the surroundings."""
    within = functional.one_hot(places, PLACES + 1)[..., 1:].permute(0, 3, 1, 2).float()
    within = torch.cat([within[:, :-1].sum(1, keepdim=True), within], dim=1)
    columns = []
    for map in maps:
        share = functional.avg_pool2d(within, within.shape[-1] // map.shape[-1]).flatten(2)
        share = share / share.sum(-1, keepdim=True).clamp(min=1e-3)
        cells = map.float().flatten(2).transpose(1, 2)
        mean = share @ cells
        spread = (share @ cells.square() - mean.square()).clamp(min=0)
        columns += [mean, torch.log(spread + LEAST) / 2]
    found = torch.cat(columns, dim=-1)
    return torch.stack([found[:, :-1], found[:, :-1] - found[:, -1:]], dim=2)
