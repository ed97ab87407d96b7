"""What was tried beyond the bundled recipes: losses for the worst group, several seeds, many frames, and stacking.

    TELLTALE_WEIGHTS=WEIGHTS python -m training.study STUDY --clips clips.csv --more more.csv \\
        --faces faces.csv --start LITE0.pth --cache DIR

The studies are `texture`, `frames`, `fine`, `lrnet`, `stack`, and `verdict`, which needs what `training.lrnet` and
`training.texture` left in the same cache, as `lrnet` and `stack` need the former. Sources that are judged were left
out, as for the model cards. Prints a table and keeps it in DIR; no weights are changed. What was done is kept there
too, so a killed run goes on.
"""

import argparse
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from scipy.special import expit, logit
from tqdm import tqdm

from analysis.calibration import UNCALIBRATED, Evidence
from analysis.fusion import fuse_methods
from core.settings import Settings
from core.types import Track
from core.weights import load_manifest
from detectors.cues import runs
from detectors.networks.texture import WIDTH, Trunk
from detectors.networks.texture import Texture as Network
from detectors.texture import on_canvas, picture
from preprocessing.regions import REGIONS
from training import compact, cues, lrnet, texture
from training.cards import confounds, families, survival
from training.clips import (
    ALL_FORMS,
    SWEEP,
    WORSE,
    Clip,
    Collection,
    facts,
    gather,
    labels_of,
    load,
    read_clips,
    write_whole,
)
from training.compact import balance, fuse_out_of_source, logistic
from training.cues import LOOK
from training.lrnet import FOLDS, share_out
from training.measures import Labels, auc, measure, measure_auc, measure_change, tabulate
from training.out_of_fold import ORIGINAL, read_out_of_fold
from training.texture import MOST_FRAMES, Pictures, Portrait, Rows, Samples

log = logging.getLogger(__name__)

FORMS = texture.SEEN
NOW = texture.Recipe(200, "against", "synthesis")
"""The bundled recipe."""
COMPACT = next(one for one in compact.RECIPES if one.weights == "signed" and one.conditions)
"""The bundled one, too."""
FAMILIES = ("face_swap", "reenactment", "talking_head", "lip_sync")


@dataclass(frozen=True, slots=True)
class Data:
    """The clips of both lists, and where everything is."""

    clips: Sequence[Clip]
    whole: int
    """How many of them, the first, are whole clips."""
    labels: Labels
    faces: Path
    start: Path
    cache: Path
    seeds: int
    settings: Settings

    def once(self, name: str, work: Callable[[], np.ndarray]) -> np.ndarray:
        """What `work` gives, from the cache where it was done before."""
        file = self.cache / "study" / f"{name.replace('/', ' ')}.npy"
        if not file.exists():
            made = work()
            write_whole(file, lambda stream: np.save(stream, made))
        return np.asarray(np.load(file))

    def track(self, i: int) -> Track | None:
        """None where there is none, or nothing to see."""
        track = load(self.cache, self.clips[i], ORIGINAL, [LOOK])
        return track if isinstance(track, Track) and texture.portraits_of(track) else None


def study_texture(data: Data) -> str:
    """Losses and rows; the bundled recipe also with further seeds of the fakes and of the trunk."""
    recipes = [replace(NOW, rows=rows, loss=loss) for rows in texture.ROWS for loss in ("weighed", "groups", "worst")]
    raw: dict[str, list[np.ndarray]] = {}
    for seed in range(texture.SEED, texture.SEED + data.seeds):
        samples = cache(partial(sample, data, seed))
        for recipe in recipes if seed == texture.SEED else [NOW]:
            file = f"texture {recipe.rows} {recipe.loss} {seed}"
            found = data.once(file, partial(judge, data.labels, recipe, samples))
            raw.setdefault(f"fitted to {recipe.rows}, {LOSSES[recipe.loss]}", []).append(found)
    now = raw[f"fitted to {NOW.rows}, {LOSSES[NOW.loss]}"]
    return table(raw, data.labels) + "\n\n" + survives({"texture": now}, data.labels)


def judge(labels: Labels, recipe: texture.Recipe, given: Callable[[], Samples]) -> np.ndarray:
    """Log-odds (forms, n, 5) of the clips in all FORMS."""
    return np.stack([*texture.judge(given(), recipe, labels).raw.values()])


LOSSES = {"weighed": "weighed as now", "groups": "groups alike", "worst": "worst groups most"}


