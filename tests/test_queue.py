"""The moderators' desk on a real server: by keyboard in a browser, two browsers at once, and by programs."""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from time import sleep
from typing import Any

import httpx
import pytest
from gradio_client import Client

from core.errors import InputError
from core.people import Role, User
from core.reviewing import Bands, Decision, Policy, State
from core.settings import Settings
from core.types import Label, Progress, Verdict
from core.weights import load_manifest
from plots.drift import plot_drift
from storage import AuditLog, ReportStore, upgrade
from storage.media import Media
from storage.reviews import ReviewStore
from storage.users import UserStore
from tests.conftest import ROOT, free_port
from tests.test_agreement import decided
from tests.test_ui import TAG, report
from ui import build, launch_options
from ui.login import KEY_HEADER
from ui.quality import agreements, enforce, moved
from ui.queue import asked
from ui.visit import Desk

ANNA, LEA = User("anna", Role.REVIEWER), User("lea", Role.LEAD)
PEOPLE = {"vera": Role.VIEWER, "anna": Role.REVIEWER, "bert": Role.REVIEWER, "lea": Role.LEAD}
SECRET = Verdict(Label.SOME_SIGNS, 0.7137, (0.5, 0.8), 1.0, f"The jaw gives it away {TAG}.", "calibrated")
BANDS = Bands(0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Office:
    """A desk that is served, with a key of everybody: logging in is tested elsewhere."""

    url: str
    desk: Desk
    keys: dict[str, str]

    def headers(self, who: str) -> dict[str, str]:
        return {KEY_HEADER: self.keys[who]}

    @property
    def reviews(self) -> ReviewStore:
        return self.desk.reviews


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Office]]:
    """Opens a desk with two reports, older and newer, and one policy; every text holds markup."""
    opened = []

    def start(**chosen: str) -> Office:
        own = {"TELLTALE_DATA": str(tmp_path), "TELLTALE_MODE": "moderation", "GRADIO_SERVER_PORT": str(free_port())}
        settings = Settings.from_env(own | {"TELLTALE_SECOND_SHARE": "0"} | chosen)
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(settings.uploads))
        upgrade(settings.database_url)
        users, reviews = UserStore(settings.database_url, session_hours=1), ReviewStore(settings.database_url, settings)
        store = ReportStore(settings.database_url, Media(settings.media))
        for name, role in PEOPLE.items():
            users.add(name, role, "correct horse battery staple")
        for name in ("older", "newer"):
            clip = report(id=name, verdict=SECRET)
            year = 2025 if name == "older" else 2026
            store.add(
                replace(
                    clip,
                    created_at=f"{year}-01-01T00:00:00+00:00",
                    video=replace(clip.video, name=f"{name} {TAG}.mp4"),
                    tracks=tuple(replace(person, verdict=SECRET) for person in clip.tracks),
                ),
                owner="carl",
            )
        log = AuditLog(settings.database_url)
        reviews.keep_policy(LEA, Policy("SYN-1", f"Synthetic {TAG}", f"Text {TAG}"))
        desk = Desk(settings, load_manifest(), store, None, None, users=users, queue=reviews, log=log)  # type: ignore[arg-type]
        blocks = build(desk)
        _, address, _ = blocks.launch(**launch_options(desk), quiet=True, prevent_thread_lock=True)
        opened.append(blocks)
        return Office(address.rstrip("/"), desk, {name: users.add_key(name, "tests") for name in PEOPLE})

    yield start
    for blocks in opened:
        blocks.close(verbose=False)


def program(office: Office, who: str) -> Callable[..., Any]:
    return Client(office.url, headers=office.headers(who), verbose=False, analytics_enabled=False).predict


# Browsers


@pytest.fixture
def sit(chromium: str) -> Iterator[Callable[..., Any]]:
    """Opens the queue in a browser of its own, as somebody; in the end nothing that was written may have run."""
    sync_api = pytest.importorskip("playwright.sync_api")
    wrong: list[str] = []
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])

        def open_queue(office: Office, who: str, **look: Any) -> Any:
            own = {"viewport": {"width": 1280, "height": 900}, "extra_http_headers": office.headers(who)}
            context = browser.new_context(**(own | look))
            page = context.new_page()
            page.on("dialog", lambda dialog: wrong.append(dialog.message))
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.goto(office.url)
            return enter(page)

        yield open_queue
        browser.close()
    assert not wrong


def enter(page: Any) -> Any:
    page.get_by_role("tab", name="Queue").click()
    page.wait_for_selector("#queue-rows table")
    return page


