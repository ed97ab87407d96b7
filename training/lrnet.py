"""How the bundled LRNet was made: `extract` the landmarks of labelled clips, then `train` both streams on them.

    python -m training.lrnet extract --clips clips.csv --more more.csv --cache DIR
    TELLTALE_WEIGHTS=WEIGHTS python -m training.lrnet train --clips clips.csv --more more.csv --cache DIR

`--clips` are trained on and reported; `--more` are only trained on. `train` cross-validates with sources kept
together, writes the networks, their manifest entry with its calibration, and the model card beside them. The published
networks, which are measured beside ours and which ours begins from, are expected in the folder WEIGHTS.
"""

import argparse
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional
from tqdm import tqdm

from analysis.calibration import raw_logit
from core.errors import NotApplicable, WeightsError
from core.settings import ROOT, Settings
from core.types import Track
from core.weights import MANIFEST, Calibration, load_manifest, locate
from detectors.lrnet import BLOCK, MAX_IMPUTED, MAX_REPEATED, RATE_HZ, LRNet
from detectors.networks import load_checkpoint
from detectors.networks.lrnet import LRNet as Network
from training.clips import FORMS, MORE_FORMS, Clip, Collection, extract, gather, read_clips
from training.lrnet_card import Results, Scores, describe, write_card
from training.measures import Auc, apply, choose_bands, fit_platt, measure_auc
from training.out_of_fold import ORIGINAL, write_out_of_fold
from training.seen import remember

log = logging.getLogger(__name__)

ID = "lrnet/telltale"
PUBLISHED = ("lrnet/ffpp", "lrnet/dfo")
STUDIED = ("ffpp", "dfo")
"""Identities that begin so are of the footage which the published networks were trained on: no test of them."""
BASIS = "of many methods, none from FaceForensics++ or DeeperForensics"
BUNDLED = ROOT / "detectors" / "bundled"
CARD = BUNDLED / "lrnet.md"
NUMBERS = BUNDLED / "lrnet.json"
"""The bands that were chosen; they are the defaults of the settings."""

SEED = 2021
FOLDS = 5
BATCH = 64
SCALED_BY = 2000
"""Blocks from which the scale of the input is taken."""

# fmt: off
MIRRORED = np.array([
    16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
    26, 25, 24, 23, 22, 21, 20, 19, 18, 17,
    27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
])
# fmt: on
"""Which iBUG point each one becomes in a mirror."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to train: `more` with the clips that are only trained on; `start` names the weights it begins from."""

    name: str
    learning_rate: float
    more: bool = True
    start: str | None = None
    steps: int = 400


RECIPES = (
    Recipe("from lrnet/ffpp, all clips, gently", 1e-4, start="lrnet/ffpp"),
    Recipe("from lrnet/ffpp, all clips", 5e-4, start="lrnet/ffpp"),
    Recipe("from nothing, all clips", 1e-3),
    Recipe("from nothing, reported clips only", 1e-3, more=False),
)