def trunk_of(data: Data, seed: int, made: Mapping[str, Pictures]) -> Trunk:
    """The bundled one for the first seed, else one that is trained in the same way."""
    if seed == texture.SEED:
        network = Network()
        network.load_state_dict(load_file(texture.MODEL))
        return network.trunk.eval()
    return texture.open_trunk(NOW.steps, data.start, made["photographed"], data.cache, seed)


def sample(data: Data, seed: int) -> Samples:
    """What is fitted and judged."""
    torch.set_num_threads(1)
    made = texture.kept(
        data.cache / f"study_made_{seed}.npz", lambda: texture.make(data.clips, data.faces, data.cache, seed)
    )
    shown = texture.kept(
        data.cache / "texture_clips.npz",
        lambda: texture.show(data.clips[: data.whole], data.clips[data.whole :], data.cache),
    )
    return texture.sample(shown | made, trunk_of(data, seed, made), data.labels)


def study_frames(data: Data) -> str:
    """The bundled recipe on every frame of every run, and what changes within runs."""
    trunk = trunk_of(data, texture.SEED, {})
    pictures = texture.kept(
        data.cache / f"study_made_{texture.SEED}.npz", partial(texture.make, data.clips, data.faces, data.cache)
    )
    made = texture.rows_made({n: texture.features(trunk, of) for n, of in pictures.items()}, pictures, data.labels)
    frames = every_frame(data, trunk)
    fold = share_out(data.labels.group, data.labels.fake.astype(int))
    pools: dict[str, Callable[[np.ndarray], float]] = {
        f"mean of {MOST_FRAMES} frames (now)": lambda said: said[:MOST_FRAMES, 0].mean(),
        "mean of all frames": lambda said: said.mean(),
        "nine tenths of all frames below": lambda said: np.quantile(said, 0.9),
        "middle of all frames": lambda said: np.median(said),
        "least of the runs": lambda said: said.mean(axis=1).min(),
        "most of the runs": lambda said: said.mean(axis=1).max(),
    }
    raw = {name: np.full((1, len(fold), len(REGIONS)), np.nan) for name in pools}
    view = texture.VIEWS.index(NOW.view)
    for held_out in range(FOLDS):
        allowed = np.ones(made.group.max() + 1, bool)
        allowed[data.labels.group[fold == held_out]] = False
        rows = texture.rows_of(NOW.rows, made, made, allowed)
        for region in range(len(REGIONS)):
            weight, bias = texture.fit(rows, view, region)
            for i in np.flatnonzero(fold == held_out):
                if len(frames[i]):
                    said = frames[i][:, :, region, view] @ weight + bias
                    for name, pool in pools.items():
                        raw[name][0, i, region] = pool(said)
    changes = np.stack([np.log(np.abs(np.diff(of, axis=1)).mean(axis=(0, 1)) + 1e-3) for of in frames])
    known = np.isfinite(changes).all(axis=(1, 2, 3))
    fake, group = data.labels.fake[known], data.labels.group[known]
    own = Rows(changes[known].astype(np.float32), fake, group, balance(fake, group))
    for loss, name in LOSSES.items():
        said = np.full((1, len(fold), len(REGIONS)), np.nan)
        recipe = replace(NOW, rows="clips", loss=loss)
        (said[0, known],) = texture.cross_validate(recipe, [changes[known]], own, made, fold[known])
        raw[f"changes from frame to frame, fitted to clips, {name}"] = said
    plain, moving = (raw[name][0].mean(axis=1) for name in (next(iter(pools)), [*raw][-3]))
    beside = texture.stacked({"now": plain, "changes": moving}, data.labels.fake, data.labels.group)
    raw["the first beside changes, stacked"] = logit(beside)[None, :, None]
    return table({name: [found] for name, found in raw.items()}, data.labels)


def every_frame(data: Data, trunk: Trunk) -> list[np.ndarray]:
    """What is found in every frame of every run of each clip: float32 (runs, RUN, 5, 2, WIDTH)."""
    found = []
    for i in tqdm(range(len(data.clips)), desc="frames", mininterval=10):

        def work(i: int = i) -> np.ndarray:
            track = data.track(i)
            if track is None:
                return np.empty((0, 1, len(REGIONS), len(texture.VIEWS), WIDTH), np.float32)
            crops = track.crops[LOOK]
            run = np.stack(runs(track, crops))
            faces = (
                Portrait(crops.images[k], on_canvas(track.landmarks[crops.index[k]], crops.to_frame[k]))
                for k in run.ravel()
            )
            pictures = texture.gathered([(*picture(face.image, face.landmarks), i) for face in faces])
            return texture.features(trunk, pictures).reshape(*run.shape, len(REGIONS), len(texture.VIEWS), WIDTH)

        found.append(data.once(f"frames {data.clips[i].sha256[:24]}", work))
    return found