def press(page: Any, keys: str) -> None:
    for key in keys.split():
        page.keyboard.press(key)


@pytest.mark.browser
def test_of_two_browsers_that_claim_at_once_one_wins_and_the_other_is_told_by_whom_and_until_when(serve, sit):
    office = serve()
    pages = [sit(office, who) for who in ("anna", "bert")]
    for page in pages:
        press(page, "j Enter")
        page.wait_for_selector("#case-claim", state="visible")
    for page in pages:
        page.evaluate("() => setTimeout(() => document.querySelector('#case-claim').click(), 300)")
    for page in pages:
        page.wait_for_selector("#case-claim", state="hidden")
    told = [page.locator("#case").inner_text() for page in pages]
    holder = office.reviews.review("older", LEA).queued.claim.by
    winner, loser = told if holder == "anna" else reversed(told)
    until = office.reviews.review("older", LEA).queued.claim.until[11:16]
    assert f"You hold it until {until}" in winner
    assert f"{holder} is at work on this report until {until} (UTC)" in loser


@pytest.mark.browser
def test_a_report_is_worked_through_by_keyboard_and_what_was_written_is_text(serve, sit):
    office = serve()
    page = sit(office, "anna")
    expect = pytest.importorskip("playwright.sync_api").expect
    press(page, "n")
    expect(page.locator("#case")).to_contain_text("You hold it until")
    expect(page.locator("#case .casename")).to_have_text(f"older {TAG}.mp4")
    press(page, "d")
    expect(page.get_by_role("alert")).to_contain_text("Choose a decision first")
    press(page, "1 s t")
    page.keyboard.type(f"abcden? {TAG}")
    expect(page.locator("#case-note textarea")).to_have_value(f"abcden? {TAG}")
    expect(page.locator("#keys")).to_be_hidden()
    press(page, "Escape d")
    expect(page.locator("#case .done")).to_contain_text("somebody else makes the second review")
    expect(page.locator(".trail .words")).to_have_text(f"abcden? {TAG}")
    expect(page.locator(".trail")).to_contain_text(f"SYN-1 · Synthetic {TAG}")
    log = [entry.action for entry in AuditLog(office.desk.settings.database_url).of("older")]
    assert log[-3:] == ["claimed", "viewed", "decided"]
    step = office.reviews.review("older", LEA).steps[0]
    assert (step.actor, step.ruling.decision, step.after) == ("anna", Decision.MANIPULATED, State.SECOND_REVIEW)

    press(page, "Escape")
    expect(page.locator("#queue-rows")).to_contain_text("anna asks for it")
    press(page, "?")
    expect(page.locator("#keys")).to_be_visible()
    press(page, "Escape b g")
    page.reload()
    enter(page)
    expect(page.locator("html")).to_have_class("blurred greyed")
    page.get_by_role("button", name="Policies").click()
    expect(page.locator(".policies summary")).to_have_text(f"SYN-1 Synthetic {TAG}")


@pytest.mark.browser
def test_before_an_opinion_nothing_that_the_methods_said_is_sent(serve, sit):
    office = serve(TELLTALE_BLIND_FIRST="1")
    expect = pytest.importorskip("playwright.sync_api").expect
    page = sit(office, "anna")
    sent: list[str] = []
    page.on("response", lambda answer: sent.append(answer.text()) if "gradio_api" in answer.url else None)
    press(page, "/ Escape n")
    expect(page.locator("#case-opinion")).to_be_visible()
    expect(page.locator("#case")).to_contain_text("Person 1")
    told = " ".join(sent)
    assert "older" in told
    assert "jaw" not in told
    assert "0.71" not in told
    for endpoint in ("/report", "/similar"):
        with pytest.raises(Exception, match="waits for your opinion"):
            program(office, "anna")("older", api_name=endpoint)
    with pytest.raises(Exception, match="until you have given your opinion"):
        program(office, "anna")(api_name="/history")

    press(page, "2 o")
    expect(page.locator(".banner:visible")).to_contain_text("The jaw gives it away")
    expect(page.locator(".trail")).to_contain_text("before the scores: Not manipulated")
    assert program(office, "anna")("older", api_name="/report")["verdict"]["fake"] == 0.7137


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_desk_fits_a_phone_and_can_be_read(serve, sit, scheme):
    from tests.test_browser import TOO_FAINT

    office = serve()
    page = sit(office, "lea", viewport={"width": 390, "height": 844}, color_scheme=scheme)
    for step in ("", "n", "Quality"):
        if step == "n":
            press(page, "n")
            page.wait_for_selector("#case-decide", state="visible")
        elif step:
            page.get_by_role("tab", name=step).click()
            page.wait_for_selector("#quality-drift")
        page.wait_for_timeout(300)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 390, step
        assert not page.evaluate(TOO_FAINT), step


