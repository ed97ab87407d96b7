"""What an LRNet analysis costs, as ratios side by side in one run: `python -m benchmarks.lrnet`.

Absolute times depend on the machine; the ratios are what the design promises.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import gradio as gr
import numpy as np

from analysis.pipeline import analyze, take_order
from benchmarks.clips import make_clip
from core.settings import Settings
from core.surroundings import restrain_heaps
from core.types import Options
from core.weights import load_manifest
from detectors import choices, choose, open_detector
from detectors.engines import cpus, limit_threads
from detectors.lrnet import BLOCK, LRNet
from jobs.worker import follow
from preprocessing.calibration import Stretch, cut_patch, extent_px
from preprocessing.landmarks import FaceMesh
from preprocessing.video import Tally, decode
from storage import JobStore, ReportStore, upgrade
from ui.uploads import put_apart, uploader
from ui.visit import Answer, Desk

OPTIONS = Options(("lrnet",))
WHOLE = replace(OPTIONS, thoroughness="thorough")
"""Looks beyond the first minute, and at the clip once more re-encoded and scaled: what takes the most memory."""
MANIFEST = load_manifest()
RUNS = 3


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--minutes", type=int, default=10, help="length of the long clip of the memory test; 0 leaves it out"
    )
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    restrain_heaps()  # as the app does
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_env(
            {"TELLTALE_DATA": folder, "TELLTALE_MAX_SECONDS": "3600", "TELLTALE_MAX_MB": "2000"}
        )
        if given.peak:
            print(_peak_mb(given.peak, settings))
            return
        clip = make_clip(Path(folder) / "ten.mp4", seconds=10, width=1280, height=720)
        limit_threads()
        print(f"10 s of 1280 x 720 at 25 frames a second, {cpus()} cores, median of {RUNS} runs\n")
        _stages(clip, settings)
        _again(clip, settings)
        if given.minutes:
            _memory(Path(folder), given.minutes)


def _stages(clip: Path, settings: Settings) -> None:
    frames = [frame.image for frame in decode(clip, Tally(), settings=settings)]
    count = len(frames)
    mesh = FaceMesh()
    landmarks = [mesh.find(image)[0].landmarks for image in frames]
    network = open_detector(choose(("lrnet",), choices(MANIFEST, settings))[0], settings, "cpu")
    assert isinstance(network, LRNet)
    sequences = np.zeros((count // BLOCK, BLOCK, 136), np.float32)

    def calibrate() -> None:
        stretch, first = Stretch(), extent_px(landmarks[0])
        for image, points in zip(frames, landmarks, strict=True):
            stretch.push(cut_patch(image, points, first))
        stretch.flush()

    stages = {
        "decode": lambda: sum(1 for _ in decode(clip, Tally(), settings=settings)),
        "FaceMesh": lambda: [mesh.find(image) for image in frames],
        "calibration": calibrate,
        "both networks": lambda: network.streams(sequences),
        "whole analysis": lambda: analyze(clip, name="", options=OPTIONS, settings=settings, manifest=MANIFEST),
    }
    taken = dict.fromkeys(stages, 0.0)
    for name, seconds in _medians(stages).items():
        taken[name] = seconds
        print(f"{name:16}{1000 * seconds / count:8.2f} ms a frame")
    slower = max(taken["decode"], taken["FaceMesh"])
    print(
        f"\nwhole analysis over the slower of decode and FaceMesh: {taken['whole analysis'] / slower:.2f} (budget 1.5)"
    )


def _again(clip: Path, settings: Settings) -> None:
    upgrade(settings.database_url)
    url = settings.database_url
    desk = Desk(settings, MANIFEST, ReportStore(url), JobStore(url, settings), take_order)
    worker = desk.worker(partial(follow, analyze))
    worker.start()

    def visit() -> float:
        request = gr.Request(headers={})
        upload = put_apart("clip.mp4", clip.read_bytes(), settings.uploads, uploader(request))
        began = time.perf_counter()
        *_, answer = desk.visit(str(upload), OPTIONS, "visitor-of-the-benchmark", request)
        assert isinstance(answer, Answer)
        return time.perf_counter() - began

    first, *later = (visit() for _ in range(1 + RUNS))
    worker.stop()
    print(f"second analysis of the same file over the first: 1/{first / median(later):.0f} (budget 1/20)")


def _memory(folder: Path, minutes: int) -> None:
    peaks = []
    for seconds in (10, 60 * minutes):
        clip = make_clip(folder / f"{seconds}.mp4", seconds=seconds, width=1920, height=1080)
        child = [sys.executable, "-m", "benchmarks.lrnet", "--peak", str(clip)]
        peaks.append(float(subprocess.run(child, check=True, capture_output=True, text=True).stdout.split()[-1]))
    print(
        f"peak memory, 1920 x 1080: {peaks[0]:.0f} MB for 10 s, {peaks[1]:.0f} MB for {minutes} min: "
        f"{peaks[1] / peaks[0]:.2f} (budget 1.2, and 1500 MB)"
    )


def _peak_mb(clip: Path, settings: Settings) -> float:
    analyze(clip, name="", options=WHOLE, settings=settings, manifest=MANIFEST)
    # Not getrusage: a child begins with the peak of the process that started it.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return float(peak.split()[1]) * 1024 / 1e6


def _medians(stages: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds by stage; the runs of all stages are interleaved, so that a busy minute hits them alike."""
    seconds: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(RUNS):
        for name, stage in stages.items():
            began = time.perf_counter()
            stage()
            seconds[name].append(time.perf_counter() - began)
    return {name: median(taken) for name, taken in seconds.items()}


if __name__ == "__main__":
    main()
