"""What a reader of hostile files may still do, and that the app outlives whatever becomes of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_video import write

import preprocessing.video as video
from benchmarks.hostile import run
from core.errors import InputError
from core.settings import ROOT, Settings
from preprocessing.video import Tally, decode, probe

SETTINGS = Settings.from_env({})

CONFINED = """
import os, socket, sys, threading
from preprocessing.confinement import confine
confine(memory_bytes=1 << 30, cpu_s=20)
attempts = {
    "read": lambda: open(sys.argv[1]).close(),
    "thread": lambda: (lambda thread: (thread.start(), thread.join()))(threading.Thread(target=int)),
    "network": lambda: socket.socket(),
    "fork": os.fork,
    "program": lambda: os.execv(sys.executable, [sys.executable, "-c", ""]),
    "new file": lambda: open(sys.argv[1] + ".new", "w"),
    "write": lambda: open(sys.argv[1], "r+"),
    "empty": lambda: os.truncate(sys.argv[1], 0),
    "delete": lambda: os.unlink(sys.argv[1]),
    "rename": lambda: os.rename(sys.argv[1], sys.argv[1] + ".old"),
    "signal": lambda: os.kill(os.getppid(), 0),
    "memory": lambda: bytearray(2 << 30),
    "files": lambda: [os.dup(0) for _ in range(100)],
}
for name, attempt in attempts.items():
    try:
        attempt()
        print(name)
    except (OSError, MemoryError):
        pass
"""


@pytest.mark.skipif(sys.platform != "linux", reason="system calls are filtered on Linux only")
def test_a_confined_process_can_read_and_compute_and_nothing_else(tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("as it was")
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, str(kept)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["read", "thread"], done.stderr
    assert [file.read_text() for file in tmp_path.iterdir()] == ["as it was"]


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
def test_a_reader_that_dies_or_falls_silent_ends_in_one_sentence(tmp_path, monkeypatch, fate):
    monkeypatch.setattr(video, "PATIENCE_S", 2.0)
    readers = []
    take = video._Reader.take
    monkeypatch.setattr(video._Reader, "take", lambda side: readers.append(take(side)) or readers[-1])
    frames = decode(write(tmp_path / "a.mp4", times=range(200)), Tally(), settings=SETTINGS)
    next(frames)
    os.kill(readers[0]._process.pid, fate)
    with pytest.raises(InputError, match="had to be stopped"):
        list(frames)
    assert readers[0]._process.poll() is not None
    monkeypatch.setattr(video, "PATIENCE_S", 60.0)
    assert probe(tmp_path / "a.mp4", name="", sha256="", settings=SETTINGS).frames == 200, "the next one reads on"


def test_a_reader_is_told_nothing_of_the_apps_secrets_and_ends_when_nobody_reads(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    reader = video._Reader(SETTINGS.max_side_px)
    assert "HF_TOKEN" not in Path(f"/proc/{reader._process.pid}/environ").read_text()
    reader._process.stdin.close()
    assert reader._process.wait(20) == 0
    reader.end()


def test_files_made_to_break_readers_end_in_a_report_or_in_one_sentence(tmp_path):
    outcomes, wrong = run(tmp_path, 120, seed=1)
    assert wrong == []
    assert sum(outcomes.values()) == 120
    assert outcomes["a report"] >= 40, "the clips as they are"