@pytest.mark.browser
def test_the_clip_plays_as_long_as_it_is_kept(serve, sit):
    office = serve()
    kept = office.desk.store.get("older", owner=None).video.sha256
    office.desk.store.media.keep(ROOT / "ui" / "assets" / "example.mp4", kept)
    page = sit(office, "bert")
    press(page, "n")
    page.wait_for_function("() => document.querySelector('#case video')?.readyState > 1")
    press(page, "Space")
    page.wait_for_function("() => document.querySelector('#case video').currentTime > 0")


@pytest.mark.browser
def test_a_run_that_was_left_ends_and_neither_it_nor_the_log_shows_under_another_report(serve, sit, monkeypatch):
    expect, ended = pytest.importorskip("playwright.sync_api").expect, Event()

    def endless(*_: Any) -> Iterator[Progress]:
        try:
            while True:
                yield Progress("At work", 0.5)
                sleep(0.1)
        finally:
            ended.set()

    monkeypatch.setattr(Desk, "run_again", endless)
    office = serve()
    page = sit(office, "anna")
    press(page, "j Enter")
    page.click("#case-log button")
    expect(page.locator("#case-log")).to_contain_text("anna")
    page.click("#case-again")
    expect(page.locator("#again")).to_contain_text("At work")
    press(page, "Escape")
    page.click("#queue-rows [data-report=newer]")
    expect(page.locator("#case .casename")).to_have_text(f"newer {TAG}.mp4")
    assert ended.wait(10)
    expect(page.locator("#again")).not_to_contain_text("At work")
    expect(page.locator("#case-log")).not_to_contain_text("anna")
    reader = sit(office, "vera")
    press(reader, "j Enter")
    expect(reader.locator("#case .casename")).to_be_visible()
    expect(reader.locator("#case-again")).to_be_hidden()


@pytest.mark.browser
def test_a_lead_deletes_on_request_and_is_asked_first_while_nobody_else_has_the_button(serve, sit):
    office = serve()
    kept = office.desk.store.get("older", owner=None).video.sha256
    page = sit(office, "bert")
    press(page, "n")
    page.wait_for_selector("#case-claim, #case-release")
    assert page.locator("#case-delete button").count() == 0

    page = sit(office, "lea")
    page.evaluate("() => { window.confirm = (question) => { window.asked = question; return window.sure; } }")
    press(page, "n")
    button = page.locator("#case-delete button")
    button.click()
    assert "what was decided and the log stay" in page.evaluate("() => window.asked")
    opened = office.desk.store.history(owner=None).total
    page.evaluate("() => { window.sure = true }")
    button.click()
    page.wait_for_selector("#queue-rows table")
    assert (opened, office.desk.store.history(owner=None).total) == (2, 1)
    deleted = [e for id in ("older", "newer") for e in office.desk.log.of(id) if e.action == "deleted"]
    assert [(e.actor, json.loads(e.details)["file"]) for e in deleted] == [("lea", kept)]


# Programs


def test_programs_list_and_decide_with_the_sentences_people_get(serve):
    office = serve()
    call = program(office, "anna")
    listed = call(api_name="/queue")
    assert [row["report_id"] for row in listed["rows"]] == ["older", "newer"]
    assert listed["rows"][0]["fake"] == 0.7137
    assert [row["report_id"] for row in call(order="newest", text="NEWER", api_name="/queue")["rows"]] == ["newer"]
    with pytest.raises(Exception, match="no decision called 'fake'; choose among: manipulated"):
        call("older", "fake", "SYN-1", api_name="/review")
    with pytest.raises(Exception, match="no active policy 'X'; choose among: SYN-1"):
        call("older", "manipulated", "X", api_name="/review")
    review = call("older", "manipulated", "SYN-1", "By a program.", api_name="/review")
    assert (review["queued"]["state"], review["steps"][0]["note"]) == ("decided", "By a program.")
    with pytest.raises(Exception, match="anna has decided this report already"):
        program(office, "bert")("older", "manipulated", "SYN-1", api_name="/review")
    with pytest.raises(Exception, match="takes the role reviewer"):
        program(office, "vera")("newer", "manipulated", "SYN-1", api_name="/review")


