"""From a finished training into the app: what was trained is checked, calibrated and entered in the manifest.

    python -m training.export RUN --id DETECTOR/NAME[/REGION] --licence NAME --calibrate LIST.csv

RUN is the folder that a training wrote. Refused is what does not look trained, does not fit its detector, or answers
otherwise in ONNX Runtime than in PyTorch. The calibration is fitted on labelled clips of which training had none: a
list, a cache, or a layout and its root. The networks go into the folder of weights below TELLTALE_DATA, the entry into
`weights_manifest.json`; the app knows them when it is started again.
"""

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import ks_2samp

from analysis.calibration import raw_logit
from core.errors import AppError, InputError, WeightsError
from core.settings import Settings
from core.weights import MANIFEST, Calibration, Weights, load_manifest
from core.weights.store import store
from detectors import DETECTORS, choices
from detectors.appearance import Appearance
from detectors.networks import NETWORKS
from preprocessing.profile import InputProfile
from training.clips import UNLIMITED
from training.evaluate.data import Subject, read_subjects
from training.evaluate.results import label
from training.evaluate.scores import ask
from training.lrnet_card import describe
from training.manifest import file_facts, put, read
from training.measures import fit_platt, measure_auc
from training.out_of_fold import ORIGINAL
from training.runs import RECORD, Run, read_run

NAME = r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*"
COMMAND = "python -m training.export"
BY_US = f"the machine that trained it ({COMMAND})"
"""Where the files of entries come from that were exported; no other entry is ever replaced."""
ROUNDING, ROUNDING_INT8 = (1e-3, 1e-2), (0.1, 0.5)
"""Relative and absolute differences of log-odds that are rounding, in 32-bit and in 8-bit arithmetic."""
ENOUGH = 5
"""Clips of each label below which nothing is calibrated."""
SAME = 1e-4
"""Scores that differ by less say nothing."""
ALIKE = 1e-6
"""Probability below which two sets of numbers were not drawn alike."""
COMPARED = 10_000
"""Numbers of each tensor that are compared."""


def export(
    folder: Path,
    id: str,
    facts: Mapping[str, Any],
    settings: Settings,
    subjects: Sequence[Subject] = (),
    *,
    basis: str = "",
    first: bool = False,
    replace: bool = False,
    manifest: Path = MANIFEST,
) -> Weights:
    """Takes the run in `folder` into the app and gives its entry.

    Args:
        facts: `licence`, `commercial_use` and `terms`.
        subjects: labelled clips `basis` to calibrate on; without any there is no calibration.
        first: the entry goes before all others, so that its detector's name means it.
        replace: an entry of this id that was exported before gives way.

    Raises:
        InputError: the id cannot be taken, or the clips cannot serve.
        WeightsError: the run is not whole, or its networks are not what they should be.
    """
    run = read_run(folder)
    check_id(id, run, read(manifest), replace=replace)
    settings.data.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=settings.data) as place:
        stage = settings.model_copy(update={"weights": Path(place)})
        files = {role: _staged(folder / file.name, id, role, run, Path(place)) for role, file in run.files.items()}
        entry: dict[str, Any] = {
            "detector": run.detector,
            "region": run.region,
            "source": "manual",
            "files": [file_facts(role, path, address=BY_US) for role, path in files.items()],
            **facts,
            "auto_download": False,
            "trained_on": run.trained_on,
            "paper": run.paper,
            "input": run.input,
            "calibration": None,
            "measured": None,
        }
        trial = Path(place) / manifest.name
        trial.write_bytes(manifest.read_bytes())
        put({id: entry}, first=first, manifest=trial)
        check_network(load_manifest(trial)[id], files)
        if subjects:
            entry |= calibrate(id, run, subjects, basis, stage, trial)
        target = store(settings) / run.detector
        target.mkdir(parents=True, exist_ok=True)
        for path in files.values():
            path.replace(target / path.name)
        put({id: entry}, first=first, manifest=manifest)
    return load_manifest(manifest)[id]


