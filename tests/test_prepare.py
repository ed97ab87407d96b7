"""The real commands, on small trees of clips that are made here."""

import csv
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from clips import good, portrait

from core.errors import InputError
from core.settings import ROOT, Settings
from detectors.texture import on_canvas
from preprocessing.calibration import GRID_PX
from preprocessing.video import Tally, decode
from tests.conftest import wait_for
from training import calibrate, prepare
from training.landmark_files import Found, read_lrnet, read_openface
from training.prepared import load


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """FaceForensics++ with one pair: one fake is missing, the other is no video."""
    root = tmp_path_factory.mktemp("tree")
    originals, fakes = (
        root / place / "c23" / "videos" for place in ("original_sequences/youtube", "manipulated_sequences/Deepfakes")
    )
    originals.mkdir(parents=True)
    fakes.mkdir(parents=True)
    shutil.copy(good(originals / "000.mp4", 31), originals / "003.mp4")
    (fakes / "000_003.mp4").write_text("This is no video.")
    for split, pairs in {"train": [["000", "003"]], "val": [], "test": []}.items():
        (root / f"{split}.json").write_text(json.dumps(pairs))
    return root


def test_the_command_makes_a_cache_and_says_what_is_lacking(tree, tmp_path):
    cache = tmp_path / "cache"
    command = ("training.prepare", "faceforensics", tree, "--out", cache, "--frames-per-video", 3)
    done = run(*command, "--kinds", "landmarks", "canvas", "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert "3 found, 1 missing, 1 failed, 2 done: 2 genuine and 0 manipulated; train 2, val 0, test 0" in done.stderr
    assert {row["id"]: row["reason"] for row in rows(cache / "failed.csv")} == {
        "Deepfakes/c23/003_000": "There is no such file.",
        "Deepfakes/c23/000_003": "This file is not a video that can be read (MP4, MOV, MKV, WebM, AVI, GIF or TS is "
        "expected); it may be incomplete or of another kind. Export it again as MP4.",
    }
    first, second = load(cache, "canvas", "train")
    assert (first.sample.id, first.made.frames, first.made.score, first.made.rate_hz) == ("original/c23/000", 31, 1, 25)
    assert 85 < first.made.face_px < 115
    assert np.array_equal(first.track().calibrated, second.track().calibrated)
    assert len(first.faces("canvas")) == 3
    assert {row["id"] for row in rows(cache / "log.csv")} == {
        "original/c23/000",
        "original/c23/003",
        "Deepfakes/c23/000_003",
    }

    arguments = [str(word) for word in command[1:]] + ["--workers", "0"]
    prepare.main([*arguments, "--kinds", "mouth", "--only", "original/*"])
    assert load(cache, "canvas")[0].made.kinds == ("landmarks", "canvas", "mouth")
    assert len(load(cache, "canvas")) == len(rows(cache / "index.csv")) - 1 == 2
    count = len(rows(cache / "log.csv"))
    prepare.main([*arguments, "--kinds", "mouth", "canvas", "--only", "original/*"])
    assert len(rows(cache / "log.csv")) == count == 5
    with pytest.raises(InputError, match="was begun with frames_per_video 3, not 4; name another folder for --out"):
        prepare.main([*arguments[:-3], "4"])


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    folder, cache = tmp_path / "people", tmp_path / "cache"
    folder.mkdir()
    first = good(folder / "anna_0.mp4", 60)
    for i in range(1, 5):
        shutil.copy(first, folder / f"anna_{i}.mp4")
    command = [sys.executable, "-m", "training.prepare", "faces", str(folder), "--out", str(cache), "--workers", "1"]
    running = subprocess.Popen([*command, "--kinds", "landmarks"], cwd=ROOT, stderr=subprocess.DEVNULL)
    wait_for(lambda: (cache / "log.csv").exists() and len(rows(cache / "log.csv")) >= 2, within_s=240)
    workers = children(running.pid)
    assert workers
    running.send_signal(signal.SIGKILL)
    running.wait()
    before = rows(cache / "log.csv")
    assert 2 <= len(before) < 5
    with (cache / "log.csv").open("a") as stream:
        stream.write("2026-01-01 00:00:00,anna_4.mp4,landm")
    (cache / "landmarks" / "x.partial").touch()
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers), within_s=240)
    done = run(*command[2:], "--kinds", "landmarks")
    assert "5 found, 0 missing, 0 failed, 5 done" in done.stderr
    after = rows(cache / "log.csv")
    assert after[: len(before)] == before
    assert sorted(row["id"] for row in after) == [f"anna_{i}.mp4" for i in range(5)]
    assert len(load(cache, "landmarks")) == 5
    assert not list(cache.rglob("*.partial"))


