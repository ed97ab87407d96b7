"""FaceForensics++ (Rössler et al., ICCV 2019) as its download script leaves it, with the official splits.

    ROOT/original_sequences/youtube/{raw,c23,c40}/videos/000.mp4
    ROOT/manipulated_sequences/{Deepfakes,Face2Face,FaceShifter,FaceSwap,NeuralTextures}/{raw,c23,c40}/videos/000_003.mp4
    ROOT/original_sequences/actors/...   ROOT/manipulated_sequences/DeepFakeDetection/...       (DFD, if downloaded)
    ROOT/{train,val,test}.json           or in ROOT/splits; they are in the authors' repository, dataset/splits

The splits are lists of pairs: of `["000", "003"]` there are the originals 000 and 003 and, of each method, 000_003 (the
video 000 with the face, or the expression, of 003) and 003_000. DFD has no splits, and its 28 actors cannot be parted,
since each wears the others' faces: all of it is for testing, as it is used in the literature.
"""

from collections.abc import Iterator
from pathlib import Path

from core.errors import InputError
from training.layouts.sample import AND, GENUINE, Sample, Split, read_json

SWAPS = ("Deepfakes", "FaceShifter", "FaceSwap")
REENACTMENTS = ("Face2Face", "NeuralTextures")
DFD = "DeepFakeDetection"
COMPRESSIONS = {"raw": "raw", "c0": "raw", "c23": "c23", "c40": "c40"}
"""By the name of the folder; the lossless videos were called c0 once."""
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def read(root: Path) -> list[Sample]:
    """What the splits name, of every method and compression of which there is anything, and DFD if it is there.

    Raises:
        InputError: nothing of the tree is there, or the splits are not.
    """
    samples = [*_youtube(root), *_dfd(root)]
    if not samples:
        raise InputError(f"{root} is not laid out as FaceForensics++: {_expected(root)}")
    return samples


def read_dfd(root: Path) -> list[Sample]:
    """The Deep Fake Detection data set alone: 28 actors, in the same tree.

    Raises:
        InputError: it is not there.
    """
    samples = _dfd(root)
    if not samples:
        raise InputError(f"{root} does not hold DFD: {_expected(root)}")
    return samples


def target(number: str) -> dict[str, str]:
    """What the fields of a sample are that shows the original of this number."""
    return {"source": f"ffpp/{number}", "identity": f"ffpp/{number}"}


def _youtube(root: Path) -> Iterator[Sample]:
    folders = {
        (method, compression): folder
        for method, place in {
            GENUINE: "original_sequences/youtube",
            **{method: f"manipulated_sequences/{method}" for method in (*SWAPS, *REENACTMENTS)},
        }.items()
        for compression, folder in _videos(root / place)
    }
    for split, pairs in _splits(root).items() if folders else ():
        for (method, compression), folder in folders.items():
            for a, b in pairs:
                for name, number, other in _names(method, a, b):
                    fields = target(number)
                    if method in SWAPS:
                        fields["identity"] += f"{AND}ffpp/{other}"
                    yield Sample(
                        id=f"{'original' if method == GENUINE else method}/{compression}/{name}",
                        path=folder / f"{name}.mp4",
                        label=0 if method == GENUINE else 1,
                        split=split,
                        method=method,
                        compression=compression,
                        pair=f"ffpp/{min(a, b)}_{max(a, b)}",
                        **fields,
                    )


def _names(method: str, a: str, b: str) -> tuple[tuple[str, str, str], ...]:
    """Of a pair, each file's name, the number of the video it shows, and that of the other."""
    if method == GENUINE:
        return (a, a, b), (b, b, a)
    return (f"{a}_{b}", a, b), (f"{b}_{a}", b, a)


def _dfd(root: Path) -> list[Sample]:
    """Named `01__exit_phone_room` and `01_02__exit_phone_room__YVGY8LOK`: actor 01 there, with the face of actor 02."""
    samples = []
    for method, place in {GENUINE: "original_sequences/actors", DFD: f"manipulated_sequences/{DFD}"}.items():
        for compression, folder in _videos(root / place):
            for path in sorted(folder.glob("*.mp4")):
                actors, scene = path.stem.split("__")[:2]
                actor = actors.split("_")[0]
                samples.append(
                    Sample(
                        id=f"{'actors' if method == GENUINE else DFD}/{compression}/{path.stem}",
                        path=path,
                        label=0 if method == GENUINE else 1,
                        split="test",
                        method=method,
                        compression=compression,
                        source=f"dfd/{actor}__{scene}",
                        identity=AND.join(f"dfd/{one}" for one in actors.split("_")),
                    )
                )
    return samples


def _videos(place: Path) -> Iterator[tuple[str, Path]]:
    """The compressions there are, with their folders."""
    for name, compression in COMPRESSIONS.items():
        if (place / name / "videos").is_dir():
            yield compression, place / name / "videos"


def _splits(root: Path) -> dict[Split, list[tuple[str, str]]]:
    for folder in (root, root / "splits", root / "dataset" / "splits"):
        if all((folder / f"{split}.json").is_file() for split in SPLITS):
            found = {split: read_json(folder / f"{split}.json") for split in SPLITS}
            return {split: [(a, b) for a, b in pairs] for split, pairs in found.items()}
    raise InputError(
        f"The official splits are not in {root}: bring train.json, val.json and test.json from `dataset/splits` of the "
        "authors' repository (ondyari/FaceForensics) into it."
    )


def _expected(root: Path) -> str:
    there = ", ".join(sorted(path.name for path in root.iterdir())[:5]) if root.is_dir() else "no such folder"
    return (
        "expected original_sequences/ and manipulated_sequences/, with <method>/<compression>/videos/*.mp4 below, "
        f"found {there or 'nothing'}; name the folder that the authors' download script was given."
    )
