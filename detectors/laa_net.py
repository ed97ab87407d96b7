"""LAA-Net: does this face show where another one was blended in?

Source: Nguyen et al., "LAA-Net: Localized Artifact Attention Network for Quality-Agnostic and Generalizable Deepfake
Detection", CVPR 2024.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from torch import nn

from detectors.appearance import Appearance
from detectors.base import Card
from preprocessing.regions import REGIONS


class LAANet(Appearance):
    card = Card(
        name="laa_net",
        title="LAA-Net: seams of blending",
        summary="Places in single frames where one face was blended into another.",
        source="Nguyen et al., CVPR 2024",
        regions=REGIONS,
        limits="Blind to faces that are generated whole, and sensitive to noise. Its zero is not calibrated; the "
        "published script holds the raw logit against 0.5, here it becomes a probability first.",
        heat="Its own map of places where it suspects a seam, on its own scale.",
        cost=6,
    )

    @classmethod
    def load(cls, checkpoint: Mapping[str, Any]) -> nn.Module:
        return LogitAndHeatmap(super().load(checkpoint)).eval()

    def log_odds(self, tensor: np.ndarray) -> np.ndarray:
        """The mean for the face and its mirror image, as published."""
        mirrored = np.ascontiguousarray(tensor[..., ::-1])
        return (super().log_odds(tensor) + super().log_odds(mirrored)) / 2

    def heat(self, tensors: np.ndarray, fake: np.ndarray) -> list[np.ndarray]:
        """The network's own map of places where it suspects a seam, whatever the score: it was trained to be cold on
        genuine faces. The mirror image's is turned back, which the published script forgets."""
        straight, mirrored = (
            expit(self._engine.run(np.ascontiguousarray(seen))[1][:, 0]) for seen in (tensors, tensors[..., ::-1])
        )
        return list((straight + mirrored[..., ::-1]) / 2)


class LogitAndHeatmap(nn.Module):
    """The network without its map of consistency, which nobody asks for and which takes a twelfth of the time."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logit, heatmap, _ = self.network(faces)
        return logit, heatmap
