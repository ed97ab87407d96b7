"""LAA-Net: trains on genuine faces and blends made of them, with themselves (SBI) or with a look-alike (BI).

    python -m training.laa_net --config configs/laa_net_sbi.yaml start=adv-efficientnet-b4-44fb3a87.pth [key=value ...]

Beside the class it learns to draw where a blend shows. Source of the recipe: Nguyen et al., CVPR 2024; the loss of the
heatmap: Law & Deng, "CornerNet", ECCV 2018.
"""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import torch
from pydantic import Field, model_validator
from torch.nn import functional

from core.errors import InputError
from core.settings import Settings
from detectors.networks.laa_net import LAAOutput
from preprocessing.alignment import letterbox
from preprocessing.profile import CropRule
from training.augment import augmented
from training.blocks import MIRRORED
from training.config import PictureConfig
from training.loop import Batch, Item, Task
from training.prepared import RULES, Prepared
from training.run import Method, Opened, Stream, command
from training.samples import MEASURED, LookAlikes, Shots
from training.splits import read_parts
from training.starts import begin
from training.synthesis import blended, boundary, self_blended
from training.targets import consistency, heatmap

BACKBONE = ("_conv_stem.", "_bn0.", "_blocks.", "_conv_head.", "_bn1.")
CELL_PX = 4
TRIM_PX = (5, 24)
"""Off every side, one draw, of what was blended; what is measured loses what the profile says."""
SOFTENED = (0.8, 1.25)
"""At which shares of the crop's side the mask is softened."""
SMOOTHING = 0.35 * (1 - 0.2)
"""Taken off the weight of the heatmap's points: labels are smoothed, and a fifth of what is taken comes back."""
EYES = (39, 42)
"""Inner corners, which are brought level."""


class LAANetConfig(PictureConfig):
    method: Literal["laa_net"]
    heatmap_weight: float = Field(10.0, ge=0)
    consistency_weight: float = Field(100.0, ge=0)

    @model_validator(mode="after")
    def _blends(self) -> "LAANetConfig":
        if self.data.synthesis not in ("sbi", "bi"):
            raise ValueError("`data.synthesis` must be sbi or bi: it learns from where a blend's seam runs")
        return self


