"""From a finished training into the app: its record, the checks, the calibration and the manifest entry.

That the app then uses it is tested with the walk-through of docs/training.md.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.errors import InputError, WeightsError
from core.settings import Settings
from core.weights import MANIFEST, load_manifest, locate, state
from detectors import DETECTORS, choices, choose
from detectors.networks.lrnet import LRNet as Network
from detectors.xception import Xception
from training import export as exporting
from training.evaluate.data import Subject
from training.evaluate.scores import Answers, Said
from training.export import export
from training.layouts.sample import Sample
from training.manifest import put, read
from training.out_of_fold import ORIGINAL
from training.runs import RECORD, read_run, recorded, write_run
from training.seen import knew

pytestmark = pytest.mark.usefixtures("one_thread")


FACTS = {"detector": "lrnet", "input": {"block": 30}, "steps": 5, "trained_on": "made-up clips"}
LICENCE = {"licence": "Apache-2.0", "commercial_use": True, "terms": None}
ID = "lrnet/own"


def test_a_run_comes_back_as_it_was_written(tmp_path):
    networks = {"g1": {"w": torch.ones(2)}, "g2": {"w": torch.zeros(2)}}
    run = write_run(tmp_path, networks, seen=("identity:i", "pair:p"), **FACTS)
    assert read_run(tmp_path) == run
    assert run.files["g2"].name == "g2.safetensors"
    assert not list(tmp_path.glob("*.partial"))


def test_a_run_that_is_not_whole_is_refused_in_words(tmp_path):
    with pytest.raises(WeightsError, match=r"no run\.json"):
        read_run(tmp_path)
    write_run(tmp_path, {"g1": {"w": torch.ones(2)}}, seen=(), **FACTS)
    (tmp_path / "g1.safetensors").write_bytes(b"other")
    with pytest.raises(WeightsError, match="SHA-256"):
        read_run(tmp_path)
    (tmp_path / "g1.safetensors").unlink()
    with pytest.raises(WeightsError, match="not beside it"):
        read_run(tmp_path)
    record = json.loads((tmp_path / RECORD).read_text())
    (tmp_path / RECORD).write_text(json.dumps(record | {"steps": "many"}))
    with pytest.raises(WeightsError, match="steps"):
        read_run(tmp_path)
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_run(tmp_path)


def test_entries_go_before_or_after_the_others_and_leave_them_as_they_are(tmp_path):
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"a/1": {"x": 1}, "b/1": {"x": 2}}))
    put({"b/1": {"x": 3}, "c/1": {"x": 4}}, manifest=manifest)
    assert [*read(manifest).items()] == [("b/1", {"x": 3}), ("c/1", {"x": 4}), ("a/1", {"x": 1})]
    put({"b/1": {"x": 5}}, first=False, manifest=manifest)
    assert [*read(manifest)] == ["c/1", "a/1", "b/1"]


@pytest.fixture
def place(tmp_path) -> tuple[Settings, Path]:
    """A data folder and a manifest of a test's own."""
    manifest = tmp_path / "manifest.json"
    manifest.write_bytes(MANIFEST.read_bytes())
    return Settings.from_env({"TELLTALE_DATA": str(tmp_path / "data")}), manifest


@cache
def trained(steps: int = 20) -> dict[str, torch.Tensor]:
    """A network that has learned a little: whether what it reads trembles."""
    torch.manual_seed(0)
    network = Network()
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(steps):
        fake = torch.arange(16) % 2
        x = 0.1 * torch.randn(16, 30, 136) * fake[:, None, None]
        loss = torch.nn.functional.cross_entropy(network(x), fake)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.state_dict()


@pytest.fixture
def run(tmp_path) -> Path:
    write_run(tmp_path / "run", {"g1": trained(), "g2": trained()}, seen=("identity:i", "source:s"), **FACTS)
    return tmp_path / "run"


