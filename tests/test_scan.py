"""Whole folders: a row for each file, nothing analysed twice, and nothing lost when a scan is cut off."""

import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from core.errors import AppError, InputError
from core.people import user_name
from core.settings import Settings
from core.types import Options, Progress, Report
from jobs.scan import INTERRUPTED, SCANNER, SOME_FAILED, listed, scan
from storage import ReportStore, upgrade
from tests import clips
from tests.conftest import ROOT, wait_for
from tests.test_storage import REPORT

ALL = Options(())
PATIENCE_S = 180
"""For a start of the app on a busy machine."""


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings.from_env({"TELLTALE_DATA": str(tmp_path / "data"), "DATABASE_URL": database_url})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that only a runner of a test's own takes for videos, two of them alike."""
    (folder := tmp_path / "clips").mkdir()
    for name, content in {"a.mp4": "1", "b.MOV": "2", "c.webm": "1", "d.avi": "3", "notes.txt": "4"}.items():
        (folder / name).write_text(content)
    return folder


class Run:
    """A runner that takes no time, counts what it is asked for, and fails as it is told to."""

    def __init__(self, fail: Callable[[Path], None] = lambda path: None) -> None:
        self.asked: list[str] = []
        self._fail = fail

    def __call__(self, path: Path, *, order, name, **arguments) -> Iterator[Progress | Report]:
        self.asked.append(name)
        yield Progress("looking", 0.0)
        time.sleep(0.05)
        self._fail(path)
        video = replace(REPORT.video, sha256=order.sha256, name=name)
        yield replace(REPORT, id=uuid.uuid4().hex, fingerprint=order.fingerprint, video=video)


def table(out: Path) -> pd.DataFrame:
    read = {".parquet": pd.read_parquet, ".csv": pd.read_csv, ".jsonl": lambda path: pd.read_json(path, lines=True)}
    return read[out.suffix](out).set_index("path")


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_each_file_has_its_row_and_the_same_content_is_analysed_once(settings, folder, tmp_path, kind):
    run, out = Run(), tmp_path / f"results.{kind}"
    assert scan(str(folder), out, ALL, settings, run, at_once=3) == 0
    rows = table(out)
    assert [Path(path).name for path in rows.index] == ["a.mp4", "b.MOV", "c.webm", "d.avi"]
    assert len(run.asked) == 3
    first, *_, last = rows.itertuples()
    assert (first.status, first.label, first.people) == ("done", "strong_signs", 2)
    assert (first.fake, first.low, first.high) == pytest.approx((0.93, 0.83, 0.97))
    assert first.reason == REPORT.verdict.reason
    assert first.report != last.report
    assert first.report == rows.iloc[2].report
    assert rows["lrnet/own"].tolist() == pytest.approx([0.3] * 4)
    store = ReportStore(settings.database_url)
    assert store.history(owner=None).total == 3
    assert store.get(first.report, owner=None).video.sha256 == first.sha256
    assert scan(str(folder), out, ALL, settings, run) == 0
    assert len(run.asked) == 3, "answered from the store"
    assert scan(str(folder), out, replace(ALL, thoroughness="fast"), settings, run) == 0
    assert len(run.asked) == 6, "asked something else"


def test_what_fails_is_listed_with_its_reason_and_tried_again_next_time(settings, folder, tmp_path, capsys):
    def fail(path: Path) -> None:
        if path.read_text() == "1":
            raise AppError("It is too long.")
        if path.read_text() == "3":
            raise ZeroDivisionError

    names, out, run = tmp_path / "list.txt", tmp_path / "out.csv", Run(fail)
    names.write_text("clips/a.mp4\n\nclips/c.webm\nclips/d.avi\nclips/b.MOV\nclips/gone.mp4\nclips\n")
    assert scan(str(names), out, ALL, settings, run) == SOME_FAILED
    rows = table(out)
    assert rows.status.tolist() == ["failed", "failed", "failed", "done", "failed", "failed"]
    assert rows.reason[:2].tolist() == ["It is too long."] * 2
    assert "ZeroDivisionError" in rows.reason.iloc[2]
    assert rows.reason[4:].tolist() == ["There is no file of this name."] * 2
    assert sorted(run.asked) == ["a.mp4", "b.MOV", "d.avi"], "what failed once is not tried under another name"
    said = capsys.readouterr()
    assert "6 files, 5 of them failed" in said.out
    assert f"{folder / 'a.mp4'}: It is too long." in said.err
    again = Run()
    assert scan(str(names), out, ALL, settings, again) == SOME_FAILED
    assert sorted(again.asked) == ["a.mp4", "d.avi"]


