"""Weights are found where they should be, and never used when they are not what the manifest names."""

import argparse
import hashlib
import io
import json
import os
import pickle
import shlex
import sys
import tarfile
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from core.errors import AppError, WeightsError
from core.settings import Settings
from core.weights import MANIFEST, Weights, WeightsFile, as_found, fetch, load_manifest, locate, state
from core.weights.__main__ import main
from core.weights.conversion import import_file, read_tensors
from core.weights.store import accept
from preprocessing.profile import InputProfile

CONTENT = b"weights" * 100


@pytest.fixture
def settings(tmp_path):
    return Settings.from_env({"TELLTALE_DATA": str(tmp_path / "data"), "TELLTALE_WEIGHTS": str(tmp_path / "given")})


@pytest.fixture
def entry(tmp_path):
    """An entry whose single file can be fetched from an address on this machine."""
    origin = tmp_path / "origin.bin"
    origin.write_bytes(CONTENT)
    known = load_manifest()["lrnet/ffpp"]
    file = replace(
        known.files[0], address=origin.as_uri(), sha256=hashlib.sha256(CONTENT).hexdigest(), bytes=len(CONTENT)
    )
    return replace(known, files=(file,))


def test_what_was_fetched_is_found_again(entry, settings):
    with pytest.raises(WeightsError, match="not on this machine"):
        locate(entry, settings)
    path = fetch(entry, settings)["g1"]
    assert path.read_bytes() == CONTENT
    assert locate(entry, settings) == {"g1": path}


@pytest.mark.parametrize("folder", ["given", "given/lrnet"])
def test_the_operators_folder_goes_before_what_was_fetched(entry, settings, tmp_path, folder):
    fetch(entry, settings)
    given = tmp_path / folder / "ffpp_g1.pth"
    given.parent.mkdir(parents=True)
    given.write_bytes(CONTENT)
    assert locate(entry, settings) == {"g1": given}


def test_a_changed_file_is_refused_by_name(entry, settings):
    path = fetch(entry, settings)["g1"]
    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(WeightsError, match=r"ffpp_g1\.pth is not the file the manifest names"):
        locate(entry, settings)


def test_a_download_that_is_another_file_is_not_kept(entry, settings, tmp_path):
    (tmp_path / "origin.bin").write_bytes(b"something else")
    with pytest.raises(WeightsError, match="nothing was kept"):
        fetch(entry, settings)
    assert [p for p in settings.data.rglob("*") if p.is_file()] == []


def test_an_address_that_cannot_be_reached_names_the_way_out(entry, settings, tmp_path):
    (tmp_path / "origin.bin").unlink()
    with pytest.raises(WeightsError, match="TELLTALE_WEIGHTS"):
        fetch(entry, settings)
    assert [p for p in settings.data.rglob("*") if p.is_file()] == []


def test_a_download_that_was_given_up_is_not_taken_for_a_whole_one(entry, settings):
    part = settings.data / "weights" / "partial" / entry.files[0].sha256
    part.parent.mkdir(parents=True)
    part.write_bytes(b"from another time")
    assert fetch(entry, settings)["g1"].read_bytes() == CONTENT


def test_every_file_has_a_source_and_what_is_fetched_is_pinned():
    entries = load_manifest()
    assert entries
    files: dict[tuple[str, str], WeightsFile] = {}
    for weights in entries.values():
        assert weights.files
        assert weights.terms or weights.commercial_use, f"{weights.id} does not say what its licence asks"
        for file in weights.files:
            assert file.address
            assert file.sha256 is None or len(file.sha256) == 64
            assert file.is_known or (file.convert and file.holds), f"nothing tells {file.name} from another file"
            assert files.setdefault((weights.detector, file.name), file) == file, "two files of one name"
            if weights.source == "bundled":
                path = MANIFEST.parent / file.address
                assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
                assert path.stat().st_size == file.bytes
            elif weights.source == "hub":
                assert len(file.address.partition("@")[2].partition("/")[0]) == 40
            elif "raw.githubusercontent" in file.address:
                assert len(file.address.split("/")[5]) == 40


