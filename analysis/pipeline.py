"""The main path, top to bottom: a file goes in, a report comes out."""

import hashlib
import json
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from analysis.calibration import against, source_offset
from analysis.exhibits import explain, scene_look
from analysis.explanation import explain_limits
from analysis.findings import describe, judge, weigh
from analysis.stability import Assessment, stand_trial
from core.errors import Lack, NotApplicable
from core.files import hash_of
from core.metrics import SKIPS
from core.settings import VERSION, Settings
from core.types import Options, Progress, Report, Scores, Skipped, Track, Trial
from core.weights import Weights
from core.words import say
from detectors import Choice, Open, choices, choose, is_prepared, looks_of, open_detector
from detectors.engines import device, limit_threads
from preprocessing.changes import Change, unchanged
from preprocessing.cropping import Look
from preprocessing.provenance import read_provenance
from preprocessing.reading import OnProgress, Reading, read_tracks

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """A file and what is asked of it: `sha256` is the file's, `references` are those of the genuine clips in the order
    in which these were given, and `fingerprint` is one over all that determines the report."""

    chosen: tuple[Choice, ...]
    sha256: str
    fingerprint: str
    references: tuple[str, ...] = ()


def analyze(
    path: Path,
    *,
    name: str,
    options: Options,
    settings: Settings,
    manifest: Mapping[str, Weights],
    references: Sequence[Path] = (),
    reference_names: Sequence[str] = (),
    order: Order | None = None,
    open: Open = open_detector,
    on: str | None = None,
    on_progress: OnProgress = lambda progress: None,
) -> Report:
    """The report on one file; but for id, clock and timings a pure function of file, options, settings and weights.

    Args:
        name: what the file is called; data, never a path.
        references: genuine clips of the same source; how much higher than usual they score is taken off.
        reference_names: what they are called, where that is not the name of the file.
        order: what `take_order` says of the same arguments, where it was asked already.
        open: how a detector is had, if its network is to run somewhere else; `on` is then the device there.
        on_progress: called every few frames; what it raises (such as `Cancelled`) ends the analysis.

    Raises:
        InputError: the file, or a reference, is not a video this page takes.
        WeightsError: a named detector or landmark backend is not ready.
    """
    began = time.perf_counter()
    timings: dict[str, float] = {}
    limit_threads()
    on = on or device()
    order = order or take_order(path, options, settings, manifest, references)
    chosen, sha256 = order.chosen, order.sha256
    looks = [look for c in chosen if c.ready for look in looks_of(c, options.thoroughness)]
    weights = {c.weights.id: c.weights for c in chosen}
    log.info("analysis of %s begins: %d methods", sha256[:8], len(chosen))

    def read(
        file: Path,
        called: str,
        digest: str,
        looks: Sequence[Look] = looks,
        heard: OnProgress = on_progress,
        change: Change = unchanged,
    ) -> Reading:
        return read_tracks(
            file,
            name=called,
            sha256=digest,
            options=options,
            settings=settings,
            manifest=manifest,
            looks=looks,
            change=change,
            on_progress=heard,
        )

    def assess(reading: Reading, taken: dict[str, float], heard: OnProgress = on_progress) -> Assessment:
        answers = score(reading.tracks, chosen, settings, heard, taken, open=open, on=on)
        findings = [weigh(answer, weights, offsets) for answer in answers]
        persons = [describe(track, findings, settings) for track in reading.tracks]
        return Assessment(reading, answers, findings, persons, judge(persons, reading.video, settings))

    def again(change: Change, called: str) -> Assessment:
        def heard(progress: Progress) -> None:
            on_progress(replace(progress, stage=f"{called}: {progress.stage}"))

        return assess(read(path, name, sha256, heard=heard, change=change), {}, heard)

    with _timed(timings, "references"):
        genuine = [
            s
            for file in references
            for s in score(read(file, "reference", "").tracks, chosen, settings, open=open, on=on)
        ]
        offsets = _offsets(genuine, weights)
    with _timed(timings, "faces"):
        reading = read(path, name, sha256, [*looks, scene_look(options.thoroughness)])
    with _timed(timings, "scores"):
        found = assess(reading, timings)
    with _timed(timings, "explanations"):
        told = found.answers, chosen, offsets, settings, options.thoroughness, on_progress
        exhibits, occlusions = explain(reading.tracks, *told, open=open, on=on)
    trials: tuple[Trial, ...] = ()
    if options.thoroughness == "thorough":
        with _timed(timings, "stability"):
            found, trials = stand_trial(found, again)
    with _timed(timings, "provenance"):
        provenance = read_provenance(path)
    limits = explain_limits(found.verdict.label, found.findings, manifest, settings)
    verdict = replace(found.verdict, reason=f"{found.verdict.reason} {limits}".rstrip())
    timings["total"] = time.perf_counter() - began

    said = {"video": sha256[:8], "people": len(found.persons), "verdict": verdict.label, "seconds": timings["total"]}
    log.info("analysis of %s ends: %d people, %s, %.1f s", *said.values(), extra=said)
    return Report(
        id=uuid.uuid4().hex,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        app_version=VERSION,
        fingerprint=order.fingerprint,
        options=replace(options, detectors=tuple(c.weights.id for c in chosen)),
        video=reading.video,
        verdict=verdict,
        tracks=tuple(found.persons),
        findings=tuple(found.findings),
        warnings=(
            *reading.warnings,
            *_unserved(chosen, options.regions),
            *_beside(reference_names or [f.name for f in references], order, offsets, genuine, found.answers),
        ),
        timings_s={stage: round(seconds, 3) for stage, seconds in timings.items()},
        device=_devices(chosen, on),
        exhibits=tuple(exhibits),
        occlusions=tuple(occlusions),
        trials=trials,
        # By these one visitor could learn what another one uploaded.
        likeness=reading.likeness if settings.moderated else None,
        thresholds=settings.thresholds,
        references=order.references,
        provenance=provenance,
    )


