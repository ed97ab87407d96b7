"""How the bundled compact detector was made: linear models of the cues of labelled clips.

    python -m training.compact --clips clips.csv --more more.csv --cache DIR
    python -m training.compact --config configs/compact.yaml [key=value ...]

Clips of one origin, identity or pair are one source and never on both sides of a split. Compares the recipes by their
scores of sources they have not seen, and writes the model, its manifest entries with their calibration, and the model
card. Every clip is read as the app reads it, and once more re-encoded, which the same models score for the card; crops
and cues are kept in DIR, so a killed run goes on.
"""

import argparse
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from scipy.optimize import minimize
from scipy.special import expit
from tqdm import tqdm

from analysis.calibration import Evidence, raw_logit, sigmoid, source_offset
from analysis.fusion import REGIONS_ALIKE, fuse
from core.settings import ROOT, Settings
from core.weights import Calibration
from detectors.compact import Model
from detectors.cues import CONDITIONS, RUN, STILL, cues_of
from preprocessing.regions import REGIONS
from training.clips import WORSE, read_clips
from training.compact_cache import CompactConfig
from training.compact_cache import train as train_from_cache
from training.compact_card import Results, write_card
from training.cues import LOOK, Collection, gather, look_at
from training.manifest import bundled_file, put
from training.measures import Estimate, Labels, auc, fit_platt, measure
from training.out_of_fold import ORIGINAL, write_out_of_fold
from training.run import configured, has_config
from training.seen import remember

log = logging.getLogger(__name__)

BUNDLED = ROOT / "detectors" / "bundled"
MODEL = BUNDLED / "compact.safetensors"
CARD = BUNDLED / "compact.md"
IDS = {region: f"compact/telltale/{region}" for region in REGIONS}
CHOSEN_BY = ("size_matched_auc", "pairs")
"""Their sum: what carries over to other sources, and what a source's own genuine clips can bring out."""
HELD = (2.0, 98.0)
"""Percentiles of the clips' cues within which a cue is held: one odd number must not decide."""
CONDITION_RIDGE = 10.0

SIGNS: dict[str, int] = {
    "fine detail": -1,
    "middle detail": -1,
    "coarse detail": -1,
    "fine persistence": -1,
    "middle persistence": -1,
    "fine continuity": -1,
    "middle continuity": -1,
    "flicker": 1,
    "roughness": 1,
    "change": 1,
    "fine sticking": -1,
    "middle sticking": -1,
}
"""What is expected of a made face against its surroundings before any clip is seen: it is smoother than what a camera
took, its detail is made anew for every frame, and so lasts less and sticks less to the face."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to weigh the cues.

    What genuine cues owe to these `conditions` is taken off first. `weights`: "alike" weighs the expected cues alike,
    "signed" learns by how much but not which way, "learned" learns all of them. `ridge` pulls learned weights towards
    0, in clips. `without` leaves measures out.
    """

    name: str
    weights: Literal["alike", "signed", "learned"]
    conditions: tuple[str, ...] = ()
    ridge: float = 100.0
    without: tuple[str, ...] = ()


MOVEMENT, DETAIL, PERSISTENCE = CONDITIONS[:1], CONDITIONS[3:6], CONDITIONS[6:]
RECIPES = (
    Recipe("expected cues alike", "alike"),
    Recipe("expected cues alike, beside the detail around", "alike", DETAIL),
    Recipe("expected cues alike, beside movement and what lasts around", "alike", MOVEMENT + PERSISTENCE),
    Recipe("expected cues alike, beside all conditions", "alike", CONDITIONS),
    Recipe("expected cues of movement alike", "alike", without=tuple(STILL)),
    *(
        Recipe(f"{kind} alone", "alike", without=tuple(name for name in SIGNS if not name.endswith(kind)))
        for kind in ("detail", "persistence", "continuity", "flicker", "roughness", "change", "sticking")
    ),
    Recipe("expected cues, weights learned", "signed"),
    Recipe("expected cues, weights learned, beside the detail around", "signed", DETAIL),
    Recipe("all cues, weights and directions learned", "learned"),
    Recipe("all cues, weights and directions learned, beside the detail around", "learned", DETAIL),
)


