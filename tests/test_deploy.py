"""The container file and the compose file, as far as they can be tried without an engine: what they say is whole; their
command lines run here as they would there, by a plain user, on a tree that cannot be written, without a network."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile_parse import DockerfileParser
from prometheus_client import REGISTRY
from sqlalchemy import text

from core.settings import VERSION, Settings
from storage import open_database, upgrade
from storage.database import check
from storage.gauges import Gauges
from tests.conftest import ROOT
from ui.health import FRESH_S

NOBODY = 65534
START_S = 180

ANALYSES = """
from gradio_client import Client, handle_file
client = Client("http://127.0.0.1:7860", verbose=False, analytics_enabled=False, download_files=False)
report = client.predict(handle_file("ui/assets/example.mp4"), api_name="/analyze")
print(*sorted({found["detector"] for found in report["findings"] if found["status"] == "scored"}))
"""


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, str]]:
    """Instructions of the container file and what follows them, in order."""
    with (ROOT / "Dockerfile").open("rb") as file:
        found = [(step["instruction"], step["value"]) for step in DockerfileParser(fileobj=file).structure]
    assert found
    return [step for step in found if step[0] != "COMMENT"]


def last(steps: list[tuple[str, str]], instruction: str) -> str:
    return [value for name, value in steps if name == instruction][-1]


def command(value: str) -> list[str]:
    """The words of a command line in the form of a list."""
    return list(yaml.safe_load(value[value.index("[") :]))


def test_the_container_file_names_what_is_there_pins_its_base_and_ends_as_a_plain_user(steps):
    minor = re.search(r">=(3\.\d+),", (ROOT / "pyproject.toml").read_text())
    assert minor
    assert re.fullmatch(rf"PYTHON={re.escape(minor[1])}\.\d+-slim-\w+", dict(reversed(steps))["ARG"])
    assert [value for name, value in steps if name == "FROM"] == ["python:${PYTHON} AS packages", "python:${PYTHON}"]
    copied = [value.split() for name, value in steps if name in ("COPY", "ADD") and "--from" not in value]
    assert len(copied) == 2
    assert all((ROOT / source).exists() for *sources, _ in copied for source in sources)
    user, group = map(int, last(steps, "USER").split(":"))
    assert min(user, group) > 0
    assert [name for name, _ in steps].index("USER") > [name for name, _ in steps].index("RUN")


def test_only_what_runs_goes_into_a_container():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    named = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert lines == ["*", *(f"!{name}" for name in named), "**/__pycache__"]
    assert all((ROOT / name).exists() for name in named)
    assert not {"tests", "training", "benchmarks", "docs", "spaces", ".git", "data"} & set(named)


@dataclass(frozen=True)
class Container:
    """What stands in for one: a process with a network, a view of the disk and a user of its own."""

    process: subprocess.Popen[str]
    tree: Path
    environment: dict[str, str]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        inside = ["nsenter", f"--target={self.process.pid}", "--mount", "--net", *AS_NOBODY, "sh", "-c"]
        line = f"cd {shlex.quote(str(self.tree))} && exec {shlex.join(words)}"
        return subprocess.run([*inside, line], env=self.environment, capture_output=True, text=True)


AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
AS_NOBODY += ["--inh-caps=-all", "--bounding-set=-all"]
CONTAIN = ["unshare", "--mount", "--net", "sh", "-ec"]


def barred(aside: Path, data: Path) -> str:
    """Shell lines after which nothing but `data` can be written, and Python be read, wherever root keeps it."""
    lines, hiding = [], set()
    for number, prefix in enumerate(sorted({sys.prefix, sys.base_prefix})):
        hidden = [folder for folder in Path(prefix).parents if not folder.stat().st_mode & 0o001]
        if hidden:
            hiding.add(hidden[-1])
            copy = aside / str(number)
            copy.mkdir(parents=True, exist_ok=True)
            lines.insert(0, f"mount --bind {prefix} {copy}")
            lines.append(f"mkdir -p {prefix}; mount --bind {copy} {prefix}")
    half = len(lines) // 2
    lines[half:half] = [f"mount -t tmpfs -o mode=755 none {folder}" for folder in hiding]
    return "\n".join([*lines, f"mount --bind {data} {data}", "mount -o remount,ro,bind /", "ip link set lo up"])


@contextmanager
def contained(words: list[str], tree: Path, data: Path, environment: dict[str, str]) -> Iterator[Container]:
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    process = subprocess.Popen(
        [*CONTAIN, f"{barred(tree.parent / 'aside', data)}\nexec {shlex.join([*AS_NOBODY, *words])}"],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Container(process, tree, environment)
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=30)
        print(said)


def can_contain() -> bool:
    """Whether this process may do to another what an engine does."""
    try:
        return subprocess.run([*CONTAIN, "mount -o remount,ro,bind /; ip link set lo up"]).returncode == 0
    except FileNotFoundError:
        return False


def test_its_command_and_its_health_check_run_as_a_plain_user_on_a_tree_that_cannot_be_written(steps, tmp_path):
    if not can_contain():
        pytest.skip("takes root, `unshare` and `ip`")
    tree, data = tmp_path / "app", tmp_path / "data"
    subprocess.run([ROOT / "spaces" / "deploy.sh", "--export", tree], check=True)
    for folder in (tmp_path, *tmp_path.parents):
        folder.chmod(folder.stat().st_mode | 0o111)
    environment = dict(pair.split("=", 1) for pair in shlex.split(last(steps, "ENV")))
    assert environment["TELLTALE_DATA"] == last(steps, "VOLUME") == "/data"
    environment |= {"TELLTALE_DATA": str(data), "HOME": str(data)}
    environment["PATH"] = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    health = command(last(steps, "HEALTHCHECK"))
    with contained(command(last(steps, "CMD")), tree, data, environment) as container:
        end = time.monotonic() + START_S
        while (healthy := container.run(*health)).returncode and time.monotonic() < end:
            assert container.process.poll() is None
            time.sleep(1)
        assert healthy.returncode == 0, healthy.stderr
        analysed = container.run("env", f"TMPDIR={data}", "python", "-c", ANALYSES)
        assert analysed.stdout.split() == ["lrnet", "texture"], analysed.stderr
        refused = container.run("sh", "-c", f"touch {tree}/x || touch {tree}/core/x || touch /tmp/x")
        assert refused.returncode, "the tree can be written to"
        data.chmod(0o500)
        time.sleep(2 * FRESH_S)
        failing = container.run(*health)
        data.chmod(0o700)
        assert (failing.returncode, "503" in failing.stderr) == (1, True)
    assert container.process.returncode == 0


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text()))


def filled(text: object) -> str:
    """As compose fills in variables of which none is set but the password."""
    return re.sub(
        r"\$\{(\w+)(?::[-?]([^}]*))?\}", lambda m: "secret" if m[1] == "POSTGRES_PASSWORD" else m[2], str(text)
    )


def test_the_services_of_the_compose_file_are_hardened_wait_for_one_another_and_have_settings_that_hold(compose):
    services = compose["services"]
    ours = {name: service for name, service in services.items() if service["image"] == f"telltale:{VERSION}"}
    assert set(services) - set(ours) == {"database"}
    assert set(ours) == {"migrate", "page", "worker"}
    assert re.fullmatch(r"postgres:\d+\.\d+-\w+", services["database"]["image"])
    assert services["database"]["healthcheck"]["test"][1] == "pg_isready"
    assert "ports" not in services["database"]
    for name, service in ours.items():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["env_file"] == ".env"
        environment = {key: filled(value) for key, value in service["environment"].items()}
        settings = Settings.from_env(environment)
        assert settings.database_url.startswith("postgresql://telltale@database/")
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
        waits = {other: how["condition"] for other, how in service["depends_on"].items()}
        assert waits["database"] == "service_healthy"
        assert name == "migrate" or waits["migrate"] == "service_completed_successfully"
    volumes = {mount.split(":")[0] for service in services.values() for mount in service["volumes"]}
    assert volumes == set(compose["volumes"])
    assert filled(services["page"]["ports"][0]) == "127.0.0.1:7860:7860"
    text = (ROOT / "compose.yaml").read_text()
    assert "secret" not in text
    # All of .env reaches the app, which refuses a variable of this prefix that it does not know.
    Settings.from_env(dict.fromkeys(re.findall(r"\$\{(TELLTALE_\w+)", text), "public"))


@pytest.fixture(scope="module")
def document() -> str:
    return (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


def test_the_document_names_numbers_that_there_are_and_all_of_them(document, tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'telltale.db'}")
    upgrade(f"sqlite:///{tmp_path / 'telltale.db'}")
    known = set()
    for family in [*REGISTRY.collect(), *Gauges(database, tmp_path, lambda: {"disk": "ok"}).collect()]:
        endings = {"counter": ["_total"], "histogram": ["", "_bucket"], "info": ["_info"]}.get(family.type, [""])
        known |= {family.name + ending for ending in endings}
    named = set(re.findall(r"\b(?:telltale|process)_\w+", document))
    assert named <= known
    ours = {name for name in known if name.startswith("telltale_") and not name.endswith("_bucket")}
    assert ours - named == {"telltale_info"}
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", document, re.S)]
    rules = [rule for block in blocks for group in block.get("groups", []) for rule in group["rules"]]
    assert all(set(rule) >= {"alert", "expr"} for rule in rules)
    assert len(rules) > 3


def test_the_backup_in_the_document_is_whole_while_the_database_is_used(document, tmp_path):
    (tmp_path / "data").mkdir()
    url = f"sqlite:///{tmp_path / 'data' / 'telltale.db'}"
    upgrade(url)
    with open_database(url).begin() as reading:
        reading.execute(text("SELECT * FROM reports"))
        found = re.search(r"`(python -c \"import sqlite3.*?)`", document)
        assert found
        words = [sys.executable, *shlex.split(found[1])[1:]]
        subprocess.run(words, cwd=tmp_path, check=True)
    check(f"sqlite:///{tmp_path / 'backup.db'}")