def check_id(id: str, run: Run, entries: Mapping[str, Mapping[str, Any]], *, replace: bool) -> None:
    """
    Raises:
        InputError: it is not an id for this run, or it is taken.
    """
    region = "(/entire)?" if run.region == "entire" else f"/{run.region}"
    if not re.fullmatch(f"{run.detector}/{NAME}{region}", id):
        wanted = f"{run.detector}/NAME" + ("" if run.region == "entire" else f"/{run.region}")
        raise InputError(f"{id!r} is no id for what was trained: it must read {wanted}, NAME in letters and digits.")
    if id in entries:
        exported = all(file.get("address") == BY_US for file in entries[id].get("files", [{}]))
        if not exported:
            raise InputError(f"{id} is an entry that comes with the app and is never replaced; choose another name.")
        if not replace:
            raise InputError(f"There is an entry {id} already; choose another name, or give --replace.")


def _staged(path: Path, id: str, role: str, run: Run, folder: Path) -> Path:
    """The network's file as the app will find it, with the record of its training inside; checked."""
    tensors = load_file(path)
    check_tensors(path.name, tensors, run)
    target = folder / run.detector / f"{id.replace('/', '--')}--{role}.safetensors"
    target.parent.mkdir(exist_ok=True)
    save_file(tensors, target, metadata={"format": "pt", RECORD: run.model_dump_json()})
    return target


def check_tensors(name: str, tensors: Mapping[str, torch.Tensor], run: Run) -> None:
    """
    Raises:
        WeightsError: a number is not finite, or all are as they are before training.
    """
    for key, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{name} is not sound: {key} holds numbers that are not finite; train at a lower rate.")
    if run.steps == 0 or any(_is_fresh(tensors, network) for network in NETWORKS if network.startswith(run.detector)):
        raise WeightsError(
            f"{name} is not trained: its numbers are those that a new network draws at random. No network is ever used "
            "so; finish the training."
        )


def _is_fresh(tensors: Mapping[str, torch.Tensor], network: str) -> bool:
    """No tensor can be told from that of a new network, by Kolmogorov and Smirnov's test."""
    fresh = NETWORKS[network]().state_dict()
    common = [key for key, tensor in fresh.items() if key in tensors and tensor.shape == tensors[key].shape]
    return bool(common) and not any(_differ(tensors[key], fresh[key]) for key in common)


