"""Crops of faces from prepared caches as a network that looks at one at a time is shown them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Self

import numpy as np

from core.errors import InputError
from preprocessing.alignment import resize
from preprocessing.profile import CropRule, InputProfile, pick
from training.augment import GEOMETRIC, augmented
from training.config import PictureConfig
from training.loop import Item
from training.prepared import RULES, Faces, Prepared
from training.synthesis import blended, face_warped, self_blended

OPEN = 256
"""Samples of which the crops are kept at hand."""
ALIKE, NEAREST = 10_000, 30
"""Among so many faces of other videos the nearest are looked for, of which one is drawn. Source: LAA-Net."""
MEASURED = 1
"""Seeds what is made to validate: the same in every epoch and every run."""


def kind_of(rule: CropRule) -> str:
    """The kind of crops a cache holds by this rule; where only the side differs, crops are resized.

    Raises:
        InputError: no kind is cut so.
    """
    for kind, known in RULES.items():
        if known.model_copy(update={"size_px": rule.size_px}) == rule:
            return kind
    raise InputError(f"No cache holds crops by the rule {rule.name} with these numbers; kinds are {', '.join(RULES)}.")


class OpenCrops:
    """The crops of one kind of many samples, of which the last few stay at hand; call it with the place of a sample."""

    def __init__(self, prepared: Sequence[Prepared], kind: str) -> None:
        self._prepared, self._kind = prepared, kind
        self._faces = lru_cache(maxsize=OPEN)(self._open)

    def __call__(self, v: int) -> Faces:
        return self._faces(v)

    def _open(self, v: int) -> Faces:
        return self._prepared[v].faces(self._kind)

    def __reduce__(self) -> tuple[type[Self], tuple[Sequence[Prepared], str]]:
        return type(self), (self._prepared, self._kind)  # a process that draws opens files of its own


class Shots:
    """The crops of one kind of many samples: n frames, of which one crop is read at a time.

    `label` bool (n,), `video` int (n,), the sample that each is of.
    """

    def __init__(self, prepared: Sequence[Prepared], kind: str, frames: int) -> None:
        self._faces = OpenCrops(prepared, kind)
        self._views: list[np.ndarray] = []
        video = []
        for v in range(len(prepared)):
            index = self._faces(v).crops.index
            at = np.unique(index)
            for frame in at[pick(len(at), frames, "even")]:
                self._views.append(np.flatnonzero(index == frame))
                video.append(v)
        self.video = np.array(video)
        self.label = np.array([bool(prepared[v].sample.label) for v in video])

    def __len__(self) -> int:
        return len(self._views)

    def shot(self, i: int, rng: np.random.Generator | None) -> tuple[Faces, int]:
        """The faces of the sample, and which of them; of several views of a frame one by chance, or the first."""
        views = self._views[i]
        return self._faces(int(self.video[i])), int(views[0] if rng is None else rng.choice(views))


class LookAlikes:
    """For each shot a shot of another video whose landmarks on the crop are among the nearest."""

    def __init__(self, shots: Shots) -> None:
        self._shots = shots
        self._shapes = np.stack([faces.on_crop(k) for faces, k in (shots.shot(i, None) for i in range(len(shots)))])
        if len(np.unique(shots.video)) < 2:
            raise InputError("Blending needs faces of two videos at least; prepare more, or take self-blending (sbi).")

    def pick(self, i: int, rng: np.random.Generator) -> int:
        others = np.flatnonzero(self._shots.video != self._shots.video[i])
        if len(others) > ALIKE:
            others = rng.choice(others, ALIKE, replace=False)
        apart = np.linalg.norm(self._shapes[others] - self._shapes[i], axis=2).sum(axis=1)
        return int(rng.choice(others[np.argsort(apart, kind="stable")[:NEAREST]]))


class Crops:
    """Faces, or faces and the fakes that are made of them, for a network that answers genuine or fake."""

    def __init__(self, prepared: Sequence[Prepared], config: PictureConfig) -> None:
        self._profile, self._region = config.profile(), config.region
        self._names, self._synthesis = config.augment, config.data.synthesis
        self._shots = Shots(prepared, kind_of(self._profile.crop), config.data.frames)
        self._alike = LookAlikes(self._shots) if self._synthesis == "bi" else None
        self.fake, self.video = self._shots.label, self._shots.video

    def draw(self, i: int, rng: np.random.Generator) -> Item:
        return self._item(i, rng, self._names)

    def see(self, i: int) -> Item:
        return self._item(i, np.random.default_rng([MEASURED, i]), (), first=True)

    def _item(self, i: int, rng: np.random.Generator, names: Sequence[str], *, first: bool = False) -> Item:
        faces, k = self._shots.shot(i, None if first else rng)
        images, fake = self._images(i, faces, k, rng)
        images = augmented(images, [name for name in names if name not in GEOMETRIC], rng)
        if self._profile.masked:
            mask = faces.masks(k)[self._region][..., None]
            images = [image * mask for image in images]
        images = augmented(images, [name for name in names if name in GEOMETRIC], rng)
        return {"x": self._profile.tensor(fitted(images, self._profile)), "fake": np.array(fake)}

    def _images(self, i: int, faces: Faces, k: int, rng: np.random.Generator) -> tuple[list[np.ndarray], list[bool]]:
        """One image, or a genuine one and its fake."""
        image = np.array(faces.crops.images[k])
        if self._synthesis == "sbi":
            return [*self_blended(image, faces.on_crop(k), rng)[:2]], [False, True]
        if self._synthesis == "fwa":
            return [image, face_warped(image, faces.on_crop(k), rng)], [False, True]
        if self._alike:
            other, j = self._shots.shot(self._alike.pick(i, rng), None)
            return [image, blended(np.array(other.crops.images[j]), image, faces.on_crop(k), rng)[0]], [False, True]
        return [image], [bool(self.fake[i])]


def fitted(images: Sequence[np.ndarray], profile: InputProfile) -> np.ndarray:
    """Images uint8 (k, s, s, 3) at the side that the profile says."""
    side = profile.crop.size_px
    return np.stack([image if len(image) == side else resize(image, side, side, "bilinear") for image in images])