def test_every_set_that_reads_pictures_says_how_it_wants_them():
    sets = [
        weights
        for weights in load_manifest().values()
        if weights.detector not in ("compact", "texture", "lrnet", "fan")
    ]
    assert sets
    for weights in sets:
        profile = InputProfile.model_validate(weights.input)
        assert profile.masked or weights.region in ("entire", "mouth"), f"{weights.id} shows more than its region"


def test_an_entry_like_another_one_says_only_what_is_different():
    entries = load_manifest()
    entire, eyes = entries["dsp_fwa/bida-celebdf/entire"], entries["dsp_fwa/bida-celebdf/eyes"]
    assert (entire.region, eyes.region) == ("entire", "eyes")
    assert eyes.files == (replace(entire.files[0], name="DSP-FWA_CelebDF_eyes.pt"),)
    assert (eyes.licence, eyes.terms, eyes.paper) == (entire.licence, entire.terms, entire.paper)


def test_the_list_says_what_is_ready(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("TELLTALE_DATA", str(tmp_path))
    monkeypatch.delenv("TELLTALE_WEIGHTS", raising=False)
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(json.loads(MANIFEST.read_text()))
    assert any(line.startswith("lrnet/ffpp") and "fetch lrnet/ffpp" in line for line in lines)


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"TELLTALE_MAX_MB": "many"}, "TELLTALE_MAX_MB='many'"),
        ({"TELLTALE_MAX_MB": "-1"}, "TELLTALE_MAX_MB='-1'"),
        ({"TELLTALE_MAXMB": "5"}, "TELLTALE_MAXMB='5'"),
        ({"TELLTALE_NO_SIGNS": "0.7"}, "must rise"),
    ],
)
def test_a_wrong_setting_fails_at_start_with_its_key_and_value(environ, named):
    with pytest.raises(AppError, match=named):
        Settings.from_env(environ)


def test_settings_of_other_programs_are_left_alone():
    assert Settings.from_env({"PATH": "/bin", "GRADIO_THEME": "x", "TELLTALE_SHARED": "/tmp"}) == Settings.from_env({})


# Files that a person brings: checked, converted, never run.


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rep = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))


class TransferModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(Block(), nn.Linear(4, 2))
        self.register_parameter("unused", None)


class Evil:
    """Runs a command when it is unpickled as usual."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.fixture
def upstream(monkeypatch):
    """A module of the authors' package, which is gone when the file is read."""
    module = types.ModuleType("network.models")
    for cls in (Block, TransferModel):
        monkeypatch.setattr(cls, "__module__", module.__name__)
        setattr(module, cls.__name__, cls)
    with monkeypatch.context() as imported:
        imported.setitem(sys.modules, "network", types.ModuleType("network"))
        imported.setitem(sys.modules, module.__name__, module)
        yield imported


def brought(tmp_path, content, *, name="SPP-res50.pth", licence="MIT", **file) -> tuple[Weights, object]:
    """A set of which only the place is known, and the file that somebody brings for it."""
    published = tmp_path / name
    torch.save(content, published)
    known = load_manifest()["dsp_fwa/authors"]
    changed = replace(known.files[0], name=name, **{"holds": {}} | file)
    return replace(known, files=(changed,), licence=licence, commercial_use=licence == "MIT"), published


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("is_new", [True, False], ids=["zip", "before PyTorch 1.6"])
def test_a_whole_module_of_classes_we_do_not_have_becomes_its_tensors(upstream, tmp_path, is_new):
    network, path = TransferModel().eval(), tmp_path / "all_c23.p"
    torch.save(network, path, _use_new_zipfile_serialization=is_new)
    upstream.undo()
    assert "network.models" not in sys.modules
    expected, found = network.state_dict(), read_tensors(path)
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_training_checkpoints_lose_all_but_their_weights(tmp_path):
    path, shared = tmp_path / "laa.pth", torch.arange(6, dtype=torch.float64).reshape(2, 3)
    states = {"a.weight": shared, "b.weight": shared.T, "count": torch.tensor(3)}
    extras = {"best": np.float64(0.9), "options": argparse.Namespace(lr=0.1), "history": np.ones(3)}
    torch.save({"epoch": 3, "state_dict": states, "optimizer": {"state": {0: {"e_w": shared}}}, **extras}, path)
    found = read_tensors(path)
    assert {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in found.items()} == {
        "a.weight": (torch.float32, (2, 3)),
        "b.weight": (torch.float32, (3, 2)),
        "count": (torch.int64, ()),
    }
    assert torch.equal(found["b.weight"], found["a.weight"].T)


