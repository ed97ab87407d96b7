"""LipForensics: fine-tunes how frames are read together, on mouths that a lip-reading network sees as it did.

    python -m training.lipforensics --config configs/lipforensics.yaml start=WEIGHTS [key=value ...]

The front end and the trunk stay as they began, normalisations included, so each clip goes through them once, as it is
and mirrored. With `attention`, frames are weighed; it begins such that all weigh alike, which is the network without.
Source: Haliassos et al., "Lips Don't Lie", CVPR 2021.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from core.errors import InputError
from core.settings import Settings
from detectors.engines import device
from detectors.lipforensics import RATE_HZ, cut_clips, runs
from detectors.networks.lipforensics import LipForensics as Network
from detectors.networks.lipforensics import LipOutput
from preprocessing.profile import pick
from training.config import PictureConfig
from training.loop import Batch, Item, Samples, Task, precision
from training.prepared import Prepared, look_of
from training.run import Method, Opened, Stream, command
from training.samples import OpenCrops
from training.splits import read_parts
from training.starts import Start, begin

log = logging.getLogger(__name__)

KIND = "mouth"
BACKBONE = ("frontend3D.", "trunk.")


class LipForensicsConfig(PictureConfig):
    method: Literal["lipforensics"]
    region: Literal["mouth"] = "mouth"
    attention: bool = False
    """Weighs the frames of a clip instead of averaging them."""


class Clips:
    """Clips of consecutive frames, grey; in training from anywhere within the crop, mirrored or not."""

    def __init__(self, prepared: Sequence[Prepared], config: LipForensicsConfig) -> None:
        self._profile, self._mouths = config.profile(), OpenCrops(prepared, KIND)
        self._clips: list[np.ndarray] = []
        video: list[int] = []
        for v, one in enumerate(prepared):
            own = clips_of(one, self._profile.clip_frames or 1, self._profile.clip_stride)
            self._clips += [own[k] for k in pick(len(own), config.data.frames, "even")]
            video += [v] * (len(self._clips) - len(video))
        if not video:
            raise InputError(
                f"No sample has {self._profile.clip_frames} frames in a row with a mouth; prepare longer videos."
            )
        self.video = np.array(video)
        self.fake = np.array([bool(prepared[v].sample.label) for v in video])

    def draw(self, i: int, rng: np.random.Generator) -> Item:
        spare = self._spare()
        top, left = (int(by) for by in rng.integers(0, spare + 1, 2))
        return self._item(i, top, left, mirrored=bool(rng.random() < 0.5))

    def see(self, i: int) -> Item:
        return self.centre(i, mirrored=False)

    def centre(self, i: int, *, mirrored: bool) -> Item:
        return self._item(i, self._spare() // 2, self._spare() // 2, mirrored=mirrored)

    def _spare(self) -> int:
        return self._mouths(int(self.video[0])).crops.images.shape[1] - self._profile.crop.size_px

    def _item(self, i: int, top: int, left: int, *, mirrored: bool) -> Item:
        side, images = self._profile.crop.size_px, self._mouths(int(self.video[i])).crops.images
        clip = np.stack([images[k, top : top + side, left : left + side] for k in self._clips[i]])
        return {"x": self._profile.tensor(clip[:, :, ::-1] if mirrored else clip), "fake": self.fake[i : i + 1]}


class Features:
    """What the backbone sees in each clip, `x` float32 (n, 2, T, 512): as it is, and mirrored."""

    def __init__(self, x: np.ndarray, clips: Clips) -> None:
        self.x, self.fake, self.video = x, clips.fake, clips.video

    def draw(self, i: int, rng: np.random.Generator) -> Item:
        return self._item(i, int(rng.random() < 0.5))

    def see(self, i: int) -> Item:
        return self._item(i, 0)

    def _item(self, i: int, mirrored: int) -> Item:
        return {"x": np.array(self.x[i, mirrored][None]), "fake": self.fake[i : i + 1]}


class OnFeatures(nn.Module):
    """The part of LipForensics that is trained: from features (B, T, 512)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: torch.Tensor) -> LipOutput:
        output: LipOutput = self.network.tcn(features.transpose(1, 2))
        return output


