"""What training Xception, Capsule and DSP-FWA has in common: one masked face at a time, genuine or fake."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from detectors.appearance import against
from training.config import PictureConfig
from training.loop import Batch, Task
from training.run import Opened, Stream
from training.samples import Crops, kind_of
from training.splits import read_parts
from training.starts import Start

Loss = Callable[[Any, Batch], dict[str, torch.Tensor]]


def open_faces(
    config: PictureConfig,
    network: nn.Module,
    start: Start,
    backbone: tuple[str, ...],
    loss: Loss | None = None,
    log_odds: Callable[[Any], torch.Tensor] | None = None,
) -> Opened:
    """The parts of the caches, and the network on their crops; by default with cross-entropy over its two logits."""
    profile = config.profile()
    parts = read_parts(config.data, kind_of(profile.crop), config.seed)
    task = Task(
        network=network,
        loss=loss or cross_entropy(profile.fake_index),
        log_odds=log_odds or (lambda logits: against(logits, profile.fake_index)),
        train=Crops(parts.train, config),
        validation=Crops(parts.validation, config),
        backbone=backbone,
        average=profile.average,
    )
    return Opened(parts, {"model": Stream(task, start, config.epochs)})


def cross_entropy(fake_index: int) -> Loss:
    def loss(logits: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        return {"loss": functional.cross_entropy(logits, classes(batch["fake"], fake_index))}

    return loss


def classes(fake: torch.Tensor, fake_index: int) -> torch.Tensor:
    """int64 (B,), from bool (B,): which of the two logits is that of the truth."""
    return torch.where(fake, fake_index, 1 - fake_index)
