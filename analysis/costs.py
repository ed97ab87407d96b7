"""How long an analysis will take, from what earlier ones took on this machine.

Each report says how long its parts took; what a frame cost is kept in one small file and drawn half-way towards every
new measurement, so that it follows the machine and the clips that people bring to it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.exhibits import MOMENTS
from analysis.stability import CHANGES
from core.kept import write_json
from core.settings import Settings
from core.types import Options, Report, Thoroughness
from detectors import Choice, is_prepared, looks_of
from detectors.engines import device
from preprocessing.reading import LOOK_S
from preprocessing.video import Claim

FACES_S = 0.02
"""For the faces of one frame, where nothing was timed yet: two cores, 1280 x 720. Detectors are guessed from it."""
PREPARING_S = 30.0
"""For a network that has to be prepared for this machine first; GenD's, the largest, took 18."""


EXPLAINING = "explaining"
EXPLAINING_S = 0.5
"""For one moment that one method is asked about, where nothing was timed yet."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """`preparing_s` is the part of `seconds` that is spent only once; `is_measured` if all else was timed here."""

    seconds: float
    preparing_s: float
    is_measured: bool


def estimate(
    clip: Claim, genuine: Sequence[Claim], options: Options, chosen: Sequence[Choice], settings: Settings
) -> Estimate:
    """For one person in view all the time; `genuine` are the clips given as references."""
    known = costs(settings)
    ready = [choice for choice in chosen if choice.ready]
    readings = [clip] * (1 + len(CHANGES) if options.thoroughness == "thorough" else 1) + list(genuine)
    faces_s = known.get(_key(options.landmarks), FACES_S)
    seconds = 0.0
    for claim in readings:
        frames = round(min(claim.length_s, LOOK_S[options.thoroughness]) * claim.rate_hz)
        seconds += frames * faces_s
        for choice in ready:
            cost_s = cost_of(choice, known) or faces_s * _guess(choice, options.thoroughness)
            seconds += cost_s * _looked_at(choice, options.thoroughness, frames)
    moments = MOMENTS[options.thoroughness] * len(ready)
    seconds += moments * known.get(_key(EXPLAINING), EXPLAINING_S)
    preparing_s = PREPARING_S * sum(not is_prepared(choice, settings, device()) for choice in ready)
    used = {options.landmarks, *(choice.weights.id for choice in ready)}
    return Estimate(seconds + preparing_s, preparing_s, all(_key(name) in known for name in used))


def learn(report: Report, chosen: Sequence[Choice], settings: Settings) -> None:
    """Keeps what a frame cost in this analysis: for its faces, and for each set of weights that scored anybody."""
    frames, known = {report.options.landmarks: report.video.frames_decoded}, costs(settings)
    spent = {report.options.landmarks: report.timings_s.get("faces", 0.0)} | report.timings_s
    people = {person.id: person.frames for person in report.tracks}
    scored = {(f.detector, f.region, f.track_id) for f in report.findings if f.status == "scored"}
    for choice in chosen:
        frames[choice.weights.id] = sum(
            _looked_at(choice, report.options.thoroughness, length)
            for id, length in people.items()
            if (choice.card.name, choice.weights.region, id) in scored
        )
    spent[EXPLAINING] = report.timings_s.get("explanations", 0.0)
    frames[EXPLAINING] = MOMENTS[report.options.thoroughness] * len(scored)
    for name, count in frames.items():
        if count and spent.get(name):
            cost_s = spent[name] / count
            known[_key(name)] = (known.get(_key(name), cost_s) + cost_s) / 2
    write_json(_file(settings), known)


def costs(settings: Settings) -> dict[str, float]:
    """Seconds a frame by what it was spent on; empty where nothing was timed yet, or the file was damaged."""
    try:
        return {str(key): float(cost_s) for key, cost_s in json.loads(_file(settings).read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def cost_of(choice: Choice, known: Mapping[str, float]) -> float | None:
    """Seconds for one frame this choice looks at, on this machine; None where it was not timed yet."""
    return known.get(_key(choice.weights.id))


def _guess(choice: Choice, thoroughness: Thoroughness) -> float:
    """What a frame may cost, over finding its faces."""
    return choice.card.cost * max([1, *(look.rule.views for look in looks_of(choice, thoroughness))])


def _looked_at(choice: Choice, thoroughness: Thoroughness, frames: int) -> int:
    """How many of the frames of a track the choice looks at."""
    return min([frames, *(look.frames for look in looks_of(choice, thoroughness) if look.frames)])


def _key(name: str) -> str:
    return f"{name} {device()}"


def _file(settings: Settings) -> Path:
    return settings.data / "costs.json"