def hostile(tmp_path, how: str, mark) -> object:
    path, evil = tmp_path / "hostile.pth", Evil(f"touch {shlex.quote(str(mark))}")
    if how == "bare pickle":
        path.write_bytes(pickle.dumps(evil))
    elif how == "tar":
        with tarfile.open(path, "w") as tar:
            for name in ("storages", "tensors", "pickle"):
                info = tarfile.TarInfo(name)
                info.size = len(pickle.dumps(evil))
                tar.addfile(info, io.BytesIO(pickle.dumps(evil)))
    else:
        torch.save(
            {"state_dict": {"w": torch.ones(1)}, "more": evil}, path, _use_new_zipfile_serialization=how == "zip"
        )
    return path


@pytest.mark.parametrize("how", ["zip", "before PyTorch 1.6", "bare pickle", "tar"])
def test_a_file_that_wants_to_run_something_is_refused_and_runs_nothing(tmp_path, how):
    mark = tmp_path / "it ran"
    path = hostile(tmp_path, how, mark)
    with pytest.raises(WeightsError, match=r"hostile\.pth cannot be read as weights"):
        read_tensors(path)
    assert not mark.exists()


def test_a_torn_file_is_refused(tmp_path):
    _, path = brought(tmp_path, {"w": torch.ones(1000)})
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_tensors(path)


def test_what_a_person_brings_is_converted_and_found_by_its_recorded_hash(tmp_path, settings):
    entry, published = brought(tmp_path, {"net": {"module.classifier.weight": torch.ones(2, 9)}, "epoch": 1})
    assert state(entry, settings).kind == "bring"
    assert entry.sha256 == as_found(entry, settings).sha256 == ""
    path = import_file(entry, published, settings)
    assert locate(entry, settings) == {"model": path}
    assert list(load_file(path)) == ["module.classifier.weight"]
    assert as_found(entry, settings).sha256 == hashlib.sha256(published.read_bytes()).hexdigest()
    assert as_found(entry, settings) is as_found(entry, settings)

    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(WeightsError, match="is not the file the manifest names"):
        locate(entry, settings)
    path.with_suffix(".json").write_text("{}")
    assert state(entry, settings).kind == "refused"
    assert as_found(entry, settings).sha256 == ""


def test_a_folder_of_converted_files_serves_another_machine(tmp_path, settings):
    entry, published = brought(tmp_path, {"w": torch.ones(3)})
    import_file(entry, published, settings)
    elsewhere = {"TELLTALE_DATA": str(tmp_path / "other"), "TELLTALE_WEIGHTS": str(settings.data / "weights")}
    assert state(entry, Settings.from_env(elsewhere)).kind == "ready"


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ({"sha256": "0" * 64}, "This is not SPP-res50.pth: expected SHA-256 0000"),
        ({"git_sha1": "0" * 40}, "expected git SHA-1 0000"),
        ({"bytes": 5}, "expected size in bytes 5, found"),
        ({"holds": {"classifier.weight": [2, 83968]}}, r"no tensor …classifier.weight of shape \(2, 83968\)"),
    ],
    ids=["hash", "git's hash", "size", "tensors"],
)
def test_another_file_than_the_one_meant_is_refused(tmp_path, settings, file, sentence):
    entry, published = brought(tmp_path, {"classifier.weight": torch.ones(2, 9)}, **file)
    with pytest.raises(WeightsError, match=sentence):
        import_file(entry, published, settings)
    assert not (settings.data / "weights" / "dsp_fwa").exists()


