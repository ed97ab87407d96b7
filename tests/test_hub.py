"""Weights come from the Hub whole, verified and pinned, or with a sentence that says what to do; by its real client."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save

from core.errors import WeightsError
from core.settings import ROOT, Settings
from core.weights import Weights, WeightsFile, fetch, load_manifest, locate, state
from core.weights.conversion import import_file
from core.weights.hub import publish
from core.weights.store import accept
from tests.conftest import free_port
from tests.hub import COMMIT, REVISION, running_hub

REPOSITORY = "somebody/network"
CONTENT = save({"head.weight": torch.arange(60_000.0).reshape(2, 30_000)})
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch):
    """The client may connect, but nowhere else."""
    connect = socket.socket.connect

    def connect_here(self, address):
        assert address[0] in ("127.0.0.1", "localhost"), f"a test wants to reach {address}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def hub(monkeypatch):
    with running_hub() as hub:
        hub.add(REPOSITORY, "model.safetensors", CONTENT)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def settings(tmp_path):
    return Settings.from_env({"TELLTALE_DATA": str(tmp_path / "data")})


def on_the_hub(repository=REPOSITORY, revision=REVISION) -> Weights:
    file = WeightsFile(
        "model", "model.safetensors", f"hf://{repository}@{revision}/model.safetensors", DIGEST, len(CONTENT)
    )
    return replace(load_manifest()["gend/clip-l14"], files=(file,))


def by_hand(tmp_path, **changes) -> tuple[Weights, object]:
    """A set that a person brings, and the file."""
    published = tmp_path / "network.pth"
    torch.save({"state_dict": {"head.weight": torch.ones(2, 3)}, "epoch": 7}, published)
    file = WeightsFile("model", published.name, "the authors", None, None, convert=True, holds={"head.weight": [2, 3]})
    entry = replace(load_manifest()["dsp_fwa/authors"], id="dsp_fwa/made-up", files=(file,), **changes)
    return entry, published


def test_a_file_is_fetched_at_its_revision_and_never_asked_for_again(hub, settings):
    path = fetch(on_the_hub(), settings)["model"]
    assert path.read_bytes() == CONTENT
    assert {asked.split("/")[4] for _, asked, _ in hub.asked} == {REVISION}
    hub.asked.clear()
    assert fetch(on_the_hub(), settings) == locate(on_the_hub(), settings) == {"model": path}
    assert hub.asked == []


def test_a_download_that_breaks_off_goes_on_from_there(hub, settings, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    hub.breaks_after = 100_000
    assert fetch(on_the_hub(), settings)["model"].read_bytes() == CONTENT
    assert hub.asked[-1][2] == "bytes=100000-"


def test_a_download_that_was_given_up_goes_on_at_the_next_try(hub, settings):
    part = settings.data / "weights" / "partial" / DIGEST
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:70_000])
    assert fetch(on_the_hub(), settings)["model"].read_bytes() == CONTENT
    assert [asked for asked in hub.asked if asked[0] == "GET"] == [
        ("GET", f"/{REPOSITORY}/resolve/{REVISION}/model.safetensors", "bytes=70000-")
    ]
    assert not part.exists()


def test_a_fixed_address_is_read_on_where_it_broke_off(hub, settings):
    known = on_the_hub()
    address = f"{hub.url}/{REPOSITORY}/resolve/{REVISION}/model.safetensors"
    weights = replace(known, source="url", files=(replace(known.files[0], address=address),))
    hub.breaks_after = 100_000
    with pytest.raises(WeightsError, match=r"broke off after 100,000 of .* run the command again to go on"):
        fetch(weights, settings)
    assert fetch(weights, settings)["model"].read_bytes() == CONTENT
    assert [asked[2] for asked in hub.asked] == [None, "bytes=100000-"]


@pytest.mark.parametrize(
    ("prepare", "weights", "sentence"),
    [
        (lambda hub: hub.gated.add(REPOSITORY), on_the_hub(), "asks for consent .* HF_TOKEN"),
        (lambda hub: None, on_the_hub(revision="0" * 40), "no revision 0000"),
        (lambda hub: None, on_the_hub("nobody/nothing"), "not on the Hub, or private"),
        (lambda hub: hub.add(REPOSITORY, "other", b"", REVISION) or hub.files.pop((REPOSITORY, "model.safetensors")),
         on_the_hub(), "no such file"),
        (lambda hub: hub.add(REPOSITORY, "model.safetensors", CONTENT[:-1] + b"!"), on_the_hub(),
         "nothing was kept.*expected SHA-256"),
        (lambda hub: hub.add(REPOSITORY, "model.safetensors", CONTENT[:-1]), on_the_hub(), "nothing was kept.*size"),
    ],
    ids=["gated", "no revision", "no repository", "no file", "tampered", "shorter"],
)  # fmt: skip
def test_what_cannot_be_had_says_why_and_leaves_nothing(hub, settings, prepare, weights, sentence):
    prepare(hub)
    with pytest.raises(WeightsError, match=sentence):
        fetch(weights, settings)
    assert [path for path in settings.data.rglob("*") if path.is_file()] == []


def test_a_dead_hub_is_given_up_at_once_and_what_is_here_stays_usable(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    entry, published = by_hand(tmp_path, licence="MIT", commercial_use=True)
    import_file(entry, published, settings)
    begun = time.monotonic()
    with pytest.raises(WeightsError, match="could not be reached"):
        fetch(on_the_hub(), settings)
    assert time.monotonic() - begun < 5
    assert fetch(entry, settings) == locate(entry, settings)
    assert state(on_the_hub(), settings).kind == "fetch"


def test_nothing_is_asked_where_the_operator_forbids_it(hub, settings, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
        fetch(on_the_hub(), settings)
    assert hub.asked == []


def test_converted_files_are_published_and_fetched_from_there_on_another_machine(hub, settings, tmp_path):
    entry, published = by_hand(tmp_path)
    accept(entry.licence, settings)
    import_file(entry, published, settings)
    namespace = publish("me/weights", [entry, on_the_hub()], settings)
    assert namespace == f"me/weights@{COMMIT}"
    card = hub.files["me/weights", "README.md"][1].decode()
    assert f"| dsp_fwa/made-up | network.pth | {entry.licence} |" in card

    elsewhere = Settings.from_env({"TELLTALE_DATA": str(tmp_path / "other"), "TELLTALE_HUB_NAMESPACE": namespace})
    with pytest.raises(WeightsError, match=f"--accept-license {entry.licence}"):
        fetch(entry, elsewhere)
    accept(entry.licence, elsewhere)
    found = load_file(fetch(entry, elsewhere)["model"])
    assert list(found) == ["head.weight"]
    assert torch.equal(found["head.weight"], torch.ones(2, 3))


def test_what_the_own_repository_lacks_comes_from_its_publisher_or_by_hand(hub, settings, tmp_path):
    hub.add("me/weights", "README.md", b"", COMMIT)
    settings = settings.model_copy(update={"hub_namespace": f"me/weights@{COMMIT}"})
    assert fetch(on_the_hub(), settings)["model"].read_bytes() == CONTENT
    entry, _ = by_hand(tmp_path, licence="MIT", commercial_use=True)
    with pytest.raises(WeightsError, match=r"get network\.pth from the authors; `.* import dsp_fwa/made-up"):
        fetch(entry, settings)


def test_an_own_file_that_was_tampered_with_is_refused(hub, settings, tmp_path):
    entry, published = by_hand(tmp_path, licence="MIT", commercial_use=True)
    import_file(entry, published, settings)
    namespace = publish("me/weights", [entry], settings)
    _, content = hub.files["me/weights", "dsp_fwa/network.safetensors"]
    hub.add("me/weights", "dsp_fwa/network.safetensors", content[:-1] + b"!", COMMIT)
    elsewhere = Settings.from_env({"TELLTALE_DATA": str(tmp_path / "other"), "TELLTALE_HUB_NAMESPACE": namespace})
    with pytest.raises(WeightsError, match="not what its record says"):
        fetch(entry, elsewhere)
    assert not any((tmp_path / "other").rglob("*.safetensors"))


def test_restricted_weights_are_not_published_for_everybody(hub, settings, tmp_path):
    hub.private = False
    entry, published = by_hand(tmp_path)
    accept(entry.licence, settings)
    import_file(entry, published, settings)
    with pytest.raises(WeightsError, match="make it private"):
        publish("me/weights", [entry], settings)
    assert ("me/weights", "dsp_fwa/network.safetensors") not in hub.files


def test_the_command_obeys_the_clients_variables_and_writes_only_into_the_data_folder(hub, tmp_path):
    manifest, home, data = tmp_path / "manifest.json", tmp_path / "home", tmp_path / "data"
    home.mkdir()
    entry = json.loads((ROOT / "weights_manifest.json").read_text())["gend/clip-l14"]
    entry["files"][0] |= {"address": on_the_hub().files[0].address, "sha256": DIGEST, "bytes": len(CONTENT)}
    manifest.write_text(json.dumps({"gend/made-up": entry}))
    own = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HOME": str(home), "TELLTALE_DATA": str(data)}
    program = (
        "import sys; from core.weights.__main__ import *; sys.exit(main(['fetch', 'gend'], manifest=Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(manifest)], cwd=ROOT, env=os.environ | own, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["gend/made-up", "MIT", "ready"]
    assert "100%" in done.stderr
    assert (data / "weights" / "gend" / "model.safetensors").read_bytes() == CONTENT
    assert list(home.rglob("*")) == []
