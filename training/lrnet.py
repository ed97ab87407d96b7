"""How the bundled LRNet was made: both streams are trained on the landmarks of labelled clips.

    TELLTALE_WEIGHTS=WEIGHTS python -m training.lrnet --clips clips.csv --more more.csv --cache DIR [--cues DIR]
    python -m training.lrnet --config configs/lrnet.yaml [key=value ...]

Both lists are trained on, and reported by networks that saw nothing of the source; those of `--more` are small and read
in fewer forms. What was read is kept in the cache, so a killed run goes on. Cross-validates with sources kept together,
writes the networks, their manifest entry with its calibration, and the model card beside them. The published networks,
which are measured beside ours and which ours begins from, are expected in the folder WEIGHTS. With `--config`, LRNet is
trained as published, from a cache of `python -m training.prepare` (`training/streams.py`).
"""

import argparse
import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

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
from core.weights import Calibration, load_manifest, locate
from detectors.lrnet import BLOCK, LRNet
from detectors.networks import load_checkpoint
from detectors.networks.lrnet import LRNet as Network
from training import movement
from training.blocks import Blocks
from training.clips import ALL_FORMS, FORMS, MORE_FORMS, SWEEP, Clip, Collection, extract, gather, read_clips
from training.lrnet_card import Results, Scores, describe, write_card
from training.manifest import bundled_file, put, read
from training.measures import Estimate, apply, choose_bands, fit_platt, measure, measure_auc
from training.out_of_fold import ORIGINAL, write_out_of_fold
from training.run import command, has_config
from training.seen import remember
from training.streams import METHOD, take_in_scale
from training.worst_groups import WorstGroups

log = logging.getLogger(__name__)

ID = "lrnet/telltale"
PUBLISHED = ("lrnet/ffpp", "lrnet/dfo")
STUDIED = ("ffpp", "dfo")
"""Identities that begin so are of the footage which the published networks were trained on: no test of them."""
BASIS = "of many methods, none known to be from FaceForensics++ or DeeperForensics"
BUNDLED = ROOT / "detectors" / "bundled"
CARD = BUNDLED / "lrnet.md"
NUMBERS = BUNDLED / "lrnet.json"
"""The bands that were chosen; they are the defaults of the settings."""

SEED = 2021
FOLDS = 5
BATCH = 64
WORST_STEP = 0.05
"""In 400 steps a group whose loss stays 0.2 above another's comes to weigh some ten times as much."""
SCALED_BY = 2000
"""Blocks from which the scale of the input is taken."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to train. `start` names the weights it begins from; `one_label` is the share of draws from sources that
    have clips of one label only, None for as many as they are; a source is drawn by the `power` of its clips; the loss
    is that of all blocks, or of the `worst` groups of source and label; `network` is what is trained, of which only
    LRNet can be bundled."""

    name: str
    learning_rate: float
    start: str | None = None
    one_label: float | None = None
    network: Literal["lrnet", "movement", "movement and cues"] = "lrnet"
    steps: int = 400
    power: float = 0.5
    worst: bool = False
    seed: int = SEED


RECIPES = (
    Recipe("from lrnet/ffpp", 1e-4, start="lrnet/ffpp"),
    Recipe("from lrnet/ffpp, labels of a source alike", 1e-4, start="lrnet/ffpp", one_label=0.25),
    Recipe("from lrnet/ffpp, groups alike", 1e-4, start="lrnet/ffpp", power=0.0),
    Recipe("from lrnet/ffpp, groups alike, worst groups most", 1e-4, start="lrnet/ffpp", power=0.0, worst=True),
    Recipe("from lrnet/dfo, groups alike, worst groups most", 1e-4, start="lrnet/dfo", power=0.0, worst=True),
    Recipe("from nothing, labels of a source alike", 1e-3, one_label=0.25),
    Recipe("convolutions over movement", 2e-3, network="movement"),
    Recipe("convolutions over movement, labels of a source alike", 2e-3, one_label=0.25, network="movement"),
)
WITH_CUES = Recipe(
    "convolutions over movement, beside cues, labels of a source alike", 2e-3, None, 0.25, "movement and cues"
)
CHOSEN_BY = "size_matched_auc"