def study_fine(data: Data) -> str:
    """The bundled recipe on faces of 128 px in place of 64, of the clips whose faces have as many."""
    fold = share_out(data.labels.group, data.labels.fake.astype(int))
    wide = data.labels.width_px >= texture.CANVAS.size_px / 2
    raw: dict[str, list[np.ndarray]] = {}
    for side in (texture.SIZE_PX, texture.CANVAS.size_px):
        made = texture.kept(
            data.cache / (f"study_made_{texture.SEED}{'' if side == texture.SIZE_PX else f'_{side}'}.npz"),
            partial(texture.make, data.clips, data.faces, data.cache, side=side),
        )
        pictures = []
        for i in np.flatnonzero(wide):
            if track := data.track(int(i)):
                pictures += [(*picture(f.image, f.landmarks, side), i) for f in texture.portraits_of(track)]
        shown = texture.gathered(pictures)
        for name, trunk in (
            ("bundled trunk", trunk_of(data, texture.SEED, {})),
            ("ImageNet trunk", texture.open_trunk(0, data.start, shown, data.cache)),
        ):

            def work(made: dict[str, Pictures] = made, shown: Pictures = shown, trunk: Trunk = trunk) -> np.ndarray:
                rows = texture.rows_made({n: texture.features(trunk, of) for n, of in made.items()}, made, data.labels)
                seen = texture.mean_of(texture.features(trunk, shown), shown.of, len(fold))
                own = Rows(seen, data.labels.fake, data.labels.group, np.ones(len(fold)))
                return np.stack(texture.cross_validate(NOW, [seen], own, rows, fold))

            raw[f"{name}, faces of {side // 2} px"] = [data.once(f"fine {name} {side}", work)]
    return table(raw, data.labels)


def study_lrnet(data: Data) -> str:
    """What seeds and the folds differ by: the plainest recipe and the bundled one."""
    collection = gather(data.clips[: data.whole], data.clips[data.whole :], data.cache)
    raw: dict[str, list[np.ndarray]] = {}
    for recipe in (lrnet.RECIPES[0], lrnet.bundled()):
        for said in by_seed(data, collection, recipe):
            found = logit(np.clip(said, 0.001, 0.999))[..., None]
            raw.setdefault(recipe.name, []).append(np.where(lrnet.unstudied(data.clips)[:, None], found, np.nan))
    return table(raw, data.labels) + "\n\n" + survives(raw, data.labels)


def by_seed(data: Data, collection: Collection, recipe: lrnet.Recipe) -> list[np.ndarray]:
    """Scores (forms, n) of sources left out, for each seed: of the network, and of the folds but for the first."""

    def work(seed: int) -> np.ndarray:
        cues, folds = np.empty((len(data.clips), 0)), None if seed == lrnet.SEED else seed
        scores = lrnet.cross_validate(collection, replace(recipe, seed=seed), data.settings, cues, folds)
        return np.stack([scores[form] for form in FORMS])

    seeds = range(lrnet.SEED, lrnet.SEED + data.seeds)
    return [data.once(f"lrnet {recipe.name} {seed}", partial(work, seed)) for seed in seeds]


def study_stack(data: Data) -> str:
    """LRNet, texture and compact by linear models of their log-odds, all with the same folds, two of which are left
    out wherever a stack is fitted: neither it nor what it reads has seen the source."""
    labels = data.labels
    fold = share_out(labels.group, labels.fake.astype(int))
    left_out = [frozenset(some) for count in (1, 2) for some in combinations(range(FOLDS), count)]
    methods: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "texture": _texture_asked(data),
        "compact": _compact_asked(data),
        "lrnet": _lrnet_asked(data),
    }
    said: dict[str, dict[frozenset[int], np.ndarray]] = {}
    for name, ask in methods.items():
        said[name] = {
            some: data.once(f"stack {name} {sorted(some)}", partial(ask, np.isin(fold, [*some])))
            for some in tqdm(left_out, desc=name)
        }
    raw = {name: alone(by, fold) for name, by in said.items()}
    for count in (2, 3):
        for names in combinations(said, count):
            raw[" + ".join(names)] = nested([said[name] for name in names], labels, fold)
    return table({name: [found[None, :, None]] for name, found in raw.items()}, labels)


