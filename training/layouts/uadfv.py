"""UADFV (Yang et al., ICASSP 2019): 49 videos and their fakes, without splits.

ROOT/real/0000.mp4      ROOT/fake/0000_fake.mp4
"""

from pathlib import Path

from core.errors import InputError
from training.layouts.sample import GENUINE, Sample


def read(root: Path) -> list[Sample]:
    """A video of which only one of the two is there has its partner among the samples all the same.

    Raises:
        InputError: the folders are not there.
    """
    if not ((root / "real").is_dir() and (root / "fake").is_dir()):
        raise InputError(f"{root} is not laid out as UADFV: expected the folders real and fake with .mp4 files in it.")
    names = {path.stem.removesuffix("_fake") for folder in ("real", "fake") for path in (root / folder).glob("*.mp4")}
    return [
        Sample(
            id=f"{'fake' if fake else 'real'}/{name}",
            path=root / ("fake" if fake else "real") / f"{name}{'_fake' if fake else ''}.mp4",
            label=1 if fake else 0,
            split="",
            method="UADFV" if fake else GENUINE,
            source=f"uadfv/{name}",
        )
        for name in sorted(names)
        for fake in (False, True)
    ]
