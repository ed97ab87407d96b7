"""docs/training.md tells the truth: its walk-through runs, says what it shows, and the app uses what comes of it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from tests.conftest import ROOT, running

DOCUMENT = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
CHAPTER = DOCUMENT.partition("## A walk-through\n")[2].partition("\n## From")[0]
STEP_S = 600
"""No step takes more than seconds on a machine that has nothing else to do."""


def steps() -> list[tuple[str, list[str]]]:
    """Each command of the chapter, and the lines that it is shown to print."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", CHAPTER, flags=re.DOTALL):
        for line in block.strip().splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def told(line: str) -> str:
    """A line without its numbers, which are another machine's, and without the widths that follow from them."""
    return re.sub(r"\s+", " ", re.sub(r"-?\d[\d.]*|\bnan\b", "N", line)).strip()


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of the code, whose manifest may be written to, with the walk-through done in it."""
    tree = tmp_path_factory.mktemp("walk") / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "data", "tests", "__pycache__", "node_modules"))
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TELLTALE_")} | {"OMP_NUM_THREADS": "1"}
    commands = [(command, shown) for command, shown in steps() if command != "python app.py"]
    assert [shlex.split(command)[2] for command, _ in commands] == [
        *("training.example", "training.prepare", "training.lrnet", "training.export", "training.evaluate"),
        "core.weights",
    ]
    for command, shown in commands:
        python, *arguments = shlex.split(command)
        assert python == "python"
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tree, env=environ, capture_output=True, text=True, timeout=STEP_S
        )
        said = (done.stdout + done.stderr).replace(f"{tree}/", "")
        assert done.returncode == 0, f"{command}\n{said}"
        printed = [told(line) for line in said.splitlines()]
        absent = [line for line in shown if told(line) not in printed]
        assert shown
        assert not absent, f"{command} does not print {absent}, but\n{said}"
    return tree


def test_the_walk_through_ends_in_the_app(tree):
    with running(tree, tree=tree) as server:
        client = Client(server.url, verbose=False, analytics_enabled=False)
        cards = {card["weights"]: card for card in client.predict(api_name="/detectors")}
        mine = cards["lrnet/walk"]
        assert mine["ready"], mine["reason"]
        assert mine["licence"] == "Apache-2.0"
        assert "held_back.csv" in mine["measured"]
        clip = handle_file(str(tree / "data" / "walk" / "person_11_fake.mp4"))
        report = client.predict(clip, ["lrnet/walk"], api_name="/analyze")
        # A badge on the suit passes for a second face now and then, too briefly to be scored.
        (finding,) = [found for found in report["findings"] if found["status"] == "scored"]
        assert (finding["weights"]["id"], finding["calibrated"]) == ("lrnet/walk", True)
        assert 0 < finding["fake"] < 1
        assert report["verdict"]["fake"] == finding["fake"]


def test_the_document_names_commands_and_configs_that_there_are():
    modules = set(re.findall(r"python -m ([\w.]*\w)", DOCUMENT))
    configs = set(re.findall(r"configs/[\w/]+\.yaml", DOCUMENT))
    assert {"training.prepare", "training.export", "training.evaluate"} < modules
    assert [name for name in modules if find_spec(name) is None] == []
    assert configs
    assert [name for name in configs if not (ROOT / name).is_file()] == []
