"""What who keeps the app running can see of it: its log, its health, its numbers; and what none of them gives away."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

import storage.health
from core.settings import VERSION, Settings
from core.weights import load_manifest
from storage import open_database
from storage.gauges import Gauges
from storage.health import check
from tests import clips
from tests.conftest import ROOT, Server, free_port, running
from ui import health
from ui.about import condition
from ui.health import Health

NAME = "jane-doe-at-home"
WELL = {"database": "ok", "disk": "ok", "weights": "ok"}

SPEAKS = """
import logging, threading, traceback, os, app
from core.logs import configure
settings = app.Settings.from_env(os.environ)
configure(settings)
import uvicorn
uvicorn.Config(None, log_level="warning")
upload = settings.uploads / "a1b2" / "it's Jane Doe \\" at home.mp4"
logging.getLogger("httpx").info("GET http://192.0.2.7/")
logging.getLogger("uvicorn.error").warning("a line of the server's")
logging.getLogger("analysis").info("kept %s", upload, extra={"seconds": 1.5})
try:
    upload.open()
except OSError:
    logging.getLogger("ui").exception("no luck")
    traceback.print_exc()
thread = threading.Thread(target=upload.open)
thread.start()
thread.join()
upload.open()
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_every_line_of_the_log_has_its_form_and_none_names_an_upload_or_an_address(tmp_path, form):
    environment = {"TELLTALE_DATA": str(tmp_path), "TELLTALE_LOG_FORMAT": form, "PATH": "", "HOME": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", SPEAKS], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert said.stdout == ""
    for private in ("Jane", "home.mp4", "a1b2", "192.0.2.7"):
        assert private not in said.stderr
    if form == "text":
        assert said.stderr.count("FileNotFoundError") == 4
        return
    lines = [json.loads(line) for line in said.stderr.splitlines()]
    levels = Counter(line["level"] for line in lines)
    assert levels == {"WARNING": 1, "INFO": 1, "ERROR": 3, "CRITICAL": 1}
    assert all("FileNotFoundError" in line["exc_info"] for line in lines if line["level"] in ("ERROR", "CRITICAL"))
    (kept,) = [line for line in lines if line["level"] == "INFO"]
    assert (kept["logger"], kept["message"], kept["seconds"]) == ("analysis", "kept <an upload>", 1.5)


def test_a_running_app_says_that_it_is_well_and_no_more(server: Server):
    answer = httpx.get(f"{server.url}/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "checks": WELL})
    assert answer.headers["cache-control"] == "no-store"


def test_each_part_that_is_missing_is_found(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch):
    settings = Settings.from_env({"TELLTALE_DATA": str(tmp_path), "TELLTALE_WEIGHTS": str(tmp_path)})
    database, manifest = open_database(database_url), load_manifest()
    assert check(database, settings, manifest) == WELL
    no_tables = open_database(f"sqlite:///{tmp_path / 'empty.db'}")
    assert check(no_tables, settings, manifest) == WELL | {"database": "unreachable"}
    with monkeypatch.context() as full:
        full.setattr(storage.health, "SPARE_BYTES", 1e18)
        assert check(database, settings, manifest) == WELL | {"disk": "full"}
    gone = settings.model_copy(update={"data": tmp_path / "gone"})
    assert check(database, gone, manifest) == WELL | {"disk": "read-only"}
    lrnet = manifest["lrnet/telltale"]
    other = replace(lrnet, files=tuple(replace(file, sha256="0" * 64) for file in lrnet.files))
    assert check(database, settings, manifest | {lrnet.id: other}) == WELL | {"weights": "damaged"}
    fetched = manifest["lrnet/ffpp"]
    (tmp_path / fetched.detector).mkdir()
    for file in fetched.files:
        (tmp_path / fetched.detector / file.name).write_bytes(b"something else")
    assert check(database, settings, manifest) == WELL
    assert "lrnet/ffpp</dd>" in condition(settings, manifest, WELL).split("Refused")[1]


def test_who_asks_often_or_while_a_check_hangs_costs_one_check(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(health, "LIMIT_S", 0.2)
    asked = []

    def hangs_at_first() -> dict[str, str]:
        asked.append(time.monotonic())
        time.sleep(0.6 if len(asked) == 1 else 0)
        return WELL

    with TestClient(Starlette(routes=[Route(health.PATH, Health(hangs_at_first).show)])) as client:
        for _ in range(2):
            answer = client.get(health.PATH)
            assert (answer.status_code, answer.json()["checks"]) == (503, {"check": "unfinished"})
        assert len(asked) == 1
        time.sleep(0.4)
        assert client.get(health.PATH).json() == {"status": "ok", "checks": WELL}
        monkeypatch.setattr(health, "FRESH_S", 0)
        assert client.get(health.PATH).status_code == 200
    assert len(asked) == 2


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """The app as it is watched, after one report, one refusal; and the address of its numbers."""
    folder, numbers = tmp_path_factory.mktemp("watched"), f"127.0.0.1:{free_port()}"
    with running(folder, TELLTALE_METRICS=numbers, TELLTALE_LOG_FORMAT="json") as server:
        call = Client(server.url, verbose=False, analytics_enabled=False).predict
        call(handle_file(str(clips.good(folder / f"{NAME}.mp4"))), api_name="/analyze")
        with pytest.raises(Exception, match="single picture"):
            call(handle_file(str(clips.one_frame(folder / f"{NAME}.mp4"))), api_name="/analyze")
        call(handle_file(str(clips.good(folder / f"{NAME}.mp4", 20))), api_name="/analyze")
        yield server, f"http://{numbers}/metrics"


def test_numbers_say_what_was_done_in_few_words_and_not_at_the_address_of_the_page(watched: tuple[Server, str]):
    server, address = watched
    assert httpx.get(f"{server.url}/metrics").status_code == 404
    told = httpx.get(address).text
    assert NAME not in told
    samples = [sample for family in text_string_to_metric_families(told) for sample in family.samples]
    assert len(samples) < 1000

    def total(name: str, **labels: str) -> float:
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())

    assert total("telltale_info", version=VERSION) == 1
    assert total("telltale_reports_total", thoroughness="standard") == 2
    assert total("telltale_reports_kept") == 2
    assert total("telltale_stage_seconds_count", stage="total") == 2
    assert total("telltale_stage_seconds_sum", stage="total") > total("telltale_stage_seconds_sum", stage="faces") > 0
    assert total("telltale_detector_seconds_count", detector="texture") > 0
    assert total("telltale_skips_total", detector="lrnet", lack="length") == 1
    assert total("telltale_refusals_total") == total("telltale_refusals_total", kind="InputError") == 1
    assert {s.labels["part"]: s.value for s in samples if s.name == "telltale_healthy"} == dict.fromkeys(WELL, 1)
    assert {(s.labels["state"], s.value) for s in samples if s.name == "telltale_jobs"} == {
        ("queued", 0),
        ("running", 0),
    }
    assert total("telltale_job_wait_seconds_count") == 3
    assert total("telltale_http_seconds_count", status="200") > 3
    assert total("telltale_http_seconds_count", status="404") == 1
    assert total("telltale_database_bytes") > 100_000
    assert total("telltale_disk_free_bytes") > 0
    assert total("process_resident_memory_bytes") > 1e8


def test_what_our_log_says_of_an_analysis_can_be_read_by_machines_and_has_no_name_in_it(watched: tuple[Server, str]):
    said = watched[0].log.read_text()
    assert NAME not in said
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert "Traceback" not in said
    ends = [line for line in lines if line["logger"] == "analysis.pipeline" and "seconds" in line]
    assert [(line["people"], len(line["video"])) for line in ends] == [(1, 8), (1, 8)]


def test_sizes_are_told_by_either_database_and_one_that_is_away_leaves_the_rest(tmp_path: Path, database_url: str):
    upgraded = {family.name: family for family in Gauges(open_database(database_url), tmp_path, lambda: WELL).collect()}
    assert upgraded["telltale_database_bytes"].samples[0].value > 100_000
    assert upgraded["telltale_reports_kept"].samples[0].value == 0
    away = open_database(f"sqlite:///{tmp_path / 'no such folder' / 'telltale.db'}")
    left = {family.name for family in Gauges(away, tmp_path, lambda: WELL).collect()}
    assert left == {"telltale_healthy", "telltale_disk_free_bytes"}


def test_the_page_tells_version_health_and_weights(tmp_path: Path):
    settings = Settings.from_env({"TELLTALE_DATA": str(tmp_path)})
    shown = condition(settings, load_manifest(), WELL | {"disk": "full"})
    assert "database ✓; disk ✗ is full; weights in the box ✓" in shown
    box, fetched, missing = (shown.split(f"<dt>{head}")[1] for head in ("Weights in the box", "Fetched", "Not here"))
    assert box.startswith("</dt><dd>lrnet/telltale, texture/telltale, compact/telltale</dd>")
    assert "<dd>none</dd>" in fetched.split("<dt>")[0]
    assert "gend/clip-l14" in missing.split("<dt>")[0]
