"""LRNet: is the way the landmarks move that of one real face?

Calibrated landmarks are read in blocks of 30 frames by two networks, one of the points and one of their differences,
and the two answers are averaged. Source: Sun et al., "Improving the Efficiency and Robustness of Deepfakes Detection
through Precise Geometric Features", CVPR 2021; block length and read-out as in the published torch code.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.special import logit

from core.errors import Lack, NotApplicable
from core.types import LANDMARKS, Saliency, Scores, Thoroughness, Track
from core.weights import Weights
from detectors.appearance import FRAMES
from detectors.base import Card, Detector, read_tensors
from detectors.engines import one_thread
from detectors.networks import load_checkpoint
from detectors.saliency import scaled
from preprocessing.cropping import Look
from preprocessing.profile import CropRule

BLOCK = 30
MIN_BLOCKS = 3
"""Three to five blocks rank clips as well as whole clips do; fewer do not."""
MIN_FRAMES = MIN_BLOCKS * BLOCK + 1
MIN_CROP_PX = 44
"""The smallest in the clips that the weights were measured on; below some 100 px a person is warned by the quality."""
RATE_HZ = (20.0, 35.0)
"""Trained at 25 to 30; at half the rate genuine faces are called fake."""
MAX_REPEATED = 0.1
MAX_IMPUTED = 3
"""Frames of a block whose landmarks may be repeats."""
MAX_UNEVEN = 0.1
"""Share of frame steps that may differ from the median by half of it."""

FACE = CropRule.model_validate({"name": "canvas", "size_px": 160, "margin": 1.15})
"""Not looked at, only shown: the face beneath the points."""
EDGE = 1e-6
"""Nearer to 0 or 1 than this, the network's own rounding is all there is."""
HEAT_CELLS, BLOB_CELLS = 48, 2.0
"""Cells a side of the map that shows what the points mean, and the spread of one point."""
POINTS = {
    "eyes": [*range(17, 27), *range(36, 48)],
    "nose": [*range(27, 36)],
    "mouth": [*range(48, 68)],
    "rest": [*range(17)],
}
"""Which points are of which region, brows with the eyes and the jaw with the rest."""


