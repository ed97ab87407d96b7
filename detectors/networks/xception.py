"""Xception with two classes: the baseline of FaceForensics++ and of DeepfakeBench.

Sources: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017; Rössler et al.,
"FaceForensics++: Learning to Detect Manipulated Facial Images", ICCV 2019.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


class Xception(nn.Module):
    """Faces (B, 3, H, W) to logits (B, 2): real, fake. Published for sides of 299 and 256 px."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 32, 3, stride=2, bias=False), nn.BatchNorm2d(32)
        self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, bias=False), nn.BatchNorm2d(64)
        self.block1 = Block(64, 128, 128, rectify=False)
        self.block2 = Block(128, 256, 256)
        self.block3 = Block(256, 728, 728)
        for middle in range(4, 12):
            self.add_module(f"block{middle}", Block(728, 728, 728, 728))
        self.block12 = Block(728, 728, 1024)
        self.conv3, self.bn3 = SeparableConv(1024, 1536), nn.BatchNorm2d(1536)
        self.conv4, self.bn4 = SeparableConv(1536, 2048), nn.BatchNorm2d(2048)
        self.last_linear = nn.Linear(2048, 2)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(faces))

    def features(self, faces: torch.Tensor) -> torch.Tensor:
        """The map (B, 2048, h, w) whose mean the last layer reads: 10 x 10 for 299 px."""
        x = functional.relu(self.bn1(self.conv1(faces)))
        x = functional.relu(self.bn2(self.conv2(x)))
        for n in range(1, 13):
            x = self.get_submodule(f"block{n}")(x)
        x = functional.relu(self.bn3(self.conv3(x)))
        return functional.relu(self.bn4(self.conv4(x)))

    def head(self, features: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last_linear(features.mean(dim=(2, 3)))
        return logits


class SeparableConv(nn.Module):
    """Each channel on its own in space, then all channels at each point, with nothing between."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.pointwise(self.conv1(x))
        return y


class Block(nn.Module):
    """Separable convolutions from width to width, plus a shortcut; where the width changes, the map is halved.

    The shortcut reads the input before it is rectified, so no ReLU here may work in place. `rectify` is false for the
    first block, whose published keys leave no room for a ReLU in front.
    """

    def __init__(self, *widths: int, rectify: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.ReLU(), SeparableConv(inputs, outputs), nn.BatchNorm2d(outputs)]
        self.halves = widths[0] != widths[-1]
        if self.halves:
            layers.append(nn.MaxPool2d(3, stride=2, padding=1))
            self.skip = nn.Conv2d(widths[0], widths[-1], 1, stride=2, bias=False)
            self.skipbn = nn.BatchNorm2d(widths[-1])
        self.rep = nn.Sequential(*layers[0 if rectify else 1 :])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = self.skipbn(self.skip(x)) if self.halves else x
        y: torch.Tensor = self.rep(x) + shortcut
        return y