class Blends:
    """Faces and what they were blended into, with where the seam runs; with SBI both, with BI one of the two."""

    def __init__(self, prepared: Sequence[Prepared], config: LAANetConfig) -> None:
        profile = config.profile()
        self._profile, self._names, self._selves = profile, config.augment, config.data.synthesis == "sbi"
        self._shots = Shots(prepared, stored_kind(profile.crop), config.data.frames)
        self._alike = None if self._selves else LookAlikes(self._shots)
        self.fake, self.video = self._shots.label, self._shots.video

    def draw(self, i: int, rng: np.random.Generator) -> Item:
        image, landmarks = self._level(i, rng)
        if rng.random() < 0.5:
            image, landmarks = mirrored(image, landmarks)
        if not self._selves:
            (image,) = augmented([image], self._names, rng)
        least = self._profile.crop.trim_px
        trim = int(rng.integers(least, least + TRIM_PX[1] - TRIM_PX[0] + 1))
        images, seams = trimmed(*self._blend(i, image, landmarks, rng), trim)
        images, seams = moved(images, seams, rng)
        images, seams = self._enlarged(images, seams)
        if self._selves:
            images = augmented(images, self._names, rng)
            return self._item(images, seams, [False, True])
        only = int(rng.random() < 0.5)
        return self._item(images[only : only + 1], seams[only : only + 1], [bool(only)])

    def see(self, i: int) -> Item:
        """Both, not moved."""
        rng = np.random.default_rng([MEASURED, i])
        images, seams = trimmed(*self._blend(i, *self._face(i, None), rng), self._profile.crop.trim_px)
        return self._item(*self._enlarged(images, seams), [False, True])

    def _face(self, i: int, rng: np.random.Generator | None) -> tuple[np.ndarray, np.ndarray]:
        faces, k = self._shots.shot(i, rng)
        return np.array(faces.crops.images[k]), faces.on_crop(k)

    def _level(self, i: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return levelled(*self._face(i, rng))

    def _blend(
        self, i: int, image: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The genuine face and the fake, and how strong the seam is, uint8 (H, W), which is nowhere in a genuine one.

        The seam is that of a blend at full strength, however faint it is in the picture.
        """
        if self._alike:
            other, _ = self._level(self._alike.pick(i, rng), rng)
            genuine, (fake, weight) = image, blended(other, image, landmarks, rng)
        else:
            sizes = (int(SOFTENED[0] * len(image)), int(SOFTENED[1] * len(image)))
            genuine, fake, weight = self_blended(image, landmarks, rng, sizes)
        seam = (255 * boundary(weight / max(float(weight.max()), 1e-6))).astype(np.uint8)
        return [genuine, fake], [np.zeros_like(seam), seam]

    def _enlarged(
        self, images: Sequence[np.ndarray], seams: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        side = self._profile.crop.size_px
        return [letterbox(i, side).image for i in images], [letterbox(s, side // CELL_PX).image for s in seams]

    def _item(self, images: Sequence[np.ndarray], seams: Sequence[np.ndarray], fake: Sequence[bool]) -> Item:
        return {
            "x": self._profile.tensor(np.stack(images)),
            "fake": np.array(fake),
            "heatmap": np.stack([heatmap(seam) for seam in seams]),
            "consistency": np.stack([consistency(seam).astype(np.float32) / 255 for seam in seams]),
        }


def stored_kind(rule: CropRule) -> str:
    """The kind of crops of which this rule's are the trimmed and enlarged middle.

    Raises:
        InputError: no kind is.
    """
    whole = rule.model_copy(update={"size_px": rule.stored_px, "trim_px": 0})
    for kind, known in RULES.items():
        if known == whole:
            return kind
    raise InputError(f"LAA-Net needs an `input` that is cut by the rule laa_net as published, not by {rule.name}.")


def levelled(image: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turned about the middle of the picture until the eyes are level; landmarks (68, 2) px turn along."""
    across, down = landmarks[EYES[1]] - landmarks[EYES[0]]
    side = len(image)
    turn = cv2.getRotationMatrix2D(((side - 1) / 2,) * 2, float(np.degrees(np.arctan2(down, across))), 1.0)
    turned = cv2.warpAffine(image, turn, (side, side))
    return turned, (landmarks @ turn[:, :2].T + turn[:, 2]).astype(np.float32)


def mirrored(image: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As a mirror shows them: left and right points are exchanged."""
    turned = landmarks[MIRRORED] * np.array([-1, 1], np.float32) + np.array([image.shape[1] - 1, 0], np.float32)
    return np.ascontiguousarray(image[:, ::-1]), turned


def trimmed(
    images: Sequence[np.ndarray], seams: Sequence[np.ndarray], by: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """All of them without so many pixels on every side."""
    inner = slice(by, -by or None)
    images, seams = ([np.ascontiguousarray(one[inner, inner]) for one in some] for some in (images, seams))
    return images, seams


def moved(
    images: Sequence[np.ndarray], seams: Sequence[np.ndarray], rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """In half of the cases one of: up to 14 % off each side, larger or smaller by up to 15 %, a black rectangle; the
    same for all."""
    everything = [*images, *seams]
    kind, side = rng.integers(6), len(images[0])
    if kind == 0:
        top, bottom, left, right = (int(by) for by in rng.integers(0, int(0.14 * side) + 1, 4))
        everything = [one[top : side - bottom, left : side - right] for one in everything]
    elif kind == 1:
        by, middle = rng.uniform(0.85, 1.15), (side - 1) / 2
        scale = np.array([[by, 0, middle * (1 - by)], [0, by, middle * (1 - by)]])
        everything = [cv2.warpAffine(one, scale, (side, side)) for one in everything]
    elif kind == 2:
        area, aspect = rng.uniform(0.02, 0.33) * side**2, np.exp(rng.uniform(np.log(0.3), np.log(3.3)))
        height, width = (min(side, round(float(length))) for length in (np.sqrt(area * aspect), np.sqrt(area / aspect)))
        top, left = rng.integers(side - height + 1), rng.integers(side - width + 1)
        everything = [one.copy() for one in everything]
        for one in everything:
            one[top : top + height, left : left + width] = 0
    whole = [np.ascontiguousarray(one) for one in everything]
    return whole[: len(images)], whole[len(images) :]


def losses(
    answer: LAAOutput, batch: Batch, heatmap_weight: float, consistency_weight: float
) -> dict[str, torch.Tensor]:
    """The weighted three: of the heatmap, of the class, and of who is as blended as the strongest cell."""
    return {
        "heatmap": heatmap_weight * heatmap_loss(answer.heatmap[:, 0], batch["heatmap"]),
        "class": functional.binary_cross_entropy_with_logits(answer.logit[:, 0], batch["fake"].float()),
        "consistency": consistency_weight * consistency_loss(answer.consistency, batch["consistency"]),
    }


def heatmap_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """CornerNet's focal loss over all cells (B, H, W), by the number of points; undivided where there is none."""
    said = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    point = target == 1
    hit = -(1 - SMOOTHING) * (1 - said) ** 2 * said.log()
    missed = -((1 - target) ** 4) * said**2 * (1 - said).log()
    return torch.where(point, hit, missed).sum() / point.sum().clamp(min=1)


def consistency_loss(vectors: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of how alike each cell's vector (B, C, H, W) is to that of the strongest cell of `target`."""
    flat = vectors.flatten(2)
    anchor = target.flatten(1).argmax(dim=1)
    chosen = flat[torch.arange(len(flat), device=flat.device), :, anchor]
    alike = torch.einsum("bc,bcq->bq", chosen, flat) / flat.shape[1] ** 0.5
    return functional.binary_cross_entropy_with_logits(alike, target.flatten(1))


def open_laa_net(config: LAANetConfig, settings: Settings) -> Opened:
    network, start = begin("laa_net", config.start, config.seed, settings, BACKBONE)
    if "hm.3.bias" in start.new:
        torch.nn.init.constant_(network.get_parameter("hm.3.bias"), -2.19)  # P of about a tenth
    profile = config.profile()
    parts = read_parts(config.data, stored_kind(profile.crop), config.seed)
    task = Task(
        network=network,
        loss=lambda answer, batch: losses(answer, batch, config.heatmap_weight, config.consistency_weight),
        log_odds=lambda answer: answer.logit[:, 0],
        train=Blends(parts.train, config),
        validation=Blends(parts.validation, config),
        backbone=BACKBONE,
        average=profile.average,
    )
    return Opened(parts, {"model": Stream(task, start, config.epochs)})


METHOD = Method("laa_net", LAANetConfig, "arXiv:2401.13856", open_laa_net)

if __name__ == "__main__":
    raise SystemExit(command(METHOD, __doc__))
