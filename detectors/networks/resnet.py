"""The residual stages of ResNet-50 (DSP-FWA) and of ResNet-18 with learned slopes (LipForensics).

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; in the bottleneck the 3 x 3 convolution
takes the stride, as in the weights everybody uses.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, each followed by a PReLU with one slope per channel."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = convolution(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.relu1 = nn.PReLU(width)
        self.conv2, self.bn2 = convolution(width, width, 3), nn.BatchNorm2d(width)
        self.downsample = shortcut(inputs, width, stride)
        self.relu2 = nn.PReLU(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)) + self.downsample(x))
        return y


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions and a shortcut, with ReLUs."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1, self.bn1 = convolution(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = convolution(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = convolution(width, outputs, 1), nn.BatchNorm2d(outputs)
        self.downsample = shortcut(inputs, outputs, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def residual_stages(block: type[BasicBlock] | type[Bottleneck], counts: Sequence[int]) -> OrderedDict[str, nn.Module]:
    """`layer1` to `layer4`: (B, 64, H, W) to (B, 512 x expansion, H / 8, W / 8), rounded up."""
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = 64
    for number, count in enumerate(counts, start=1):
        width = 64 * 2 ** (number - 1)
        blocks = []
        for index in range(count):
            blocks.append(block(inputs, width, stride=2 if index == 0 and number > 1 else 1))
            inputs = width * block.expansion
        stages[f"layer{number}"] = nn.Sequential(*blocks)
    return stages


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Empty, which is the identity, where the shape stays the same."""
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    return nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