def test_what_is_exported_is_ready_in_the_app_with_its_licence_and_where_it_is_from(run, place):
    settings, manifest = place
    weights = export(run, ID, LICENCE, settings, manifest=manifest)
    assert (weights.licence, weights.trained_on, weights.calibration) == ("Apache-2.0", "made-up clips", None)
    assert state(weights, settings).kind == "ready"
    assert [*load_manifest(manifest)][-1] == ID
    files = locate(weights, settings)
    assert recorded(files["g1"]) == read_run(run)
    for name, tensor in load_file(files["g2"]).items():
        assert torch.equal(tensor, load_file(run / "g2.safetensors")[name])
    samples = [
        Sample(name, Path(name), 0, "", "genuine", identity=name[0], source=name[-1]) for name in ("i_x", "x_s", "x_x")
    ]
    assert knew(weights, files, samples).tolist() == [True, True, False]
    assert {p.name for p in settings.data.iterdir()} == {"weights"}, "nothing else is left"


def test_one_set_may_become_what_the_name_of_the_detector_means(run, place):
    settings, manifest = place
    export(run, ID, LICENCE, settings, manifest=manifest, first=True)
    (meant,) = choose(("lrnet",), choices(load_manifest(manifest), settings))
    assert meant.weights.id == ID


@pytest.mark.parametrize(
    ("id", "sentence"),
    [
        ("xception/own", "lrnet/NAME"),
        ("lrnet", "lrnet/NAME"),
        ("lrnet/own/eyes", "lrnet/NAME"),
        ("lrnet/../own", "lrnet/NAME"),
        ("lrnet/telltale", "comes with the app"),
        ("lrnet/ffpp", "comes with the app"),
    ],
)
def test_an_id_that_cannot_be_taken_is_refused(run, place, id, sentence):
    settings, manifest = place
    with pytest.raises(InputError, match=sentence):
        export(run, id, LICENCE, settings, manifest=manifest, replace=True)
    assert manifest.read_bytes() == MANIFEST.read_bytes()


def test_an_entry_of_ones_own_is_replaced_only_on_request(run, place):
    settings, manifest = place
    before = export(run, ID, LICENCE, settings, manifest=manifest)
    write_run(run, {"g1": trained(30), "g2": trained(30)}, seen=("identity:i",), **FACTS)
    with pytest.raises(InputError, match="--replace"):
        export(run, ID, LICENCE, settings, manifest=manifest)
    after = export(run, ID, LICENCE, settings, manifest=manifest, replace=True)
    assert after.sha256 != before.sha256
    assert state(after, settings).kind == "ready"


@pytest.mark.parametrize(
    ("network", "steps", "sentence"),
    [
        (lambda: trained() | {"dense.3.bias": torch.tensor([0.0, float("nan")])}, 5, "dense.3.bias holds numbers"),
        (lambda: Network().state_dict(), 5, "not trained"),
        (trained, 0, "not trained"),
        (lambda: trained() | {"more": torch.ones(1)}, 5, "unexpected: more"),
        (lambda: trained() | {"dense.3.bias": torch.ones(3)}, 5, "of another shape: dense.3.bias"),
        (lambda: {k: v for k, v in trained().items() if k != "hidden_state"}, 5, "missing: hidden_state"),
    ],
    ids=["not finite", "as drawn at random", "no step", "unexpected", "other shape", "missing"],
)
def test_networks_that_are_not_what_they_should_be_are_refused(tmp_path, place, network, steps, sentence):
    settings, manifest = place
    write_run(tmp_path / "run", {"g1": trained(), "g2": network()}, seen=(), **FACTS | {"steps": steps})
    with pytest.raises(WeightsError, match=sentence):
        export(tmp_path / "run", ID, LICENCE, settings, manifest=manifest)
    assert manifest.read_bytes() == MANIFEST.read_bytes()
    assert not [p for p in settings.data.rglob("*") if p.is_file()]


class Tiny(torch.nn.Module):
    """Answers by colour; a `trick` makes it answer otherwise once it is exported."""

    def __init__(self, trick: bool) -> None:
        super().__init__()
        self.head, self.trick = torch.nn.Linear(3, 2), trick

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        logits = self.head(faces.mean(dim=(2, 3)))
        return logits * torch.tensor([1.0, 3.0]) if self.trick and torch.compiler.is_exporting() else logits


