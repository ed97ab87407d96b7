"""What goes to a Space, as the deploy script would send it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="publishes a commit, and this is no checkout")
def test_a_space_gets_the_app_with_its_card_and_no_folder_that_gradio_would_import(tmp_path: Path):
    sender = tmp_path / "hf"
    sender.write_text(f'#!/bin/sh\ncp -r "$3" "{tmp_path}/sent"\necho "$@" > "{tmp_path}/asked"\n')
    sender.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([ROOT / "spaces" / "deploy.sh", "someone/telltale"], env=os.environ | {"PATH": path}, check=True)

    sent = tmp_path / "sent"
    assert "upload someone/telltale" in (tmp_path / "asked").read_text()
    assert {"app.py", "requirements.txt", "packages.txt", "weights_manifest.json"} <= {p.name for p in sent.iterdir()}
    assert not {"spaces", "tests", "training"} & {p.name for p in sent.iterdir()}
    card = (sent / "README.md").read_text()
    pinned = re.search(r"^gradio==(.+)$", (sent / "requirements.txt").read_text(), re.M)
    assert pinned
    assert card.startswith("---\n")
    assert f"sdk_version: {pinned[1]}\n" in card