def test_ctrl_c_stops_what_runs_and_the_next_scan_goes_on(settings, folder, tmp_path, capsys):
    def interrupt(path: Path) -> None:
        if path.name == "b.MOV":
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.2)

    out = tmp_path / "out.csv"
    before = threading.active_count()
    assert scan(str(folder), out, ALL, settings, Run(interrupt)) == INTERRUPTED
    assert threading.active_count() == before
    assert "of 4 files; the same command goes on" in capsys.readouterr().err
    assert not out.exists(), "a table is whole or not there"
    run = Run()
    assert scan(str(folder), out, ALL, settings, run) == 0
    assert "a.mp4" not in run.asked
    assert "d.avi" in run.asked


def test_lists_are_read_from_their_own_folder_and_from_standard_input(tmp_path, monkeypatch):
    (tmp_path / "list.csv").write_text('label,path\n1,one.mp4\n0,"sub/two, too.mp4"\n')
    assert listed(str(tmp_path / "list.csv")) == [tmp_path / "one.mp4", tmp_path / "sub" / "two, too.mp4"]
    monkeypatch.setattr("sys.stdin", io.StringIO("/x/one.mp4\ntwo.mp4\n"))
    assert listed("-") == [Path("/x/one.mp4"), Path("two.mp4")]


@pytest.mark.parametrize(
    ("source", "out", "says"),
    [
        ("empty", "out.csv", "No file below"),
        ("nowhere", "out.csv", "neither a folder nor a list"),
        ("none.csv", "out.csv", "no column `path`, only a, b"),
        ("blank.txt", "out.csv", "names no file"),
        ("clips", "out.xlsx", "must end in .parquet, .csv or .jsonl"),
        ("clips", "nowhere/out.csv", "There is no folder"),
    ],
)
def test_what_cannot_be_begun_is_said_in_a_sentence(settings, folder, tmp_path, source, out, says):
    (tmp_path / "empty").mkdir()
    (tmp_path / "none.csv").write_text("a,b\n1,2\n")
    (tmp_path / "blank.txt").write_text("\n")
    with pytest.raises(AppError, match=says):
        scan(str(tmp_path / source), tmp_path / out, ALL, settings, Run())


def test_no_user_can_pass_for_a_scan():
    with pytest.raises(InputError):
        user_name(SCANNER)


def test_without_pyarrow_a_parquet_is_refused_before_anything_is_done(settings, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    run = Run()
    with pytest.raises(AppError, match=r"needs pyarrow: `pip install .*`, or ask for .csv"):
        scan(str(folder), tmp_path / "out.parquet", ALL, settings, run)
    assert run.asked == []


def test_a_scan_that_is_killed_goes_on_where_it_was(tmp_path):
    """The real command on real clips; killed once it has kept its first report."""
    (folder := tmp_path / "clips").mkdir()
    for n in range(3):
        clips.good(folder / f"{n}.mp4", 30 + n)
    clips.text(folder / "text.mp4")
    shutil.copy(folder / "0.mp4", folder / "zero again.mp4")
    (data := tmp_path / "data").mkdir()
    upgrade(address := f"sqlite:///{data / 'telltale.db'}")
    store = ReportStore(address)

    def begin() -> subprocess.Popen[str]:
        command = [sys.executable, "app.py", "scan", str(folder), "--out", str(tmp_path / "out.parquet")]
        command += ["--detectors", "lrnet", "--thoroughness", "fast"]
        known = os.environ | {"TELLTALE_DATA": str(data)}
        return subprocess.Popen(command, cwd=ROOT, env=known, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    first = begin()
    wait_for(lambda: store.history(owner=None).total or first.poll() is not None, PATIENCE_S)
    first.kill()
    first.communicate()
    kept = {row.id for row in store.history(owner=None).rows}
    assert 1 <= len(kept) < 3, "killed too late to tell anything"

    second = begin()
    out, err = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == SOME_FAILED, err
    assert "5 files, 1 of them failed" in out
    assert "not a video that can be read" in err
    rows = table(tmp_path / "out.parquet")
    assert kept < set(rows.report.dropna())
    assert store.history(owner=None).total == rows.sha256[rows.status == "done"].nunique() == 3
    assert not [file for file in (data / "tmp").rglob("*") if file.is_file()]
