"""The page: visits and views with a pretended pipeline, and the page itself, built and asked."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from analysis.pipeline import Order
from core.errors import Cancelled, InputError, WeightsError
from core.files import hash_of
from core.jobs import JobState
from core.settings import Settings
from core.types import (
    Finding,
    Label,
    Options,
    Person,
    Progress,
    Quality,
    Report,
    Trial,
    UsedWeights,
    Verdict,
    Video,
    Weighing,
)
from core.weights import load_manifest
from core.words import LANGUAGES, duration, in_language, say
from detectors import choices
from jobs.worker import follow
from preprocessing.video import Claim
from storage import History, HistoryRow, JobStore, ReportStore, upgrade
from tests.conftest import ROOT, free_port, wait_for
from ui import build, launch_options
from ui.about import about as about_text
from ui.document import Format, write_document
from ui.estimate import measure, told_before
from ui.history import history_table
from ui.languages import TEXTS
from ui.messages import Refusal, about, band_name, clock, friendly, told
from ui.result import banner, cards, details, findings, quality, warnings
from ui.rights import VISITOR_HEADER, visitor
from ui.uploads import discard, put_apart, uploader
from ui.visit import Answer, Desk
from ui.weighing import panel, preview

TAG = '<img src=x onerror="alert(1)">'
OPTIONS = Options(())
SEEN = Verdict(Label.SOME_SIGNS, 0.7, (0.5, 0.8), 1.0, f"Because {TAG}.")


def request(header: str | None = None, session: str | None = None) -> gr.Request:
    headers = {VISITOR_HEADER: header} if header else {}
    return SimpleNamespace(headers=headers, session_hash=session, username=None)  # type: ignore[return-value]


SOMEBODY, ANOTHER = request(header="somebody's own secret"), request(session="another's session")


def report(id: str = "r1", fingerprint: str = "f", **changes: Any) -> Report:
    """One person, whom one method scored and another could not look at; every text of it holds markup."""
    quality = Quality(50.0, 5.0, 1.0, 25.0, 0.0, 0.0, (f"Small {TAG}.",))
    person = Person(1, 0.0, 10.0, 250, 120.0, SEEN, quality, thumbnail=b"jpeg")
    used = UsedWeights(f"lrnet/{TAG}", "0" * 64, f"MIT {TAG}")
    scored = Finding(
        *("lrnet", "entire", 1, "scored", 0.7, (0.5, 0.8), True, 0.6, 0.5, None, used, (1.0, 2.0), (0.4, 0.8)),
        weighing=Weighing(1.0, 0.0, 0.5, 0.22),
    )
    skipped = Finding("mouth", "mouth", 1, "skipped", reason=f"The mouth is hidden {TAG}.")
    video = Video("0" * 64, f"{TAG}.mp4", 10.0, 250, 250, 25.0, 640, 480, "h264", 0)
    whole = Report(
        *(id, "2025-01-01T00:00:00+00:00", "0", fingerprint, OPTIONS, video, SEEN, (person,), (scored, skipped)),
        *((f"Mind {TAG}.",), {"total": 1.0}, "cpu"),
    )
    return replace(whole, **changes)


class Pipeline:
    """Stands in for the analysis: notes what it is asked, works as long as it is told to, and how it was stopped."""

    def __init__(self) -> None:
        self.asked: list[Path] = []
        self.seconds = 0.0
        self.error: Exception | None = None
        self.stopped_at: float | None = None

    def take_order(self, path: Path, *_: Any, references: Sequence[Path] = (), **__: Any) -> Order:
        return Order((), "0" * 64, path.read_text(), tuple(hash_of(file) for file in references))

    def analyze(self, path: Path, *, on_progress: Callable[[Progress], None], **_: Any) -> Report:
        self.asked.append(path)
        if self.error:
            raise self.error
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            time.sleep(0.05)
            try:
                on_progress(Progress("Working", 0.5))
            except Cancelled:
                self.stopped_at = time.monotonic()
                raise
        return report(id=f"r{len(self.asked)}", fingerprint=path.read_text())


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


@pytest.fixture
def desk(tmp_path: Path, pipeline: Pipeline) -> Iterator[Desk]:
    """With the real store and manifest."""
    settings = Settings.from_env({"TELLTALE_DATA": str(tmp_path / "data"), "GRADIO_SERVER_PORT": str(free_port())})
    upgrade(settings.database_url)
    with at_work(settings, pipeline) as desk:
        yield desk


@contextmanager
def at_work(settings: Settings, pipeline: Pipeline) -> Iterator[Desk]:
    """A public desk with a worker, in this process."""
    url = settings.database_url
    desk = Desk(settings, load_manifest(), ReportStore(url), JobStore(url, settings), pipeline.take_order)
    worker = desk.worker(partial(follow, pipeline.analyze))
    worker.start()
    yield desk
    worker.stop()


@pytest.fixture
def upload(desk: Desk) -> Callable[..., str]:
    """Puts a file of somebody's where uploads lie, and returns its path as Gradio gives it."""

    def put(content: str = "a clip", who: gr.Request = SOMEBODY) -> str:
        return str(put_apart("clip.mp4", content.encode(), desk.settings.uploads, uploader(who)))

    return put