LeftOut = Mapping[frozenset[int], np.ndarray]
"""Log-odds (n,) of all clips by a method that was fitted without one fold or without two."""


def alone(said: LeftOut, fold: np.ndarray) -> np.ndarray:
    """Log-odds (n,) of each clip by the method without its fold, int (n,)."""
    return np.select([fold == k for k in range(FOLDS)], [said[frozenset([k])] for k in range(FOLDS)])


def nested(said: Sequence[LeftOut], labels: Labels, fold: np.ndarray) -> np.ndarray:
    """Log-odds (n,) by a linear model of several methods that saw nothing of the clip's fold, and was fitted to what
    they say of clips whose folds were left out too; a method that does not know a clip counts as usual."""
    stack = np.full(len(fold), np.nan)
    folds = range(FOLDS)
    for k in folds:
        own = fold == k
        inner = np.stack([np.select([fold == j for j in folds], [by[frozenset([j, k])] for j in folds]) for by in said])
        outer = np.stack([by[frozenset([k])] for by in said])
        centre = np.nanmean(inner[:, ~own], axis=1, keepdims=True)
        spread = np.nanstd(inner[:, ~own], axis=1, keepdims=True) + 1e-6
        x, y = (np.nan_to_num((of - centre) / spread).T for of in (inner[:, ~own], outer[:, own]))
        weight = balance(labels.fake[~own], labels.group[~own])
        beta, bias = logistic(x, labels.fake[~own], weight, texture.STACK_RIDGE, None)
        stack[own] = np.where(np.isfinite(outer[:, own]).any(axis=0), y @ beta + bias, np.nan)
    return stack


def _texture_asked(data: Data) -> Callable[[np.ndarray], np.ndarray]:
    """Gives log-odds (n,) by the bundled recipe without the clips of a mask, bool (n,); so do the next two."""
    samples = sample(data, texture.SEED)
    view = texture.VIEWS.index(NOW.view)

    def ask(without: np.ndarray) -> np.ndarray:
        allowed = np.ones(samples.made.group.max() + 1, bool)
        allowed[data.labels.group[without]] = False
        rows = texture.rows_of(NOW.rows, samples.clips, samples.made, allowed)
        fitted = [texture.fit(rows, view, region) for region in range(len(REGIONS))]
        seen = samples.seen[ORIGINAL]
        return np.mean([seen[:, i, view] @ weight + bias for i, (weight, bias) in enumerate(fitted)], axis=0)

    return ask


def _compact_asked(data: Data) -> Callable[[np.ndarray], np.ndarray]:
    collection = cues.gather(data.clips[: data.whole], data.clips[data.whole :], data.cache)
    place = {clip.sha256: i for i, clip in enumerate(data.clips)}
    at = np.array([place[clip.sha256] for clip in collection.clips])
    everything = np.ones(len(at), bool)

    def ask(without: np.ndarray) -> np.ndarray:
        said = np.full(len(data.clips), np.nan)
        models = {region: compact.fit(collection, region, COMPACT, ~without[at]) for region in REGIONS}
        said[at] = np.mean(
            [compact.score(collection, region, model, everything) for region, model in models.items()], axis=0
        )
        return said

    return ask


def _lrnet_asked(data: Data) -> Callable[[np.ndarray], np.ndarray]:
    collection = gather(data.clips[: data.whole], data.clips[data.whole :], data.cache)
    recipe = lrnet.bundled()

    def ask(without: np.ndarray) -> np.ndarray:
        said = {form: np.full(len(data.clips), np.nan) for form in ALL_FORMS}
        says = lrnet.learned(collection, recipe, ~without, data.settings)
        lrnet.score(collection, says, np.arange(len(data.clips)), said)
        return np.where(lrnet.unstudied(data.clips), logit(np.clip(said[ORIGINAL], 0.001, 0.999)), np.nan)

    return ask


