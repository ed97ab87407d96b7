"""Labelled clips go through the app's own detectors: as they are, and as a network must survive them."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError, NotApplicable, NotNow
from core.settings import Settings
from core.types import Crops, Options, Thoroughness, Track
from core.weights import MANIFEST, Weights, load_manifest
from detectors import Choice, choices, looks_of, open_detector
from detectors.engines import device, limit_threads
from preprocessing.changes import Change, add_noise, blur, brighten, reencode, shrink, unchanged
from preprocessing.cropping import Look
from preprocessing.reading import read_tracks
from training.clips import most_in_view
from training.evaluate.data import Subject
from training.out_of_fold import ORIGINAL
from training.prepared import RULES, Prepared, look_of
from training.resumed import PASSING, answers, code

CACHE_FORMAT = 1
"""Raise it when answers are kept otherwise than before."""

SWEEP: dict[str, Change] = {
    "crf 23": partial(reencode, crf=23),
    "crf 32": partial(reencode, crf=32),
    "crf 40": partial(reencode, crf=40),
    "scale 0.75": partial(shrink, scale=0.75),
    "scale 0.5": partial(shrink, scale=0.5),
    "scale 0.25": partial(shrink, scale=0.25),
    "blur 2 px": partial(blur, sigma_px=2.0),
    "noise 10": partial(add_noise, sd=10.0),
    "brightness 0.6": partial(brighten, gain=0.6),
    "brightness 1.5": partial(brighten, gain=1.5),
}
"""Changes to the whole picture, under names that say all there is to them: H.264 at this CRF, this share of the size, a
Gaussian blur of this deviation, noise of this deviation in grey levels, grey levels times this."""
FORMS: dict[str, Change] = {ORIGINAL: unchanged} | SWEEP


@dataclass(frozen=True, slots=True)
class Said:
    """What one set of weights says of one clip.

    `fake` are its scores along the person most in view, `overall` what it makes of them; NaN, with the `reason`, where
    it could not look.
    """

    fake: tuple[float, ...] = ()
    overall: float = math.nan
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one clip in one form; plain values, since it may travel to another process."""

    subject: Subject
    form: str
    ids: tuple[str, ...]
    thoroughness: Thoroughness
    settings: Settings
    manifest: Path


@dataclass(frozen=True, slots=True)
class Answers:
    """Of n clips in one form: what each set of weights says, by its id, and how wide the faces are in px, NaN where
    none was found."""

    said: Mapping[str, Sequence[Said]]
    face_px: np.ndarray

    def overall(self, id: str) -> np.ndarray:
        """float (n,), NaN where the clip has no score."""
        return np.array([one.overall for one in self.said[id]])


def ask(
    subjects: Sequence[Subject],
    forms: Sequence[str],
    chosen: Sequence[Choice],
    folder: Path,
    settings: Settings,
    *,
    manifest: Path = MANIFEST,
    thoroughness: Thoroughness = "standard",
    jobs: int = 1,
) -> dict[str, Answers]:
    """What the chosen weights say of every clip in every form; answers that are in `folder` are not asked for again."""
    ids = tuple(choice.weights.id for choice in chosen)
    by = " ".join(f"{choice.weights.id} {choice.weights.sha256}" for choice in chosen)
    there = [subject for subject in subjects if not subject.reason]
    tasks = [
        (
            Question(subject, form, ids, thoroughness, settings, manifest),
            folder / f"{_key(f'{subject.content} {form} {by} {thoroughness}')}.json",
        )
        for form in forms
        for subject in there
    ]
    found = iter(answers(_answer, tasks, jobs=jobs))
    return {form: _gather([{"reason": s.reason} if s.reason else next(found) for s in subjects], ids) for form in forms}