def test_a_set_of_several_files_keeps_of_each_what_it_needs_and_shares_what_is_the_same(tmp_path, settings):
    known = load_manifest()["capsule/nii"]
    trunk = {
        "features.16.weight": torch.ones(2),
        "features.19.weight": torch.ones(3),
        "classifier.0.bias": torch.ones(4),
    }
    torch.save(trunk, tmp_path / "vgg19-dcbb9e9d.pth")
    torch.save({"routing_stats.route_weights": torch.ones(2, 10, 4, 8)}, tmp_path / "capsule_21.pt")
    content = (tmp_path / "capsule_21.pt").read_bytes()
    git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry = replace(
        known, files=(replace(known.files[0], git_sha1=git), replace(known.files[1], sha256=None, bytes=None))
    )
    other = replace(entry, id="capsule/other", files=(replace(entry.files[0], name="other.pt"), entry.files[1]))
    with pytest.raises(WeightsError, match="say with --role which of them"):
        import_file(entry, MANIFEST, settings)
    assert state(entry, settings).command == "python -m core.weights import capsule/nii capsule_21.pt"
    for name in ("capsule_21.pt", "vgg19-dcbb9e9d.pth"):
        import_file(entry, tmp_path / name, settings)
    files = locate(entry, settings)
    assert list(load_file(files["trunk"])) == ["features.16.weight"]
    import_file(other, tmp_path / "capsule_21.pt", settings, role="model")
    assert locate(other, settings)["trunk"] == files["trunk"]


def test_restricted_weights_are_taken_only_after_their_licence_was_accepted_by_name(
    tmp_path, capsys, monkeypatch, settings
):
    entry, published = brought(tmp_path, {"w": torch.ones(3)}, licence="CC-BY-NC-SA-4.0")
    found = state(entry, settings)
    assert found.kind == "accept"
    assert "CC-BY-NC-SA-4.0 (Attribution, no commercial use" in (found.reason or "")
    with pytest.raises(WeightsError, match="has to be accepted first"):
        import_file(entry, published, settings)
    accept("MIT", settings)
    with pytest.raises(WeightsError, match="has to be accepted first"):
        fetch(entry, settings)

    manifest = tmp_path / "manifest.json"
    plain = json.loads(MANIFEST.read_text())["dsp_fwa/authors"]
    plain["files"][0]["holds"] = {}
    manifest.write_text(json.dumps({entry.id: plain}))
    monkeypatch.setenv("TELLTALE_DATA", str(settings.data))
    monkeypatch.delenv("TELLTALE_WEIGHTS", raising=False)
    with pytest.raises(SystemExit):
        main(["import", entry.id, str(published), "--accept-license", "MIT"], manifest=manifest)
    assert "'MIT' is not the licence of dsp_fwa/authors" in capsys.readouterr().err
    command = shlex.split(found.command or "")[3:]
    command[command.index("SPP-res50.pth")] = str(published)
    assert main(command, manifest=manifest) == 0
    assert "ready" in capsys.readouterr().out
    accepted = json.loads((settings.data / "weights" / "licences.json").read_text())
    assert list(accepted) == ["MIT", "CC-BY-NC-SA-4.0"]


def test_the_commands_say_in_one_sentence_what_is_wrong(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TELLTALE_DATA", str(tmp_path))
    monkeypatch.delenv("TELLTALE_WEIGHTS", raising=False)
    assert main(["fetch", "dsp_fwa/authors"]) == 1
    assert main(["import", "capsule/nii-v2", str(tmp_path / "absent.pt")]) == 1
    assert main(["publish", "me/weights"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "--accept-license CC-BY-NC-SA-4.0" in lines[0]
    assert "There is no file" in lines[1]
    assert "Nothing was converted here yet" in lines[2]
