"""News reaches whoever asked for it: signed, tried again, never twice, never to an address inside the house."""

import asyncio
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from sqlalchemy.orm import Session

from core.errors import AppError
from storage import ReportStore
from storage.database import open_database
from storage.media import Media
from storage.outbox import tell_analysed, tell_decided
from storage.sender import Sender, Undelivered, deliver, is_public
from storage.webhooks import Delivery, Webhooks, main
from tests.conftest import wait_for
from tests.test_storage import REPORT

WAIT_S = 10
"""The longest a test waits for what should take a moment."""


class Receiver:
    """A program that listens: what it got, and what it answers, request by request; 200 once `answers` are used up."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.hangs = threading.Event()
        self.goes_on = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
                if receiver.hangs.is_set():
                    receiver.goes_on.wait(WAIT_S)
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.goes_on.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def webhooks(database_url: str) -> Webhooks:
    return Webhooks(database_url, attempts=3, first_retry_s=0.05)


@pytest.fixture
def send(webhooks: Webhooks) -> Iterator[Callable[..., Sender]]:
    """Starts a sender, with what it should do otherwise than in these tests."""
    senders: list[Sender] = []

    def start(**otherwise: object) -> Sender:
        senders.append(Sender(webhooks, **{"private": True, "limit_s": 5.0, "poll_s": 0.02} | otherwise))
        senders[-1].start()
        return senders[-1]

    yield start
    for sender in senders:
        sender.stop()


def tell(database_url: str, times: int = 1) -> None:
    with Session(open_database(database_url)) as session, session.begin():
        for _ in range(times):
            tell_analysed(session, REPORT)


def attempt(url: str, *, private: bool) -> None:
    delivery = Delivery("d", "h", url, "secret", "analysed", "{}", is_last=False, until=0.0)
    asyncio.run(deliver(delivery, httpx.create_ssl_context(), private=private, limit_s=5.0))


def test_a_delivery_is_signed_and_says_what_happened_without_naming_the_file(database_url, webhooks, receiver, send):
    _, secret = webhooks.add(receiver.url)
    tell(database_url)
    send()
    wait_for(lambda: receiver.got, within_s=10)
    headers, body = receiver.got[0]
    time_s, signature = (part.split("=")[1] for part in headers["Telltale-Signature"].split(","))
    expected = hmac.new(secret.encode(), f"{time_s}.".encode() + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(signature, expected)
    assert abs(time.time() - int(time_s)) < WAIT_S
    news = json.loads(body)
    assert len(news.pop("delivery")) == 32
    assert news == {
        "event": "analysed",
        "report_id": REPORT.id,
        "at": REPORT.created_at,
        "sha256": REPORT.video.sha256,
        "verdict": {"label": "strong_signs", "fake": 0.93},
    }
    wait_for(lambda: webhooks.list()[0].delivered_at, within_s=10)
    assert webhooks.list()[0].waiting == 0


@pytest.mark.parametrize("moderated", [True, False])
def test_a_report_is_told_of_with_the_row_it_becomes_and_never_from_a_public_page(
    database_url, webhooks, moderated, tmp_path
):
    webhooks.add("https://example.org")
    ReportStore(database_url, Media(tmp_path) if moderated else None).add(REPORT, owner="anna")
    delivery = webhooks.claim(time.time())
    assert (json.loads(delivery.body)["report_id"] if delivery else None) == (REPORT.id if moderated else None)


def test_a_hook_hears_only_of_what_it_asked_for(database_url, webhooks, receiver, send):
    webhooks.add(receiver.url, ["decided"])
    tell(database_url)
    with Session(open_database(database_url)) as session, session.begin():
        tell_decided(session, report_id="r-1", at="2026-03-04", decision="manipulated", policy="P1")
    send()
    wait_for(lambda: webhooks.list()[0].delivered_at, within_s=10)
    assert [json.loads(body)["event"] for _, body in receiver.got] == ["decided"]
    assert json.loads(receiver.got[0][1])["decision"] == "manipulated"


def test_news_of_a_transaction_that_is_rolled_back_is_never_sent(database_url, webhooks, receiver):
    webhooks.add(receiver.url)
    with Session(open_database(database_url)) as session:
        tell_analysed(session, REPORT)
        session.flush()
        session.rollback()
    assert webhooks.claim(time.time() + 1) is None


def test_a_delivery_that_fails_twice_arrives_at_the_third_attempt(database_url, webhooks, receiver, send):
    webhooks.add(receiver.url)
    receiver.answers = [500, 302]
    tell(database_url)
    send()
    wait_for(lambda: webhooks.list()[0].delivered_at, within_s=10)
    assert len({body for _, body in receiver.got}) == 1
    assert len(receiver.got) == 3
    assert webhooks.list()[0].trouble is None


def test_after_the_last_attempt_a_delivery_is_given_up_and_said_to_be_until_somebody_asks_again(
    database_url, webhooks, receiver, send, caplog
):
    hook, secret = webhooks.add(receiver.url)
    receiver.answers = [500, 500, 500]
    tell(database_url)
    send()
    wait_for(lambda: webhooks.list()[0].given_up, within_s=10)
    wait_for(lambda: "given up" in caplog.text, within_s=10)
    assert webhooks.list()[0].trouble.startswith("It answered 500")
    assert secret not in caplog.text
    assert receiver.url not in caplog.text
    time.sleep(0.5)
    assert len(receiver.got) == 3
    assert webhooks.retry(hook.id, now=time.time()) == 1
    wait_for(lambda: webhooks.list()[0].delivered_at, within_s=10)


def test_each_wait_is_twice_the_one_before(database_url, webhooks):
    webhooks.add("http://example.org")
    tell(database_url)
    now = time.time()
    for wait_s in (0.05, 0.1):
        webhooks.settle(webhooks.claim(now), "It answered 500.")
        assert webhooks.claim(now + 0.9 * wait_s) is None
        now += 1.1 * wait_s
    assert webhooks.claim(now).is_last


def test_two_senders_make_one_delivery(database_url, webhooks, receiver, send):
    webhooks.add(receiver.url)
    send()
    send()
    tell(database_url, times=20)
    wait_for(lambda: webhooks.list()[0].waiting == 0, within_s=10)
    ids = [json.loads(body)["delivery"] for _, body in receiver.got]
    assert len(ids) == len(set(ids)) == 20


def test_what_a_dead_sender_had_taken_is_sent_by_the_next(database_url, webhooks):
    webhooks.add("http://example.org")
    tell(database_url)
    now = time.time()
    taken = webhooks.claim(now)
    assert isinstance(taken, Delivery)
    assert webhooks.claim(now + 30) is None
    again = webhooks.claim(taken.until + 1)
    assert again is not None
    assert again.id == taken.id


def test_a_hook_that_hangs_holds_up_neither_the_others_nor_what_is_told(database_url, webhooks, receiver, send):
    deaf = Receiver()
    deaf.hangs.set()
    try:
        first, _ = webhooks.add(deaf.url)
        send(limit_s=0.5)
        tell(database_url)
        wait_for(lambda: deaf.got, within_s=10)
        webhooks.add(receiver.url)
        began = time.monotonic()
        tell(database_url)
        wait_for(lambda: receiver.got, within_s=10)
        assert time.monotonic() - began < WAIT_S / 2
        wait_for(lambda: webhooks.list(first.id)[0].trouble, within_s=10)
        assert "did not answer within 0.5 s" in webhooks.list(first.id)[0].trouble
    finally:
        deaf.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "10.1.2.3", "169.254.169.254"])
def test_addresses_inside_the_house_are_not_called_unless_that_is_allowed(receiver, host):
    with pytest.raises(Undelivered, match="not an address of the internet"):
        attempt(receiver.url.replace("127.0.0.1", host), private=False)
    assert receiver.got == []


def test_a_hook_is_called_by_its_name_although_the_address_was_looked_up_before(receiver):
    attempt(receiver.url.replace("127.0.0.1", "localhost"), private=True)
    assert receiver.got[0][0]["Host"] == receiver.url.split("/")[2].replace("127.0.0.1", "localhost")


def test_a_redirect_is_not_followed(receiver):
    receiver.answers = [307]
    with pytest.raises(Undelivered, match="answered 307"):
        attempt(receiver.url, private=True)
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("192.168.0.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_an_address_is_public_only_if_all_the_internet_can_reach_it(address, public):
    assert is_public(address) == public


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("ftp://example.org", "such as https://example.org/hook"),
        ("file:///etc/passwd", "such as https://example.org/hook"),
        ("not an address", "such as https://example.org/hook"),
        ("http://", "such as https://example.org/hook"),
        ("https://me:secret@example.org", "Leave user and password out"),
    ],
)
def test_what_cannot_be_called_is_refused_when_it_is_added(address, sentence):
    with pytest.raises(AppError, match=sentence):
        Webhooks("sqlite://").add(address)


def test_an_event_that_is_not_is_refused_by_name(webhooks):
    with pytest.raises(AppError, match="no event called 'deleted'; choose among: analysed, decided"):
        webhooks.add("https://example.org", ["deleted"])


def test_a_removed_hook_takes_what_it_did_not_receive_with_it(database_url, webhooks):
    hook, _ = webhooks.add("https://example.org")
    tell(database_url)
    webhooks.remove(hook.id)
    assert webhooks.claim(time.time() + 1) is None
    with pytest.raises(AppError, match="no hook"):
        webhooks.remove(hook.id)


def test_the_command_shows_a_secret_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TELLTALE_DATA", str(tmp_path))
    assert main(["list"]) == 1
    assert "set TELLTALE_MODE=moderation" in capsys.readouterr().err
    monkeypatch.setenv("TELLTALE_MODE", "moderation")
    assert main(["add", "https://example.org/hook", "--event", "decided"]) == 0
    added = capsys.readouterr().out
    id, secret = added.split()[0], added.split()[-1]
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "https://example.org/hook  decided  waiting 0, given up 0" in listed
    assert secret not in listed
    assert main(["remove", id]) == 0
    assert main(["remove", id]) == 1
    assert "no hook" in capsys.readouterr().err