def children(pid):
    return [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]


def test_a_file_that_kills_its_process_or_hits_a_bug_fails_alone(tmp_path, monkeypatch):
    folder = tmp_path / "faces"
    folder.mkdir()
    for name in ("a", "b", "c", "d"):
        cv2.imwrite(str(folder / f"{name}.png"), portrait()[..., ::-1])
    make, tried = prepare.make, Counter()

    def fragile(sample, order):
        tried[sample.id] += 1
        if sample.id == "b.png" or (sample.id == "c.png" and tried[sample.id] == 1):
            raise BrokenProcessPool
        if sample.id == "d.png":
            raise RuntimeError("a bug")
        return make(sample, order)

    monkeypatch.setattr(prepare, "make", fragile)
    cache = tmp_path / "cache"
    command = ["faces", str(folder), "--out", str(cache), "--kinds", "landmarks", "--workers", "0"]
    assert prepare.main(command) == 1
    assert [p.sample.id for p in load(cache, "landmarks")] == ["a.png", "c.png"]
    assert {row["id"]: row["reason"] for row in rows(cache / "failed.csv")} == {
        "b.png": "The process that read it died, often for want of memory.",
        "d.png": "Unforeseen: RuntimeError('a bug')",
    }
    monkeypatch.undo()
    assert prepare.main(command) == 0
    assert len(load(cache, "landmarks")) == 2
    assert prepare.main([*command, "--again"]) == 0
    assert len(load(cache, "landmarks")) == 4


def test_two_runs_at_once_and_a_full_disk_are_refused(tmp_path, monkeypatch):
    folder, cache = tmp_path / "faces", tmp_path / "cache"
    folder.mkdir()
    cache.mkdir()
    cv2.imwrite(str(folder / "a.png"), portrait()[..., ::-1])
    command = ["faces", str(folder), "--out", str(cache), "--kinds", "canvas", "--workers", "0"]
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=r"Another run is filling .*; wait for it, or name another folder"):
            prepare.main(command)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match="more than there is room for; ask for fewer kinds"):
        prepare.main(command)
    assert not (cache / "canvas").exists()