def bundled() -> Recipe:
    """The one that was chosen."""
    return Recipe(**json.loads(NUMBERS.read_text(encoding="utf-8"))["recipe"])


def train_stream(network: Network, source: Blocks, recipe: Recipe, *, differences: bool) -> list[float]:
    """Trains one stream and leaves it in eval mode; gives its loss step by step. Adam, falling to nearly 0.

    It is trained on input scaled to mean 0 and deviation 1 per coordinate: the steps from frame to frame are so small
    that otherwise hundreds of epochs go by before anything is learnt.
    """
    rng = np.random.default_rng(recipe.seed)

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
        x, label, clips = source.draw(rng, count)
        return (x[:, 1:] - x[:, :-1] if differences else x), label, source.cell[clips]

    example, _, _ = draw(SCALED_BY)
    centre, scale = example.mean(dim=(0, 1)), example.std(dim=(0, 1))
    if recipe.start:
        take_in_scale(network, -centre / scale, 1 / scale)  # so that what it knows holds for scaled input
    optimiser = torch.optim.Adam(network.train().parameters(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, total_iters=recipe.steps)
    losses = []
    worst = WorstGroups(source.cell.max() + 1, WORST_STEP) if recipe.worst else None
    for _ in range(recipe.steps):
        x, label, cell = draw(BATCH)
        each = functional.cross_entropy(network((x - centre) / scale), label, reduction="none")
        loss = (each * torch.from_numpy(worst.weigh(each.detach().numpy(), cell))).sum() if worst else each.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    take_in_scale(network, centre, scale)
    network.eval()
    return losses


def begin(recipe: Recipe, role: str, settings: Settings) -> Network:
    """The network of a stream before training.

    Raises:
        WeightsError: the weights to begin from are not on this machine.
    """
    torch.manual_seed(recipe.seed)
    network = Network()
    if recipe.start:
        path = locate(load_manifest()[recipe.start], settings)[role]
        published = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(load_checkpoint("lrnet", published).state_dict())
    return network


def draws(collection: Collection, recipe: Recipe, where: np.ndarray) -> Blocks:
    """The blocks of the clips at these places, int (k,)."""
    tracks = [[track for form, track in collection.tracks(i).items() if form in FORMS] for i in where]
    return Blocks(tracks, collection.fake[where], collection.group[where], recipe.one_label, recipe.power)


def train_streams(
    collection: Collection, recipe: Recipe, chosen: np.ndarray, folder: Path, settings: Settings
) -> dict[str, Path]:
    """Both streams, trained on the `chosen` clips, bool (n,); files in `folder`."""
    source = draws(collection, recipe, np.flatnonzero(chosen))
    files = {role: folder / f"lrnet_{role}.safetensors" for role in ("g1", "g2")}
    for role, path in files.items():
        network = begin(recipe, role, settings)
        train_stream(network, source, recipe, differences=role == "g2")
        save_file(network.state_dict(), path)
    return files


def share_out(group: np.ndarray, kind: np.ndarray, seed: int | None = None) -> np.ndarray:
    """A fold for each clip, int (n,): whole groups, the largest first, each to the fold that has least of its kinds.

    Where folds differ in their shares of the classes, their networks' scores compare badly.

    Args:
        group: int (n,).
        kind: int (n,), from 0 on; what every fold should have its share of.
        seed: of the order in which groups of about the same size are taken; None for that of their numbers.
    """
    fold = np.empty(len(group), np.int64)
    members = kind[:, None] == np.arange(kind.max() + 1)
    held = np.zeros((FOLDS, members.shape[1]))
    numbers, counts = np.unique(group, return_counts=True)
    if seed is not None:
        counts = counts * np.random.default_rng(seed).uniform(0.5, 1.5, len(counts))
    for g in numbers[np.argsort(-counts, kind="stable")]:
        brings = members[group == g].sum(axis=0) / members.sum(axis=0)
        target = int((held @ brings).argmin())
        fold[group == g] = target
        held[target] += brings
    return fold


def cross_validate(
    collection: Collection, recipe: Recipe, settings: Settings, cues: np.ndarray, shared_out: int | None = None
) -> Scores:
    """Each clip scored by networks that saw nothing of its source; cues float (n, k) for recipes that read them,
    `shared_out` the seed of the folds."""
    fold = share_out(collection.group, 2 * collection.measured + collection.fake, shared_out)
    scores = _unscored(collection)
    if recipe.network != "movement and cues":
        cues = cues[:, :0]
    for held_out in tqdm(range(FOLDS), desc=recipe.name):
        if recipe.network == "lrnet":
            ask = learned(collection, recipe, fold != held_out, settings)
        else:
            where = np.flatnonzero(fold != held_out)
            model = movement.fit(
                draws(collection, recipe, where), cues[where], recipe.learning_rate, recipe.steps, seed=recipe.seed
            )

            def ask(i: int, track: Track, model: movement.Model = model) -> float:
                return model(track, cues[i])

        score(collection, ask, np.flatnonzero(fold == held_out), scores)
    return scores


def learned(
    collection: Collection, recipe: Recipe, chosen: np.ndarray, settings: Settings
) -> Callable[[int, Track], float]:
    """What LRNet says of a track when it was trained on the `chosen` clips, bool (n,)."""
    with tempfile.TemporaryDirectory() as folder:
        files = train_streams(collection, recipe, chosen, Path(folder), settings)
        # Any entry serves: the detector reads its files and passes its id on.
        return _asking(LRNet(replace(load_manifest()[PUBLISHED[0]], id=ID), files, "cpu"))


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
        score(collection, _asking(detector), np.arange(len(collection.clips)), found[id])
    return found


def _unscored(collection: Collection) -> Scores:
    forms = dict.fromkeys(form for readings in collection.readings for form in readings)
    return {form: np.full(len(collection.clips), np.nan) for form in forms}


def _asking(detector: LRNet) -> Callable[[int, Track], float]:
    return lambda _, track: detector.score(track).overall


def score(collection: Collection, ask: Callable[[int, Track], float], which: np.ndarray, scores: Scores) -> None:
    """Puts in what is said of the clips at these places, int (k,), in each of their forms."""
    for i in which:
        for form, track in collection.tracks(i).items():
            try:
                scores[form][i] = ask(i, track)
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


def calibrated(
    collection: Collection, scores: np.ndarray, which: np.ndarray, encoded: np.ndarray | None = None
) -> np.ndarray:
    """P(fake) (n,) of raw scores (n,), each by a calibration on those clips of `which` that are of other sources; with
    the scores of the re-encoded clips, of these."""
    asked = scores if encoded is None else encoded
    probability = np.full(len(scores), np.nan)
    for source in np.unique(collection.group):
        own = (collection.group == source) & np.isfinite(asked)
        probability[own] = apply(calibrate(collection, scores, which & (collection.group != source)), asked[own])
    return probability


def compare(collection: Collection, scores: Scores, which: np.ndarray) -> dict[str, Estimate]:
    """Every measure of raw scores over the clips of `which`, bool (n,), as they are; ECE after calibration."""
    labels = collection.labels.take(which)
    raw, probability = scores[ORIGINAL], calibrated(collection, scores[ORIGINAL], which)
    return measure(raw[which], labels) | {"ece": measure(probability[which], labels)["ece"]}


def train(collection: Collection, settings: Settings, cache: Path, cues: np.ndarray) -> None:
    """Chooses the recipe out of fold, trains on everything, and writes networks, bands, manifest and card.

    Below `cache`, also the out-of-fold scores for `python -m benchmarks.evidence`.

    Args:
        cues: float (n, k), to try them too; k 0 where they are not to be tried.
    """
    kept = unstudied(collection.clips)
    labels = collection.labels
    tried, found = {}, {}
    for recipe in (*RECIPES, WITH_CUES) if cues.size else RECIPES:
        tried[recipe] = cross_validate(collection, recipe, settings, cues)
        found[recipe] = compare(collection, tried[recipe], kept)
        log.info("%s: %s", recipe.name, ", ".join(f"{name} {value}" for name, value in found[recipe].items()))
    bundleable = [recipe for recipe in RECIPES if recipe.network == "lrnet"]
    chosen = max(bundleable, key=lambda recipe: found[recipe][CHOSEN_BY].value)
    files = train_streams(collection, chosen, np.ones(len(kept), bool), BUNDLED, settings)

    scores = {ID: tried[chosen]} | score_published(collection, settings)
    aucs = {id: measure_auc(s[ORIGINAL][kept], labels.fake[kept], labels.group[kept]) for id, s in scores.items()}
    calibrations = {
        id: replace(calibrate(collection, s[ORIGINAL], kept), auc=round(aucs[id].value, 2)) for id, s in scores.items()
    }
    probabilities = {id: calibrated(collection, s[ORIGINAL], kept) for id, s in scores.items()}
    known = kept & np.isfinite(probabilities[ID])
    bands = choose_bands(probabilities[ID][known], collection.fake[known])
    apart = {
        (ID, form): calibrated(collection, scores[ID][ORIGINAL], kept, scores[ID][form]) for form in (ORIGINAL, *SWEEP)
    }
    write_out_of_fold(cache / "lrnet_out_of_fold.csv", collection.clips, apart)

    measured = {id: describe(auc, BASIS) for id, auc in aucs.items()}
    measured[ID] += " Its recipe was chosen by these very sources left out, which flatters it: see its model card."
    write_manifest(sorted(aucs, key=lambda id: -aucs[id].value), files, calibrations, measured)
    remember_clips(collection.clips)
    NUMBERS.write_text(json.dumps({"bands": asdict(bands), "recipe": asdict(chosen), "seed": SEED}, indent=2) + "\n")
    results = Results(
        own=ID,
        collection=collection,
        tried={recipe.name: measures for recipe, measures in found.items()},
        chosen=chosen.name,
        seed=SEED,
        scores=scores,
        probabilities=probabilities,
        calibrations=calibrations,
        bands=bands,
        unstudied=kept,
    )
    CARD.write_text(write_card(results), encoding="utf-8")


def unstudied(clips: Sequence[Clip]) -> np.ndarray:
    """bool (n,): those that are not known to be of the footage the published networks were trained on."""
    return ~np.array([clip.identity.startswith(STUDIED) for clip in clips])


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
    entries = read()
    entries[ID] = {
        "detector": "lrnet",
        "region": "entire",
        "source": "bundled",
        "files": [bundled_file(role, path) for role, path in files.items()],
        "licence": "MIT",
        "commercial_use": True,
        "auto_download": False,
        "trained_on": "many methods, on top of lrnet/ffpp (footage of third parties); see detectors/bundled/lrnet.md",
        "paper": "arXiv:2104.04480",
        "input": {"landmarks": "calibrated", "block": BLOCK, "fake_index": 1},
    }
    put({id: entries[id] | {"calibration": asdict(calibrations[id]), "measured": measured[id]} for id in order})


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    if has_config(arguments):
        return command(METHOD, __doc__, arguments)
    parser = argparse.ArgumentParser(
        prog="python -m training.lrnet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, required=True, help="CSV of labelled clips")
    parser.add_argument("--more", type=Path, help="CSV of labelled clips that are small")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the extracted landmarks")
    parser.add_argument(
        "--cues", type=Path, help="folder of training.compact's crops, to try their cues beside movement"
    )
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    settings = Settings.from_env(os.environ)
    clips = read_clips(given.clips)
    more = read_clips(given.more) if given.more else []
    extract(clips, ALL_FORMS, given.cache, settings)
    extract(more, MORE_FORMS, given.cache, settings)
    everything = [*clips, *more]
    cues = movement.read_cues(everything, given.cues) if given.cues else np.empty((len(everything), 0))
    train(gather(clips, more, given.cache), settings, given.cache, cues)
    log.info("%s", CARD)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
