"""Jobs outlive whoever asked for them and whoever works on them: the line in the database, and real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from sqlalchemy import select

from core.errors import Cancelled, InputError
from core.jobs import Job, JobNotFound, JobState, Priority, QueueFull, Request, TooManyJobs
from core.settings import Settings
from core.types import Options
from core.words import texts
from storage import AuditLog, JobStore, ReportStore
from storage.audit import verify
from storage.database import sessions
from storage.jobs import WINDOW_S
from storage.spool import SETTLED_S, Spool
from storage.tables import JobRow
from tests import clips
from tests.conftest import ROOT, Clock, running, wait_for
from tests.test_storage import ANNA, BERT, REPORT

ASKED = Request("clip.mp4", "a" * 64, Options(("lrnet",)), ("b" * 64,), ("genuine.mp4",))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    chosen = {"TELLTALE_WAITING": "3", "TELLTALE_PER_HOUR": "8", "TELLTALE_PER_ADDRESS": "9"}
    return Settings.from_env({"TELLTALE_DATA": str(tmp_path / "data")} | chosen)


@pytest.fixture
def jobs(database_url: str, settings: Settings, clock: Clock) -> JobStore:
    return JobStore(database_url, settings, clock=clock)


@pytest.fixture
def submit(jobs: JobStore, tmp_path: Path, clock: Clock) -> Callable[..., Job]:
    def ask(request: Request = ASKED, owner: str = ANNA, language: str = "en", **more: Any) -> Job:
        clock.now += 1e-3
        files = {sha256: tmp_path / sha256 for sha256 in (request.sha256, *request.references)}
        for file in files.values():
            file.write_text(file.name)
        return jobs.submit(request, files, owner=owner, language=language, **more)

    return ask


def lying(jobs: JobStore) -> set[str]:
    """The jobs of which files are there."""
    folder = jobs._settings.jobs
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def test_a_job_is_claimed_once_tells_how_far_it_is_and_ends_with_its_report(jobs, submit, database_url):
    job = submit()
    assert (job.state, job.ahead, job.wait_s, job.fraction) == (JobState.QUEUED, 0, None, 0.0)
    claim = jobs.claim()
    assert (claim.id, claim.owner, claim.request) == (job.id, ANNA, ASKED)
    assert jobs.claim() is None
    assert [jobs.spool.path(job.id, sha256).read_text() for sha256 in ("a" * 64, "b" * 64)] == ["a" * 64, "b" * 64]
    assert jobs.beat(claim, "Scoring", 0.5)
    told = jobs.get(job.id, owner=ANNA)
    assert (told.state, told.stage, told.fraction, told.tries) == (JobState.RUNNING, "Scoring", 0.5, 1)

    store = ReportStore(database_url)
    store.add(REPORT, owner=ANNA, claim=claim)
    told = jobs.get(job.id, owner=ANNA)
    assert (told.state, told.report_id, told.from_store) == (JobState.DONE, REPORT.id, False)
    with pytest.raises(Cancelled):
        store.add(replace(REPORT, id="twice"), owner=ANNA, claim=claim)
    assert store.history(owner=ANNA).total == 1

    store.delete(REPORT.id, owner=ANNA)
    told = jobs.get(job.id, owner=ANNA)
    assert (told.state, told.report_id, told.name, told.sha256) == (JobState.DONE, None, "", "")


def test_people_come_before_batches_and_the_rest_by_age_with_an_honest_wait(jobs, submit, clock, settings):
    first, batch = submit(), None
    claim = jobs.claim()
    clock.now += 10
    with sessions(jobs._session.kw["bind"]).begin() as session:
        session.get(JobRow, first.id).state = JobState.DONE  # it took ten seconds
        session.get(JobRow, first.id).ended_s = clock.now
    assert claim
    batch, person, other = submit(), submit(priority=Priority.PERSON), submit(priority=Priority.PERSON)
    running = jobs.claim()
    assert running.id == person.id
    clock.now += 4
    told = jobs.get(batch.id, owner=ANNA)
    assert told.ahead == 2
    assert told.wait_s == pytest.approx(6 + 10, abs=0.1)
    assert [jobs.claim().id, jobs.claim().id] == [other.id, batch.id]


def test_many_workers_never_get_the_same_job(jobs, submit):
    asked = {submit(priority=priority).id for priority in Priority for _ in range(3)}
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: jobs.claim(), range(12)))
    assert sorted(claim.id for claim in claims if claim) == sorted(asked)


def test_a_lost_job_is_put_back_once_and_then_fails_with_its_reason(jobs, submit, clock, settings):
    job = submit(language="de")
    lost = jobs.claim()
    clock.now += settings.lease_seconds - 1
    assert jobs.claim() is None
    assert jobs.beat(lost, "On", 0.1)
    clock.now += settings.lease_seconds + 1
    second = jobs.claim()
    assert (second.id, jobs.get(job.id, owner=ANNA).tries) == (job.id, 2)
    assert not jobs.beat(lost, "Still on", 0.9), "the first worker has to notice"
    jobs.fail(lost, "too late")
    assert jobs.beat(second, "On", 0.1)
    assert lying(jobs) == {job.id}
    clock.now += settings.lease_seconds + 1
    assert jobs.claim() is None
    told = jobs.get(job.id, owner=ANNA)
    assert (told.state, told.reason) == (JobState.FAILED, texts("de")["jobs.lost"])
    assert lying(jobs) == set()


def test_a_worker_that_goes_home_loses_nothing(jobs, submit):
    job, later = submit(), submit()
    jobs.release(jobs.claim())
    assert jobs.get(job.id, owner=ANNA).tries == 0
    assert jobs.claim().id == job.id, "at its old place"
    assert jobs.get(later.id, owner=ANNA).state is JobState.QUEUED


@pytest.mark.parametrize("is_running", [False, True])
def test_a_cancelled_job_stays_so_and_its_files_go(jobs, submit, database_url, is_running):
    job = submit()
    claim = jobs.claim() if is_running else None
    with pytest.raises(JobNotFound):
        jobs.cancel(job.id, owner=BERT)
    assert jobs.cancel(job.id, owner=ANNA).state is JobState.CANCELLED
    assert lying(jobs) == set()
    if claim:
        assert not jobs.beat(claim, "On", 0.5)
        with pytest.raises(Cancelled):
            ReportStore(database_url).add(REPORT, owner=ANNA, claim=claim)
        assert ReportStore(database_url).history(owner=ANNA).total == 0
    assert jobs.claim() is None
    assert jobs.cancel(job.id, owner=ANNA).state is JobState.CANCELLED


def test_a_job_is_its_owners_and_moderators_see_all(jobs, submit):
    job = submit()
    with pytest.raises(JobNotFound):
        jobs.get(job.id, owner=BERT)
    assert jobs.get(job.id, owner=None).id == job.id


def test_the_same_key_is_the_same_job_and_never_another(jobs, submit):
    job = submit(key="k")
    assert submit(replace(ASKED, name="other name.mp4"), key="k").id == job.id
    assert submit(key="k", owner=BERT).id != job.id
    assert submit().id != job.id
    for other in (replace(ASKED, sha256="c" * 64), replace(ASKED, options=Options(()))):
        with pytest.raises(InputError, match="stands for another file or other options"):
            submit(other, key="k")
    for bad, told in (("k" * 201, "201: 'kkk"), ("k\0", "2: 'k.x00'"), ("k\ud800", "2: 'k.ud800'")):
        with pytest.raises(InputError, match=f"1 to 200 printable characters, got {told}"):
            submit(key=bad)


def test_of_many_who_submit_at_once_with_one_key_all_get_the_same_job(jobs, tmp_path):
    def ask(number: int) -> str:
        file = tmp_path / str(number)
        file.touch()
        request = replace(ASKED, references=(), reference_names=())
        return jobs.submit(request, {request.sha256: file}, owner=ANNA, language="en", key="k").id

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(ask, range(12)))) == 1


def test_a_full_line_refuses_with_the_wait_keeps_the_file_and_leaves_room_for_people(jobs, submit, tmp_path):
    for _ in range(3):
        submit()
    with pytest.raises(QueueFull) as refusal:
        submit()
    assert (refusal.value.ahead, refusal.value.wait_s) == (3, None)
    assert (tmp_path / ASKED.sha256).exists()
    assert submit(priority=Priority.PERSON).ahead == 0


def test_what_is_answered_already_is_done_from_the_start_and_does_not_count(jobs, submit):
    for _ in range(20):
        job = submit(known="r-1")
    assert (job.state, job.report_id, job.from_store) == (JobState.DONE, "r-1", True)
    assert jobs.claim() is None
    assert lying(jobs) == set()


def test_who_asks_for_too_much_is_told_when_to_come_back_by_owner_and_by_address(jobs, submit, clock, database_url):
    for _ in range(8):
        jobs.cancel(submit(address="8.8.8.8").id, owner=ANNA)
        jobs.cancel(submit(owner=BERT, address="10.0.0.1").id, owner=BERT)
        clock.now += 60
    with pytest.raises(TooManyJobs) as refusal:
        submit()
    assert refusal.value.wait_s == pytest.approx(WINDOW_S - 8 * 60, abs=0.1)
    jobs.cancel(submit(owner="carl", address="8.8.8.8").id, owner="carl")
    with pytest.raises(TooManyJobs):
        submit(owner="dora", address="8.8.8.8")
    submit(owner="dora", address="10.0.0.1")
    # An address of IPv4 is the same in either form, and no other.
    with pytest.raises(TooManyJobs):
        submit(owner="emil", address="::ffff:8.8.8.8")
    submit(owner="emil", address="::ffff:9.9.9.9")
    again = JobStore(database_url, jobs._settings, clock=clock)
    with pytest.raises(TooManyJobs):
        again.submit(ASKED, {}, owner=ANNA, language="en")

    with sessions(database_url)() as session:
        kept = set(session.scalars(select(JobRow.address)))
    assert len(kept) == 3
    assert not any("8.8.8.8" in (address or "") for address in kept)
    clock.now += WINDOW_S + 1
    submit()
    jobs.expire(timedelta(days=1))
    with sessions(database_url)() as session:
        assert set(session.scalars(select(JobRow.address))) == {None}


def test_time_deletes_old_jobs_and_files_that_nobody_needs(jobs, submit, clock):
    old = submit()
    jobs.cancel(old.id, owner=ANNA)
    clock.now += 25 * 3600
    live = submit()
    orphan = jobs.spool.path("orphan", "c" * 64)
    orphan.parent.mkdir()
    orphan.touch()
    long_ago = time.time() - SETTLED_S - 1
    for folder in (orphan.parent, jobs.spool.path(live.id, "").parent):
        os.utime(folder, (long_ago, long_ago))
    assert jobs.expire(timedelta(hours=24)) == 1
    assert lying(jobs) == {live.id}
    with pytest.raises(JobNotFound):
        jobs.get(old.id, owner=ANNA)


def test_files_that_go_while_others_are_swept_are_no_trouble(tmp_path):
    spool, long_ago = Spool(tmp_path), time.time() - SETTLED_S - 1
    for job in ("one", "two"):
        (tmp_path / job).mkdir()
        os.utime(tmp_path / job, (long_ago, long_ago))

    def is_needed(_: str) -> bool:
        for job in ("one", "two"):
            spool.discard(job)
        return False

    spool.sweep(is_needed)
    assert not list(tmp_path.iterdir())


# Real processes


FAST = {"TELLTALE_LEASE_SECONDS": "3"}


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.good(tmp_path_factory.mktemp("clips") / "long.mp4", 400)


@contextmanager
def working(data: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that only works on jobs."""
    own = {"TELLTALE_DATA": str(data), "DATABASE_URL": url} | FAST
    process = subprocess.Popen([sys.executable, "app.py", "work"], cwd=ROOT, env=os.environ | own)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_worker_that_is_killed_loses_no_job_and_a_second_one_runs_it_once(database_url, tmp_path, long_clip):
    settings = Settings.from_env({"TELLTALE_DATA": str(tmp_path / "data")} | FAST)
    jobs, store = JobStore(database_url, settings), ReportStore(database_url)
    (tmp_path / "clip").write_bytes(long_clip.read_bytes())
    request = Request("clip.mp4", "a" * 64, Options(("lrnet",)))
    job = jobs.submit(request, {request.sha256: tmp_path / "clip"}, owner=ANNA, language="en")

    def told() -> Job:
        return jobs.get(job.id, owner=ANNA)

    with working(settings.data, database_url) as first:
        wait_for(lambda: "Following" in told().stage)
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert told().state is JobState.RUNNING
    with working(settings.data, database_url), working(settings.data, database_url):
        wait_for(lambda: told().state.is_end and not lying(jobs))
    assert (told().state, told().tries) == (JobState.DONE, 2)
    assert [row.id for row in store.history(owner=ANNA).rows] == [told().report_id]
    head, entries = AuditLog(database_url).read()
    assert (verify(entries, head), head.count) == (None, 1)


