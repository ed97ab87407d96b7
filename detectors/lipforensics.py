"""LipForensics: does the mouth move as mouths do?

Clips of 25 frames are read by a network that learned to read lips. Sources: Haliassos et al., "Lips Don't Lie: A
Generalisable and Robust Approach to Face Forgery Detection", CVPR 2021; weights may come with temporal attention, which
weighs the frames of a clip instead of averaging them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from core.errors import Lack, NotApplicable
from core.types import Contributions, Crops, Saliency, Scores, Track
from detectors.appearance import Appearance
from detectors.base import Card
from detectors.networks import load_checkpoint
from detectors.saliency import places, scaled

RATE_HZ = 25.0
"""Of the footage it was trained on; of footage that is much faster every second frame is read, or fewer."""
MIN_RATE_HZ = 20.0


class LipForensics(Appearance):
    card = Card(
        name="lipforensics",
        title="LipForensics: movement of the mouth",
        summary="Whether the lips move as those of a speaker do, over one second at a time.",
        source="Haliassos et al., CVPR 2021",
        regions=("mouth",),
        limits="Needs a second of a visible mouth at 20 frames a second or more; says little of a mouth that does not "
        "move. One half is no calibrated threshold: genuine footage of other kinds may score high.",
        heat="What each place of the frame that adds most to the clip adds to it; every frame has seen the others, so "
        "time and place are rough.",
        cost=0.2,
    )

    @classmethod
    def load(cls, checkpoint: Mapping[str, Any]) -> nn.Module:
        """With attention exactly where the file holds it: it is never scored with random attention."""
        tensors = checkpoint.get("model", checkpoint)
        attends = any("attention_net" in key for key in tensors)
        return load_checkpoint("lipforensics_attention" if attends else "lipforensics", checkpoint)

    def samples(self, track: Track, crops: Crops) -> np.ndarray:
        rate = track.quality.frame_rate_hz
        step = max(1, round(rate / RATE_HZ))
        if rate / step < MIN_RATE_HZ:
            raise NotApplicable(
                f"At least {MIN_RATE_HZ:.0f} frames a second are needed, the clip has {rate:.1f}; "
                "upload it at its original frame rate if that is higher.",
                Lack.RATE,
            )
        frames, stride = self._profile.clip_frames, self._profile.clip_stride
        assert frames is not None, "its input profile says how long a clip is"
        clips = [clip for run in runs(track, crops) for clip in cut_clips(run[::step], frames, stride)]
        if not clips:
            raise NotApplicable(
                f"{frames * step} consecutive frames of one mouth are needed, which are not there; use a longer shot.",
                Lack.LENGTH,
            )
        return np.stack(clips)

    def explain(self, track: Track, scores: Scores, moments: Sequence[int]) -> list[Saliency]:
        """What each frame adds to the clip, exactly, and where in the frame that adds most."""
        crops = self._crops(track)
        clips = np.concatenate(self._moments(track, crops, moments))
        tensors = np.concatenate([self._tensor(track, crops, clip) for clip in clips])
        _, added, shares = self._engine.run(tensors)
        network = self._network().to(self._device)
        attends = network.get_submodule("tcn").attention_net is not None
        bias = float(network.get_parameter("tcn.tcn_output.bias"))
        maps = places(network, tensors, self.answer, self._device)
        found = []
        for i, (moment, clip) in enumerate(zip(moments, clips, strict=True)):
            most = int(added[i].argmax())
            score = float(scores.fake[moment])
            found.append(
                Saliency(
                    index=int(crops.index[clip[most]]),
                    time_s=float(scores.time_s[moment]),
                    score=score,
                    image=crops.images[clip[most]],
                    to_frame=crops.to_frame[clip[most]],
                    heat=scaled(maps[i, most], score),
                    contributions=Contributions(
                        time_s=tuple(track.time_s[crops.index[clip]].tolist()),
                        log_odds=tuple(added[i].tolist()),
                        weights=tuple(shares[i].tolist()) if attends else (),
                        bias=bias,
                    ),
                )
            )
        return found

    def answer(self, output: Any) -> torch.Tensor:
        return super().answer(output.logit)


def runs(track: Track, crops: Crops) -> list[np.ndarray]:
    """Positions in `crops` of frames that follow each other in the video without a gap."""
    begins = (np.diff(crops.index) != 1) | np.isin(crops.index[1:], track.starts)
    return np.split(np.arange(len(crops.index)), np.flatnonzero(begins) + 1)


def cut_clips(run: np.ndarray, frames: int, stride: int) -> list[np.ndarray]:
    """Clips of so many positions, each `stride` after the one before; what does not fill one is left out."""
    return [run[first : first + frames] for first in range(0, len(run) - frames + 1, stride)]
