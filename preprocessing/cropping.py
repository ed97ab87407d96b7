"""The crops of one person, gathered while the track grows, so that a frame is dropped as soon as it has been seen."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.types import Crops, Face
from preprocessing.alignment import Crop, Cutter, open_cutter
from preprocessing.profile import CropRule, Sampling, pick


@dataclass(frozen=True, slots=True)
class Look:
    """What a detector wants to see of a track: crops by this rule, of so many frames of it (None: of all).

    With a `run`, it is so many runs of that many consecutive frames instead of single frames.
    """

    rule: CropRule
    frames: int | None
    sampling: Sampling = "even"
    run: int = 1


class Cropping:
    """Cuts what is looked at. Detectors that look alike share their crops."""

    def __init__(self, looks: Sequence[Look]) -> None:
        self._gatherings = [_Gathering(look) for look in dict.fromkeys(looks)]

    def see(self, position: int, image: np.ndarray, face: Face) -> None:
        """Takes in the frame at this position of the track."""
        for gathering in self._gatherings:
            gathering.see(position, image, face)

    def lose(self) -> None:
        """The run of frames is broken; sequences do not go across."""
        for gathering in self._gatherings:
            gathering.end_run()

    def finish(self) -> Mapping[Hashable, Crops]:
        """All crops by look; looks of which nothing could be cut are left out."""
        self.lose()
        return {g.look: crops for g in self._gatherings if (crops := g.crops()) is not None}


@dataclass(eq=False)
class _Gathering:
    """The crops of one look.

    Which frames are wanted is known when the track ends, and by then they are gone. So every `stride`-th one is kept,
    and when twice the wanted number is reached, every other one is dropped and the stride doubled, so that memory stays
    bounded. Among these the profile chooses in the end, less than two strides from where it would in the whole track.
    A frame from which the face cannot be cut counts for nothing; the next one takes its place.
    """

    look: Look
    kept: list[tuple[int, list[Crop]]] = field(default_factory=list)
    stride: int = 1
    count: int = 0
    cutter: Cutter | None = None
    pushed: list[int] = field(default_factory=list)

    def see(self, position: int, image: np.ndarray, face: Face) -> None:
        if self.look.frames is not None and self.count // self.look.run % self.stride:
            self.count += 1
            return
        self.cutter = self.cutter or open_cutter(self.look.rule)
        self.pushed.append(position)
        self._keep(self.cutter.push(image, face))
        run = self.look.run
        if self.look.frames is not None and len(self.kept) >= 2 * self.look.frames * run:
            self.kept, self.stride = [one for i, one in enumerate(self.kept) if i // run % 2 == 0], 2 * self.stride

    def end_run(self) -> None:
        if self.cutter:
            self._keep(self.cutter.flush())
            self.cutter = None

    def crops(self) -> Crops | None:
        cut, run = self.kept, self.look.run
        if self.look.frames is not None:
            firsts = run * pick(-(-len(cut) // run), self.look.frames, self.look.sampling)
            cut = [one for first in firsts for one in cut[first : first + run]]
        if not cut:
            return None
        return Crops(
            index=np.array([position for position, crops in cut for _ in crops], np.int64),
            images=np.stack([crop.image for _, crops in cut for crop in crops]),
            to_frame=np.stack([crop.to_frame for _, crops in cut for crop in crops]).astype(np.float32),
        )

    def _keep(self, done: list[list[Crop]]) -> None:
        for crops in done:
            position = self.pushed.pop(0)
            if crops:
                self.kept.append((position, crops))
                self.count += 1