@pytest.fixture
def page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the page, served in this process."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(desk.settings.uploads))
    blocks = build(desk)
    _, address, _ = blocks.launch(**launch_options(desk), quiet=True, prevent_thread_lock=True)
    yield address
    blocks.close(verbose=False)


def laid_out(text: object) -> str:
    """What an English browser shows of a text that is the same for everybody."""
    english = TEXTS.translations["en"]
    return next((english[key] for key in english if key in str(text)), str(text))


def last(steps: Iterator[Any]) -> Any:
    return list(steps)[-1]


def test_a_visit_ends_in_a_stored_report_and_without_the_upload(desk, upload):
    clip = upload()
    answer = last(desk.visit(clip, OPTIONS, None, SOMEBODY))
    assert answer == Answer(desk.store.get("r1", owner=visitor(None, SOMEBODY)), from_store=False)
    assert not list(desk.settings.uploads.iterdir())


def test_the_same_clip_is_answered_from_the_store_but_never_from_that_of_another(desk, upload, pipeline):
    visitors = (SOMEBODY, SOMEBODY, ANOTHER)
    first, second, third = (last(desk.visit(upload(who=who), OPTIONS, None, who)) for who in visitors)
    assert (first.from_store, second.from_store, third.from_store) == (False, True, False)
    assert second.report.id == first.report.id != third.report.id
    assert len(pipeline.asked) == 2
    assert not list(desk.settings.uploads.iterdir())


def test_the_upload_goes_when_the_visitor_or_the_question_is_refused(desk, upload):
    for options, who in ((OPTIONS, request(header="guess")), (replace(OPTIONS, thoroughness="hasty"), SOMEBODY)):
        with pytest.raises(InputError):
            list(desk.visit(upload(who=who), options, None, who))
    assert not list(desk.settings.uploads.iterdir())


@pytest.mark.parametrize("error", [InputError("Too long."), RuntimeError("a bug")])
def test_the_upload_goes_when_the_analysis_fails(desk, upload, pipeline, error):
    pipeline.error = error
    with pytest.raises(InputError, match=r"Too long|Something went wrong"):
        list(desk.visit(upload(), OPTIONS, None, SOMEBODY, references=[upload("genuine")]))
    assert not list(desk.settings.uploads.iterdir())
    assert not list(desk.settings.jobs.iterdir())


def test_a_visit_that_is_left_stops_the_work_within_a_second(desk, upload, pipeline):
    pipeline.seconds = 30
    visit = desk.visit(upload(), OPTIONS, None, SOMEBODY)
    while next(visit) != Progress("Working", 0.5):
        pass
    left = time.monotonic()
    visit.close()
    assert not list(desk.settings.uploads.iterdir())
    assert not list(desk.settings.jobs.iterdir())
    wait_for(lambda: pipeline.stopped_at, within_s=5)
    assert pipeline.stopped_at - left < 1