def test_after_a_restart_a_page_goes_on_and_programs_find_their_jobs_again(tmp_path, long_clip):
    headers = {"x-telltale-visitor": "a visitor's own secret"}

    def client(url: str) -> Callable[..., Any]:
        return Client(url, headers=headers, verbose=False, analytics_enabled=False).predict

    for start in ("one", "two"):
        (tmp_path / start).mkdir()
    with running(tmp_path / "one", TELLTALE_DATA=str(tmp_path / "data"), **FAST) as server:
        call = client(server.url)
        asked = {"video": handle_file(str(long_clip)), "detectors": ["lrnet"]}
        job = call(**asked, key="mine", api_name="/submit")
        assert (job["state"], job["priority"]) == ("queued", "batch")
        assert call(**asked, key="mine", api_name="/submit")["id"] == job["id"]
        other = call(**asked, thoroughness="fast", api_name="/submit")
        assert call(other["id"], api_name="/cancel")["state"] == "cancelled"
        wait_for(lambda: call(job["id"], api_name="/job")["state"] == "running")
        with pytest.raises(Exception, match="never was, or is another visitor's"):
            Client(server.url, verbose=False, analytics_enabled=False).predict(job["id"], api_name="/job")
    with running(tmp_path / "two", TELLTALE_DATA=str(tmp_path / "data"), **FAST) as server:
        call = client(server.url)
        assert call(other["id"], api_name="/job")["state"] == "cancelled"
        wait_for(lambda: call(job["id"], api_name="/job")["state"] == "done")
        done = call(job["id"], api_name="/job")
        assert done["tries"] == 1, "a restart is no loss"
        report = call(done["report_id"], api_name="/report")
        assert report["video"]["name"] == "long.mp4"
        known = call(**asked, api_name="/submit")
        assert (known["state"], known["report_id"], known["from_store"]) == ("done", done["report_id"], True)
        assert call(**asked, key="mine", api_name="/submit")["id"] == job["id"]
        wait_for(lambda: not list((tmp_path / "data" / "jobs").iterdir()))