def clips_of(prepared: Prepared, frames: int, stride: int) -> list[np.ndarray]:
    """Positions among the crops of each clip, at some 25 frames a second, as the detector cuts them."""
    track = prepared.track(KIND)
    crops = track.crops[look_of(KIND, prepared.frames_per_video)]
    step = max(1, round(prepared.made.rate_hz / RATE_HZ))
    return [clip for run in runs(track, crops) for clip in cut_clips(run[::step], frames, stride)]


def features(network: Network, clips: Clips, begun: Sequence[object], folder: Path) -> Features:
    """Through the backbone, once; kept in `folder` under a name that follows from all it depends on."""
    key = hashlib.sha256(json.dumps([*begun, len(clips.fake)], default=str).encode()).hexdigest()[:16]
    file = folder / f"features_{key}.npy"
    if not file.exists():
        where = device()
        network.to(where).eval()
        found = []
        with torch.inference_mode(), precision(where):
            for i in tqdm(range(len(clips.fake)), desc="features", disable=None):
                x = np.concatenate([clips.centre(i, mirrored=mirrored)["x"] for mirrored in (False, True)])
                maps = network.features(torch.from_numpy(x).to(where))
                found.append(maps.mean(dim=(3, 4)).float().cpu().numpy())
        folder.mkdir(parents=True, exist_ok=True)
        with (partial := file.with_suffix(".partial")).open("wb") as stream:
            np.save(stream, np.stack(found))
        partial.replace(file)
    return Features(np.load(file, mmap_mode="r"), clips)


def open_lipforensics(config: LipForensicsConfig, settings: Settings) -> Opened:
    network, start = build(config, settings)
    parts = read_parts(config.data, KIND, config.seed)
    train, validation = (Clips(part, config) for part in (parts.train, parts.validation))
    if config.frozen_epochs == "all":
        return Opened(parts, {"model": _on_features(network, start, train, validation, config, parts.seen)})
    return Opened(parts, {"model": Stream(_task(network, train, validation, config), start, config.epochs)})


def build(config: LipForensicsConfig, settings: Settings) -> tuple[Network, Start]:
    """The network before training, and what it began from."""
    name = "lipforensics_attention" if config.attention else "lipforensics"
    network, start = begin(name, config.start, config.seed, settings, BACKBONE)
    assert isinstance(network, Network)
    if config.attention and "tcn.attention_net.2.weight" in start.new:
        weigh_alike(network)
    return network, start


def weigh_alike(network: Network) -> None:
    """Attention whose weights are all the same: the network without it."""
    last = network.get_submodule("tcn.attention_net.2")
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)


def _on_features(
    network: Network, start: Start, train: Clips, validation: Clips, config: LipForensicsConfig, seen: Sequence[str]
) -> Stream:
    begun = [start.sha256, config.data, config.input, seen]
    parts = {"train": train, "validation": validation}
    kept = {name: features(network, clips, [name, *begun], config.out) for name, clips in parts.items()}
    return Stream(_task(OnFeatures(network), kept["train"], kept["validation"], config), start, config.epochs, tensors)


def tensors(on_features: nn.Module) -> dict[str, torch.Tensor]:
    """Of the whole network."""
    return dict(on_features.get_submodule("network").state_dict())


def _task(network: nn.Module, train: Samples, validation: Samples, config: LipForensicsConfig) -> Task:
    def loss(answer: LipOutput, batch: Batch) -> dict[str, torch.Tensor]:
        return {"loss": functional.binary_cross_entropy_with_logits(answer.logit[:, 0], batch["fake"].float())}

    return Task(
        network=network,
        loss=loss,
        log_odds=lambda answer: answer.logit[:, 0],
        train=train,
        validation=validation,
        backbone=(*BACKBONE, *(f"network.{part}" for part in BACKBONE)),
        still=True,
        average=config.profile().average,
    )


METHOD = Method("lipforensics", LipForensicsConfig, "arXiv:2012.07657", open_lipforensics)

if __name__ == "__main__":
    raise SystemExit(command(METHOD, __doc__))