def test_a_database_that_is_away_for_a_moment_costs_no_report(desk, upload, pipeline, monkeypatch):
    add, failures = desk.store.add, [OperationalError("COMMIT", {}, Exception("database is locked"))]

    def adds(*args: Any, **more: Any) -> None:
        if failures:
            raise failures.pop()
        add(*args, **more)

    monkeypatch.setattr(desk.store, "add", adds)
    monkeypatch.setattr(desk.jobs, "_settings", desk.settings.model_copy(update={"lease_seconds": 0.5}))
    answer = last(desk.visit(upload(), OPTIONS, None, SOMEBODY))
    assert (answer.report.id, len(pipeline.asked)) == ("r2", 2)


def test_what_a_cancelled_job_stumbles_over_is_no_fault_in_the_log(desk, upload, pipeline, tmp_path, caplog):
    at_rest = desk.settings.model_copy(update={"at_once": 0, "database": SecretStr(f"sqlite:///{tmp_path}/db")})
    upgrade(at_rest.database_url)
    with at_work(at_rest, pipeline) as desk:
        job = desk.submit(upload(), OPTIONS, SOMEBODY)

        def loses_its_file(*_: Any, **__: Any) -> Iterator[Progress]:
            desk.cancel(job.id, SOMEBODY)
            yield Progress("Reading", desk.jobs.spool.path(job.id, job.sha256).stat().st_size)

        desk.worker(loses_its_file)._work(desk.jobs.claim())
        assert desk.job(job.id, SOMEBODY).state is JobState.CANCELLED
    assert not [line for line in caplog.records if line.levelname == "ERROR"]


def test_an_analysis_that_takes_too_long_is_stopped_with_a_sentence(desk, upload, pipeline, tmp_path):
    pipeline.seconds = 30
    hasty = desk.settings.model_copy(
        update={"max_minutes": 0.3 / 60, "database": SecretStr(f"sqlite:///{tmp_path}/db")}
    )
    upgrade(hasty.database_url)
    with at_work(hasty, pipeline) as desk, pytest.raises(InputError, match="took longer than 0 s and was stopped"):
        list(desk.visit(upload(), OPTIONS, None, SOMEBODY))


def test_the_door_says_what_is_wrong_before_any_work(desk, upload, pipeline):
    small = replace(desk, settings=desk.settings.model_copy(update={"max_mb": 1e-6}))
    for visit, sentence in (
        (desk.visit(None, OPTIONS, None, SOMEBODY), "Choose a video first"),
        (desk.visit(str(desk.settings.uploads / "x" / "gone.mp4"), OPTIONS, None, SOMEBODY), "no longer on the server"),
        (small.visit(upload(), OPTIONS, None, SOMEBODY), "takes videos of up to"),
    ):
        with pytest.raises(InputError, match=sentence):
            list(visit)
    assert not pipeline.asked


def test_the_end_of_a_visit_deletes_uploads_and_nothing_else(desk, upload):
    clip, own = Path(upload()), desk.settings.data / "assets" / "example.mp4"
    own.parent.mkdir()
    own.touch()
    uploads = desk.settings.uploads
    others = [uploads, clip.parent, uploads / "missing.mp4", uploads / ".." / "assets" / "example.mp4", own]
    discard([*others, clip.parent / "\0", clip.parent / ("x" * 300)], uploads, uploader(SOMEBODY))
    discard([clip], uploads, uploader(ANOTHER))
    assert clip.exists()
    assert own.exists()
    discard([clip], uploads, uploader(SOMEBODY))
    assert not list(uploads.iterdir())
    with pytest.raises(InputError, match="no longer on the server"):
        list(desk.visit(str(own), OPTIONS, None, SOMEBODY))
    assert own.exists()


