"""Landmarks that OpenFace found become landmark files as LRNet reads them.

    python -m training.calibrate CSVS --videos VIDEOS --out TEXTS

For every CSV there must be a video of the same name, with as many frames as the CSV has rows. The face size is the mean
over the whole video, as in the authors' calibrator. Frames in which no face was found, or one whose middle is outside
the picture, repeat the landmarks of the frame before; those before the first face are left out. What is there already
is not made again. `landmark_logs.txt` gets a line a video, as the authors' extractor keeps it: name, mean confidence
with 0 for frames without a face, time.
"""

import argparse
import logging
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from tqdm import tqdm

from core.errors import AppError, InputError
from core.settings import Settings
from core.types import Frame
from preprocessing.calibration import Patch, Stretch, extent_px
from preprocessing.video import Tally, decode
from training.clips import UNLIMITED
from training.landmark_files import Found, read_openface, write_lrnet
from training.layouts.listed import VIDEOS

log = logging.getLogger(__name__)

LOG = "landmark_logs.txt"


def calibrate(frames: Iterable[Frame], found: Found) -> np.ndarray:
    """Calibrated landmarks float32 (m, 68, 2): of every frame from the first in which there is a face.

    Raises:
        InputError: there is no face, or not as many frames as rows.
    """
    if not found.seen.any():
        raise InputError("OpenFace found no face in any frame.")
    stretch = Stretch(mean_extent_px=float(np.mean([extent_px(points) for points in found.landmarks[found.seen]])))
    done, last, count = [], None, 0
    for frame in frames:
        height, width = frame.image.shape[:2]
        if frame.index < len(found.seen) and found.seen[frame.index]:
            points = found.landmarks[frame.index]
            # Of a face whose middle has left the picture no crop can be cut.
            middle = (points.min(axis=0) + points.max(axis=0)) / 2
            if (middle >= 0).all() and (middle < (width - 1, height - 1)).all():
                last = points
        if last is not None:
            done += stretch.push(Patch(frame.image, 0, 0, (width, height), last))
        count += 1
    if count != len(found.seen):
        raise InputError(
            f"The video has {count} frames, the CSV {len(found.seen)} rows; run OpenFace on this very file."
        )
    return np.stack([calibrated.normalised for calibrated in done])


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code: 1 where a file failed."""
    parser = argparse.ArgumentParser(
        prog="python -m training.calibrate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of OpenFace's CSVs")
    parser.add_argument("--videos", type=Path, required=True, help="folder of the videos they are from")
    parser.add_argument("--out", type=Path, required=True, help="folder of the landmark files")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    csvs = sorted(given.folder.glob("*.csv"))
    if not csvs:
        log.error("%s holds no CSV files.", given.folder)
        return 1
    settings = Settings.from_env(os.environ).model_copy(update=UNLIMITED)
    given.out.mkdir(parents=True, exist_ok=True)
    missing = [path for path in csvs if not _text(given.out, path).exists()]
    failed = 0
    for path in tqdm(missing, unit="video", desc=f"{len(csvs) - len(missing)} of {len(csvs)} done before"):
        try:
            _calibrate_file(path, given.videos, given.out, settings)
        except InputError as error:
            failed += 1
            log.error("%s: %s", path.name, error)
    log.info("%d files of landmarks are in %s; %d failed", len(csvs) - failed, given.out, failed)
    return int(failed > 0)


def _calibrate_file(path: Path, videos: Path, out: Path, settings: Settings) -> None:
    video = next((v for suffix in VIDEOS if (v := videos / f"{path.stem}{suffix}").is_file()), None)
    if video is None:
        raise InputError(f"There is no video called {path.stem} in {videos}.")
    found = read_openface(path)
    write_lrnet(_text(out, path), calibrate(decode(video, Tally(), settings=settings), found))
    with (out / LOG).open("a", encoding="utf-8") as stream:
        stream.write(f"{video.name} {found.confidence.mean():.5f} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}\n")


def _text(out: Path, path: Path) -> Path:
    return out / f"{path.stem}.txt"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AppError as error:
        sys.exit(str(error))
