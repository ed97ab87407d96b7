"""A small temporal model, tried beside LRNet: convolutions over how steadied landmarks move, with or without cues.

Its six thousand weights read movement only: what the whole head does is taken out of the points and told apart.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from core.types import LANDMARKS, Track
from detectors.cues import cues_of
from detectors.lrnet import BLOCK, POINTS, blocks
from training import cues as compact_cues
from training.blocks import Blocks
from training.clips import Clip
from training.out_of_fold import ORIGINAL

STEADY = (*range(27, 36), 36, 39, 42, 45)
"""Nose and corners of the eyes: they move with the head and hardly by themselves."""
PARTS = (POINTS["rest"], [*range(17, 27)], POINTS["nose"], [*range(36, 48)], POINTS["mouth"])
OPENINGS = ((37, 41, 36, 39), (43, 47, 42, 45), (62, 66, 60, 64))
"""Upper, lower and outer points of the eyes and of the inner lips."""
WIDTH, KERNEL, DROPOUT = 24, 5, 0.3
WEIGHT_DECAY, BATCH = 1e-3, 64
SCALED_BY = 2000
HELD = 5.0
"""Deviations within which the input is held."""


def series(landmarks: np.ndarray) -> np.ndarray:
    """Float32 (B, T - 1, 25) from landmarks (B, T, 68, 2).

    Of five parts of the face the mean step in x and y and the log of how far their points step apart; the head's steps
    in x, y, size and roll; eyes and mouth: how far open, and the change of it.
    """
    points = (landmarks[..., 0] + 1j * landmarks[..., 1]).astype(np.complex128)
    held = points[..., STEADY]
    centre = held.mean(axis=2, keepdims=True)
    usual = (held - centre).mean(axis=1, keepdims=True)
    size = np.sqrt((np.abs(usual) ** 2).mean(axis=2))
    turn = ((held - centre) * usual.conj()).sum(axis=2) / (np.abs(usual) ** 2).sum(axis=2)
    steadied = (points - centre) / turn[..., None] / size[..., None]
    steps = np.diff(steadied, axis=1)
    channels = []
    for part in PARTS:
        mean = steps[..., part].mean(axis=2)
        apart = np.abs(steps[..., part] - mean[..., None]) ** 2
        channels += [mean.real, mean.imag, np.log(1e-4 + apart.mean(axis=2) / 2)]
    head = np.diff(centre[..., 0], axis=1) / size
    channels += [head.real, head.imag, np.diff(np.log(np.abs(turn)), axis=1)]
    channels += [np.diff(np.unwrap(np.angle(turn), axis=1), axis=1)]
    for above, below, left, right in OPENINGS:
        height, width = (np.abs(steadied[..., a] - steadied[..., b]) for a, b in ((above, below), (left, right)))
        channels += [(height / (1e-6 + width))[:, 1:], np.diff(height / (1e-6 + width), axis=1)]
    return np.stack(channels, axis=2).astype(np.float32)


Model = Callable[[Track, np.ndarray], float]
"""From a track and the cues (k,) of its clip to P(fake)."""


class Movement(nn.Module):
    """Movement (B, T, channels) and cues (B, k), k 0 where there are none, to logits (B, 2): real, fake."""

    def __init__(self, channels: int, cues: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv1d(channels, WIDTH, KERNEL, padding=KERNEL // 2),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Conv1d(WIDTH, WIDTH, KERNEL, padding=KERNEL // 2),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(2 * WIDTH + cues, 2))

    def forward(self, steps: torch.Tensor, cues: torch.Tensor) -> torch.Tensor:
        found = self.convolutions(steps.transpose(1, 2))
        logits: torch.Tensor = self.head(torch.cat([found.mean(dim=2), found.amax(dim=2), cues], dim=1))
        return logits


def fit(source: Blocks, cues: np.ndarray, learning_rate: float, steps: int, *, seed: int) -> Model:
    """The trained model; from the blocks that LRNet reads too.

    Args:
        cues: of the clips that `source` draws from, float (n, k), NaN where they are not known.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)

    def draw(count: int) -> tuple[np.ndarray, torch.Tensor, np.ndarray]:
        x, label, clips = source.draw(rng, count)
        return series(x.numpy().reshape(count, BLOCK, LANDMARKS, 2)), label, cues[clips]

    example, _, beside = draw(SCALED_BY)
    scales = [_scale(example.reshape(-1, example.shape[2])), _scale(beside)]

    def ask(network: Movement, *given: np.ndarray) -> torch.Tensor:
        held = [np.clip((x - centre) / scale, -HELD, HELD) for x, (centre, scale) in zip(given, scales, strict=True)]
        logits: torch.Tensor = network(*(torch.from_numpy(np.nan_to_num(x).astype(np.float32)) for x in held))
        return logits

    network = Movement(example.shape[2], cues.shape[1]).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, total_iters=steps)
    for _ in range(steps):
        moved, label, beside = draw(BATCH)
        loss = functional.cross_entropy(ask(network, moved, beside), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    network.eval()

    @torch.inference_mode()
    def score(track: Track, own: np.ndarray) -> float:
        moved = series(blocks(track)[0].reshape(-1, BLOCK, LANDMARKS, 2))
        return float(ask(network, moved, np.tile(own, (len(moved), 1))).softmax(dim=1)[:, 1].mean())

    return score


def _scale(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.nanmean(x, axis=0), np.nanstd(x, axis=0) + 1e-6


def read_cues(clips: Sequence[Clip], cache: Path) -> np.ndarray:
    """The mean over the runs of each clip of what the compact detector measures on the whole face, float (n, k).

    Raises:
        FileNotFoundError: a clip was not extracted by `training.compact`.
    """
    found = [compact_cues.read_cues(clip, ORIGINAL, cache) for clip in clips]
    means = [np.full(len(cues_of("entire")), np.nan) if isinstance(f, str) else f["entire"].mean(axis=0) for f in found]
    return np.stack(means)
