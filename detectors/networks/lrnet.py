"""LRNet: is the way 68 landmarks move that of one real face? Points are read by one copy, their differences by another.

Source: Sun et al., "Improving the Efficiency and Robustness of Deepfakes Detection through Precise Geometric
Features", CVPR 2021.
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional

POINTS = 68


class LRNet(nn.Module):
    """Landmarks (B, T, 136), x y of each point in turn, to logits (B, 2): real, fake. Any T."""

    def __init__(self, units: int = 32, landmark_dropout: float = 0.1, dropout: float = 0.5) -> None:
        super().__init__()
        self.landmark_dropout = LandmarkDropout(landmark_dropout)
        self.hidden_state = nn.Parameter(torch.randn(2, 1, units))
        self.gru = nn.GRU(2 * POINTS, units, batch_first=True, bidirectional=True)
        width = 2 * units
        residual = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width))
        self.dense = nn.Sequential(nn.Dropout(dropout), Residual(residual), nn.Dropout(dropout), nn.Linear(width, 2))

    def forward(self, landmarks: torch.Tensor) -> torch.Tensor:
        start = self.hidden_state.expand(-1, landmarks.shape[0], -1).contiguous()
        _, last = self.gru(self.landmark_dropout(landmarks), start)
        logits: torch.Tensor = self.dense(torch.cat([last[0], last[1]], dim=1))
        return logits


class LandmarkDropout(nn.Module):
    """In training, loses the same whole points in every frame of the batch, as an occluding hand would."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, landmarks: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return landmarks
        kept = functional.dropout(landmarks.new_ones(POINTS), self.p)
        return landmarks * kept.repeat_interleave(2)


class Residual(nn.Module):
    """x + fn(x); the odd nesting is that of the published keys, `dense.1.fn.net.0.weight`."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.fn = nn.Sequential(OrderedDict(net=net))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = x + self.fn(x)
        return y