def test_reports_belong_to_a_secret_and_sessions_and_secrets_never_meet():
    secret = "0123456789abcdef"
    assert visitor(secret, request()) == visitor(None, request(header=secret))
    assert visitor(secret, request()) != visitor(None, request(session=secret))
    assert secret not in visitor(secret, request())


@pytest.mark.parametrize("asks", [request(), request(header="guess"), request(session="")])
def test_nobody_shares_an_owner_by_giving_no_secret_or_a_short_one(asks):
    with pytest.raises(InputError, match="at least 16 characters"):
        visitor(None, asks)


def test_an_error_for_people_is_one_sentence_and_a_bug_does_not_show(caplog):
    def handler(error: Exception) -> None:
        raise error

    def steps(error: Exception) -> Iterator[str]:
        yield "working"
        raise error

    for error, sentence in (
        (WeightsError("Fetch them."), "Fetch them."),
        (KeyError("secret detail"), say("messages.bug")),
    ):
        with pytest.raises(gr.Error) as seen:
            friendly(handler)(error)
        assert (seen.value.message, seen.value.print_exception) == (sentence, False)
        with pytest.raises(gr.Error, match=sentence):
            list(friendly(steps)(error))
        assert list(told(steps(error))) == ["working", Refusal(sentence)]
    assert "secret detail" in caplog.text
    assert "Fetch them" not in caplog.text


def test_markup_from_a_file_is_shown_and_never_run():
    shown = report()
    row = SimpleNamespace(**{"id": TAG, "created_at": TAG, "name": TAG, "duration_s": 1.0, "label": Label.SOME_SIGNS})
    row.fake, row.basis, row.persons = 0.5, None, 1
    views = [view(shown) for view in (banner, cards, quality, findings, warnings, details, panel, preview)]
    views.append(history_table(SimpleNamespace(rows=(row,), total=1), filtered=False))  # type: ignore[arg-type]
    for view in views:
        assert "&lt;img src=x" in view
        assert "<img src=x" not in view


def test_what_could_not_look_shows_its_reason_and_no_number():
    unseen = Verdict(Label.NOT_ASSESSED, None, None, 0.0, "Nobody was seen.")
    (skipped,) = (f for f in report().findings if f.status == "skipped")
    shown = findings(report(findings=(skipped,)))
    assert "Skipped: The mouth is hidden" in shown
    assert "0." not in shown
    assert "P(manipulated)" not in banner(report(verdict=unseen))
    assert "gauge" not in banner(report(verdict=unseen))


def test_what_is_not_calibrated_is_marked_wherever_its_number_stands():
    (scored, skipped), (person,) = report().findings, report().tracks
    guess, verdict = replace(scored, calibrated=False), replace(SEEN, basis="uncalibrated")
    shown = report(findings=(guess, skipped), verdict=verdict, tracks=(replace(person, verdict=verdict),))
    for view in (banner, cards, findings, panel, preview):
        assert "uncalibrated" in view(shown), view
        assert "uncalibrated" not in view(report()), view
    listed = HistoryRow("r1", "2025-01-01T00:00:00+00:00", "clip.mp4", 1.0, Label.SOME_SIGNS, 0.7, verdict.basis, 1)
    assert "0.70 (uncalibrated)" in history_table(History((listed,), 1), filtered=False)


def test_one_s_own_weights_give_a_preview_and_a_line_and_leave_the_report_as_it_was(desk):
    desk.store.add(report(), owner=visitor(None, SOMEBODY))
    recorded = desk.store.get("r1", owner=visitor(None, SOMEBODY))
    weigh = next(f.fn for f in build(desk).fns.values() if f.name == "weigh")
    (witness,) = {f.witness for f in recorded.findings if f.weighing}

    def ask(weights, who=SOMEBODY):
        return weigh("r1", None, who, SimpleNamespace(weights=weights))

    shown, lines = ask({witness: 0.9})
    assert "Your weighting" in shown
    assert [line["person"] for line in lines] == [1]
    shown, lines = ask({witness: 0})
    assert "Could not assess" in shown
    assert lines == []
    assert ask({}) == ("", []), "the recorded weights"
    assert desk.store.get("r1", owner=visitor(None, SOMEBODY)) == recorded
    for nonsense in (None, [1], {witness: "much"}, {witness: 2}, {witness: float("nan")}):
        with pytest.raises(gr.Error, match="between 0 and 1"):
            ask(nonsense)
    with pytest.raises(gr.Error, match="another visitor's"):
        ask({witness: 0}, ANOTHER)


