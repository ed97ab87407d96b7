"""From crops to a score: what all detectors that look at the picture share, told by their checkpoint's input profile.

Each crop is blackened outside the checkpoint's region where it was trained so, becomes a tensor, and goes through the
network; the answers are averaged over the person.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.special import expit
from torch import nn

from core.errors import Lack, NotApplicable
from core.types import Crops, Saliency, Scores, Thoroughness, Track
from core.weights import Weights
from core.weights.store import sha256_of
from detectors.base import Detector, read_tensors
from detectors.engines import export_folder, has_int8, open_engine
from detectors.networks import load_checkpoint
from detectors.saliency import places, scaled
from preprocessing.cropping import Look
from preprocessing.profile import InputProfile
from preprocessing.regions import REGIONS, region_masks

FRAMES: dict[Thoroughness, int] = {"fast": 8, "standard": 16, "thorough": 32}
"""Frames of a person that are looked at; the published evaluations take 32. Networks that read clips see all."""
MIN_FRAMES = 5
"""A judgement on fewer would rest on a passing blur."""


class Appearance(Detector):
    """A subclass says its card, and what is particular to its network."""

    int8: ClassVar[bool] = False
    """It multiplies in 8 bits on processors that gain by it; what that costs is in `docs/performance.md`."""

    def __init__(self, weights: Weights, files: Mapping[str, Path], device: str, cache: Path | None = None) -> None:
        self._weights, self._profile = weights, InputProfile.model_validate(weights.input)
        self._files, self._device = files, device
        self._engine = open_engine(
            self._network,
            _shape(self._profile),
            device,
            cache and self._export(weights, files, cache),
            int8=self.runs_on(device) != device,
        )

    @classmethod
    def load(cls, checkpoint: Mapping[str, Any]) -> nn.Module:
        """The network with the weights of its files, put together."""
        return load_checkpoint(cls.card.name, checkpoint)

    @classmethod
    def is_prepared(cls, weights: Weights, files: Mapping[str, Path], device: str, cache: Path | None) -> bool:
        return device != "cpu" or cache is None or cls._export(weights, files, cache).is_dir()

    @classmethod
    def runs_on(cls, device: str) -> str:
        return f"{device} int8" if device == "cpu" and cls.int8 and has_int8() else device

    @classmethod
    def looks(cls, weights: Weights, thoroughness: Thoroughness) -> tuple[Look, ...]:
        profile = InputProfile.model_validate(weights.input)
        frames = FRAMES[thoroughness]
        wanted = None if profile.clip_frames else min(frames, profile.frames or frames)
        return (Look(profile.crop, wanted, profile.sampling),)

    def score(self, track: Track) -> Scores:
        crops = self._crops(track)
        return self._judge(track, crops, self.samples(track, crops))

    def explain(self, track: Track, scores: Scores, moments: Sequence[int]) -> list[Saliency]:
        """Of several views of one frame, the one that looks most manipulated."""
        crops, chosen = self._crops(track), []
        for views in self._moments(track, crops, moments):
            tensors = np.concatenate([self._tensor(track, crops, view) for view in views])
            best = int(self.log_odds(tensors).argmax()) if len(views) > 1 else 0
            chosen.append((int(views[best, 0]), tensors[best]))
        fake = scores.fake[list(moments)]
        heats = self.heat(np.stack([tensor for _, tensor in chosen]), fake)
        return [
            Saliency(
                index=int(crops.index[i]),
                time_s=float(scores.time_s[moment]),
                score=float(scores.fake[moment]),
                image=self._image(track, crops, i),
                to_frame=crops.to_frame[i],
                heat=heat,
            )
            for moment, (i, _), heat in zip(moments, chosen, heats, strict=True)
        ]

    def hide(self, track: Track, scores: Scores, moments: Sequence[int]) -> dict[str, Scores]:
        crops = self._crops(track)
        samples = np.concatenate(self._moments(track, crops, moments))
        answers = {"entire": self._judge(track, crops, samples)}
        for region in REGIONS[1:]:
            seen = not self._profile.masked or self._weights.region in ("entire", region)
            without = self._without(track, crops, np.unique(samples), region) if seen else crops
            unchanged = np.array_equal(without.images, crops.images)
            answers[region] = answers["entire"] if unchanged else self._judge(track, without, samples)
        return answers

    def _judge(self, track: Track, crops: Crops, samples: np.ndarray) -> Scores:
        log_odds = np.concatenate(
            [
                self.log_odds(np.concatenate([self._tensor(track, crops, sample) for sample in batch]))
                for batch in np.split(samples, range(self._engine.batch, len(samples), self._engine.batch))
            ]
        )
        views = self._profile.crop.views
        fake = self.merge_views(expit(log_odds).reshape(-1, views))
        time_s = track.time_s[crops.index[samples[::views]]]
        return Scores(
            detector=self.card.name,
            region=self._weights.region,
            track_id=track.id,
            weights=self._weights.id,
            time_s=(time_s[:, 0] + time_s[:, -1]) / 2,
            fake=fake.astype(np.float32),
            overall=float(expit(log_odds.mean()) if self._profile.average == "logit" else fake.mean()),
        )

    def samples(self, track: Track, crops: Crops) -> np.ndarray:
        """What the network reads at a time: positions in `crops`, int64 (n, k), rising in time.

        Raises:
            NotApplicable: there is too little to read.
        """
        found = len(np.unique(crops.index))
        if found < MIN_FRAMES:
            raise NotApplicable(
                f"{MIN_FRAMES} frames from which the face can be cut are needed, {found} were found; use a longer "
                "shot.",
                Lack.LENGTH,
            )
        return np.arange(len(crops.index))[:, None]

    def log_odds(self, tensor: np.ndarray) -> np.ndarray:
        """Of fake against real, float64 (B,), for inputs float32 (B, C, ...) of the network."""
        logits = self._engine.run(tensor)[0].astype(np.float64)
        return against(logits, self._profile.fake_index)

    def heat(self, tensors: np.ndarray, fake: np.ndarray) -> list[np.ndarray]:
        """Of each input, which places speak for fake: float32 (h, w) in [0, 1], from inputs and their P(fake) (B,)."""
        added = places(self._network().to(self._device), tensors, self.answer, self._device)
        return [scaled(places, score) for places, score in zip(added, fake.tolist(), strict=True)]

    def answer(self, output: Any) -> torch.Tensor:
        """What rises with P(fake), (B,), from what the network answers."""
        log_odds: torch.Tensor = against(output, self._profile.fake_index)
        return log_odds

    @staticmethod
    def merge_views(fake: np.ndarray) -> np.ndarray:
        """P(fake) of each frame from that of each of its crops (n, views)."""
        return fake.mean(axis=1)

    @classmethod
    def _export(cls, weights: Weights, files: Mapping[str, Path], cache: Path) -> Path:
        """By the hashes of the files themselves: of some the manifest knows none."""
        digest = hashlib.sha256("".join(sha256_of(path) for path in files.values()).encode()).hexdigest()
        shape = _shape(InputProfile.model_validate(weights.input))
        return export_folder(cache, digest, shape, int8=cls.runs_on("cpu") != "cpu")

    def _crops(self, track: Track) -> Crops:
        """How thoroughly it was looked is not told, but can be seen from the crops there are."""
        for thoroughness in reversed(FRAMES):
            (look,) = self.looks(self._weights, thoroughness)
            if look in track.crops:
                return track.crops[look]
        raise NotApplicable(
            "The face could not be cut out of any frame; use a shot in which it is larger and inside the picture.",
            Lack.VIEW,
        )

    def _tensor(self, track: Track, crops: Crops, sample: np.ndarray) -> np.ndarray:
        """(1, C, ...)"""
        return self._profile.tensor(np.stack([self._image(track, crops, i) for i in sample]))

    def _image(self, track: Track, crops: Crops, i: int) -> np.ndarray:
        """One crop as the network sees it."""
        image: np.ndarray = crops.images[i]
        return image * self._mask(track, crops, i, self._weights.region) if self._profile.masked else image

    def _mask(self, track: Track, crops: Crops, i: int, region: str) -> np.ndarray:
        """bool (s, s, 1)"""
        masks = region_masks(track.landmarks[crops.index[i]], crops.to_frame[i], self._profile.crop.size_px)
        return masks[region][..., None]

    def _without(self, track: Track, crops: Crops, positions: np.ndarray, region: str) -> Crops:
        """The crops, with a region black at these positions."""
        images = crops.images.copy()
        for i in positions:
            images[i] *= ~self._mask(track, crops, i, region)
        return replace(crops, images=images)

    def _moments(self, track: Track, crops: Crops, moments: Sequence[int]) -> list[np.ndarray]:
        """The samples behind each of these scores: int64 (views, k)."""
        samples = self.samples(track, crops)
        return list(samples.reshape(-1, self._profile.crop.views, samples.shape[1])[list(moments)])

    def _network(self) -> nn.Module:
        """With the weights of its files, in PyTorch and on the CPU; nobody trains it."""
        tensors = {key: tensor for path in self._files.values() for key, tensor in read_tensors(path).items()}
        return self.load(tensors).requires_grad_(False)


def against(logits: Any, fake_index: int) -> Any:
    """The log-odds of fake (...), from two logits (..., 2), or from one (..., 1), which is that already."""
    if logits.shape[-1] == 1:
        return logits[..., 0]
    return logits[..., fake_index] - logits[..., 1 - fake_index]


def _shape(profile: InputProfile) -> tuple[int, ...]:
    """Of one input of the network."""
    side, clip = profile.crop.size_px, (profile.clip_frames,) if profile.clip_frames else ()
    return (len(profile.mean), *clip, side, side)
