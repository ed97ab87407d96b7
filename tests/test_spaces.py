"""What goes to a Space: what the deploy script sends, and that the app runs from that and nothing else."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import yaml
from gradio_client import Client, handle_file

from core.settings import Settings
from core.weights import load_manifest, state
from core.weights.manifest import hub_address
from tests.conftest import ROOT, running
from tests.hub import Hub, running_hub
from tests.test_hub import CONTENT, on_the_hub

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="publishes a commit, and this is no checkout")

DEPLOY = ROOT / "spaces" / "deploy.sh"
SPACE = {
    "SYSTEM": "spaces",
    "SPACE_ID": "someone/telltale",
    "SPACE_HOST": "someone-telltale.hf.space",
    "SPACE_AUTHOR_NAME": "someone",
    "SPACE_REPO_NAME": "telltale",
    "SPACE_TITLE": "Telltale",
    "CPU_CORES": "2",
    "MEMORY": "16Gi",
    "ACCELERATOR": "none",
    "GRADIO_SERVER_NAME": "0.0.0.0",
    "no_proxy": "127.0.0.1,0.0.0.0,localhost",
}
"""What a Space sets, but for the port."""


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with what would be sent."""
    folder = tmp_path_factory.mktemp("space") / "app"
    subprocess.run([DEPLOY, "--export", folder], check=True)
    return folder


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


def test_the_command_of_the_hub_sends_what_is_listed_and_nothing_else(hub: Hub, sent: Path, tmp_path: Path):
    environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_x", "HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
    environment["PATH"] = os.environ["PATH"]
    hub.add("someone/telltale", "an/older/file.py", b"")
    subprocess.run([DEPLOY, "someone/telltale"], env=environment, check=True)
    listed = subprocess.run([DEPLOY, "--list"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert {path for _, path in hub.files} == set(listed)
    assert set(listed) == {str(path.relative_to(sent)) for path in sent.rglob("*") if path.is_file()}
    tops = {path.split("/")[0] for path in listed}
    assert tops & {"spaces", "tests", "training", "benchmarks", "docs", ".git", ".ci"} == set()
    assert {"app.py", "README.md", "packages.txt", "requirements.txt", "LICENSE"} <= tops


def test_the_card_pins_what_the_requirements_pin_and_preloads_what_the_manifest_lets_anybody_fetch(sent: Path):
    card = yaml.safe_load((sent / "README.md").read_text().split("---\n")[1])
    pinned = re.search(r"^gradio==(.+)$", (sent / "requirements.txt").read_text(), re.M)
    assert pinned
    assert (card["sdk"], card["sdk_version"], card["app_file"]) == ("gradio", pinned[1], "app.py")
    assert f">={card['python_version']}," in (ROOT / "pyproject.toml").read_text()
    preloaded = []
    for weights in load_manifest().values():
        if weights.source == "hub" and weights.auto_download:
            for repository, revision, path in (hub_address(file.address) for file in weights.files):
                preloaded.append(f"{repository} {path} {revision}")
    assert card["preload_from_hub"] == preloaded
    assert card["models"] == [line.split()[0] for line in preloaded]


def test_what_a_card_preloads_is_found_where_the_client_of_the_hub_has_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    settings, weights = Settings.from_env({"TELLTALE_DATA": str(tmp_path / "data")}), on_the_hub()
    repository, revision, path = hub_address(weights.files[0].address)
    assert state(weights, settings).kind == "fetch"
    cached = tmp_path / ".cache/huggingface/hub" / f"models--{repository.replace('/', '--')}"
    (cached / "blobs").mkdir(parents=True)
    (cached / "blobs" / "b10b").write_bytes(CONTENT)
    (cached / "snapshots" / revision).mkdir(parents=True)
    (cached / "snapshots" / revision / path).symlink_to("../../blobs/b10b")
    assert state(weights, settings).kind == "ready"
    (cached / "blobs" / "b10b").write_bytes(CONTENT[:-1] + b"!")
    assert state(weights, settings).kind == "refused"


def test_from_what_is_sent_alone_the_example_is_analysed_as_on_a_space(sent: Path, tmp_path: Path):
    before = {path for path in sent.rglob("*") if "__pycache__" not in path.parts}
    with running(tmp_path, tree=sent, **SPACE) as server:
        client = Client(server.url, verbose=False, analytics_enabled=False)
        report = client.predict(handle_file(str(sent / "ui" / "assets" / "example.mp4")), api_name="/analyze")
        server.proxy.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody else is asked
            server.proxy.accept()
    assert {found["detector"] for found in report["findings"] if found["status"] == "scored"} == {"lrnet", "texture"}
    assert report["verdict"]["fake"] is not None
    assert {path for path in sent.rglob("*") if "__pycache__" not in path.parts} == before
    assert not list(server.home.rglob("*"))


class Device(BaseHTTPRequestHandler):
    """What a Space asks for a GPU, as far as the package `spaces` tells: always there is one."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.path)
        lent = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "lent"}
        body = json.dumps(lent).encode() if self.path.startswith("/schedule") else b""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


WITHOUT_CUDA = """
import runpy, sys
sys.modules["torch"] = None  # the package patches builds for CUDA only
import spaces
del sys.modules["torch"]
sys.path[0] = {tree!r}
runpy.run_path({tree!r} + "/app.py", run_name="__main__")
"""


def test_on_zerogpu_an_analysis_runs_in_a_process_that_is_lent_a_gpu_on_the_visitors_account(sent, tmp_path):
    """All but CUDA is real: the decorator, the process it forks, what goes to it and comes back."""
    starts = tmp_path / "start"
    starts.mkdir()
    (starts / "app.py").write_text(WITHOUT_CUDA.format(tree=str(sent)))
    device = ThreadingHTTPServer(("127.0.0.1", 0), Device)
    threading.Thread(target=device.serve_forever, daemon=True).start()
    zero = {"SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": f"http://127.0.0.1:{device.server_port}"}
    with running(tmp_path, tree=starts, **SPACE, **zero) as server:
        client = Client(server.url, headers={"x-ip-token": "visitor"}, verbose=False, analytics_enabled=False)
        report = client.predict(handle_file(str(sent / "ui" / "assets" / "example.mp4")), api_name="/analyze")
    device.shutdown()
    device.server_close()
    assert report["verdict"]["fake"] is not None
    assert [path.split("?")[0] for path in Device.asked] == ["/startup-report", "/schedule", "/allow", "/release"]
    assert "token=visitor" in Device.asked[1]
    assert Device.asked[3] == "/release?allowToken=lent&fail=false"
