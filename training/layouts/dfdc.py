"""The DeepFake Detection Challenge (Dolhansky et al., 2020) and its preview (2019).

    ROOT/dfdc_train_part_00/metadata.json       or ROOT is one such part; further folders may lie between
    ROOT/dfdc_train_part_00/aagfhgtpmv.mp4
    {"aagfhgtpmv.mp4": {"label": "FAKE", "split": "train", "original": "vudstovrck.mp4"}, ...}

    ROOT/dataset.json                           the preview
    ROOT/original_videos/1265525/1265525_A_001.mp4      take A of the person 1265525
    ROOT/method_A/1265525/1265525_A/1224068_1265525_A_001.mp4       the same with the face of 1224068
    {"method_A/...": {"label": "fake", "set": "train", "target_id": 1265525, "swapped_id": 1224068, ...}, ...}

Folders of the challenge that come with `labels.csv` (`filename,label`, 1 is fake), as its test set does, are read too.
"""

import csv
from pathlib import Path
from typing import Any, cast

from core.errors import InputError
from training.layouts.sample import AND, GENUINE, Sample, Split, read_json

SPLITS: dict[str, Split] = {"train": "train", "validation": "val", "valid": "val", "val": "val", "test": "test"}


def read(root: Path) -> list[Sample]:
    """
    Raises:
        InputError: there is no metadata.json and no labels.csv, or one is not understood.
    """
    lists = sorted([*root.rglob("metadata.json"), *root.rglob("labels.csv")]) if root.is_dir() else []
    if not lists:
        raise InputError(
            f"{root} is not laid out as DFDC: no metadata.json below it; name the folder into which the parts "
            "dfdc_train_part_... were unpacked."
        )
    folders = {path.parent: path for path in lists}
    return [sample for folder, path in folders.items() for sample in _part(root, folder, path)]


def _part(root: Path, folder: Path, path: Path) -> list[Sample]:
    place = folder.relative_to(root) if folder != root else Path(root.name)
    samples = []
    for name, about in sorted(_entries(path).items()):
        label = str(about.get("label", about.get("is_fake"))).upper()
        if label not in ("REAL", "FAKE", "0", "1"):
            raise InputError(f"{path} does not say of {name} whether it is REAL or FAKE: `label` is {label}.")
        fake = label in ("FAKE", "1")
        samples.append(
            Sample(
                id=f"{place.as_posix()}/{Path(name).stem}",
                path=folder / name,
                label=1 if fake else 0,
                split=_split(about.get("split"), place),
                method="DFDC" if fake else GENUINE,
                source=f"dfdc/{Path(about.get('original') or name).stem}",
            )
        )
    return samples


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as stream:
            return {row["filename"]: {"label": row["label"]} for row in csv.DictReader(stream)}
    return cast(dict[str, dict[str, Any]], read_json(path))


def _split(told: str | None, place: Path) -> Split:
    """As the entry says, or else as a folder on the way is called."""
    names = [told or "", *place.parts]
    return next((split for name in names for start, split in SPLITS.items() if name.lower().startswith(start)), "train")


def read_preview(root: Path) -> list[Sample]:
    """
    Raises:
        InputError: dataset.json is not there, or is not understood.
    """
    path = root / "dataset.json"
    if not path.is_file():
        raise InputError(
            f"{root} is not laid out as the DFDC preview: no dataset.json in it; name the folder that holds it beside "
            "original_videos, method_A and method_B."
        )
    return [_preview(root, name, about) for name, about in sorted(_entries(path).items())]


def _preview(root: Path, name: str, about: dict[str, Any]) -> Sample:
    if about.get("label") not in ("real", "fake") or about.get("set") not in ("train", "test"):
        raise InputError(f"dataset.json does not say of {name} its `label` (real, fake) and `set` (train, test).")
    people = [about.get("target_id"), about.get("swapped_id")]
    # ..._<target>_<take>_<number>: the originals of one take are alike, so they count as one.
    *_, target, take, _ = ("", "", *Path(name).stem.split("_"))
    return Sample(
        id=str(Path(name).with_suffix("")),
        path=root / name,
        label=1 if about["label"] == "fake" else 0,
        split=cast(Split, about["set"]),
        method=name.split("/")[0] if about["label"] == "fake" else GENUINE,
        compression="+".join(about.get("augmentations") or ()),
        source=f"dfdc-preview/{target}_{take}",
        identity=AND.join(f"dfdc-preview/{person}" for person in people if person is not None),
    )
