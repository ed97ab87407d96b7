"""The real app in a process of its own, asked by a real client: what programs get, and what nobody gets."""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file

from preprocessing.regions import REGIONS
from tests import clips
from tests.conftest import ROOT, Server, wait_for

Call = Callable[..., Any]


def visitor(server: Server, secret: str | None = None) -> Call:
    """A visitor with a secret of their own."""
    headers = {"x-telltale-visitor": secret or secrets.token_urlsafe(16)}
    return Client(server.url, headers=headers, verbose=False, analytics_enabled=False).predict


@pytest.fixture(scope="module")
def call(server: Server) -> Call:
    return visitor(server)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.good(tmp_path_factory.mktemp("clips") / "good.mp4")


@pytest.fixture(scope="module")
def report(call: Call, clip: Path) -> dict[str, Any]:
    return call(handle_file(str(clip)), api_name="/analyze")


@pytest.fixture(autouse=True)
def _nothing_stays(server: Server) -> Iterator[None]:
    """After each test no upload and no temporary file is left."""
    yield
    assert not [p for folder in ("uploads", "tmp") for p in (server.data / folder).rglob("*") if p.is_file()]


def test_a_clip_becomes_a_report_with_all_that_the_contract_names(report: dict[str, Any]):
    assert set(report) == {
        *("id", "created_at", "app_version", "fingerprint", "settings", "video", "verdict", "tracks", "findings"),
        *("warnings", "timings_s", "device", "exhibits", "occlusions", "trials", "thresholds", "references"),
        *("provenance", "from_store"),
    }
    assert report["video"]["frames_decoded"] == report["video"]["frames"] == 100
    assert report["video"]["name"] == "good.mp4"
    (person,) = report["tracks"]
    assert person["frames"] == 100
    assert {found["status"] for found in report["findings"]} == {"scored"}
    assert {found["region"] for found in report["findings"] if found["detector"] == "texture"} == set(REGIONS)
    (finding,) = [found for found in report["findings"] if found["detector"] == "lrnet"]
    assert len(finding["scores"]) == len(finding["time_s"]) == 3
    assert not report["from_store"]


def test_the_same_file_is_answered_from_the_store_at_once_and_says_so(call: Call, clip: Path, report: dict[str, Any]):
    again = call(handle_file(str(clip)), api_name="/analyze")
    assert again == report | {"from_store": True}
    kept = call(report["id"], api_name="/report")
    assert {name: kept[name] for name in report if name != "from_store"} | {"from_store": False} == report
    other = call(handle_file(str(clip)), thoroughness="fast", api_name="/analyze")
    assert not other["from_store"]


@pytest.mark.parametrize(("format", "start"), [("html", b"<!doctype html>"), ("pdf", b"%PDF-")])
def test_a_report_comes_as_a_document_to_its_owner_only(
    server: Server, call: Call, report: dict[str, Any], format, start
):
    document = Path(call(report["id"], format, api_name="/report"))
    assert document.name == f"telltale-{report['id'][:8]}.{format}"
    assert document.read_bytes().startswith(start)
    (served,) = [path for path in (server.data / "uploads").rglob("*") if path.is_file()]
    served.unlink()
    with pytest.raises(Exception, match="another visitor"):
        visitor(server)(report["id"], format, api_name="/report")


def test_the_evidence_in_json_names_weights_limits_and_hashes(call: Call, report: dict[str, Any]):
    evidence = call(report["id"], api_name="/report")["evidence"]
    assert evidence["sha256"]["file"] == report["video"]["sha256"]
    assert len(evidence["sha256"]["log"]) == 64
    own = ["lrnet/telltale", *(f"texture/telltale/{region}" for region in REGIONS)]
    assert [method["weights"]["id"] for method in evidence["methods"]] == own
    assert all(method["limits"] for method in evidence["methods"])
    with pytest.raises(Exception, match="no format called 'docx'; choose among: json, html, pdf"):
        call(report["id"], "docx", api_name="/report")


def test_the_history_lists_and_filters(call: Call, report: dict[str, Any]):
    listed = call(api_name="/history")
    assert report["id"] in [row["id"] for row in listed["rows"]]
    label = report["verdict"]["label"]
    assert call(label=label, text="GOOD", page=1, api_name="/history")["total"] >= 1
    assert call(text="no such name", api_name="/history") == {"rows": [], "total": 0}
    with pytest.raises(Exception, match="no verdict called 'real'"):
        call(label="real", api_name="/history")


