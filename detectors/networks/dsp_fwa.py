"""DSP-FWA: a ResNet-50 whose last map is read at three scales, for the traces of warping a face into place.

Sources: Li & Lyu, "Exposing DeepFake Videos By Detecting Face Warping Artifacts", CVPRW 2019; the pyramid: Li et al.,
"Celeb-DF", CVPR 2020.
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional

from detectors.networks.resnet import Bottleneck, residual_stages

PYRAMID = ((7, 7), (4, 3), (2, 1))
"""Kernel and stride of the levels 1 x 1, 2 x 2 and 6 x 6 on a 7 x 7 map."""
CELLS = 1 + 4 + 36


class DSPFWA(nn.Module):
    """Faces (B, 3, H, W) of 193 to 224 px a side, those that end in a 7 x 7 map, to logits (B, 2): **fake, real**."""

    def __init__(self) -> None:
        super().__init__()
        stem: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
            "bn1": nn.BatchNorm2d(64),
            "relu": nn.ReLU(),
            "maxpool": nn.MaxPool2d(3, stride=2, padding=1),
        }
        trunk = nn.Sequential(OrderedDict(stem | residual_stages(Bottleneck, (3, 4, 6, 3))))
        self.resnet = nn.Sequential(OrderedDict(resnet=trunk))
        self.pyramid = Pyramid()
        self.classifier = nn.Linear(2048 * CELLS, 2)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(faces))

    def features(self, faces: torch.Tensor) -> torch.Tensor:
        """The map (B, 2048, 7, 7) that the pyramid reads."""
        features: torch.Tensor = self.resnet(faces)
        return features

    def head(self, features: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(self.pyramid(features))
        return logits


class Pyramid(nn.Module):
    """The maxima of a map (B, C, 7, 7) over its cells at three scales, coarse to fine: (B, C x 41)."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        levels = [functional.max_pool2d(features, kernel, stride).flatten(1) for kernel, stride in PYRAMID]
        return torch.cat(levels, dim=1)