def test_a_document_tells_what_was_decided_and_the_log_who_took_it_along(serve):
    office = serve(TELLTALE_BLIND_FIRST="true")
    call = program(office, "anna")
    with pytest.raises(Exception, match="waits for your opinion"):
        call("older", "pdf", api_name="/report")
    log = office.desk.log
    assert "exported" not in [entry.action for entry in log.of("older")]
    office.reviews.give_opinion("older", ANNA, Decision.MANIPULATED)
    office.reviews.decide("older", ANNA, Decision.MANIPULATED, "SYN-1", f"By hand {TAG}.")

    told = call("older", api_name="/report")["evidence"]
    assert told["decisions"][-1]["ruling"]["decision"] == "manipulated"
    assert told["sha256"]["log"] == log.head().hash
    page = Path(call("older", "html", api_name="/report")).read_text()
    assert "Decided: Manipulated" in page
    assert "By hand &lt;img" in page
    assert "<img src=x" not in page
    taken = [json.loads(entry.details) for entry in log.of("older") if entry.action == "exported"]
    assert taken == [{"format": "json"}, {"format": "html"}]


ACTS = {
    Role.REVIEWER: {"claim", "release", "commit", "decide", "escalate", "appeal", "take_next"},
    Role.LEAD: {"keep", "pick", "consider", "put_in_force"},
}


def test_who_may_not_act_is_refused_in_the_function_and_nothing_changes(serve):
    office = serve()
    config = httpx.get(f"{office.url}/config", headers=office.headers("vera")).json()
    values, refused = {part["id"]: part["props"].get("value") for part in config["components"]}, set()
    for route in config["dependencies"]:
        name = route["api_name"].rsplit("_", 1)[0] if route["api_name"][-1:].isdigit() else route["api_name"]
        needed = next((role for role, names in ACTS.items() if name in names), None)
        for who in ("vera", "anna") if needed is Role.LEAD else ("vera",) if needed else ():
            body = {
                "data": [values[part] for part in route["inputs"]],
                "session_hash": secrets.token_hex(8),
                "event_data": {"report": "older"},
            }
            body["fn_index"] = route["id"]
            answer = httpx.post(f"{office.url}/gradio_api/run/predict", json=body, headers=office.headers(who))
            assert f"This takes the role {needed}" in answer.text, (name, who, answer.text)
            refused.add(name)
    assert refused == ACTS[Role.REVIEWER] | ACTS[Role.LEAD]
    assert office.reviews.review("older", LEA).steps == ()
    assert len(office.reviews.policies()) == 1


# Pieces


def test_filters_that_cannot_be_read_are_refused_with_a_sentence():
    blank = ("to do", "", "oldest", "", "", "", "", "", "")
    wanted, _ = asked(ANNA, ("mine", " a ", "newest", "no_signs", "lrnet", "2", "2026-01-31", "2026-02-01", "bert"))
    assert (wanted.claimed_by, wanted.text, wanted.persons, wanted.since.day) == ("anna", "a", 2, 31)
    for at, bad, sentence in (
        (0, "?", "no state called"),
        (2, "?", "no order called"),
        (3, "real", "no verdict called 'real'"),
        (5, "two", "whole number, such as 2; got 'two'"),
        (6, "31.1.2026", "written like 2026-01-31"),
    ):
        with pytest.raises(InputError, match=sentence):
            asked(ANNA, (*blank[:at], bad, *blank[at + 1 :]))


def test_a_picked_threshold_moves_its_band_only_and_is_put_in_force_for_the_next_analysis(serve):
    assert moved(BANDS, "some_signs", 0.7) == Bands(0.4, 0.7, 0.8)
    with pytest.raises(InputError, match="would not rise any more"):
        moved(BANDS, "some_signs", 0.9)
    with pytest.raises(InputError, match="no threshold called 'claim_minutes'"):
        moved(BANDS, "claim_minutes", 0.5)
    office = serve()
    with pytest.raises(InputError, match="Pick a threshold first"):
        enforce(office.desk, LEA, None)
    assert "some signs from 0.7" in enforce(office.desk, LEA, (Bands(0.4, 0.7, 0.8), "picked"))
    assert office.desk.in_force.some_signs == 0.7
    assert office.desk.settings.some_signs != 0.7


def test_the_overview_escapes_names_and_draws_even_nothing():
    cases = [replace(c, rulings=((TAG, c.decision), ("bert", c.decision))) for c in decided(30, 30)]
    assert TAG not in agreements(cases, cases, BANDS)
    assert "1 clip whose decision stands" in agreements(cases[:1], cases[:1], BANDS)
    assert "too few" in agreements([], [], BANDS)
    assert json.loads(plot_drift([]).to_json())["layout"]["annotations"]