def study_verdict(data: Data) -> str:
    """The verdict of an analysis with nothing chosen, fused as in the app from the scores of sources left out, as the
    clips are and re-encoded."""
    labels, manifest = data.labels, load_manifest()
    given = {name: read_out_of_fold(data.cache / f"{name}_out_of_fold.csv") for name in ("lrnet", "texture")}
    ways = {"verdict": ("lrnet", "texture"), "lrnet": ("lrnet",), "texture": ("texture",)}
    raw = {name: np.full((len(FORMS), len(data.clips), 1), np.nan) for name in ways}
    for k, form in enumerate(FORMS):
        by_detector: dict[str, list[tuple[float, np.ndarray]]] = {}
        for name, of_all in given.items():
            for (id, of), scores in of_all.items():
                if of == form:
                    calibration = manifest[id].calibration
                    fake = np.array([scores[clip.sha256] for clip in data.clips], float)
                    weight = calibration.reliability if calibration else UNCALIBRATED.reliability
                    by_detector.setdefault(name, []).append((weight, logit(np.clip(fake, 0.001, 0.999))))
        for name, which in ways.items():
            raw[name][k, :, 0] = fused({one: by_detector[one] for one in which})
        if form == ORIGINAL:
            plain = by_detector
    once = {name: [of] for name, of in raw.items()}
    whole = {n: [np.where(np.arange(len(data.clips))[:, None] < data.whole, of, np.nan)] for n, of in raw.items()}
    rows = tabulate({name: expit(of[0, :, 0]) for name, of in raw.items()}, labels, confounds(data.clips))
    parts = [families(rows, "verdict"), survives(once, labels), f"The {data.whole} whole clips alone:"]
    parts += [survives(whole, labels, form) for form in SWEEP]
    lines = ["| form | genuine | with strong signs | manipulated | with strong signs |", "| --- |" + " --- |" * 4]
    for form, of in zip(FORMS, raw["verdict"], strict=True):
        counts = []
        for kind in (~labels.fake, labels.fake):
            mine = expit(of[kind & np.isfinite(of[:, 0]), 0])
            counts += [len(mine), int((mine >= data.settings.strong_signs).sum())]
        lines.append(f"| {form} | {' | '.join(map(str, counts))} |")
    return "\n\n".join([*parts, ranges(data, raw), "\n".join(lines), other_folds(data, plain)])


def other_folds(data: Data, by_detector: Mapping[str, Sequence[tuple[float, np.ndarray]]]) -> str:
    """The verdict where LRNet's scores are by networks with other folds, each calibrated on the other sources."""
    collection = gather(data.clips[: data.whole], data.clips[data.whole :], data.cache)
    ((weight, _),) = by_detector["lrnet"]
    lines = ["| folds of LRNet | LRNet | verdict | size-matched | strong signs, genuine and manipulated |"]
    lines.append("| --- |" + " --- |" * 4)
    for number, said in enumerate(by_seed(data, collection, lrnet.bundled()), start=1):
        own = logit(np.clip(lrnet.calibrated(collection, said[0], lrnet.unstudied(data.clips)), 0.001, 0.999))
        fake = expit(fused(dict(by_detector) | {"lrnet": [(weight, own)]}))
        found = measure(fake, data.labels)
        strong = fake >= data.settings.strong_signs
        counts = f"{int((strong & ~data.labels.fake).sum())}, {int((strong & data.labels.fake).sum())}"
        alone = measure(expit(own), data.labels)["auc"]
        lines.append(f"| {number} | {alone} | {found['auc']} | {found['size_matched_auc']} | {counts} |")
    return "\n".join(lines)


def fused(by_detector: Mapping[str, Sequence[tuple[float, np.ndarray]]]) -> np.ndarray:
    """Log-odds (n,) of the verdict, from weight and log-odds (n,) of each detector's sets; NaN where none was heard."""
    found = np.full(len(next(iter(by_detector.values()))[0][1]), np.nan)
    for i in range(len(found)):
        heard = {
            name: [Evidence(float(of[i]), 0.0, weight) for weight, of in sets]
            for name, sets in by_detector.items()
            if np.isfinite(sets[0][1][i])
        }
        if heard:
            found[i] = fuse_methods(heard).logit
    return found


