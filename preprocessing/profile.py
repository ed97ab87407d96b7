"""What one checkpoint looks at: crop, colours, frames and clips, as its manifest entry's `input` tells it.

All this belongs to a checkpoint, not to a method: one source's crop under another's weights costs accuracy in silence.
"""

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

Sampling = Literal["even", "farthest"]
Resize = Literal["bilinear", "bicubic", "linear", "cubic", "nearest"]
"""The first two are Pillow's, antialiased; the next two OpenCV's, which are not."""

LUMA = (19595, 38470, 7471)
"""ITU-R 601 in 65536ths, as Pillow has it: 0.299 R + 0.587 G + 0.114 B."""


class CropRule(BaseModel):
    """What to cut: a rule of `alignment.py` and its numbers. Equal rules give equal crops, so checkpoints can share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal[
        "ffpp", "nii", "bida", "deepfakebench", "dsp_fwa", "laa_net", "gend", "lipforensics", "canvas", "scene"
    ]
    size_px: int = Field(gt=0)
    margin: float = Field(1.0, gt=0)
    """Side of the crop over side of the face, both as the rule measures them."""
    resize: Resize = "bilinear"
    """For the rules that cut a box; those that turn the face sample it bilinearly."""
    views: int = Field(1, gt=0)
    """Crops of one face in one frame."""
    stored_px: int = Field(256, gt=0)
    trim_px: int = Field(0, ge=0)
    """LAA-Net's crops were kept at `stored_px` and lost `trim_px` on every side before they were enlarged."""


class InputProfile(BaseModel):
    """Everything between a frame and the numbers of one checkpoint, except the network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crop: CropRule
    masked: bool = False
    """Everything outside the checkpoint's region is black, also outside the outline of the entire face."""
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    scale: float = Field(255.0, gt=0)
    """Grey levels are divided by this before `mean` is taken off and `std` divided out, per channel in order."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    frames: int | None = Field(None, gt=0)
    """How many frames of a track are looked at; None for all."""
    sampling: Sampling = "even"
    clip_frames: int | None = Field(None, gt=0)
    """Consecutive frames the network reads at a time, for networks that read clips."""
    clip_stride: int = Field(1, gt=0)
    fake_index: int = Field(1, ge=0)
    """The class that means fake, among those the network answers with; 0 for a single logit."""
    average: Literal["probability", "logit"] = "probability"
    """What is averaged over frames or clips."""

    @model_validator(mode="after")
    def _channels_agree(self) -> "InputProfile":
        channels = 1 if self.colour == "grey" else 3
        if not len(self.mean) == len(self.std) == channels:
            raise ValueError(f"`mean` and `std` need {channels} numbers for {self.colour}, got {self.mean}, {self.std}")
        return self

    def tensor(self, crops: np.ndarray) -> np.ndarray:
        """What the network reads of crops uint8 (n, s, s, 3) RGB in order of time.

        Returns:
            float32 (n, C, s, s), or for networks that read clips (k, C, clip_frames, s, s); a rest that fills no clip
            is left out.
        """
        planes = crops[..., ::-1] if self.colour == "bgr" else crops
        if self.colour == "grey":
            planes = ((crops @ np.array(LUMA) + 0x8000) >> 16)[..., None]
        levels = (np.arange(256)[:, None] / self.scale - self.mean) / self.std
        tensor = np.stack([row.astype(np.float32)[planes[..., c]] for c, row in enumerate(levels.T)], axis=1)
        if self.clip_frames is None:
            return tensor
        if len(tensor) < self.clip_frames:
            return np.empty((0, tensor.shape[1], self.clip_frames, *tensor.shape[2:]), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(tensor, self.clip_frames, axis=0)[:: self.clip_stride]
        return np.ascontiguousarray(np.moveaxis(windows, -1, 2))


def pick(count: int, wanted: int, sampling: Sampling) -> np.ndarray:
    """Which of `count` frames are looked at where so many are wanted: int64, rising."""
    if count <= wanted:
        return np.arange(count)
    if sampling == "farthest":
        return np.sort(farthest_first(count, wanted))
    return np.linspace(0, count - 1, wanted).astype(np.int64)


def farthest_first(count: int, first: int) -> np.ndarray:
    """The first so many of `count` frames, the middle one and then always that farthest from all before; int64."""
    order = [count // 2]
    distance = np.abs(np.arange(count) - order[0])
    while len(order) < min(count, first):
        order.append(int(distance.argmax()))
        distance = np.minimum(distance, np.abs(np.arange(count) - order[-1]))
    return np.array(order, np.int64)
