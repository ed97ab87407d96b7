"""Landmark files in the tree that LRNet's own training reads: calibrated, so only the kind `landmarks` comes of them.

    ROOT/{Origin,DF,F2F,FS,NT}/{raw,c23,c40}/{train,val,test}/000_003.txt

The videos are those of FaceForensics++. What is in the files is told in `training.landmark_files`.
"""

from pathlib import Path
from typing import cast

from core.errors import InputError
from training.layouts.faceforensics import SPLITS, SWAPS, target
from training.layouts.sample import AND, GENUINE, Sample, Split

METHODS = {
    "Origin": GENUINE,
    "DF": "Deepfakes",
    "F2F": "Face2Face",
    "FS": "FaceSwap",
    "NT": "NeuralTextures",
}


def read(root: Path) -> list[Sample]:
    """
    Raises:
        InputError: no landmark file is at such a place.
    """
    paths = [path for folder in METHODS for path in sorted((root / folder).glob("*/*/*.txt"))]
    samples = [_sample(root, path) for path in paths if path.parent.name in SPLITS]
    if not samples:
        raise InputError(
            f"{root} is not laid out as LRNet's data set: expected {{{','.join(METHODS)}}}/<compression>/<split>/*.txt."
        )
    return samples


def _sample(root: Path, path: Path) -> Sample:
    folder, compression, split = path.relative_to(root).parts[:3]
    method = METHODS[folder]
    number, *other = path.stem.split("_")
    fields = target(number)
    if method in SWAPS:
        fields["identity"] = AND.join([fields["identity"], *(f"ffpp/{one}" for one in other)])
    return Sample(
        id=f"{folder}/{compression}/{path.stem}",
        path=path,
        label=0 if method == GENUINE else 1,
        split=cast(Split, split),
        method=method,
        compression=compression,
        **fields,
    )
