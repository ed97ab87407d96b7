"""What who keeps the app running can see of it: its log, its health, its numbers; and what none of them gives away."""

import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from core.settings import Settings
from core.weights import load_manifest
from storage import open_database
from storage.health import check
from tests.conftest import ROOT, Server
from ui import health
from ui.about import condition
from ui.health import Health

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


def test_each_part_that_is_missing_is_found(tmp_path: Path, database_url: str):
    settings = Settings.from_env({"TELLTALE_DATA": str(tmp_path), "TELLTALE_WEIGHTS": str(tmp_path)})
    database, manifest = open_database(database_url), load_manifest()
    assert check(database, settings, manifest) == WELL
    no_tables = open_database(f"sqlite:///{tmp_path / 'empty.db'}")
    assert check(no_tables, settings, manifest) == WELL | {"database": "unreachable"}
    assert check(database, settings.model_copy(update={"max_mb": 1e9}), manifest) == WELL | {"disk": "full"}
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


def test_the_page_tells_version_health_and_weights(tmp_path: Path):
    settings = Settings.from_env({"TELLTALE_DATA": str(tmp_path)})
    shown = condition(settings, load_manifest(), WELL | {"disk": "full"})
    assert "database ✓; disk ✗ is full; weights in the box ✓" in shown
    box, fetched, missing = (shown.split(f"<dt>{head}")[1] for head in ("Weights in the box", "Fetched", "Not here"))
    assert box.startswith("</dt><dd>lrnet/telltale, texture/telltale, compact/telltale</dd>")
    assert "<dd>none</dd>" in fetched.split("<dt>")[0]
    assert "gend/clip-l14" in missing.split("<dt>")[0]
