"""Why a method said what it said: where it looked in the moments that mattered most, and what hiding a region changes.

None of this is proof, and none of it enters the verdict.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from analysis.findings import jpeg, weigh
from analysis.fusion import fuse_findings
from core.settings import Settings
from core.types import Crops, Exhibit, Occlusion, Progress, Saliency, Scores, Skipped, Thoroughness, Track
from core.weights import Weights
from core.words import say
from detectors import Choice, Open, open_detector
from detectors.appearance import FRAMES
from detectors.engines import device
from preprocessing.alignment import chain, similarity
from preprocessing.cropping import Look
from preprocessing.profile import CropRule
from preprocessing.reading import OnProgress
from preprocessing.regions import REGIONS

MOMENTS: dict[Thoroughness, int] = {"fast": 1, "standard": 2, "thorough": 3}
"""So many of each finding are explained: those that scored highest."""
SCENE = CropRule.model_validate({"name": "scene", "size_px": 384})


def scene_look(thoroughness: Thoroughness) -> Look:
    """The pictures that exhibits are shown on: of as many frames as detectors look at, so mostly of the same ones."""
    return Look(SCENE, FRAMES[thoroughness])


def explain(
    tracks: Sequence[Track],
    answers: Sequence[Scores | Skipped],
    chosen: Sequence[Choice],
    offsets: Mapping[str, float],
    settings: Settings,
    thoroughness: Thoroughness,
    on_progress: OnProgress = lambda progress: None,
    *,
    open: Open = open_detector,
    on: str | None = None,
) -> tuple[list[Exhibit], list[Occlusion]]:
    """Exhibits of every answer, in order, and what hiding each region does to each person. Skipped methods show none.

    Args:
        offsets: by weights id, what `weigh` takes off.
    """
    people = {track.id: track for track in tracks}
    choices = {choice.weights.id: choice for choice in chosen}
    exhibits: list[Exhibit] = []
    hidden: dict[int, list[dict[str, Scores]]] = {}
    for scores in answers:
        if isinstance(scores, Skipped):
            continue
        choice, track = choices[scores.weights], people[scores.track_id]
        on_progress(Progress(say("stages.asking", method=choice.card.title, id=track.id), 1.0))
        detector, moments = open(choice, settings, on or device()), telling(scores, MOMENTS[thoroughness])
        scenes = track.crops.get(scene_look(thoroughness))
        if scenes is not None:
            exhibits += [exhibit(scores, track, seen, scenes) for seen in detector.explain(track, scores, moments)]
        on_progress(Progress(say("stages.hiding", method=choice.card.title, id=track.id), 1.0))
        if without := detector.hide(track, scores, moments):
            hidden.setdefault(track.id, []).append(without)
    weights = {id: choice.weights for id, choice in choices.items()}
    return exhibits, [row for id, methods in hidden.items() for row in occlusions(id, methods, weights, offsets)]


def telling(scores: Scores, count: int) -> list[int]:
    """The positions of the highest scores, at most so many, in order of time; of equal ones the first."""
    return sorted(np.argsort(-scores.fake, kind="stable")[:count].tolist())


def occlusions(
    track_id: int,
    methods: Sequence[Mapping[str, Scores]],
    weights: Mapping[str, Weights],
    offsets: Mapping[str, float],
) -> list[Occlusion]:
    """What hiding each region does to one person, from what each method says by hidden region (`entire`: none)."""

    def fused(region: str) -> float:
        worth = fuse_findings(weigh(scores[region], weights, offsets) for scores in methods)
        assert worth is not None, "scores are evidence"
        return worth.fake

    plain = fused("entire")
    return [
        Occlusion(
            track_id=track_id,
            region=region,
            fake=plain,
            hidden=fused(region),
            moved={s["entire"].weights: round(s[region].overall - s["entire"].overall, 6) for s in methods},
        )
        for region in REGIONS[1:]
    ]


def exhibit(scores: Scores, track: Track, saliency: Saliency, scenes: Crops) -> Exhibit:
    """As reported, on the picture that is nearest in time; if that is another frame, the heat moves with the face."""
    nearest = int(np.abs(track.time_s[scenes.index] - track.time_s[saliency.index]).argmin())
    to_frame, shown = saliency.to_frame, scenes.index[nearest]
    if shown != saliency.index:
        before, now = (track.landmarks[i].astype(np.float64) for i in (saliency.index, shown))
        to_frame = chain(to_frame, similarity(before, now))
    to_scene = chain(to_frame, cv2.invertAffineTransform(scenes.to_frame[nearest].astype(np.float64)))
    return Exhibit(
        detector=scores.detector,
        region=scores.region,
        track_id=scores.track_id,
        weights=scores.weights,
        time_s=round(saliency.time_s, 4),
        score=round(saliency.score, 4),
        crop=jpeg(saliency.image),
        frame=jpeg(scenes.images[nearest]),
        to_frame=tuple(to_scene.ravel().tolist()),
        heat=np.rint(255 * saliency.heat) / np.float32(255),  # the steps in which reports are kept
        contributions=saliency.contributions,
    )
