"""A report is run again at the moderators' desk: what is asked for, what differs, and what the log says of it."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import gradio as gr
import pytest
from markupsafe import escape

from analysis.again import repeat
from analysis.difference import difference, sum_up
from analysis.pipeline import analyze, take_order
from core.errors import InputError, NotAllowed, WeightsError
from core.people import Role, User
from core.reviewing import Bands
from core.settings import Settings
from core.types import Finding, Label, Options, Report, Thresholds, UsedWeights
from core.weights import load_manifest
from jobs.worker import follow
from storage import Action, AuditLog, JobStore, ReportStore, upgrade
from storage.media import Media
from storage.reviews import ReviewStore
from storage.users import UserStore
from tests.clips import good
from tests.test_ui import TAG, report
from ui.again import as_rows, difference_view
from ui.log import LATEST, log_table
from ui.visit import Desk, Repeated

MANIFEST = load_manifest()
PEOPLE = {"vera": Role.VIEWER, "rolf": Role.REVIEWER}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    settings = Settings.from_env({"TELLTALE_DATA": str(tmp_path_factory.mktemp("desk")), "TELLTALE_MODE": "moderation"})
    url = settings.database_url
    upgrade(url)
    users, store = UserStore(url), ReportStore(url, Media(settings.media))
    for name, role in PEOPLE.items():
        users.add(name, role, "correct horse battery")
    log = AuditLog(url)
    queue = ReviewStore(url, settings)
    desk = Desk(settings, MANIFEST, store, JobStore(url, settings), take_order, users=users, queue=queue, log=log)
    worker = desk.worker(partial(follow, analyze))
    worker.start()
    yield desk
    worker.stop()


@pytest.fixture(scope="module")
def made(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A report of the desk, with its file."""
    path = good(tmp_path_factory.mktemp("clips") / "clip.mp4")
    first = analyze(path, name=path.name, options=Options(("lrnet",)), settings=desk.settings, manifest=MANIFEST)
    desk.store.add(first, owner="rolf", file=path)
    return first


def asked_by(name: str) -> gr.Request:
    return gr.Request(username=name, headers={})


def again(desk: Desk, report_id: str) -> Repeated:
    *_, last = desk.run_again(report_id, asked_by("rolf"))
    assert isinstance(last, Repeated)
    return last


def test_the_same_file_weights_and_settings_give_the_same_report_and_the_log_ties_the_two(desk, made):
    repeated = again(desk, made.id)
    assert repeated.notes == ()
    assert [change.moved for change in difference(made, repeated.after)] == [0.0]
    assert "No finding differs. The verdict is as it was: " in difference_view(repeated)
    rows = as_rows(repeated)
    assert (rows["before"], rows["report"]["id"], rows["notes"]) == (made.id, repeated.after.id, [])
    assert [row["same_weights"] for row in rows["differences"]] == [True]
    assert desk.store.get(repeated.after.id, owner=None).fingerprint == made.fingerprint
    (entry,) = [e for e in desk.log.of(made.id) if e.action == Action.RERUN]
    assert (entry.actor, repeated.after.id in entry.details) == ("rolf", True)
    assert entry.hash[:12] in log_table(desk.log.of(made.id))


def test_thresholds_are_those_of_then(desk, made):
    stricter = replace(desk, settings=desk.settings.model_copy(update={"no_signs": 0.01, "some_signs": 0.02}))
    assert again(stricter, made.id).after.verdict.label == made.verdict.label


def test_where_no_thresholds_were_recorded_those_in_force_are_used_and_that_is_said(desk, made):
    before = replace(made, id="before", thresholds=None)
    desk.store.add(before, owner="rolf")
    enforced = Bands(0.01, 0.02, 0.03)
    desk.queue.apply_bands(User("lea", Role.LEAD), enforced, "a test")
    repeated = again(desk, "before")
    assert repeated.after.thresholds == Thresholds(**asdict(enforced))
    assert repeated.notes == ("Its thresholds were not recorded; those of today were used.",)
    assert again(desk, made.id).after.thresholds == made.thresholds