def fit(collection: Collection, region: str, recipe: Recipe, where: np.ndarray) -> Model:
    """The model of one region, from those clips of `where`, bool (n,)."""
    fake, group = collection.fake[where], collection.group[where]
    cues, conditions = (
        np.stack([_mean(runs) for runs, chosen in zip(series, where, strict=True) if chosen])
        for series in (collection.cues[region], collection.conditions)
    )
    weight = balance(fake, group)
    usual = np.nanmean(conditions, axis=0)
    slopes = np.zeros((len(CONDITIONS), cues.shape[1]))
    taken = np.flatnonzero([name in recipe.conditions for name in CONDITIONS])
    if len(taken):
        slopes[taken] = _slopes((conditions - usual)[~fake][:, taken], cues[~fake], weight[~fake])
    cues = cues - np.nan_to_num(conditions - usual) @ slopes
    low, high = np.nanpercentile(cues, HELD, axis=0)
    centre = np.nanmean(np.clip(cues, low, high), axis=0)
    spread = np.nanstd(np.clip(cues, low, high), axis=0) + 1e-6
    x = np.nan_to_num((np.clip(cues, low, high) - centre) / spread)
    expected = np.array(
        [SIGNS.get(cue.measure, 0) if cue.against != "the rest of the face" else 0 for cue in cues_of(region)]
    ) * np.array([cue.measure not in recipe.without for cue in cues_of(region)])
    if recipe.weights == "alike":
        beta, bias = expected / np.sqrt(np.abs(expected).sum()), 0.0
    else:
        beta, bias = logistic(x, fake, weight, recipe.ridge, expected if recipe.weights == "signed" else None)
    genuine = np.stack([np.nanmean(cues[~fake], axis=0), np.nanstd(cues[~fake], axis=0) + 1e-6])
    return Model(low, high, centre, usual, slopes, beta / spread, bias, genuine)


def _mean(runs: np.ndarray) -> np.ndarray:
    """Over the runs of a clip, as far as there are numbers."""
    known = np.isfinite(runs)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, runs, 0).sum(axis=0) / np.maximum(count, 1), np.nan)


def balance(fake: np.ndarray, group: np.ndarray) -> np.ndarray:
    """What each clip weighs, float64 (n,), n in all: both classes alike, a source by the root of its clips, and one
    that has both labels twice, so that the source cannot be learned in place of the manipulation."""
    weight = np.zeros(len(fake))
    for label in (False, True):
        mine = fake == label
        for g in np.unique(group[mine]):
            clips = mine & (group == g)
            weight[clips] = (2 if len(np.unique(fake[group == g])) > 1 else 1) / np.sqrt(clips.sum())
        weight[mine] *= len(fake) / 2 / weight[mine].sum()
    return weight


