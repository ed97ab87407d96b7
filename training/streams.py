"""LRNet's two streams from a prepared cache: of the landmarks of blocks of 30 frames, and of their differences.

Source of the recipe: Sun et al., CVPR 2021, as in the published torch code.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from core.errors import InputError
from core.settings import Settings
from core.types import Track
from detectors.appearance import against
from detectors.lrnet import BLOCK, MAX_IMPUTED, cut_blocks
from detectors.networks.lrnet import LRNet as Network
from preprocessing.profile import pick
from training.config import Config
from training.faces import cross_entropy
from training.loop import Item, Task
from training.prepared import LANDMARKS, Prepared
from training.run import Method, Opened, Stream
from training.splits import read_parts
from training.starts import begin

FAKE = 1


class LRNetConfig(Config):
    method: Literal["lrnet"]
    epochs_of_differences: int = Field(gt=0)
    """`epochs` are those of the stream of points."""
    scaled: bool = False
    """Trained on input of mean 0 and deviation 1, which becomes part of the first layer: much faster than as published,
    since the steps from frame to frame are very small."""

    def looks_at(self) -> dict[str, Any]:
        return {"landmarks": "calibrated", "block": BLOCK, "fake_index": FAKE}


@dataclass(frozen=True, slots=True, eq=False)
class Stream30:
    """n blocks `x` float32 (n, T, 136): of 30 points in time, or of the 29 differences between them."""

    x: np.ndarray
    fake: np.ndarray
    video: np.ndarray

    def draw(self, i: int, rng: np.random.Generator) -> Item:
        return self.see(i)

    def see(self, i: int) -> Item:
        return {"x": self.x[i : i + 1], "fake": self.fake[i : i + 1]}


def read_blocks(prepared: Sequence[Prepared], most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blocks float32 (n, 30, 136) of all samples, at most so many of each and evenly, bool labels and int videos (n,).

    Raises:
        InputError: no sample is long enough for a block.
    """
    blocks, video = [], []
    for v, one in enumerate(prepared):
        own = readable(one.track())
        blocks.append(own[pick(len(own), most, "even")])
        video += [v] * len(blocks[-1])
    if not video:
        raise InputError(f"No sample has {BLOCK + 1} frames in a row with a face; prepare longer videos.")
    number = np.array(video)
    return np.concatenate(blocks), np.array([bool(p.sample.label) for p in prepared])[number], number


def readable(track: Track) -> np.ndarray:
    """Blocks float32 (n, 30, 136), anew with each stretch, without those that repeat too many landmarks."""
    found = [np.empty((0, BLOCK, track.calibrated[0].size), np.float32)]
    for stretch in track.stretches():
        for i, block in enumerate(cut_blocks(track.calibrated[stretch])):
            begin = stretch.start + i * BLOCK
            if (~track.seen[begin : begin + BLOCK]).sum() <= MAX_IMPUTED:
                found.append(block[None])
    return np.concatenate(found)


def open_lrnet(config: LRNetConfig, settings: Settings) -> Opened:
    parts = read_parts(config.data, LANDMARKS, config.seed)
    train, validation = (read_blocks(part, config.data.frames) for part in (parts.train, parts.validation))
    streams = {}
    for role, epochs in (("g1", config.epochs), ("g2", config.epochs_of_differences)):
        network, start = begin("lrnet", config.start, config.seed, settings, ("gru.",), role)
        own = [np.diff(x, axis=1) if role == "g2" else x for x in (train[0], validation[0])]
        tensors: Callable[[nn.Module], Mapping[str, torch.Tensor]] = nn.Module.state_dict
        if config.scaled:
            centre, scale = own[0].mean(axis=(0, 1)), own[0].std(axis=(0, 1)) + 1e-6
            own = [(x - centre) / scale for x in own]
            at, by = torch.from_numpy(centre), torch.from_numpy(scale)
            if start.sha256:
                take_in_scale(network, -at / by, 1 / by)  # so that what it knows holds for scaled input
            tensors = partial(unscaled, centre=at, scale=by)
        task = Task(
            network=network,
            loss=cross_entropy(FAKE),
            log_odds=partial(against, fake_index=FAKE),
            train=Stream30(own[0], *train[1:]),
            validation=Stream30(own[1], *validation[1:]),
            backbone=("gru.", "hidden_state"),
        )
        streams[role] = Stream(task, start, epochs, tensors)
    return Opened(parts, streams)


def unscaled(network: nn.Module, centre: torch.Tensor, scale: torch.Tensor) -> dict[str, torch.Tensor]:
    """The tensors of a network that takes input as it is."""
    whole = deepcopy(network).cpu()
    take_in_scale(whole, centre, scale)
    return dict(whole.state_dict())


@torch.no_grad()
def take_in_scale(network: nn.Module, centre: torch.Tensor, scale: torch.Tensor) -> None:
    """Changes LRNet's first layer such that it answers to x as it did to (x - centre) / scale, both float32 (136,)."""
    assert isinstance(network, Network)
    for direction in ("", "_reverse"):
        weight = getattr(network.gru, f"weight_ih_l0{direction}")
        weight /= scale
        getattr(network.gru, f"bias_ih_l0{direction}").sub_(weight @ centre)


METHOD = Method("lrnet", LRNetConfig, "arXiv:2104.04480", open_lrnet, small=True)
