"""The house keeps its order: who imports whom, what is listed, what stays out."""

import ast
from pathlib import Path

import pytest

from core.weights import load_manifest
from detectors import DETECTORS

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {
    "core": set(),
    "preprocessing": {"core"},
    "detectors": {"core", "preprocessing"},
    "analysis": {"core", "preprocessing", "detectors"},
    "plots": {"core"},
    "storage": {"core"},
    "jobs": {"core", "preprocessing", "detectors", "analysis", "storage"},
    "ui": {"core", "preprocessing", "detectors", "analysis", "plots", "storage", "jobs"},
    "training": {"core", "preprocessing", "detectors", "analysis", "plots"},
    "benchmarks": {"core", "preprocessing", "detectors", "analysis", "plots", "storage", "jobs", "ui", "training"},
}


def imported_rooms(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.split(".")[0] for name in names} & ROOMS.keys()


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_one_way(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files, f"the room {room} is empty"
    for path in files:
        strangers = imported_rooms(path) - ROOMS[room] - {room}
        assert not strangers, f"{path.relative_to(ROOT)} imports {strangers}; {room} may import {ROOMS[room]}"


def test_networks_know_no_files_and_no_preprocessing():
    files = sorted((ROOT / "detectors" / "networks").glob("*.py"))
    assert files
    assert all(imported_rooms(path) <= {"detectors"} for path in files)


def test_every_detector_file_is_listed():
    files = {p.stem for p in (ROOT / "detectors").glob("*.py")} - {
        "__init__",
        "base",
        "engines",
        "appearance",
        "cues",
        "saliency",
    }
    assert files == set(DETECTORS), "name the detector in detectors/__init__.py"


def test_manifest_and_cards_agree():
    entries = load_manifest().values()
    for name, cls in DETECTORS.items():
        mine = [w for w in entries if w.detector == name]
        assert mine, f"{name} has no entry in weights_manifest.json"
        assert {w.region for w in mine} <= set(cls.card.regions)
    assert all(w.id.startswith(f"{w.detector}/") or w.detector not in DETECTORS for w in entries)


def test_a_fresh_machine_has_weights_for_its_main_job():
    assert any(w.source == "bundled" and w.detector in DETECTORS for w in load_manifest().values())


def test_spaces_holds_no_python():
    assert (ROOT / "spaces").is_dir()
    assert list((ROOT / "spaces").rglob("*.py")) == []


@pytest.mark.parametrize("document", ["README.md", "docs/methods.md", "docs/performance.md"])
def test_documents_name_every_detector(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for cls in DETECTORS.values():
        assert cls.card.title.split(":")[0] in text