def _differ(a: torch.Tensor, b: torch.Tensor) -> bool:
    ours, new = (t.flatten()[:: max(1, t.numel() // COMPARED)].double().numpy() for t in (a, b))
    if np.ptp(new) == 0:  # as normalisations begin, and biases
        return not np.array_equal(ours, new)
    return bool(ks_2samp(ours, new).pvalue < ALIKE)


def check_network(weights: Weights, files: Mapping[str, Path]) -> None:
    """The detector itself opens them; where it runs in ONNX Runtime, that must say what PyTorch says.

    Raises:
        WeightsError: they do not fit, or it does not.
    """
    detector = DETECTORS[weights.detector]
    try:
        ours = detector(weights, files, "cpu")
    except (ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(f"{weights.id} does not fit its detector: {error}") from error
    if not isinstance(ours, Appearance):
        return  # these run in PyTorch everywhere
    with TemporaryDirectory() as folder:
        exported = type(ours)(weights, files, "cpu", Path(folder))
        inputs = _pictures(InputProfile.model_validate(weights.input))
        told, found = ours.log_odds(inputs), exported.log_odds(inputs)
    rtol, atol = ROUNDING if ours.runs_on("cpu") == "cpu" else ROUNDING_INT8
    if not np.allclose(found, told, rtol=rtol, atol=atol):
        raise WeightsError(
            f"In ONNX Runtime {weights.id} answers otherwise than in PyTorch: log-odds {found.round(3)}, expected "
            f"{told.round(3)}. Do not use it; please report this."
        )


def _pictures(profile: InputProfile) -> np.ndarray:
    """Two inputs that look like nothing, smooth as pictures are."""
    count, side = 2 * (profile.clip_frames or 1), profile.crop.size_px
    coarse = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return profile.tensor(
        np.stack([cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in coarse])
    )


def calibrate(
    id: str, run: Run, subjects: Sequence[Subject], basis: str, settings: Settings, manifest: Path
) -> dict[str, Any]:
    """`calibration` and `measured` of the entry, from clips of which training had none.

    Raises:
        InputError: it had some, or too few of a label have a score.
        WeightsError: all clips score alike.
    """
    known = [subject.sample.id for subject in subjects if subject.sample.bonds & set(run.seen)]
    if known or not run.seen:
        raise InputError(
            f"Of {len(known)} of the {len(subjects)} clips to calibrate on, such as {known[0]}, training had the "
            "source, an identity or the other one of the pair; a calibration on them would promise too much."
            if known
            else f"{RECORD} does not say what was trained on, so nothing can be shown to be held back from it."
        )
    (choice,) = [c for c in choices(load_manifest(manifest), settings) if c.weights.id == id]
    folder = settings.data / "evaluation" / "answers"
    answers = ask(subjects, [ORIGINAL], [choice], folder, settings, manifest=manifest)[ORIGINAL]
    labels, scores = label(subjects, answers.face_px), answers.overall(id)
    scored = np.isfinite(scores)
    labels, scores = labels.take(scored), scores[scored]
    genuine, fake = int((~labels.fake).sum()), int(labels.fake.sum())
    if min(genuine, fake) < ENOUGH:
        raise InputError(
            f"{genuine} genuine and {fake} manipulated clips have a score; {ENOUGH} of each are needed to calibrate. "
            "Name a longer list, or leave --calibrate out and the scores stay uncalibrated."
        )
    if np.ptp(scores) < SAME:
        raise WeightsError(f"All {len(scores)} clips score {scores[0]:.4f}; a network that says nothing is not taken.")
    logits = np.array([raw_logit(score) for score in scores])
    auc = measure_auc(scores, labels.fake, labels.group)
    calibration = Calibration(
        **asdict(fit_platt(logits, labels.fake, labels.group)),
        real_logit=round(float(logits[~labels.fake].mean()), 4),
        data=f"clips {basis}",
        n=len(scores),
        auc=round(auc.value, 2),
    )
    return {"calibration": asdict(calibration), "measured": describe(auc, basis)}


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder that a training wrote")
    parser.add_argument("--id", required=True, metavar="DETECTOR/NAME[/REGION]", help="what it will be called")
    parser.add_argument("--licence", required=True, metavar="NAME", help="yours, or what your footage leaves you")
    parser.add_argument("--terms", metavar="SENTENCE", help="what the licence asks, if its name does not say it all")
    parser.add_argument("--commercial-use", action="store_true", help="the licence allows it")
    parser.add_argument("--calibrate", nargs="+", metavar="DATA", help="a list, a cache, or a layout and its root")
    parser.add_argument("--split", help="of these; test by default, where there is one")
    parser.add_argument("--first", action="store_true", help="before all others: the detector's name then means it")
    parser.add_argument("--replace", action="store_true", help="an entry of this id that was exported before")
    given = parser.parse_args(arguments)
    try:
        settings = Settings.from_env(os.environ).model_copy(update=UNLIMITED)
        subjects = read_subjects(*_named(given.calibrate), given.split) if given.calibrate else []
        weights = export(
            given.run,
            given.id,
            {"licence": given.licence, "commercial_use": given.commercial_use, "terms": given.terms},
            settings,
            subjects,
            basis=f"of {Path(given.calibrate[-1]).name}, of which training had none" if given.calibrate else "",
            first=given.first,
            replace=given.replace,
        )
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{weights.id} is in {store(settings) / weights.detector} and in {MANIFEST.name}.")
    print(weights.measured or "It is not calibrated, so its scores are marked and weigh little.")
    return 0


def _named(data: Sequence[str]) -> tuple[str, Path | None]:
    return data[0], Path(data[1]) if len(data) > 1 else None


if __name__ == "__main__":
    raise SystemExit(main())