def test_a_photograph_is_a_track_of_one_frame_and_has_no_mouth_to_follow(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    cv2.imwrite(str(folder / "collins_1.png"), portrait()[..., ::-1])
    cv2.imwrite(str(folder / "nobody.png"), np.full((200, 200, 3), 90, np.uint8))
    (folder / "broken.jpg").write_text("no picture")
    arguments = ["faces", str(folder), "--out", str(tmp_path / "cache"), "--workers", "0"]
    assert prepare.main([*arguments, "--kinds", "landmarks", "canvas", "mouth"]) == 0
    (prepared,) = load(tmp_path / "cache", "canvas")
    assert prepared.made.kinds == ("landmarks", "canvas")
    assert prepared.sample.identity == "collins"
    track, faces = prepared.track("canvas"), prepared.faces("canvas")
    assert len(track.time_s) == len(faces) == 1
    assert np.allclose(faces.on_crop(0), on_canvas(track.landmarks[0], faces.crops.to_frame[0]), atol=1e-3)
    assert {row["id"]: row["reason"] for row in rows(tmp_path / "cache" / "failed.csv")} == {
        "broken.jpg": "This is not a picture that can be read.",
        "nobody.png": "No face was found.",
    }


def openface(path, landmarks, seen=None):
    seen = [1] * len(landmarks) if seen is None else seen
    header = ["frame", " face_id", " timestamp", " confidence", " success"]
    header += [f" {axis}_{i}" for axis in "xy" for i in range(68)]
    lines = [
        [t + 1, 0, t / 25, 0.98 if ok else 0, ok, *(points.T.ravel() if ok else np.zeros(136))]
        for t, (points, ok) in enumerate(zip(landmarks, seen, strict=True))
    ]
    path.write_text("\n".join(",".join(map(str, line)) for line in [header, *lines]))


def test_what_openface_found_is_calibrated_as_the_app_calibrates(tmp_path):
    videos, csvs, out = tmp_path / "people", tmp_path / "csvs", tmp_path / "out"
    videos.mkdir()
    csvs.mkdir()
    good(videos / "anna.mp4", 25)
    cache = tmp_path / "cache"
    prepare.main(["faces", str(videos), "--out", str(cache), "--kinds", "landmarks", "--workers", "0"])
    (prepared,) = load(cache, "landmarks")
    track = prepared.track()
    openface(csvs / "anna.csv", track.landmarks)
    assert calibrate.main([str(csvs), "--videos", str(videos), "--out", str(out)]) == 0
    assert np.allclose(read_lrnet(out / "anna.txt"), track.calibrated, atol=1e-6)
    (line,) = (out / "landmark_logs.txt").read_text().splitlines()
    assert line.startswith("anna.mp4 0.98000 ")

    openface(csvs / "short.csv", track.landmarks[:20])
    shutil.copy(videos / "anna.mp4", videos / "short.mp4")
    openface(csvs / "alone.csv", track.landmarks)
    openface(csvs / "late.csv", track.landmarks, [0] * 5 + [1] * 10 + [0] * 2 + [1] * 8)
    shutil.copy(videos / "anna.mp4", videos / "late.mp4")
    before = (out / "anna.txt").stat().st_mtime_ns
    assert calibrate.main([str(csvs), "--videos", str(videos), "--out", str(out)]) == 1
    assert (out / "anna.txt").stat().st_mtime_ns == before
    late = read_lrnet(out / "late.txt")
    assert len(late) == 20
    assert sorted(path.name for path in out.iterdir()) == ["anna.txt", "landmark_logs.txt", "late.txt"]
    assert "late.mp4 0.70560 " in (out / "landmark_logs.txt").read_text()


def test_the_calibrator_equals_the_published_one_exactly(shared):
    golden = np.load(shared / "golden" / "lk_kalman.npz")
    frames = decode(shared / "clips" / "000_003.mp4", Tally(), settings=Settings())
    found = Found(golden["raw"].astype(float), np.ones(40, bool), np.ones(40))
    done = calibrate.calibrate(islice(frames, 40), found)
    np.testing.assert_array_equal(done.reshape(40, 136), golden["calibrated"])


def test_landmark_files_become_a_cache_of_landmarks_alone(tmp_path):
    root = tmp_path / "datasets"
    points = np.round(np.random.default_rng(0).uniform(-1, 1, (61, 68, 2)) * 200) / 200
    for place in ("Origin/c23/train/000.txt", "DF/c23/train/000_003.txt", "FS/c23/test/010_011.txt"):
        (root / place).parent.mkdir(parents=True)
        np.savetxt(root / place, points.reshape(61, 136), "%.5f")
    (root / "FS/c23/test/bad.txt").write_text("1 2 3\n")
    cache = tmp_path / "cache"
    assert (
        prepare.main(["lrnet", str(root), "--out", str(cache), "--kinds", "landmarks", "canvas", "--workers", "0"]) == 0
    )
    genuine, fake = load(cache, "landmarks", "train")
    assert (fake.sample.method, fake.sample.identity) == ("Deepfakes", "ffpp/000+ffpp/003")
    assert np.allclose(fake.track().calibrated, points, atol=1e-6)
    assert np.allclose(fake.track().landmarks, (points + 1) * GRID_PX / 2, atol=1e-3)
    assert genuine.sample.label == 0
    (failed,) = rows(cache / "failed.csv")
    assert failed["id"] == "FS/c23/bad"
    assert failed["reason"].startswith("bad.txt is no file of landmarks: 136 numbers a line are expected")


def test_the_authors_landmark_files_are_read(shared):
    lengths = {"dfo_fake": 371, "dfo_real": 369, "ff_fake": 757, "ff_real": 757}
    for name, length in lengths.items():
        assert read_lrnet(shared / "landmarks" / f"{name}.txt").shape == (length, 68, 2)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("frame, success\n1, 1\n", "it has no column confidence"),
        ("", "it has no column success"),
    ],
)
def test_a_csv_that_is_not_openfaces_is_refused(tmp_path, text, sentence):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_openface(path)