def flip(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks (..., 68, 2) in crop units as a mirror shows them: x turned about, left and right points exchanged."""
    return np.asarray(landmarks[..., MIRRORED, :] * np.array([-1, 1], landmarks.dtype))


class Blocks:
    """Draws blocks of 30 frames such that neither class, no source and no clip dominates.

    Each class is drawn half of the time; within it a source as often as the root of its number of clips, and its
    clips alike; of a clip, any form, mirrored or not, from any frame on.
    """

    def __init__(self, tracks: Sequence[Sequence[Track]], fake: np.ndarray, group: np.ndarray) -> None:
        """tracks: per clip, those of its forms; fake bool (n,); group int (n,)."""
        begin = 0
        starts: list[list[np.ndarray]] = [[] for _ in tracks]
        for own, forms in zip(starts, tracks, strict=True):
            for track in forms:
                own.append(begin + readable_from(track))
                begin += len(track.calibrated)
        self._frames = np.concatenate([track.calibrated for forms in tracks for track in forms])
        self._starts = np.concatenate([start for own in starts for start in own])
        self._count = np.array([sum(map(len, own)) for own in starts])
        self._first = np.cumsum(self._count) - self._count
        self._fake = fake
        self._chance = _chances(fake, group, usable=self._count > 0)

    def draw(self, rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Landmarks float32 (count, 30, 136) and labels int64 (count,)."""
        clips = rng.choice(len(self._fake), size=count, p=self._chance)
        starts = self._starts[self._first[clips] + rng.integers(self._count[clips])]
        x = self._frames[starts[:, None] + np.arange(BLOCK)]
        mirrored = rng.random(count) < 0.5
        x[mirrored] = flip(x[mirrored])
        label = torch.from_numpy(self._fake[clips].astype(np.int64))
        return torch.from_numpy(x.reshape(count, BLOCK, -1)), label


def readable_from(track: Track) -> np.ndarray:
    """Positions at which a block can begin, int64 (k,): the detector's rules, but for how many blocks a clip needs."""
    low, high = RATE_HZ
    if not low <= track.quality.frame_rate_hz <= high or track.quality.repeated > MAX_REPEATED:
        return np.empty(0, np.int64)
    starts = np.concatenate([np.arange(s.start, s.stop - BLOCK + 1) for s in track.stretches()])
    lost = np.cumsum(np.concatenate([[0], ~track.seen]))
    return starts[lost[starts + BLOCK] - lost[starts] <= MAX_IMPUTED]


def _chances(fake: np.ndarray, group: np.ndarray, usable: np.ndarray) -> np.ndarray:
    chance = np.zeros(len(fake))
    for label in (False, True):
        for g in np.unique(group[usable & (fake == label)]):
            clips = usable & (fake == label) & (group == g)
            chance[clips] = 1 / np.sqrt(clips.sum())
        chance[fake == label] /= 2 * chance[fake == label].sum()
    return chance


def train_stream(network: Network, source: Blocks, recipe: Recipe, *, differences: bool) -> list[float]:
    """Trains one stream and leaves it in eval mode; gives its loss step by step. Adam, falling to nearly 0.

    It is trained on input scaled to mean 0 and deviation 1 per coordinate: the steps from frame to frame are so small
    that otherwise hundreds of epochs go by before anything is learnt.
    """
    rng = np.random.default_rng(SEED)

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, label = source.draw(rng, count)
        return (x[:, 1:] - x[:, :-1] if differences else x), label

    example, _ = draw(SCALED_BY)
    centre, scale = example.mean(dim=(0, 1)), example.std(dim=(0, 1))
    if recipe.start:
        take_in_scale(network, -centre / scale, 1 / scale)  # so that what it knows holds for scaled input
    optimiser = torch.optim.Adam(network.train().parameters(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, total_iters=recipe.steps)
    losses = []
    for _ in range(recipe.steps):
        x, label = draw(BATCH)
        loss = functional.cross_entropy(network((x - centre) / scale), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    take_in_scale(network, centre, scale)
    network.eval()
    return losses


@torch.no_grad()
def take_in_scale(network: Network, centre: torch.Tensor, scale: torch.Tensor) -> None:
    """Changes the first layer such that it answers to x as it did to (x - centre) / scale, both float32 (136,)."""
    for direction in ("", "_reverse"):
        weight = getattr(network.gru, f"weight_ih_l0{direction}")
        weight /= scale
        getattr(network.gru, f"bias_ih_l0{direction}").sub_(weight @ centre)


def begin(recipe: Recipe, role: str, settings: Settings) -> Network:
    """The network of a stream before training.

    Raises:
        WeightsError: the weights to begin from are not on this machine.
    """
    torch.manual_seed(SEED)
    network = Network()
    if recipe.start:
        path = locate(load_manifest()[recipe.start], settings)[role]
        published = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(load_checkpoint("lrnet", published).state_dict())
    return network


def train_streams(
    collection: Collection, recipe: Recipe, chosen: np.ndarray, folder: Path, settings: Settings
) -> dict[str, Path]:
    """Both streams, trained on those of the `chosen` clips, bool (n,), that the recipe takes; files in `folder`."""
    where = np.flatnonzero(chosen & (collection.measured | recipe.more))
    tracks = [list(collection.tracks(i).values()) for i in where]
    source = Blocks(tracks, collection.fake[where], collection.group[where])
    files = {role: folder / f"lrnet_{role}.safetensors" for role in ("g1", "g2")}
    for role, path in files.items():
        network = begin(recipe, role, settings)
        train_stream(network, source, recipe, differences=role == "g2")
        save_file(network.state_dict(), path)
    return files


def share_out(group: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """A fold for each clip, int (n,): whole groups, the largest first, each to the fold that has least of its kinds.

    Where folds differ in their shares of the classes, their networks' scores compare badly.

    Args:
        group: int (n,).
        kind: int (n,), from 0 on; what every fold should have its share of.
    """
    fold = np.empty(len(group), np.int64)
    members = kind[:, None] == np.arange(kind.max() + 1)
    held = np.zeros((FOLDS, members.shape[1]))
    numbers, counts = np.unique(group, return_counts=True)
    for g in numbers[np.argsort(-counts, kind="stable")]:
        brings = members[group == g].sum(axis=0) / members.sum(axis=0)
        target = int((held @ brings).argmin())
        fold[group == g] = target
        held[target] += brings
    return fold


def cross_validate(collection: Collection, recipe: Recipe, settings: Settings) -> Scores:
    """Each clip scored by networks that saw nothing of its source."""
    fold = share_out(collection.group, 2 * collection.measured + collection.fake)
    scores = _unscored(collection)
    for held_out in tqdm(range(FOLDS), desc=recipe.name):
        with tempfile.TemporaryDirectory() as folder:
            files = train_streams(collection, recipe, fold != held_out, Path(folder), settings)
            # Any entry serves: the detector reads its files and passes its id on.
            detector = LRNet(replace(load_manifest()[PUBLISHED[0]], id=ID), files, "cpu")
        _score(collection, detector, np.flatnonzero(fold == held_out), scores)
    return scores


def score_published(collection: Collection, settings: Settings) -> dict[str, Scores]:
    """The published sets that are on this machine."""
    found = {}
    for id in PUBLISHED:
        weights = load_manifest()[id]
        try:
            detector = LRNet(weights, locate(weights, settings), "cpu")
        except WeightsError as error:
            log.warning("%s is left out: %s", id, error)
            continue
        found[id] = _unscored(collection)
        _score(collection, detector, np.arange(len(collection.clips)), found[id])
    return found


def _unscored(collection: Collection) -> Scores:
    return {form: np.full(len(collection.clips), np.nan) for form in FORMS}


def _score(collection: Collection, detector: LRNet, which: np.ndarray, scores: Scores) -> None:
    for i in which:
        for form, track in collection.tracks(i).items():
            try:
                scores[form][i] = detector.score(track).overall
            except NotApplicable:
                continue


def calibrate(collection: Collection, scores: np.ndarray, which: np.ndarray) -> Calibration:
    """Platt's map of raw scores (n,), fitted on those clips of `which`, bool (n,), that have one."""
    which = which & np.isfinite(scores)
    logits, fake = np.array([raw_logit(s) for s in scores[which]]), collection.fake[which]
    platt = fit_platt(logits, fake, collection.group[which])
    return Calibration(
        **asdict(platt), real_logit=round(float(logits[~fake].mean()), 4), data=f"clips {BASIS}", n=int(which.sum())
    )


def measure(collection: Collection, scores: np.ndarray, which: np.ndarray) -> Auc:
    """The clip AUC over `which`, bool (n,)."""
    return measure_auc(scores[which], collection.fake[which], collection.group[which])


def train(collection: Collection, settings: Settings, cache: Path) -> None:
    """Chooses the recipe out of fold, trains on everything, and writes networks, bands, manifest and card.

    Below `cache`, also the out-of-fold scores for `python -m benchmarks.evidence`.
    """
    unstudied = collection.measured & ~np.array([c.identity.startswith(STUDIED) for c in collection.clips])
    tried = {recipe: cross_validate(collection, recipe, settings) for recipe in RECIPES}
    aucs = {recipe: measure(collection, scores["original"], unstudied) for recipe, scores in tried.items()}
    chosen = max(RECIPES, key=lambda recipe: aucs[recipe].value)
    files = train_streams(collection, chosen, np.ones(len(unstudied), bool), BUNDLED, settings)

    scores = {ID: tried[chosen]} | score_published(collection, settings)
    found = {id: measure(collection, by_form["original"], unstudied) for id, by_form in scores.items()}
    calibrations = {
        id: replace(calibrate(collection, s["original"], unstudied), auc=round(found[id].value, 2))
        for id, s in scores.items()
    }
    measured = {id: describe(auc, BASIS) for id, auc in found.items()}
    known = unstudied & np.isfinite(scores[ID]["original"])
    probability = apply(calibrations[ID], scores[ID]["original"])
    bands = choose_bands(probability[known], collection.fake[known])
    write_out_of_fold(cache / "out_of_fold.csv", collection.clips, {(ID, ORIGINAL): probability})

    write_manifest(sorted(found, key=lambda id: -found[id].value), files, calibrations, measured)
    remember_clips(collection.clips)
    NUMBERS.write_text(json.dumps({"bands": asdict(bands), "recipe": asdict(chosen), "seed": SEED}, indent=2) + "\n")
    results = Results(
        own=ID,
        collection=collection,
        tried={recipe.name: aucs[recipe] for recipe in RECIPES},
        chosen=chosen.name,
        seed=SEED,
        scores=scores,
        calibrations=calibrations,
        bands=bands,
        unstudied=unstudied,
    )
    CARD.write_text(write_card(results), encoding="utf-8")


def remember_clips(clips: Sequence[Clip]) -> None:
    """Ours were trained on all clips, the published sets on the footage that some of them show."""
    remember(ID, clips)
    for id in PUBLISHED:
        remember(id, [clip for clip in clips if clip.identity.startswith(STUDIED)])


def write_manifest(
    order: Sequence[str],
    files: Mapping[str, Path],
    calibrations: Mapping[str, Calibration],
    measured: Mapping[str, str],
) -> None:
    """Puts LRNet's entries first, in the order given, with what was found; leaves all others as they are."""
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    manifest[ID] = {
        "detector": "lrnet",
        "region": "entire",
        "source": "bundled",
        "files": [
            {
                "role": role,
                "name": path.name,
                "address": path.relative_to(ROOT).as_posix(),
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "bytes": path.stat().st_size,
            }
            for role, path in files.items()
        ],
        "licence": "MIT",
        "commercial_use": True,
        "auto_download": False,
        "trained_on": "many methods, on top of lrnet/ffpp (footage of third parties); see detectors/bundled/lrnet.md",
        "paper": "arXiv:2104.04480",
        "input": {"landmarks": "calibrated", "block": BLOCK, "fake_index": 1},
    }
    for id in order:
        manifest[id] |= {"calibration": asdict(calibrations[id]), "measured": measured[id]}
    manifest = {id: manifest[id] for id in [*order, *(id for id in manifest if id not in order)]}
    MANIFEST.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.lrnet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("extract", "train"))
    parser.add_argument("--clips", type=Path, required=True, help="CSV of labelled clips to train on and report")
    parser.add_argument("--more", type=Path, help="CSV of labelled clips to train on only")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the extracted landmarks")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    settings = Settings.from_env(os.environ)
    clips = read_clips(given.clips)
    more = read_clips(given.more) if given.more else []
    if given.command == "train":
        train(gather(clips, more, given.cache), settings, given.cache)
        log.info("%s", CARD)
        return 0
    failures = extract(clips, FORMS, given.cache, settings) + extract(more, MORE_FORMS, given.cache, settings)
    for name, form, reason in failures:
        log.warning("%s, %s: %s", name, form, reason)
    log.info("%d readings failed", len(failures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
