"""More than one machine, as nodes of a Ray cluster on this one: the same reports, and nothing lost with a node."""

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

os.environ["RAY_TMPDIR"] = tempfile.mkdtemp(prefix="ray-")  # read once; short, since sockets lie there
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}

import ray
from gradio_client import Client, handle_file
from pydantic import SecretStr
from ray.cluster_utils import Cluster as Nodes

from analysis.pipeline import analyze, take_order
from core.contract import as_json
from core.errors import AppError, InputError
from core.settings import Settings
from core.types import Options, Progress, Report
from core.weights import load_manifest
from core.words import in_language
from jobs.cluster import Cluster
from jobs.exchange import Exchange, Mislaid
from jobs.scan import scan
from storage import ReportStore
from tests import clips
from tests.conftest import free_port, running, wait_for

MANIFEST = load_manifest()
MEMORY = 100 * 2**20
"""Of a node for what tasks hand each other."""


@dataclass
class Machines:
    """Nodes with a data folder each, which share nothing but the exchange."""

    nodes: Nodes
    cluster: Cluster
    settings: Settings
    folder: Path
    doomed: Any = None

    def add(self, name: str) -> Any:
        known = {"TELLTALE_DATA": str(self.folder / name)}
        return self.nodes.add_node(num_cpus=1, object_store_memory=MEMORY, env_vars=known)

    def left(self) -> list[Path]:
        """Files that no analysis should leave behind."""
        return [file for place in ("exchange", "*/cluster") for file in self.folder.glob(f"{place}/**/*")]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp("machines")
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": MEMORY})
    known = {"TELLTALE_DATA": str(folder / "driver"), "TELLTALE_RAY_ADDRESS": nodes.address}
    settings = Settings.from_env(known | {"TELLTALE_STORE": str(folder / "exchange")})
    try:
        cluster = Cluster(settings)
        machines = Machines(nodes, cluster, settings, folder)
        machines.add("one")
        machines.doomed = machines.add("two")
        yield machines
        cluster.close()
    finally:
        nodes.shutdown()
        shutil.rmtree(os.environ["RAY_TMPDIR"], ignore_errors=True)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.good(tmp_path_factory.mktemp("clips") / "good.mp4")


def asked(path: Path, settings: Settings, **more: Any) -> dict[str, Any]:
    options = Options((), thoroughness="fast")
    order = take_order(path, options, settings, MANIFEST, more.get("references", ()))
    return {"name": path.name, "options": options, "settings": settings, "manifest": MANIFEST, "order": order, **more}


def test_the_same_report_as_on_one_machine(machines: Machines, clip: Path, tmp_path: Path):
    genuine = clips.good(tmp_path / "genuine.mp4", 96)
    arguments = asked(clip, machines.settings, references=[genuine])
    with in_language("de"):
        *steps, report = machines.cluster.run(clip, max_minutes=5, **arguments)
    assert {type(step) for step in steps} == {Progress}
    assert any("Gesicht" in step.stage for step in steps), "in the language of who asked"
    here = analyze(clip, **arguments)
    same = {"id": here.id, "created_at": here.created_at, "timings_s": here.timings_s}
    assert as_json(replace(report, **same)) == approximately(as_json(here))
    assert report.exhibits[0].crop == here.exhibits[0].crop
    assert not machines.left()


def test_a_file_that_is_refused_is_refused_in_the_same_words(machines: Machines, tmp_path: Path):
    text = clips.text(tmp_path / "text.mp4")
    with pytest.raises(InputError) as there:
        list(machines.cluster.run(text, max_minutes=5, **asked(text, machines.settings)))
    with pytest.raises(InputError) as here:
        analyze(text, **asked(text, machines.settings))
    assert str(there.value) == str(here.value)
    assert not machines.left()


def test_who_stops_listening_stops_the_work(machines: Machines, tmp_path: Path):
    long = clips.good(tmp_path / "long.mp4", 250)
    with closing(machines.cluster.run(long, max_minutes=5, **asked(long, machines.settings))) as steps:
        next(step for step in steps if step.fraction > 0)
        assert machines.left()
    wait_for(lambda: not machines.left(), within_s=60)
    wait_for(lambda: ray.available_resources().get("CPU") == 2, within_s=60)


