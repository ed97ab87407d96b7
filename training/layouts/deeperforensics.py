"""DeeperForensics-1.0 (Jiang et al., CVPR 2020), with the splits of its lists.

    ROOT/manipulated_videos/{end_to_end,end_to_end_level_1,...}/000_M101.mp4    000 with the face of actor M101
    ROOT/lists/splits/{train,val,test}.txt                                      lines such as `000_M101.mp4`
    ROOT/original_sequences/youtube/c23/videos/000.mp4                          genuine: those of FaceForensics++

The data set comes without genuine videos. Its authors point to FaceForensics++ in c23; link or copy that folder in.
(The recordings of its actors in `source_videos` are not meant as such, and are not read.)
"""

from pathlib import Path

from core.errors import InputError
from training.layouts.faceforensics import SPLITS, target
from training.layouts.sample import AND, GENUINE, Sample, Split

ORIGINALS = "original_sequences/youtube/c23/videos"


def read(root: Path) -> list[Sample]:
    """
    Raises:
        InputError: the manipulated videos or the splits are not there.
    """
    lists = {split: root / "lists" / "splits" / f"{split}.txt" for split in SPLITS}
    methods = sorted(path for path in (root / "manipulated_videos").glob("*") if path.is_dir())
    absent = [str(path.relative_to(root)) for path in lists.values() if not path.is_file()]
    if absent or not methods:
        raise InputError(
            f"{root} is not laid out as DeeperForensics-1.0: {', '.join(absent) or 'manipulated_videos'} not found; "
            "name the folder that holds manipulated_videos and lists, unpacked."
        )
    samples = []
    for split, path in lists.items():
        lines = path.read_text(encoding="utf-8").split()
        names = sorted({Path(line).stem for line in lines})
        samples += [_manipulated(folder, name, split) for folder in methods for name in names]
        if (root / ORIGINALS).is_dir():
            samples += [_genuine(root, number, split) for number in sorted({name.split("_")[0] for name in names})]
    return samples


def _manipulated(folder: Path, name: str, split: Split) -> Sample:
    number, actor = name.split("_")
    fields = target(number)
    return Sample(
        id=f"{folder.name}/{name}",
        path=folder / f"{name}.mp4",
        label=1,
        split=split,
        method=folder.name,
        source=fields["source"],
        identity=f"{fields['identity']}{AND}deeperforensics/{actor}",
    )


def _genuine(root: Path, number: str, split: Split) -> Sample:
    return Sample(
        id=f"original/{number}",
        path=root / ORIGINALS / f"{number}.mp4",
        label=0,
        split=split,
        method=GENUINE,
        compression="c23",
        **target(number),
    )
