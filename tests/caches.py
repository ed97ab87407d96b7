"""Caches of prepared samples that tests make: an invented face, genuine as it is, manipulated with stripes."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.seeded import golden
from core.types import Crops, Quality, Track
from training.layouts.sample import Sample
from training.prepared import RULES, RUNS, SEQUENCES, Made, look_of, write_about, write_index, write_track

FRAME_PX = 256


def track(landmarks: np.ndarray) -> Track:
    """A track over T frames at 25 a second, from landmarks (T, 68, 2) px, calibrated to [-1, 1] of the frame."""
    frames = len(landmarks)
    return Track(
        id=1,
        index=np.arange(frames),
        time_s=np.arange(frames) / 25,
        boxes=np.zeros((frames, 4), np.float32),
        landmarks=landmarks.astype(np.float32),
        seen=np.ones(frames, bool),
        crop=np.tile(np.float32([0, 0, FRAME_PX]), (frames, 1)),
        calibrated=(landmarks / (FRAME_PX / 2) - 1).astype(np.float32),
        starts=np.array([0]),
        quality=Quality(100.0, 0.0, 1.0, 25.0, 0.0, 0.0),
        thumbnail=np.zeros((1, 1, 3), np.uint8),
    )


def make_cache(
    folder: Path, kinds: Sequence[str], samples: Sequence[Sample], frames: int = 2, length: int = 61
) -> Path:
    """Each sample in these kinds: `frames` crops of each, `length` of sequences. Manipulated landmarks tremble."""
    face = golden("sbi_bi")["landmarks"].astype(np.float64)
    rows = []
    for number, sample in enumerate(samples):
        rng = np.random.default_rng(number)
        walk = np.cumsum(rng.normal(0, 0.2, (length, 1, 2)), axis=0)
        trembling = rng.normal(0, 3.0 * sample.label, (length, 68, 2))
        followed = track(face + walk + trembling)
        crops = {
            look_of(kind, frames): _crops(kind, sample.label, _count(kind, frames, length), rng)
            for kind in kinds
            if kind in RULES
        }
        made = write_track(folder, sample.id, replace(followed, crops=crops), kinds, frames)
        rows.append((sample, Made(made, 1.0, length, 25.0, 110.0)))
    write_about(folder, {"frames_per_video": frames})
    write_index(folder, rows)
    return folder


def people(count: int, split: str = "train", first: int = 0) -> list[Sample]:
    """For each of so many people a genuine sample and a manipulated one made of it."""
    named = range(first, first + count)
    return [
        Sample(
            id=f"{method}/{name:03d}",
            path=Path(f"{name:03d}.mp4"),
            label=label,
            split=split,
            method=method,
            source=f"{name:03d}.mp4",
            identity=f"id{name}",
            pair=f"{name:03d}",
        )
        for name in named
        for label, method in ((0, "genuine"), (1, "stripes"))
    ]


def _count(kind: str, frames: int, length: int) -> int:
    if kind in RUNS:
        return min(length, math.prod(RUNS[kind]))
    return length if kind in SEQUENCES else frames


def _crops(kind: str, label: int, count: int, rng: np.random.Generator) -> Crops:
    side, views = RULES[kind].size_px, RULES[kind].views
    y, x = np.mgrid[:side, :side]
    images = []
    for _ in range(count * views):
        colour, slope = rng.integers(60, 180, 3), rng.uniform(-0.2, 0.2, (2, 1, 1))
        image = colour + (slope[0] * x + slope[1] * y)[..., None] + rng.normal(0, 4, (side, side, 3))
        if label:
            image += 40 * np.sin(x * 2 * np.pi * 12 / side)[..., None]
        images.append(np.clip(image, 0, 255).astype(np.uint8))
    scale = FRAME_PX / side
    to_frame = np.float32([[scale, 0, 0], [0, scale, 0]])
    return Crops(np.repeat(np.arange(count), views), np.stack(images), np.tile(to_frame, (count * views, 1, 1)))