def test_the_detectors_say_whether_they_are_ready(call: Call):
    cards = call(api_name="/detectors")
    assert any(card["ready"] for card in cards)
    assert all(card["ready"] or card["reason"] for card in cards)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"detectors": ["tarot"]}, "no detector called 'tarot'; choose among: lrnet"),
        ({"regions": ["chin"]}, "no region called 'chin'; choose among: entire"),
        ({"landmarks": "pencil"}, "no landmarks called 'pencil'; choose facemesh or fan"),
        ({"thoroughness": "hasty"}, "no thoroughness called 'hasty'; choose among: fast, standard, thorough"),
    ],
)
def test_what_does_not_exist_is_refused_by_name(call: Call, clip: Path, asked, sentence):
    with pytest.raises(Exception, match=sentence):
        call(handle_file(str(clip)), **asked, api_name="/analyze")


def test_genuine_clips_of_the_same_source_are_part_of_the_question(call: Call, clip: Path):
    with_reference = call(handle_file(str(clip)), reference=[handle_file(str(clip))], api_name="/analyze")
    assert not with_reference["from_store"]
    assert "reference" in " ".join(with_reference["warnings"])


REFUSED = {
    "text renamed": (clips.text, "clip.mp4", "not a video that can be read"),
    "empty": (clips.empty, "clip.mp4", "The file is empty"),
    "truncated": (clips.truncated, "clip.mp4", "may be incomplete"),
    "audio only": (clips.audio_only, "clip.m4a", "no video stream, only sound"),
    "still image": (clips.still, "clip.png", "not a video"),
    "still image renamed": (clips.still, "clip.mp4", "not a video"),
    "one frame": (clips.one_frame, "clip.mp4", "a single picture"),
    "5000 px wide": (clips.wide, "clip.mp4", "5000 x 64 px; this page takes 4096 px a side at most"),
    "6 minutes": (clips.six_minutes, "clip.mp4", "6 min long; this page takes 5 min at most"),
}


