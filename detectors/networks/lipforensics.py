"""LipForensics: a lip-reading network that asks whether a mouth moves as mouths do.

Sources: Haliassos et al., "Lips Don't Lie", CVPR 2021; the network: Martinez et al., "Lipreading using Temporal
Convolutional Networks", ICASSP 2020. With `attention`, frames are weighed instead of averaged.
"""

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import nn

from detectors.networks.resnet import BasicBlock, residual_stages

WIDTH = 256
KERNELS = (3, 5, 7)
CHANNELS = WIDTH * len(KERNELS)


class LipOutput(NamedTuple):
    """`logit` (B, 1): fake; `contributions` (B, T), whose sum is the logit less its bias; `weights` (B, T), sum 1.

    Every frame's features have seen the whole clip, so its contribution says only roughly when.
    """

    logit: torch.Tensor
    contributions: torch.Tensor
    weights: torch.Tensor


class LipForensics(nn.Module):
    """Grey mouths (B, 1, T, 88, 88) to `LipOutput`; published for T = 25, any T runs."""

    def __init__(self, attention: bool = False) -> None:
        super().__init__()
        self.frontend3D = nn.Sequential(
            nn.Conv3d(1, 64, (5, 7, 7), stride=(1, 2, 2), padding=(2, 3, 3), bias=False),
            nn.BatchNorm3d(64),
            nn.PReLU(64),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
        )
        self.trunk = nn.Sequential(residual_stages(BasicBlock, (2, 2, 2, 2)))
        self.tcn = TemporalHead(attention)

    def forward(self, mouths: torch.Tensor) -> LipOutput:
        return self.head(self.features(mouths))

    def features(self, mouths: torch.Tensor) -> torch.Tensor:
        """The map of each frame, (B, T, 512, 3, 3)."""
        frames = self.frontend3D(mouths).transpose(1, 2)
        maps: torch.Tensor = self.trunk(frames.flatten(0, 1))
        return maps.unflatten(0, frames.shape[:2])

    def head(self, features: torch.Tensor) -> LipOutput:
        output: LipOutput = self.tcn(features.mean(dim=(3, 4)).transpose(1, 2))
        return output


class TemporalHead(nn.Module):
    """Frames (B, 512, T) to `LipOutput`."""

    def __init__(self, attention: bool) -> None:
        super().__init__()
        levels = [Level(512 if number == 0 else CHANNELS, dilation=2**number) for number in range(4)]
        self.mb_ms_tcn = nn.Sequential(OrderedDict(network=nn.Sequential(*levels)))
        self.attention_net = (
            nn.Sequential(nn.Linear(CHANNELS, 128), nn.Tanh(), nn.Linear(128, 1)) if attention else None
        )
        self.tcn_output = nn.Linear(CHANNELS, 1)

    def forward(self, frames: torch.Tensor) -> LipOutput:
        return self.read_out(self.mb_ms_tcn(frames).transpose(1, 2))

    def read_out(self, features: torch.Tensor) -> LipOutput:
        """From (B, T, 768). The last layer is linear, so the logit is a sum over frames."""
        if self.attention_net is None:
            weights = torch.ones_like(features[:, :, 0]) / features.shape[1]
        else:
            weights = self.attention_net(features).squeeze(2).softmax(dim=1)
        # With a vector in place of the one-column matrix, ONNX Runtime 1.31's optimiser returns wrong products.
        contributions = weights * (features @ self.tcn_output.weight.T).squeeze(2)
        return LipOutput(contributions.sum(dim=1, keepdim=True) + self.tcn_output.bias, contributions, weights)


class Level(nn.Module):
    """Twice three branches of different reach, and a shortcut: (B, inputs, T) to (B, 768, T)."""

    def __init__(self, inputs: int, dilation: int) -> None:
        super().__init__()
        for number, kernel in enumerate(KERNELS):
            self.add_module(f"cbcr0_{number}", branch(inputs, kernel, dilation))
            self.add_module(f"cbcr1_{number}", branch(CHANNELS, kernel, dilation))
        self.dropout = nn.Dropout(0.2)
        self.downsample = nn.Conv1d(inputs, CHANNELS, 1)
        self.relu_final = nn.PReLU(CHANNELS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for half in ("cbcr0", "cbcr1"):
            branches = [self.get_submodule(f"{half}_{number}") for number in range(len(KERNELS))]
            y = self.dropout(torch.cat([b(y) for b in branches], dim=1))
        y = self.relu_final(y + self.downsample(x))
        return y


def branch(inputs: int, kernel: int, dilation: int) -> nn.Sequential:
    """As long as its input: reads as many frames ahead as behind."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv1d(inputs, WIDTH, kernel, padding=dilation * (kernel - 1) // 2, dilation=dilation),
            batchnorm=nn.BatchNorm1d(WIDTH),
            non_lin=nn.PReLU(WIDTH),
        )
    )