def test_a_report_from_before_weights_were_kept_offers_nothing_to_weigh():
    (scored, _) = report().findings
    assert panel(report(findings=(replace(scored, weighing=None),))) == ""


def test_how_far_the_number_moved_is_shown_beside_it_for_the_video_and_for_each_person():
    trials = (
        Trial("re-encoded", None, Label.INCONCLUSIVE, 0.48),
        Trial("scaled", None, Label.NOT_ASSESSED, None, "Too small."),
        Trial("re-encoded", 1, Label.SOME_SIGNS, 0.72),
    )
    tried = report(trials=trials)
    assert ": 0.48 after re-encoding, not assessed at three quarters of its size. Spread 0.48 to 0.70." in banner(tried)
    assert "Looked at again: 0.72 after re-encoding. Spread 0.70 to 0.72." in cards(tried)
    assert "Looked at again" not in banner(report()) + cards(report())


def test_no_word_on_the_page_calls_a_video_real(desk):
    for code in LANGUAGES:
        with in_language(code):
            words = " ".join([*map(band_name, Label), about_text(desk.settings)]).lower()
        assert not {"authentic", "real", "real.", "authentisch", "echt", "echt."} & set(words.split())


def test_a_document_is_in_english_whoever_asks_for_it():
    def write(format: Format) -> bytes:
        return write_document(report(), format, made_at="2025-01-01T00:00:00+00:00")

    for format in (Format.JSON, Format.HTML):
        english = write(format)
        assert b"Some signs of manipulation" in english
        with in_language("de"):
            assert write(format) == english


def test_times_read_as_people_write_them():
    assert (clock(0), clock(65.24), clock(59.97), duration(40), duration(300)) == (
        *("0:00.0", "1:05.2", "1:00.0"),
        *("40 s", "5 min"),
    )


def test_how_long_it_takes_is_told_from_the_header_alone_and_called_a_guess_at_first(desk, upload):
    clip = Path(upload())
    clip.write_bytes((ROOT / "ui" / "assets" / "example.mp4").read_bytes())
    claim = measure(str(clip), desk, uploader(SOMEBODY))
    assert (claim.length_s, claim.rate_hz) == (12.0, 25.0)
    said = told_before(claim, [], Options(("lrnet",), thoroughness="thorough"), desk)
    assert "Takes about 20 s for one person in view; a rough guess" in said
    assert "An analysis is stopped after 15 min" in told_before(
        Claim(300, 60), [Claim(300, 240)], replace(OPTIONS, thoroughness="thorough"), desk
    )
    assert "no detector called" in told_before(claim, [], Options((TAG,)), desk)
    assert TAG not in told_before(claim, [], Options((TAG,)), desk)
    assert told_before(None, [], OPTIONS, desk) == ""


def test_what_is_no_video_or_no_upload_has_no_estimate(desk, upload):
    refusal = measure(upload("some text"), desk, uploader(SOMEBODY))
    assert "not a video that can be read" in told_before(refusal, [], OPTIONS, desk)
    assert measure(str(ROOT / "ui" / "assets" / "example.mp4"), desk, uploader(SOMEBODY)) is None
    assert measure(None, desk, uploader(SOMEBODY)) is None


def test_lengths_of_time_are_foretold_no_finer_than_is_known():
    said = [about(seconds) for seconds in (0, 5, 8, 22, 74, 75, 149, 150, 900)]
    assert said == [
        *("a few seconds", "a few seconds", "about 10 s", "about 20 s", "about 70 s", "a minute or two"),
        *("a minute or two", "about 2 min", "about 15 min"),
    ]


