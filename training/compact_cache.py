"""Compact from a prepared cache: the cues of each sample's runs, and one linear model of them for each region.

There is no gradient and no epoch: the weights are those at which a ridge logistic regression is least. All regions go
into one file; `region` says for which of them the run's record is.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field
from tqdm import tqdm

from core.errors import InputError, NotApplicable
from core.settings import Settings
from detectors.compact import RUNS, measured
from detectors.cues import CONDITIONS, RUN
from preprocessing.regions import REGIONS
from training.config import Data, Record, Region
from training.cues import Collection
from training.layouts.sample import groups
from training.measures import auc
from training.prepared import Prepared
from training.run import begin, data_hashes, say_data, versions
from training.runs import Run, write_run
from training.splits import read_parts

log = logging.getLogger(__name__)

KIND = "cues"


class CompactConfig(Record):
    """`weights`, `ridge`, `conditions` and `without` as in the recipes of `training.compact`."""

    method: Literal["compact"]
    region: Region = "entire"
    data: Data
    weights: Literal["alike", "signed", "learned"]
    ridge: float = Field(100.0, gt=0)
    conditions: tuple[Literal[CONDITIONS], ...] = ()  # type: ignore[valid-type]
    without: tuple[str, ...] = ()
    seed: int = 0
    """Of who is held back where no part validates."""
    out: Path

    def looks_at(self) -> dict[str, Any]:
        return {"runs": RUNS["standard"], "run": RUN}


def gather(prepared: Sequence[Prepared], folder: Path) -> Collection:
    """The samples that have cues; measured once, and kept in `folder`.

    Raises:
        InputError: none has any.
    """
    rows = []
    for one in tqdm(prepared, desc="cues", disable=None):
        try:
            rows.append((one, _cues(one, folder / f"{one.cache.name}-{one.sample.id.replace('/', '-')}.npz")))
        except NotApplicable as reason:
            log.warning("%s: %s", one.sample.id, reason)
    if not rows:
        raise InputError("No sample is long and large enough for cues; prepare other videos.")
    samples = [one.sample for one, _ in rows]
    return Collection(
        clips=[],
        fake=np.array([bool(sample.label) for sample in samples]),
        group=np.array(groups(samples)),
        measured=np.ones(len(rows), bool),
        width_px=np.array([one.made.face_px for one, _ in rows]),
        rate_hz=np.array([one.made.rate_hz for one, _ in rows]),
        cues={region: [found[region] for _, found in rows] for region in REGIONS},
        conditions=[found["conditions"] for _, found in rows],
        failures=[],
    )


def _cues(prepared: Prepared, file: Path) -> Mapping[str, np.ndarray]:
    if not file.exists():
        found = measured(prepared.track(KIND))
        file.parent.mkdir(parents=True, exist_ok=True)
        with (partial := file.with_suffix(".partial")).open("wb") as stream:
            np.savez(stream, **found.cues, conditions=found.conditions)
        partial.replace(file)
    with np.load(file) as arrays:
        return dict(arrays)


def train(config: CompactConfig, settings: Settings) -> Run:
    """Fits the model of every region, measures them on the part that validates, and writes file and record."""
    from training import compact  # which imports this module for its command line

    parts = read_parts(config.data, KIND, config.seed)
    data = data_hashes(config.data)
    begin(config, data, config.out)
    train, validation = (gather(part, config.out / "cues") for part in (parts.train, parts.validation))
    for name, part in (("train", train), ("validation", validation)):
        if part.fake.all() or not part.fake.any():
            raise InputError(f"The part {name} has cues of one class only; both are needed.")
    recipe = compact.Recipe("configured", config.weights, config.conditions, config.ridge, config.without)
    everything, held = np.ones(len(train.fake), bool), np.ones(len(validation.fake), bool)
    models = {region: compact.fit(train, region, recipe, everything) for region in REGIONS}
    aucs = {
        region: auc(compact.score(validation, region, model, held), validation.fake) for region, model in models.items()
    }
    for region, value in aucs.items():
        log.info("%s: validation AUC %.4f", region, value)
    run = write_run(
        config.out,
        {"model": compact.tensors_of(models)},
        detector="compact",
        region=config.region,
        input=config.looks_at(),
        steps=0,
        trained_on=say_data(config.data, parts),
        seen=parts.seen,
        made_by={
            "config": config.model_dump(mode="json"),
            "data_sha256": data,
            "samples": {"train": len(train.fake), "validation": len(validation.fake)},
            "validation_auc": aucs,
            "versions": versions(),
        },
    )
    log.info("%s", config.out / "run.json")
    return run