@pytest.mark.parametrize(("make", "name", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_analysed_is_refused_with_its_sentence(
    call: Call, server: Server, tmp_path: Path, make, name, sentence
):
    logged = server.log.read_text()
    with pytest.raises(Exception, match=sentence) as seen:
        call(handle_file(str(make(tmp_path / name))), api_name="/analyze")
    assert "\n" not in str(seen.value)
    assert "Traceback" not in server.log.read_text().removeprefix(logged)


@pytest.mark.parametrize("make", [clips.no_face, clips.tiny_face])
def test_a_video_without_a_usable_face_is_not_assessed_and_has_no_number(call: Call, tmp_path: Path, make):
    report = call(handle_file(str(make(tmp_path / "clip.mp4"))), api_name="/analyze")
    assert report["verdict"]["label"] == "not_assessed"
    assert report["verdict"]["fake"] is None
    assert report["verdict"]["reason"]


def test_a_header_without_a_frame_rate_does_not_matter(call: Call, tmp_path: Path):
    report = call(handle_file(str(clips.no_frame_rate(tmp_path / "clip.avi"))), api_name="/analyze")
    assert report["video"]["fps"] == pytest.approx(25, abs=0.1)
    assert report["video"]["frames_decoded"] == 100


def test_a_name_with_quotes_and_angle_brackets_is_data(call: Call, tmp_path: Path, clip: Path):
    odd = tmp_path / "a 'q\" <img src=x onerror=alert(1)> {{x}} & ü.mp4"
    odd.write_bytes(clips.good(tmp_path / "plain.mp4", 95).read_bytes())
    name = call(handle_file(str(odd)), api_name="/analyze")["video"]["name"]
    assert name.startswith("a 'q")
    assert name.endswith("& ü.mp4")
    assert not set('<>"') & set(name)


def test_two_visitors_with_the_same_clip_at_once_both_get_a_report(server: Server, clip: Path):
    answers: dict[str, Any] = {}

    def ask(who: str) -> None:
        answers[who] = visitor(server)(handle_file(str(clip)), api_name="/analyze")

    threads = [threading.Thread(target=ask, args=(who,)) for who in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    one, other = answers["one"], answers["other"]
    assert one["id"] != other["id"]
    assert one["verdict"] == other["verdict"]
    assert not one["from_store"]
    assert not other["from_store"]


def test_a_visitor_cannot_reach_the_report_of_another(server: Server, clip: Path, report: dict[str, Any]):
    stranger = visitor(server)
    with pytest.raises(Exception, match="another visitor"):
        stranger(report["id"], api_name="/report")
    assert stranger(api_name="/history") == {"rows": [], "total": 0}


def test_no_route_of_the_page_gives_away_the_report_of_another(server: Server, call: Call, report: dict[str, Any]):
    """Private endpoints are hidden, not locked: whoever posts to them must be a stranger to them too."""
    config = httpx.get(f"{server.url}/config").json()
    asked = [d for d in config["dependencies"] if d["backend_fn"] and d["api_visibility"] == "private"]
    assert {"animate", "reopen", "remove", "turn"} <= {d["api_name"].rsplit("_", 1)[0] for d in asked}
    for route in asked:
        for secret in (None, "", "guess", secrets.token_urlsafe(16)):
            data = [report["id"] if i < len(route["inputs"]) - 1 else secret for i in range(len(route["inputs"]))]
            body = {"data": data, "event_data": {"report": report["id"]}, "session_hash": secrets.token_hex(16)}
            for answer in _post(server, route, body):
                assert report["video"]["sha256"] not in answer
                assert "good.mp4" not in answer
    assert call(report["id"], api_name="/report")["id"] == report["id"]


def _post(server: Server, route: dict[str, Any], body: dict[str, Any]) -> Iterator[str]:
    """The same request by each way in: at once, and through the queue."""
    with httpx.Client(base_url=f"{server.url}/gradio_api", timeout=30) as http:
        yield http.post(f"/run/{route['api_name']}", json=body).text
        event = http.post(f"/call/{route['api_name']}", json=body).json()
        if "event_id" in event:
            yield http.get(f"/call/{route['api_name']}/{event['event_id']}").text


def test_uploads_of_the_same_bytes_lie_apart_where_nobody_can_guess(server: Server):
    post = {"files": ("clip.mp4", b"the very same bytes")}
    (one,), (other,) = (httpx.post(f"{server.url}/gradio_api/upload", files=post).json() for _ in range(2))
    assert Path(one).parent != Path(other).parent
    Path(one).unlink()
    assert Path(other).read_bytes() == b"the very same bytes"
    Path(other).unlink()


def test_a_file_over_the_limit_is_refused_while_it_uploads(server: Server):
    megabyte = bytes(1 << 20)

    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="big.mp4"\r\n\r\n'
        for _ in range(201):
            yield megabyte
        yield b"\r\n--x--\r\n"

    answer = httpx.post(
        f"{server.url}/gradio_api/upload",
        content=body(),
        headers={"content-type": "multipart/form-data; boundary=x"},
        timeout=60,
    )
    assert answer.status_code == 413


@pytest.mark.parametrize("path", [ROOT / "ui" / "assets" / "example.mp4", ROOT / "app.py"])
def test_a_file_of_the_server_cannot_be_named_as_an_upload(server: Server, path: Path):
    named = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
    with httpx.Client(base_url=f"{server.url}/gradio_api", timeout=30) as http:
        event = http.post("/call/v2/analyze", json={"video": named}).json()["event_id"]
        answer = http.get(f"/call/v2/analyze/{event}").text
    assert "event: error" in answer
    assert "verdict" not in answer
    assert path.is_file()


def test_the_line_cannot_be_jumped(server: Server):
    assert httpx.post(f"{server.url}/gradio_api/run/analyze", json={"data": []}).status_code == 404


def test_cancelling_ends_the_work_of_the_real_pipeline(server: Server, tmp_path: Path):
    long = clips.good(tmp_path / "long.mp4", 1500)
    client = Client(server.url, verbose=False, analytics_enabled=False)
    job = client.submit(handle_file(str(long)), api_name="/analyze")
    wait_for(lambda: "Following" in json.dumps(job.outputs()) or job.done())
    assert not job.done()
    job.cancel()
    time.sleep(1)
    assert not list((server.data / "uploads").rglob("*.mp4"))
    assert visitor(server)(api_name="/history")["total"] == 0


def test_nothing_is_written_to_the_home_or_the_temporary_folder(server: Server, report: dict[str, Any]):
    assert not list(server.home.rglob("*"))


def test_the_server_asks_nothing_of_any_other_host(server: Server, report: dict[str, Any]):
    server.proxy.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.proxy.accept()
