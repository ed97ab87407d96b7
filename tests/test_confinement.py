"""What a reader of hostile files may still do, and that the app outlives whatever becomes of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_video import write

import preprocessing.video as video
from benchmarks.hostile import run
from core.errors import InputError
from core.settings import ROOT, Settings
from preprocessing.video import Tally, decode, probe
from tests.conftest import wait_for

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


def is_alive(process):
    return Path(f"/proc/{process}/stat").exists()


@pytest.fixture
def readers(monkeypatch):
    """Those that are started during the test, in order."""
    started = []
    start = video._Reader.__init__
    monkeypatch.setattr(video._Reader, "__init__", lambda self, side: started.append(self) or start(self, side))
    return started


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
def test_a_reader_that_dies_or_falls_silent_ends_in_one_sentence(tmp_path, monkeypatch, readers, fate):
    monkeypatch.setattr(video, "PATIENCE_S", 2.0)
    frames = decode(write(tmp_path / "a.mp4", times=range(200)), Tally(), settings=SETTINGS)
    next(frames)
    os.kill(readers[0].process, fate)
    with pytest.raises(InputError, match="had to be stopped"):
        list(frames)
    assert not is_alive(readers[0].process)
    monkeypatch.setattr(video, "PATIENCE_S", 60.0)
    assert probe(tmp_path / "a.mp4", name="", sha256="", settings=SETTINGS).frames == 200, "the next one reads on"


def test_where_the_program_that_readers_come_from_dies_another_is_started(tmp_path, readers):
    path = write(tmp_path / "a.mp4", times=range(200))
    frames = decode(path, Tally(), settings=SETTINGS)
    next(frames)
    readers[0].nursery.process.kill()
    readers[0].nursery.process.wait()
    with pytest.raises(InputError, match="had to be stopped"):
        list(frames)
    wait_for(lambda: not is_alive(readers[0].process), within_s=10)
    assert probe(path, name="", sha256="", settings=SETTINGS).frames == 200


def test_a_reader_is_told_nothing_of_the_apps_secrets_and_ends_when_the_app_does(tmp_path):
    path = write(tmp_path / "a.mp4", times=range(200))
    app = subprocess.Popen(
        [sys.executable, "-c", READING, str(path)], cwd=ROOT, stdout=subprocess.PIPE, env=os.environ | {"HF_TOKEN": "s"}
    )
    reader, nursery = map(int, app.stdout.readline().split())
    for process in (reader, nursery):
        assert b"HF_TOKEN" not in Path(f"/proc/{process}/environ").read_bytes()
    app.kill()
    app.wait()
    wait_for(lambda: not is_alive(reader) and not is_alive(nursery), within_s=10)


READING = """
import sys, time
from pathlib import Path
import preprocessing.video as video
from core.settings import Settings
started = []
start = video._Reader.__init__
video._Reader.__init__ = lambda self, side: (start(self, side), started.append(self))[0]
frames = video.decode(Path(sys.argv[1]), video.Tally(), settings=Settings.from_env({}))
next(frames)
print(started[0].process, started[0].nursery.process.pid, flush=True)
time.sleep(60)
"""


def test_frames_stay_as_they_were_however_long_they_are_kept(tmp_path):
    path = write(tmp_path / "a.mp4", times=range(60))
    kept = [frame.image for frame in decode(path, Tally(), settings=SETTINGS)]
    passing = [frame.image.copy() for frame in decode(path, Tally(), settings=SETTINGS)]
    assert len(kept) == 60
    assert all(np.array_equal(one, other) for one, other in zip(kept, passing, strict=True))


def test_files_made_to_break_readers_end_in_a_report_or_in_one_sentence(tmp_path):
    outcomes, wrong = run(tmp_path, 120, seed=1)
    assert wrong == []
    assert sum(outcomes.values()) == 120
    assert outcomes["a report"] >= 40, "the clips as they are"
