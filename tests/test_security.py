"""What `docs/security.md` promises: each threat names tests that are there, and its command does what it says."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_threat_names_a_test_and_every_test_it_names_is_there():
    rows = [line.strip("|").split("|") for line in TEXT.splitlines() if line.startswith("| ")][1:]
    threats = [row for row in rows if not row[0].strip().startswith("**")]
    assert len(threats) > 20
    for threat, _, tests in threats:
        named = re.findall(r"`(\w+\.py)::(\w+)`", tests)
        assert named, threat
        for file, test in named:
            tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
            assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (file, test)


def test_an_audit_that_could_not_look_does_not_pass(tmp_path: Path):
    (command,) = re.findall(r"^pip-audit .*$", TEXT, re.MULTILINE)
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:1")
    ended = subprocess.run(
        [sys.executable, "-m", "pip_audit", *command.split()[1:], "--cache-dir", str(tmp_path)],
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode != 0
    assert "No known vulnerabilities" not in ended.stdout + ended.stderr
