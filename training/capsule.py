"""Capsule-Forensics: trains the capsules on prepared crops; the trunk stays ImageNet's.

    python -m training.capsule --config configs/capsule_nii.yaml start=vgg19-dcbb9e9d.pth [key=value ...]

Source of the recipe: Nguyen et al., arXiv 1910.12467, with its published code's noise on the routing weights and on
the votes.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from core.settings import Settings
from detectors.networks.capsule import VOTE, Routing
from training.config import PictureConfig
from training.faces import classes, open_faces
from training.loop import Batch
from training.run import Method, Opened, command
from training.starts import begin

BACKBONE = ("vgg_ext.",)
SPREAD = 0.02
"""Of the convolutions that begin from nothing, and of their normalisations' weights around 1."""
EDGE = 1e-6


class CapsuleConfig(PictureConfig):
    method: Literal["capsule"]
    noise: float = Field(0.01, ge=0)
    """Added to the routing weights in training, as its deviation."""
    dropout: float = Field(0.05, ge=0, lt=1)
    """Share of the votes that is lost in training."""


class NoisyRouting(Routing):
    """Routing whose weights tremble and whose votes get lost in training, under the same names."""

    def __init__(self, noise: float, dropout: float) -> None:
        super().__init__()
        self.noise, self.dropout = noise, dropout

    def forward(self, primaries: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(primaries)
        weights = self.route_weights + self.noise * torch.randn_like(self.route_weights)
        return self.agree(functional.dropout(self.votes(primaries, weights), self.dropout))


def open_capsule(config: CapsuleConfig, settings: Settings) -> Opened:
    network, start = begin("capsule", config.start, config.seed, settings, BACKBONE)
    routing = NoisyRouting(config.noise, config.dropout)
    routing.load_state_dict(network.get_submodule("routing_stats").state_dict())
    network.routing_stats = routing
    for name, part in network.get_submodule("fea_ext").named_modules():
        if f"fea_ext.{name}.weight" in start.new:
            _as_published(part)
    fake_index = config.profile().fake_index

    def loss(votes: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        """Cross-entropy of each of the four rows, summed."""
        truth = classes(batch["fake"], fake_index).repeat_interleave(VOTE)
        return {"loss": VOTE * functional.cross_entropy(votes.flatten(0, 1), truth)}

    def log_odds(votes: torch.Tensor) -> torch.Tensor:
        return votes.softmax(dim=2).mean(dim=1)[:, fake_index].logit(EDGE)

    return open_faces(config, network, start, BACKBONE, loss, log_odds)


@torch.no_grad()
def _as_published(part: nn.Module) -> None:
    if isinstance(part, nn.Conv1d | nn.Conv2d):
        part.weight.normal_(0, SPREAD)
    elif isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
        part.weight.normal_(1, SPREAD)


METHOD = Method("capsule", CapsuleConfig, "arXiv:1910.12467", open_capsule)

if __name__ == "__main__":
    raise SystemExit(command(METHOD, __doc__))
