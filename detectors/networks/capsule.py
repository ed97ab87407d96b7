"""Capsule-Forensics: ten small networks look at one ImageNet map, and a vote by agreement decides.

Source: Nguyen, Yamagishi, Echizen, "Use of a Capsule Network to Detect Fake Images and Videos", arXiv 1910.12467.
Where it departs from textbook capsules (the axis of the first squash, routing per component) so did its authors.
"""

from collections import OrderedDict

import torch
from torch import nn

CAPSULES = 10
COMPONENTS = 8
VOTE = 4
CLASSES = 2


class Capsule(nn.Module):
    """Faces (B, 3, H, W) to votes (B, 4, 2): four rows of real, fake.

    The class probabilities are the mean over the rows of each row's softmax. Votes are shorter than 1, so P(fake)
    stays within 0.2689 and 0.7311. Published for sides of 300, 256 and 200 px.
    """

    def __init__(self) -> None:
        super().__init__()
        self.vgg_ext = nn.Sequential(OrderedDict(vgg_1=vgg19_trunk()))
        self.fea_ext = PrimaryCapsules()
        self.routing_stats = Routing()

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(faces))

    def features(self, faces: torch.Tensor) -> torch.Tensor:
        """The map (B, 256, H // 8, W // 8) that all capsules read."""
        features: torch.Tensor = self.vgg_ext(faces)
        return features

    def head(self, features: torch.Tensor) -> torch.Tensor:
        votes: torch.Tensor = self.routing_stats(self.fea_ext(features))
        return votes


class PrimaryCapsules(nn.Module):
    """A map (B, 256, h, w) to (B, 8, 10); each component is squashed across the ten capsules."""

    def __init__(self) -> None:
        super().__init__()
        self.capsules = nn.ModuleList(primary_capsule() for _ in range(CAPSULES))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return squash(torch.stack([capsule(features) for capsule in self.capsules], dim=-1), dim=-1)


class Statistics(nn.Module):
    """Mean and sample standard deviation of each channel over the map: (B, C, H, W) to (B, 2, C)."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        places = features.flatten(2)
        return torch.stack([places.mean(dim=2), places.std(dim=2)], dim=1)


class Routing(nn.Module):
    """Two rounds of routing by agreement: (B, 8, 10) to (B, 4, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.route_weights = nn.Parameter(torch.randn(CLASSES, CAPSULES, VOTE, COMPONENTS))

    def forward(self, primaries: torch.Tensor) -> torch.Tensor:
        return self.agree(self.votes(primaries, self.route_weights))

    def votes(self, primaries: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """(B, 2, 10, 4): what each capsule says of each class."""
        return (weights @ primaries.transpose(1, 2)[:, None, :, :, None]).squeeze(-1)

    def agree(self, votes: torch.Tensor) -> torch.Tensor:
        mean = squash(votes.mean(dim=2, keepdim=True), dim=-1)
        # Agreement is kept for each component; a textbook capsule would sum over them.
        agreement = (votes * mean).softmax(dim=2)
        return squash((agreement * votes).sum(dim=2), dim=-1).transpose(1, 2)


def vgg19_trunk() -> nn.Sequential:
    """VGG-19 without normalisation, up to and with its third pool."""
    layers: list[nn.Module] = []
    inputs = 3
    for width, convolutions in ((64, 2), (128, 2), (256, 4)):
        for _ in range(convolutions):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def primary_capsule() -> nn.Sequential:
    """A map (B, 256, h, w) to 8 numbers, by way of the statistics of 16 channels."""
    return nn.Sequential(
        nn.Conv2d(256, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Conv2d(64, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Statistics(),
        nn.Conv1d(2, COMPONENTS, 5, stride=2, padding=2),
        nn.BatchNorm1d(COMPONENTS),
        nn.Conv1d(COMPONENTS, 1, 3, padding=1),
        nn.BatchNorm1d(1),
        nn.Flatten(),
    )


def squash(vectors: torch.Tensor, dim: int) -> torch.Tensor:
    """The same direction, length n / (1 + n) for a squared length n; written so that a zero vector stays zero."""
    squared = vectors.square().sum(dim=dim, keepdim=True)
    return vectors * squared.sqrt() / (1 + squared)