def ranges(data: Data, raw: Mapping[str, np.ndarray]) -> str:
    """AUC of log-odds (forms, n, 1) of the clips as they are within thirds of what a file shows before it is judged."""
    labels = data.labels
    bytes_per_px, rate_hz = np.array([facts(clip) for clip in data.clips]).T
    lines = ["| scores | within thirds of | lowest | middle | highest |", "| --- |" + " --- |" * 4]
    for name, (plain, *_) in raw.items():
        for of, values in (("face width", labels.width_px), ("bytes per pixel", bytes_per_px), ("frame rate", rate_hz)):
            third = np.digitize(values, np.nanquantile(values, [1 / 3, 2 / 3])) + 3 * np.isnan(values)
            found = [
                measure_auc(np.where(third == k, plain[:, 0], np.nan), labels.fake, labels.group) for k in range(3)
            ]
            lines.append(f"| {name} | {of} | {' | '.join(map(str, found))} |")
    return "\n".join(lines)


def table(raw: Mapping[str, Sequence[np.ndarray]], labels: Labels) -> str:
    """From log-odds (forms, n, regions) of several seeds by recipe, the first being what the others are held against.

    Every number is the mean over seeds, with the least and the most; the change is that of the AUC of log-odds averaged
    over regions, of the first seed, with its interval. All but pairs and the change are of scores calibrated on the
    other sources.
    """
    lines = [
        "| recipe | clips | AUC | size-matched AUC | pairs | ECE | "
        + " | ".join(family.replace("_", " ") for family in FAMILIES)
        + " | change of the AUC |",
        "| --- |" + " --- |" * (6 + len(FAMILIES)),
    ]
    first: np.ndarray | None = None
    for name, seeds in raw.items():
        columns: dict[str, list[float]] = {}
        for found in seeds:
            mean = found[0].mean(axis=1)
            by_region = {str(i): found[0][:, i] for i in range(found.shape[2])}
            fused = fuse_out_of_source(by_region, labels.fake, labels.group)
            measures = measure(fused, labels, resamples=1)
            pairs = measure(expit(mean), labels, resamples=1)["pairs"].value
            columns.setdefault("auc", []).append(measures["auc"].value)
            columns.setdefault("matched", []).append(measures["size_matched_auc"].value)
            columns.setdefault("pairs", []).append(pairs)
            columns.setdefault("ece", []).append(measures["ece"].value)
            for family in FAMILIES:
                which = ~labels.fake | (labels.family == family)
                columns.setdefault(family, []).append(auc(fused[which], labels.fake[which]))
        mean = seeds[0][0].mean(axis=1)
        change = "" if first is None else str(measure_change(first, mean, labels))
        first = mean if first is None else first
        count = int(np.isfinite(mean).sum())
        lines.append(f"| {name} | {count} | {' | '.join(spread(values) for values in columns.values())} | {change} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """Their mean, and the least and the most where there are several."""
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f} to {max(values):.2f})"


def survives(raw: Mapping[str, Sequence[np.ndarray]], labels: Labels, form: str = WORSE) -> str:
    """What re-encoding costs by family, seeds averaged."""
    forms = 0, FORMS.index(form)
    mean = {name: np.mean([found.mean(axis=2) for found in seeds], axis=0) for name, seeds in raw.items()}
    return f"After {form}:\n\n" + survival({name: (of[forms[0]], of[forms[1]]) for name, of in mean.items()}, labels)


STUDIES = {
    "texture": study_texture,
    "frames": study_frames,
    "lrnet": study_lrnet,
    "fine": study_fine,
    "stack": study_stack,
    "verdict": study_verdict,
}


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--clips", type=Path, required=True, help="CSV of labelled clips")
    parser.add_argument("--more", type=Path, required=True, help="CSV of labelled mini-clips")
    parser.add_argument("--faces", type=Path, required=True, help="CSV of photographs of faces")
    parser.add_argument("--start", type=Path, required=True, help="EfficientNet-Lite0's ImageNet weights")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the extracted crops; results go there too")
    parser.add_argument("--seeds", type=int, default=3, help="of the studies of texture and of LRNet")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    whole, more = read_clips(given.clips), read_clips(given.more)
    clips = [*whole, *more]
    data = Data(
        clips=clips,
        whole=len(whole),
        labels=labels_of(clips),
        faces=given.faces,
        start=given.start,
        cache=given.cache,
        seeds=given.seeds,
        settings=Settings.from_env(os.environ),
    )
    texture.look_at_both(whole, more, data.cache)
    tables = STUDIES[given.study](data)
    (given.cache / f"study_{given.study}.md").write_text(tables + "\n", encoding="utf-8")
    log.info("%s", tables)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