def take_order(
    path: Path, options: Options, settings: Settings, manifest: Mapping[str, Weights], references: Sequence[Path] = ()
) -> Order:
    """Which weights the options mean, and what determines the report: file, options, weights, thresholds, version.

    Raises:
        InputError: a detector or a region is unknown.
        WeightsError: of a named detector nothing is ready.
    """
    offered = choices(manifest, settings)
    chosen = choose(options.detectors, offered, options.regions, referenced=bool(references))
    sha256, genuine = hash_of(path), tuple(hash_of(file) for file in references)
    determined_by = {
        "file": sha256,
        "references": sorted(genuine),
        "options": asdict(replace(options, detectors=())),
        "weights": [
            (c.weights.id, c.weights.sha256, c.weights.calibration and asdict(c.weights.calibration)) for c in chosen
        ],
        "thresholds": astuple(settings.thresholds),
        "version": VERSION,
    }
    fingerprint = hashlib.sha256(json.dumps(determined_by, sort_keys=True).encode()).hexdigest()
    return Order(tuple(chosen), sha256, fingerprint, genuine)


def score(
    tracks: Sequence[Track],
    chosen: Sequence[Choice],
    settings: Settings,
    on_progress: OnProgress = lambda progress: None,
    timings: dict[str, float] | None = None,
    *,
    open: Open = open_detector,
    on: str | None = None,
) -> list[Scores | Skipped]:
    """What each chosen detector says of each track, or why it says nothing; `timings` gets its seconds by weights."""
    answers: list[Scores | Skipped] = []
    timings = {} if timings is None else timings
    on = on or device()
    for choice in chosen:
        on_progress(Progress(_stage(choice, settings, on), 1.0))
        ask = open(choice, settings, on).score if choice.ready else _unready(choice)
        for track in tracks:
            on_progress(Progress(say("stages.scoring_person", method=choice.card.title, id=track.id), 1.0))
            try:
                with _timed(timings, choice.weights.id):
                    answers.append(ask(track))
            except NotApplicable as reason:
                SKIPS.labels(choice.card.name, reason.lack).inc()
                answers.append(
                    Skipped(choice.card.name, choice.weights.region, track.id, str(reason), choice.weights.id)
                )
    return answers


def _devices(chosen: Sequence[Choice], on: str) -> str:
    """The device, and which detectors ran there in another arithmetic than their own: `cpu (gend: cpu int8)`."""
    others = {c.card.name: c.runs_on(on) for c in chosen if c.ready and c.runs_on(on) != on}
    return on + (f" ({', '.join(f'{name}: {where}' for name, where in others.items())})" if others else "")


def _stage(choice: Choice, settings: Settings, on: str) -> str:
    if choice.ready and not is_prepared(choice, settings, on):
        return say("stages.preparing", method=choice.card.title)
    return say("stages.scoring", method=choice.card.title)


def _unready(choice: Choice) -> Callable[[Track], Scores]:
    def ask(track: Track) -> Scores:
        raise NotApplicable(choice.reason or "", Lack.UNREADY)

    return ask


def _offsets(genuine: Sequence[Scores | Skipped], weights: Mapping[str, Weights]) -> dict[str, float]:
    """By weights id, the raw log-odds to take off because this source scores high by itself."""
    heard: dict[str, list[float]] = {}
    for answer in genuine:
        if isinstance(answer, Scores):
            heard.setdefault(answer.weights, []).append(answer.overall)
    calibrations = {id: weights[id].calibration for id in heard}
    return {id: source_offset(heard[id], known) for id, known in calibrations.items() if known}


def _unserved(chosen: Sequence[Choice], regions: Sequence[str]) -> list[str]:
    """Regions that were asked for and that a chosen detector has no weights for at all."""
    served = {(c.card.name, c.weights.region) for c in chosen}
    several = dict.fromkeys(c.card for c in chosen if len(c.card.regions) > 1)
    if not several:
        lacking = [region for region in regions if region not in {looked_at for _, looked_at in served}]
        return [f"None of these methods looks at the region {region} alone." for region in lacking]
    return [
        f"There are no weights of {card.title.split(':')[0]} for the region {region}."
        for card in several
        for region in regions
        if (card.name, region) not in served
    ]


def _beside(
    names: Sequence[str],
    order: Order,
    offsets: Mapping[str, float],
    genuine: Sequence[Scores | Skipped],
    answers: Sequence[Scores | Skipped],
) -> list[str]:
    """What the reference clips were, what they changed, and how far each score lies from theirs."""
    if not order.references:
        return []
    if not offsets:
        return ["None of the reference clips could be scored, so they changed nothing."]
    called = zip(names, order.references, strict=True)
    used = ", ".join(f"{name} (SHA-256 {sha256[:12]}…)" for name, sha256 in called)
    told = [f"Read against {used}."]
    for id, offset in offsets.items():
        told.append(f"Scores of {id} were moved by {-offset:+.2f} log-odds towards the reference clips.")
        theirs = [answer for answer in genuine if isinstance(answer, Scores) and answer.weights == id]
        for answer in answers:
            if isinstance(answer, Scores) and answer.weights == id:
                above, (low, high) = against(answer, theirs)
                told.append(
                    f"By {id} person {answer.track_id} scores {above:+.2f} log-odds (90 % interval {low:+.2f} to "
                    f"{high:+.2f}) against them."
                )
    return told


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        timings[stage] = timings.get(stage, 0.0) + time.perf_counter() - began