def _slopes(conditions: np.ndarray, cues: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """How genuine cues follow conditions (n, c), float64 (c, k): ridge regression with both at their weighted means."""
    slopes = np.zeros((conditions.shape[1], cues.shape[1]))
    for column in range(cues.shape[1]):
        known = np.isfinite(cues[:, column])
        x, y, w = np.nan_to_num(conditions[known]), cues[known, column], weight[known, None]
        x = x - (w * x).sum(axis=0) / w.sum()
        scale = np.sqrt((w * x * x).sum(axis=0) / w.sum()) + 1e-6
        x = x / scale
        y = y - (w[:, 0] * y).sum() / w.sum()
        gram = x.T @ (w * x) + CONDITION_RIDGE * np.eye(x.shape[1])
        slopes[:, column] = np.linalg.solve(gram, x.T @ (w[:, 0] * y)) / scale
    return slopes


def logistic(
    x: np.ndarray, fake: np.ndarray, weight: np.ndarray, ridge: float, signs: np.ndarray | None
) -> tuple[np.ndarray, float]:
    """Weights (k,) and bias of a ridge logistic regression; with `signs` (k,) none goes against its sign, 0 stays 0."""
    side = np.where(fake, 1.0, -1.0)

    def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        margin = side * (x @ beta[:-1] + beta[-1])
        pull = -weight * side * expit(-margin)
        value = (weight * np.logaddexp(0, -margin)).sum() + ridge / 2 * (beta[:-1] ** 2).sum()
        return float(value), np.append(x.T @ pull + ridge * beta[:-1], pull.sum())

    bounds = [(None, None)] * x.shape[1] if signs is None else [sorted((0, s * 1e3)) for s in signs.tolist()]
    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", bounds=[*bounds, (None, None)])
    return found.x[:-1], float(found.x[-1])


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Clips scored by models that saw nothing of their source: raw log-odds float64 (n,) by region, and P(fake) float64
    (n,) fused over the regions, calibrated on the other sources."""

    raw: Mapping[str, np.ndarray]
    fused: np.ndarray


def cross_validate(collection: Collection, recipe: Recipe) -> Judged:
    """Leaves one source out at a time."""
    raw = {region: np.empty(len(collection.clips)) for region in REGIONS}
    for source in np.unique(collection.group):
        held_out = collection.group == source
        for region in REGIONS:
            model = fit(collection, region, recipe, ~held_out)
            raw[region][held_out] = score(collection, region, model, held_out)
    return Judged(raw, fuse_out_of_source(raw, collection.fake, collection.group))


def after(collection: Collection, recipe: Recipe, encoded: Collection) -> dict[str, np.ndarray]:
    """Raw log-odds (n,) by region of the re-encoded clips, by models that saw nothing of their source in any form; NaN
    where a clip has no cues then."""
    place = {clip.sha256: i for i, clip in enumerate(collection.clips)}
    at = np.array([place.get(clip.sha256, -1) for clip in encoded.clips], int)
    raw = {region: np.full(len(collection.clips), np.nan) for region in REGIONS}
    for source in np.unique(collection.group):
        mine = (at >= 0) & (collection.group[at] == source)
        for region in REGIONS if mine.any() else ():
            model = fit(collection, region, recipe, collection.group != source)
            raw[region][at[mine]] = score(encoded, region, model, mine)
    return raw


def score(collection: Collection, region: str, model: Model, where: np.ndarray) -> np.ndarray:
    """Raw log-odds of those clips of `where`, bool (n,), as the detector gives them: the mean over runs."""
    return np.array(
        [
            raw_logit(sigmoid(float(model.log_odds(collection.cues[region][i], collection.conditions[i]).mean())))
            for i in np.flatnonzero(where)
        ]
    )


def fuse_out_of_source(
    raw: Mapping[str, np.ndarray],
    fake: np.ndarray,
    group: np.ndarray,
    encoded: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """P(fake) of each clip (n,), by calibrations that saw nothing of its source; NaN where there are no log-odds.

    With the log-odds of the re-encoded clips, P(fake) of these, by calibrations on the clips as they are.
    """
    fused = np.full(len(fake), np.nan)
    asked = encoded or raw
    known, wanted = (np.isfinite(next(iter(of.values()))) for of in (raw, asked))
    for source in np.unique(group[wanted]):
        other = known & (group != source)
        maps = {region: calibrate(raw[region][other], fake[other], group[other]) for region in raw}
        for i in np.flatnonzero(wanted & (group == source)):
            said = [Evidence(c.slope * asked[r][i] + c.intercept, 0.0, c.reliability) for r, c in maps.items()]
            fused[i] = fuse(said, REGIONS_ALIKE).fake
    return fused


def less_reference(collection: Collection, raw: np.ndarray) -> np.ndarray:
    """Raw log-odds (n,) less what the other genuine clips of the same origin score above usual, as the app takes it
    off; NaN where there are none.

    A clip's own twin is left out: it would be the answer and not a reference.
    """
    origin = np.array([clip.origin for clip in collection.clips])
    pair = np.array([clip.pair or str(i) for i, clip in enumerate(collection.clips)])
    usual = calibrate(raw, collection.fake, collection.group)
    less = np.full(len(raw), np.nan)
    for i in range(len(raw)):
        genuine = raw[(origin == origin[i]) & (pair != pair[i]) & ~collection.fake]
        if len(genuine):
            less[i] = raw[i] - source_offset([sigmoid(value) for value in genuine.tolist()], usual)
    return less


def calibrate(raw: np.ndarray, fake: np.ndarray, group: np.ndarray) -> Calibration:
    """Platt's map of raw log-odds (n,), NaN where there are none, of clips whose source the model had not seen."""
    known = np.isfinite(raw)
    raw, fake, group = raw[known], fake[known], group[known]
    return Calibration(
        **asdict(fit_platt(raw, fake, group)),
        real_logit=round(float(raw[~fake].mean()), 4),
        data="clips of many methods, one source left out at a time",
        n=len(raw),
        auc=round(auc(raw, fake), 2),
    )


def label(collection: Collection) -> Labels:
    """What the measures need to know of the clips."""
    return Labels(
        fake=collection.fake,
        group=collection.group,
        width_px=collection.width_px,
        family=np.array([clip.family for clip in collection.clips]),
        pair=np.array([clip.pair for clip in collection.clips]),
    )


def train(collection: Collection, encoded: Collection, cache: Path) -> None:
    """Chooses the recipe by its scores of sources left out, fits it to everything, and writes model, manifest entries
    and card; and into `cache` the scores of sources left out, as `benchmarks.evidence --out-of-fold` reads them.

    Args:
        encoded: the same clips re-encoded.
    """
    labels = label(collection)
    judged = {recipe: cross_validate(collection, recipe) for recipe in tqdm(RECIPES, desc="recipes")}
    tried = {recipe: measure(own.fused, labels) for recipe, own in judged.items()}
    plain = {recipe: measure(np.mean([*own.raw.values()], axis=0), labels)["pairs"] for recipe, own in judged.items()}
    tried = {recipe: found | {"pairs": plain[recipe]} for recipe, found in tried.items()}
    chosen = max(RECIPES, key=lambda recipe: sum(tried[recipe][name].value for name in CHOSEN_BY))
    raw = judged[chosen].raw
    less = {region: less_reference(collection, raw[region]) for region in REGIONS}
    everything = np.ones(len(collection.clips), bool)
    models = {region: fit(collection, region, chosen, everything) for region in REGIONS}
    calibrations = {region: calibrate(raw[region], collection.fake, collection.group) for region in REGIONS}
    referenced = {region: calibrate(less[region], collection.fake, collection.group) for region in REGIONS}

    save_file(tensors_of(models), MODEL)
    write_manifest(calibrations, referenced, {region: measure(expit(raw[region]), labels) for region in REGIONS})
    apart = {
        (id, ORIGINAL): fuse_out_of_source({region: raw[region]}, collection.fake, collection.group)
        for region, id in IDS.items()
    }
    write_out_of_fold(cache / "compact_out_of_fold.csv", collection.clips, apart)
    for id in IDS.values():
        remember(id, collection.clips)
    results = Results(
        collection=collection,
        labels=labels,
        tried={recipe.name: measures for recipe, measures in tried.items()},
        chosen=chosen.name,
        fused=judged[chosen].fused,
        raw=raw,
        encoded=after(collection, chosen, encoded),
        referenced=fuse_out_of_source(less, collection.fake, collection.group),
        calibrations=calibrations,
        with_reference=referenced,
        models=models,
    )
    CARD.write_text(write_card(results), encoding="utf-8")


def tensors_of(models: Mapping[str, Model]) -> dict[str, torch.Tensor]:
    """All regions for one file, float32."""
    return {
        f"{region}.{field.name}": torch.tensor(np.atleast_1d(getattr(model, field.name)), dtype=torch.float32)
        for region, model in models.items()
        for field in fields(Model)
    }


def write_manifest(
    calibrations: Mapping[str, Calibration],
    referenced: Mapping[str, Calibration],
    measured_by: Mapping[str, Mapping[str, Estimate]],
) -> None:
    """Puts an entry for each region first, and leaves all others as they are."""
    entries = {
        id: {
            "detector": "compact",
            "region": region,
            "source": "bundled",
            "files": [bundled_file("model", MODEL)],
            "licence": "Apache-2.0",
            "commercial_use": True,
            "auto_download": False,
            "trained_on": "clips of many methods (footage of third parties); see detectors/bundled/compact.md",
            "paper": "none",
            "input": {"runs": LOOK.frames, "run": RUN},
            "calibration": asdict(calibrations[region]),
            "referenced": asdict(referenced[region]),
            "measured": f"Clip AUC {measured_by[region]['auc']}, size-matched "
            f"{measured_by[region]['size_matched_auc']}, pairs {measured_by[region]['pairs']} (95 % intervals), on "
            f"{calibrations[region].n} clips of sources left out.",
        }
        for region, id in IDS.items()
    }
    put(entries)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    if has_config(arguments):
        return configured("compact", CompactConfig, train_from_cache, __doc__, arguments)
    parser = argparse.ArgumentParser(
        prog="python -m training.compact", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, required=True, help="CSV of labelled clips, read as the app reads them")
    parser.add_argument("--more", type=Path, required=True, help="CSV of labelled mini-clips")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the extracted crops and measured cues")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    clips, more = read_clips(given.clips), read_clips(given.more)
    look_at([*clips, *more], (ORIGINAL, WORSE), given.cache, Settings.from_env(os.environ))
    train(gather(clips, more, given.cache), gather(clips, more, given.cache, WORSE), given.cache)
    log.info("%s", CARD)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