@pytest.mark.parametrize("trick", [False, True])
def test_the_exported_network_must_say_what_pytorch_says(tmp_path, place, monkeypatch, trick):
    class Colour(Xception):
        @classmethod
        def load(cls, checkpoint):
            network = Tiny(trick).eval()
            network.load_state_dict(checkpoint)
            return network

    monkeypatch.setitem(DETECTORS, "xception", Colour)
    settings, manifest = place
    look = {"crop": {"name": "ffpp", "size_px": 64, "margin": 1.3}, "mean": [0.5] * 3, "std": [0.5] * 3, "masked": True}
    facts = FACTS | {"detector": "xception", "region": "eyes", "input": look}
    write_run(tmp_path / "run", {"model": Tiny(False).state_dict()}, seen=(), **facts)
    if trick:
        with pytest.raises(WeightsError, match="answers otherwise than in PyTorch"):
            export(tmp_path / "run", "xception/own/eyes", LICENCE, settings, manifest=manifest)
        assert "xception/own/eyes" not in read(manifest)
    else:
        weights = export(tmp_path / "run", "xception/own/eyes", LICENCE, settings, manifest=manifest)
        assert (weights.region, state(weights, settings).kind) == ("eyes", "ready")


def subjects(count: int, **more) -> list[Subject]:
    return [
        Subject(Sample(f"{i}.mp4", Path(f"{i}.mp4"), i % 2, "", "swap" if i % 2 else "genuine", **more))
        for i in range(count)
    ]


def answering(monkeypatch, scores) -> None:
    """In place of reading clips, these scores are their answers."""

    def ask(asked, forms, chosen, folder, settings, *, manifest):
        said = [Said((float(v),), float(v)) for v in scores]
        return {ORIGINAL: Answers({chosen[0].weights.id: said}, np.full(len(said), 100.0))}

    monkeypatch.setattr(exporting, "ask", ask)


def test_the_calibration_is_fitted_on_what_training_had_not(run, place, monkeypatch):
    settings, manifest = place
    rng = np.random.default_rng(0)
    answering(monkeypatch, np.clip(0.4 + 0.2 * (np.arange(40) % 2) + rng.normal(0, 0.1, 40), 0, 1))
    weights = export(run, ID, LICENCE, settings, subjects(40), basis="of a list", manifest=manifest)
    assert weights.calibration.slope > 0
    assert (weights.calibration.n, weights.calibration.data) == (40, "clips of a list")
    assert 0.8 < weights.calibration.auc <= 1
    assert "20 genuine and 20 manipulated clips of a list" in weights.measured


@pytest.mark.parametrize(
    ("clips", "scores", "error", "sentence"),
    [
        (subjects(12, identity="i"), [0.5] * 12, InputError, "training had the source"),
        (subjects(12, source="s"), [0.5] * 12, InputError, "training had the source"),
        (subjects(8), [0.1 * i for i in range(8)], InputError, "4 genuine and 4 manipulated"),
        (subjects(12), [float("nan")] * 12, InputError, "0 genuine and 0 manipulated"),
        (subjects(12), [0.5] * 12, WeightsError, "says nothing"),
    ],
    ids=["known identity", "known source", "too few", "no scores", "all alike"],
)
def test_clips_that_cannot_serve_are_refused(run, place, monkeypatch, clips, scores, error, sentence):
    settings, manifest = place
    answering(monkeypatch, scores)
    with pytest.raises(error, match=sentence):
        export(run, ID, LICENCE, settings, clips, manifest=manifest)
    assert manifest.read_bytes() == MANIFEST.read_bytes()


def test_the_command_says_in_one_sentence_what_is_wrong(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TELLTALE_DATA", str(tmp_path))
    assert exporting.main([str(tmp_path), "--id", ID, "--licence", "MIT"]) == 1
    assert "name the folder that a finished training wrote" in capsys.readouterr().err