def test_the_log_of_a_report_is_shown_as_text_the_last_thing_last_and_says_what_it_leaves_out(tmp_path):
    upgrade(url := f"sqlite:///{tmp_path / 'log.db'}")
    log = AuditLog(url)
    for number in range(LATEST + 1):
        log.record(actor=TAG, action=Action.EXPORTED, report_id="one", details={TAG: [number, TAG], "note": TAG})
    log.record(actor="rolf", action=Action.VIEWED, report_id="other")
    shown = log_table(log.of("one"))
    assert TAG not in shown
    assert shown.count(str(escape(TAG))) == 3 * LATEST, "who, the name of a detail, a detail"
    places = [shown.index(f"[{number}, ") for number in (1, LATEST)]
    assert places == sorted(places)
    assert "[0, " not in shown
    assert f"The latest {LATEST} of {LATEST + 1} entries" in shown
    assert "rolf" not in shown
    assert "latest" not in log_table(log.of("other"))


def test_who_only_reads_may_not_and_what_is_not_kept_cannot_be_run_again(desk, made):
    with pytest.raises(NotAllowed, match="takes the role reviewer"):
        list(desk.run_again(made.id, asked_by("vera")))
    lost = replace(made, id="lost", video=replace(made.video, sha256="0" * 64))
    desk.store.add(lost, owner="rolf")
    with pytest.raises(InputError, match="not kept any more"):
        list(desk.run_again("lost", asked_by("rolf")))


def test_weights_that_are_other_ones_now_or_gone_are_named(desk, made):
    (finding,) = made.findings
    older = replace(made, findings=(replace(finding, weights=replace(finding.weights, sha256="ab" * 32)),))
    (note,) = repeat(older, desk.settings, MANIFEST, referenced=False).notes
    assert f"with SHA-256 {'ab' * 32} are not at hand any more" in note
    gone = replace(made, options=replace(made.options, detectors=("lrnet/telltale", "lrnet/lost")))
    assert "lrnet/lost are not known here" in repeat(gone, desk.settings, MANIFEST, referenced=False).notes[0]
    with pytest.raises(WeightsError, match="Nothing that this report was made with"):
        repeat(replace(made, options=replace(made.options, detectors=("lrnet/lost",))), desk.settings, MANIFEST,
               referenced=False)  # fmt: skip


def test_what_differs_is_told_finding_by_finding():
    def with_(*findings: Finding, label: Label = Label.INCONCLUSIVE) -> Report:
        whole = report()
        return replace(whole, findings=findings, verdict=replace(whole.verdict, label=label))

    def used(id: str, sha256: str) -> UsedWeights:
        return UsedWeights(id, sha256 * 32, "MIT")

    scored = Finding("lrnet", "entire", 1, "scored", 0.4, calibrated=True, weights=used("lrnet/a", "ab"))
    skipped = Finding("gend", "entire", 1, "skipped", reason=f"too small {TAG}", weights=used("gend/a", "cd"))
    before = with_(scored, skipped)
    after = with_(
        replace(scored, fake=0.65, weights=used("lrnet/a", "ef")),
        replace(skipped, status="scored", fake=0.9, reason=None),
        label=Label.SOME_SIGNS,
    )
    first, second = difference(before, after)
    assert (first.moved, first.same_weights, first.differs) == (pytest.approx(0.25), False, True)
    assert (second.moved, second.same_weights, second.differs) == (None, True, True)
    assert sum_up(before, after) == (
        "Findings that differ: 2 of 2. Their numbers moved by up to 0.25. "
        "The verdict was: Inconclusive. It is now: Some signs of manipulation."
    )
    shown = difference_view(Repeated(before, after, (f"A note {TAG}",)))
    assert TAG not in shown
    assert "lrnet/a abababababab → lrnet/a efefefefefef" in shown


def test_no_file_of_an_analysis_is_changed_by_running_it_again(desk, made):
    kept: Path = desk.store.media.path(made.video.sha256)
    content = kept.read_bytes()
    again(desk, made.id)
    assert kept.read_bytes() == content