def _gather(plain: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> Answers:
    return Answers(
        {id: [_said(one["said"][id] if "said" in one else one) for one in plain] for id in ids},
        np.array([one.get("face_px", math.nan) for one in plain], float),
    )


def _said(plain: Mapping[str, Any]) -> Said:
    return Said(reason=plain["reason"]) if "reason" in plain else Said(tuple(plain["fake"]), plain["overall"])


def _key(determined_by: str) -> str:
    """Of all that determines the answer: a changed file, network or line of code is never mistaken for the old one."""
    return hashlib.sha256(f"{CACHE_FORMAT} {code()} {determined_by}".encode()).hexdigest()[:24]


def _answer(question: Question) -> dict[str, Any]:
    limit_threads()
    offered = _offered(question.manifest, question.settings)
    chosen = [offered[id] for id in question.ids]
    try:
        track = _track(question, chosen)
    except InputError as error:
        return {"reason": str(error), PASSING: isinstance(error, NotNow)}
    said: dict[str, dict[str, Any]] = {}
    for choice in chosen:
        try:
            scores = open_detector(choice, question.settings, device()).score(track)
            said[choice.weights.id] = {"fake": scores.fake.tolist(), "overall": scores.overall}
        except NotApplicable as reason:
            said[choice.weights.id] = {"reason": _lacking(question, choice, track) or str(reason)}
    return {"face_px": float(np.median(np.ptp(track.landmarks[:, :, 0], axis=1))), "said": said}


def _track(question: Question, chosen: Sequence[Choice]) -> Track:
    looks = [look for choice in chosen for look in looks_of(choice, question.thoroughness)]
    prepared = question.subject.prepared
    if prepared is None:
        tracks = read_tracks(
            question.subject.sample.path,
            name="",
            sha256="",
            options=Options((), thoroughness=question.thoroughness),
            settings=question.settings,
            manifest=_manifest(question.manifest),
            looks=looks,
            change=FORMS[question.form],
        ).tracks
        if not tracks:
            raise InputError("No face was found.")
        return most_in_view(tracks)
    # Under the detector's own look: a cache may hold more frames of each than are asked for here.
    held = {look: crops_for(look, prepared) for look in looks}
    return replace(prepared.track(), crops={look: crops for look, crops in held.items() if crops is not None})


def crops_for(look: Look, prepared: Prepared) -> Crops | None:
    """Of all the frames that a cache holds, the crops as this look asks for them, if any were cut so."""
    for kind in prepared.made.kinds:
        if kind not in RULES:
            continue
        held = look_of(kind, prepared.frames_per_video)
        alike = (held.run, held.frames is None) == (look.run, look.frames is None)
        if alike and held.rule == look.rule:
            return prepared.faces(kind).crops
        if alike and kind == "mouth" and held.rule.name == look.rule.name:
            return _middle(prepared.faces(kind).crops, look.rule.size_px)
    return None


def _middle(crops: Crops, side: int) -> Crops:
    """Of each crop the middle; this side is cut of the same pixels, whatever the side (`preprocessing.alignment`)."""
    off = (crops.images.shape[1] - side) // 2
    inner = slice(off, off + side)
    to_frame = crops.to_frame.copy()
    to_frame[:, :, 2] += off * to_frame[:, :, :2].sum(axis=2)
    return Crops(crops.index, crops.images[:, inner, inner], to_frame)


def _lacking(question: Question, choice: Choice, track: Track) -> str:
    """Why weights that look at pictures could not look, if that is the cache's fault."""
    absent = [look.rule.name for look in looks_of(choice, question.thoroughness) if look not in track.crops]
    if not (question.subject.prepared and absent):
        return ""
    return (
        f"The cache holds no crops by the rule {absent[0]} as {choice.weights.id} reads them; evaluate from the clips."
    )


@cache
def _manifest(path: Path) -> Mapping[str, Weights]:
    return load_manifest(path)


@cache
def _offered(manifest: Path, settings: Settings) -> dict[str, Choice]:
    return {choice.weights.id: choice for choice in choices(_manifest(manifest), settings)}