def test_machines_are_not_told_the_password_of_the_database(
    machines: Machines, clip: Path, monkeypatch: pytest.MonkeyPatch
):
    class Told:
        sent = b""

        @classmethod
        def remote(cls, *arguments: Any) -> None:
            cls.sent = ray.cloudpickle.dumps(arguments)
            raise InterruptedError

    monkeypatch.setattr("jobs.cluster._analyse", Told)
    settings = machines.settings.model_copy(update={"database": SecretStr("postgresql://me:sesame@host/name")})
    with pytest.raises(InterruptedError):
        next(machines.cluster.run(clip, max_minutes=5, **asked(clip, settings)))
    assert b"exchange" in Told.sent, "the settings are there"
    assert b"sesame" not in Told.sent


def test_a_page_has_its_jobs_done_by_the_cluster(machines: Machines, clip: Path, tmp_path: Path):
    """And ends when it is told to, which Ray would take for a crash."""
    there = {"TELLTALE_RAY_ADDRESS": machines.nodes.address, "TELLTALE_STORE": str(machines.folder / "exchange")}
    with running(tmp_path, **there) as server:
        call = Client(server.url, headers={"x-telltale-visitor": secrets.token_urlsafe(16)}, verbose=False).predict
        report = call(handle_file(str(clip)), ["lrnet"], thoroughness="fast", api_name="/analyze")
        assert report["findings"][0]["status"] == "scored"
        assert (server.data / "costs.json").is_file()
        assert not (server.data / "networks").exists(), "nothing was scored in the page's own process"
    assert not machines.left()


def test_a_node_that_dies_in_mid_scan_loses_nothing(
    machines: Machines, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """The last test with both nodes: one is gone afterwards."""
    (folder := tmp_path / "clips").mkdir()
    for n in range(4):
        clips.good(folder / f"{n}.mp4", 40 + n)
    shutil.copy(folder / "0.mp4", folder / "again.mp4")
    settings = machines.settings.model_copy(update={"data": tmp_path / "data"})
    at_work = machines.folder / "two" / "cluster"

    def run(path: Path, **arguments: Any) -> Iterator[Progress | Report]:
        for step in machines.cluster.run(path, **arguments):
            yield step
            if machines.doomed and any(at_work.glob("*/*")):
                doomed, machines.doomed = machines.doomed, None
                machines.nodes.remove_node(doomed, allow_graceful=False)

    options, out = Options(("lrnet", "texture"), thoroughness="fast"), tmp_path / "out.parquet"
    assert scan(str(folder), out, options, settings, run, at_once=2) == 0
    assert "was lost: NodeDiedError" in caplog.text
    rows = pd.read_parquet(out)
    assert rows.status.tolist() == ["done"] * 5
    assert rows.report.nunique() == ReportStore(settings.database_url).history(owner=None).total == 4
    wait_for(lambda: not [file for file in machines.left() if at_work not in file.parents], within_s=60)


def test_where_no_cluster_is_one_sentence_says_so_at_once(tmp_path: Path):
    nowhere = Settings.from_env({"TELLTALE_DATA": str(tmp_path), "TELLTALE_RAY_ADDRESS": f"127.0.0.1:{free_port()}"})
    with pytest.raises(AppError, match=r"No Ray cluster can be joined at 127.0.0.1:\d+ \(.*refused\): start one"):
        Cluster(nowhere)


@pytest.mark.parametrize("kind", ["folder", "object store"])
def test_a_file_arrives_whole_or_not_at_all(tmp_path: Path, kind: str):
    file, target = tmp_path / "clip.mp4", tmp_path / "arrived"
    file.write_bytes(b"pictures")
    sha256 = hashlib.sha256(b"pictures").hexdigest()
    address = str(tmp_path / "exchange") if kind == "folder" else f"memory://{tmp_path.name}"
    sender, receiver = Exchange(address), Exchange(address)
    with pytest.raises(Mislaid, match=r"did not arrive.*every machine reaches"):
        receiver.get(sha256, target)
    sender.put(file, sha256)
    sender.put(file, sha256)
    sender.sweep()
    assert receiver.get(sha256, target).read_bytes() == b"pictures"
    sender.discard(sha256)
    sender.discard(sha256)
    file.write_bytes(b"something else")
    sender.put(file, sha256)
    with pytest.raises(Mislaid):
        receiver.get(sha256, target)


def approximately(plain: Any) -> Any:
    """The same, with floats as near as two builds of the same arithmetic may be."""
    match plain:
        case float():
            return pytest.approx(plain, abs=1e-5)
        case dict():
            return {key: approximately(value) for key, value in plain.items()}
        case list():
            return [approximately(value) for value in plain]
    return plain