class LRNet(Detector):
    card = Card(
        name="lrnet",
        title="LRNet: movement of the landmarks",
        summary="How 68 points of the face move from frame to frame, without looking at the picture itself.",
        source="Sun et al., CVPR 2021",
        regions=("entire",),
        limits="On methods and footage it has not seen ours is a weak signal and the published sets are near chance; "
        "strong re-encoding takes much of it. Needs three seconds of one face at 20 to 35 frames a second.",
        heat="Points by how much the score falls when each is taken out; the picture itself was not looked at.",
        cost=0.01,
    )

    def __init__(self, weights: Weights, files: Mapping[str, Path], device: str, cache: Path | None = None) -> None:
        self._weights, self._device = weights, device
        self._points = load_checkpoint("lrnet", read_tensors(files["g1"])).to(device)
        self._differences = load_checkpoint("lrnet", read_tensors(files["g2"])).to(device)

    @classmethod
    def looks(cls, weights: Weights, thoroughness: Thoroughness) -> tuple[Look, ...]:
        return (Look(FACE, FRAMES[thoroughness]),)

    def score(self, track: Track) -> Scores:
        return self._judge(track, *blocks(track))

    def explain(self, track: Track, scores: Scores, moments: Sequence[int]) -> list[Saliency]:
        """What each point adds, on the picture of the face that is nearest in time."""
        crops = next(
            (crops for look, crops in track.crops.items() if isinstance(look, Look) and look.rule == FACE), None
        )
        if crops is None:
            return []
        sequences, _ = blocks(track)
        found = []
        for moment in moments:
            i = int(np.abs(track.time_s[crops.index] - scores.time_s[moment]).argmin())
            to_crop = cv2.invertAffineTransform(crops.to_frame[i])
            at = track.landmarks[crops.index[i]] @ to_crop[:, :2].T + to_crop[:, 2]
            score = float(scores.fake[moment])
            found.append(
                Saliency(
                    index=int(crops.index[i]),
                    time_s=float(scores.time_s[moment]),
                    score=score,
                    image=crops.images[i],
                    to_frame=crops.to_frame[i],
                    heat=scaled(blobs(at / FACE.size_px, self.effects(sequences[moment])), score),
                )
            )
        return found

    def hide(self, track: Track, scores: Scores, moments: Sequence[int]) -> dict[str, Scores]:
        sequences, time_s = (array[list(moments)] for array in blocks(track))
        regions = {"entire": [], **POINTS}
        return {region: self._judge(track, without(sequences, points), time_s) for region, points in regions.items()}

    def effects(self, sequence: np.ndarray) -> np.ndarray:
        """By how much the log-odds fall when each point is hidden: float (68,), from landmarks float32 (30, 136)."""
        hidden = [without(sequence[None], points) for points in ([], *([point] for point in range(LANDMARKS)))]
        log_odds = logit(
            np.clip(np.mean(self.streams(np.concatenate(hidden)), axis=0, dtype=np.float64), EDGE, 1 - EDGE)
        )
        fall: np.ndarray = log_odds[0] - log_odds[1:]
        return fall

    def _judge(self, track: Track, sequences: np.ndarray, time_s: np.ndarray) -> Scores:
        points, differences = self.streams(sequences)
        fake = (points + differences) / 2
        return Scores(
            detector=self.card.name,
            region="entire",
            track_id=track.id,
            weights=self._weights.id,
            time_s=time_s,
            fake=fake,
            overall=float(fake.mean()),
            vote=float((fake >= 0.5).mean()),
        )

    @torch.inference_mode()
    def streams(self, sequences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """P(fake) float32 (B,) by points and by differences, from landmarks float32 (B, 30, 136) in [-1, 1]."""
        x = torch.from_numpy(sequences).to(self._device)
        with one_thread():
            answers = self._points(x), self._differences(x[:, 1:] - x[:, :-1])
        points, differences = (logits.softmax(dim=1)[:, 1].cpu().numpy() for logits in answers)
        return points, differences


def without(sequences: np.ndarray, points: Sequence[int]) -> np.ndarray:
    """Sequences float32 (B, 30, 136) without these points: at 0, as when a hand hid them in training."""
    hidden = sequences.copy().reshape(*sequences.shape[:2], LANDMARKS, 2)
    hidden[:, :, points] = 0
    return hidden.reshape(sequences.shape)


def blobs(at: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Points as soft blobs, the stronger on top: (48, 48), from points (68, 2) in [0, 1] and their strength (68,)."""
    cells = np.arange(HEAT_CELLS)
    x, y = (np.exp(-0.5 * ((cells - (HEAT_CELLS * at[:, None, axis] - 0.5)) / BLOB_CELLS) ** 2) for axis in (0, 1))
    heat: np.ndarray = (np.maximum(strength, 0)[:, None, None] * y[:, :, None] * x[:, None, :]).max(axis=0)
    return heat


def cut_blocks(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks (N, 68, 2) as float32 (floor((N - 1) / 30), 30, 136); no overlap, the tail is dropped."""
    count = max(0, (len(landmarks) - 1) // BLOCK)
    return np.ascontiguousarray(landmarks[: count * BLOCK], np.float32).reshape(count, BLOCK, 2 * LANDMARKS)


def blocks(track: Track) -> tuple[np.ndarray, np.ndarray]:
    """What LRNet reads of a track: float32 (B, 30, 136), and the middle of each block in s, float64 (B,).

    Blocks begin anew with each stretch; those with too many repeated landmarks are left out.

    Raises:
        NotApplicable: fewer than three blocks remain, or the footage is not of the kind LRNet can read.
    """
    stretches = track.stretches()
    _check_rate(track, stretches)
    if track.quality.repeated > MAX_REPEATED:
        raise NotApplicable(
            f"{track.quality.repeated:.0%} of the frames repeat the one before, so movement cannot be read from them; "
            "upload the clip at its original frame rate.",
            Lack.RATE,
        )
    side_px = float(np.median(track.crop[:, 2]))
    if side_px < MIN_CROP_PX:
        raise NotApplicable(
            f"The face is too small to read its movement: {side_px:.0f} px with its surroundings, {MIN_CROP_PX} px are "
            "needed; use a closer shot or a larger version of the clip.",
            Lack.SIZE,
        )
    longest = max(s.stop - s.start for s in stretches)
    if longest < MIN_FRAMES:
        raise NotApplicable(
            f"{MIN_FRAMES} consecutive frames of one face are needed, {longest} were found; use a longer shot.",
            Lack.LENGTH,
        )
    sequences, time_s = [], []
    for stretch in stretches:
        for i, block in enumerate(cut_blocks(track.calibrated[stretch])):
            frames = slice(stretch.start + i * BLOCK, stretch.start + (i + 1) * BLOCK)
            if (~track.seen[frames]).sum() <= MAX_IMPUTED:
                sequences.append(block)
                time_s.append((track.time_s[frames][0] + track.time_s[frames][-1]) / 2)
    if len(sequences) < MIN_BLOCKS:
        raise NotApplicable(
            "The face was lost too often to read its movement; use a shot in which it stays in view.", Lack.VIEW
        )
    return np.stack(sequences), np.array(time_s, np.float64)


def _check_rate(track: Track, stretches: list[slice]) -> None:
    rate = track.quality.frame_rate_hz
    low, high = RATE_HZ
    if not low <= rate <= high:
        raise NotApplicable(
            f"{low:.0f} to {high:.0f} frames a second are needed, the clip has {rate:.1f}; "
            "upload it at its original frame rate if that is within these bounds.",
            Lack.RATE,
        )
    steps = np.concatenate([np.diff(track.time_s[s]) for s in stretches])
    if len(steps) and (np.abs(steps * rate - 1) > 0.5).mean() > MAX_UNEVEN:
        raise NotApplicable("The frames are unevenly spaced in time, so movement cannot be read from them.", Lack.RATE)
