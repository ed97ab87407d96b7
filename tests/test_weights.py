"""Weights are found where they should be, and never used when they are not what the manifest names."""

import hashlib
import json
from dataclasses import replace

import pytest

from core.errors import AppError, WeightsError
from core.settings import Settings
from core.weights import MANIFEST, fetch, load_manifest, locate
from core.weights.__main__ import main

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


def test_every_address_is_pinned_and_every_bundled_file_is_the_one_named():
    entries = load_manifest()
    assert entries
    for weights in entries.values():
        for file in weights.files:
            assert len(file.sha256) == 64
            if weights.source == "bundled":
                path = MANIFEST.parent / file.address
                assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
                assert path.stat().st_size == file.bytes
            elif "github" in file.address:
                assert any(
                    len(part) == 40 and int(part, 16)
                    for part in file.address.split("/")
                    if part.isalnum() and len(part) == 40
                )


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
    ],
)
def test_a_wrong_setting_fails_at_start_with_its_key_and_value(environ, named):
    with pytest.raises(AppError, match=named):
        Settings.from_env(environ)


def test_settings_of_other_programs_are_left_alone():
    assert Settings.from_env({"PATH": "/bin", "GRADIO_THEME": "x", "TELLTALE_SHARED": "/tmp"}) == Settings.from_env({})