def test_the_page_and_programs_wait_in_the_line_of_the_database_and_not_in_gradios(desk):
    blocks = build(desk)
    assert not blocks.api_open
    assert {f.concurrency_limit for f in blocks.fns.values() if f.api_name in ("run", "analyze")} == {None}
    assert launch_options(desk)["max_threads"] > desk.settings.waiting + desk.settings.at_once


def test_a_region_can_be_picked_where_it_has_weights_and_elsewhere_it_says_what_is_missing(desk, monkeypatch):
    ready = {"entire", "eyes", "nose"}
    offered = [
        replace(c, reason=None if c.set == "capsule/bida-uadfv" and c.weights.region in ready else "Absent.")
        for c in choices(desk.manifest, desk.settings)
    ]
    monkeypatch.setattr("ui.analyze.choices", lambda *_: offered)
    blocks = build(desk).blocks.values()
    (regions,) = (b for b in blocks if isinstance(b, gr.CheckboxGroup) and laid_out(b.label) == "Regions of the face")
    assert regions.visible
    assert {laid_out(name) for name, _ in regions.choices} == ready
    values = (laid_out(b.value) for b in blocks if isinstance(b, gr.HTML))
    (greyed,) = (value for value in values if "Regions without weights" in value)
    assert [f"disabled> {region}<" in greyed for region in ("mouth", "rest", "eyes")] == [True, True, False]
    assert "dsp_fwa/bida-uadfv" in greyed


def test_programs_are_offered_these_endpoints(page):
    offered = Client(page, verbose=False, analytics_enabled=False).view_api(return_format="dict")
    assert set(offered["named_endpoints"]) == {
        *("/analyze", "/submit", "/job", "/cancel", "/detectors", "/report", "/history"),
    }
    arguments = [p["parameter_name"] for p in offered["named_endpoints"]["/analyze"]["parameters"]]
    assert arguments == ["video", "detectors", "regions", "thoroughness", "landmarks", "reference"]


def test_a_program_that_cancels_stops_the_work_within_a_second(page, pipeline, desk, tmp_path):
    pipeline.seconds = 30
    (tmp_path / "clip.mp4").write_text("a clip")
    job = Client(page, verbose=False, analytics_enabled=False).submit(
        handle_file(str(tmp_path / "clip.mp4")), api_name="/analyze"
    )
    wait_for(lambda: pipeline.asked)
    assert not job.done()
    cancelled = time.monotonic()
    job.cancel()
    wait_for(lambda: pipeline.stopped_at, within_s=5)
    assert pipeline.stopped_at - cancelled < 1
    assert not list(desk.settings.uploads.rglob("*.mp4"))


def test_a_program_that_is_cut_off_stops_the_work(page, pipeline, desk, tmp_path):
    pipeline.seconds = 30
    (tmp_path / "clip.mp4").write_text("a clip")
    code = "import sys; from gradio_client import Client, handle_file as file; _, url, clip = sys.argv\n"
    code += "Client(url).predict(file(clip), api_name='/analyze')"
    program = subprocess.Popen([sys.executable, "-c", code, page, str(tmp_path / "clip.mp4")])
    wait_for(lambda: pipeline.asked)
    time.sleep(3)  # it listens only after it has asked, and who never listened is not missed
    program.kill()
    program.wait()
    wait_for(lambda: pipeline.stopped_at, within_s=20)
    assert not list(desk.settings.uploads.rglob("*.mp4"))


def test_the_page_builds_on_a_space_with_our_folder_of_that_name_beside_it(tmp_path):
    space = {"SYSTEM": "spaces", "SPACE_ID": "someone/telltale", "TELLTALE_DATA": str(tmp_path)}
    code = "import os, app; s = app.Settings.from_env(os.environ); app.prepare(s); app.page(s); print('built')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | space, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "built", done.stderr
