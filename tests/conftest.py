"""What tests share: quiet, offline libraries; the folder of third-party clips; Chromium; and the app, running."""

import os

# Before anything else: libraries read these once, when they are imported.
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "ORT_DISABLE_TELEMETRY": "1"}
# Two processes that run tests leave each other a core.
os.environ["OMP_NUM_THREADS"] = "1"

import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from sqlalchemy import Connection, text

from storage import open_database, upgrade

ROOT = Path(__file__).resolve().parent.parent
START_S = 90
POSTGRESQL = "TELLTALE_TEST_DATABASE_URL"
TEMPLATE = f"telltale_template_{os.getpid()}"
"""Each process that runs tests has its own."""


@dataclass(frozen=True)
class Server:
    """A running `python app.py`: its address, the one folder it may write to, the home it must leave alone, and the
    proxy it is told to reach other hosts by, at which nothing must ever ring."""

    url: str
    data: Path
    home: Path
    log: Path
    proxy: socket.socket


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: Any

    def __call__(self) -> Any:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Of seconds since 1970."""
    return Clock(time.time())


def wait_for(claim: Callable[[], object], within_s: float = 90) -> None:
    """Until the claim holds; what takes longer than `within_s`, even on a busy machine, never comes about."""
    end = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < end, f"It did not come about within {within_s} s."
        time.sleep(0.02)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of third-party clips and published numbers."""
    folder = Path(os.environ.get("TELLTALE_SHARED", ROOT.parent / "shared"))
    return folder if folder.is_dir() else _absent(f"no folder {folder}; name it in TELLTALE_SHARED")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Two threads that wait for each other are slower than one on small networks, and far more so on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium."""
    return shutil.which("chromium") or _absent("no `chromium` on the path: Debian's package of that name has it")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real app with its defaults, in a process of its own."""
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@contextmanager
def running(folder: Path, *, tree: Path = ROOT, **chosen: str) -> Iterator[Server]:
    """The app that lies in `tree` with these settings, its data in `folder / "data"`."""
    home, port, proxy = folder / "home", free_port(), socket.create_server(("127.0.0.1", 0))
    home.mkdir()
    server = Server(f"http://127.0.0.1:{port}", folder / "data", home, folder / "log", proxy)
    own = {"HOME": str(home), "TMPDIR": str(home), "TELLTALE_DATA": str(server.data), "GRADIO_SERVER_PORT": str(port)}
    own |= dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), f"http://127.0.0.1:{proxy.getsockname()[1]}")
    # As an operator starts it: what tests set for themselves is not passed on.
    passed_on = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "GRADIO_", "ORT_"))}
    with server.log.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=tree,
            env=passed_on | own | {"no_proxy": "127.0.0.1"} | chosen,
            stdout=log,
            stderr=log,
        )
    try:
        _await(server, process)
        yield server
    finally:
        process.terminate()
        ended = process.wait(20)
        proxy.close()
    assert ended == 0, f"SIGTERM ended the app with {ended}:\n{server.log.read_text()}"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Connection]:
    """A connection to the server that is lent to tests, where `TEMPLATE` has all tables."""
    address = os.environ.get(POSTGRESQL) or _absent(f"no PostgreSQL server; name one in {POSTGRESQL}")
    engine = open_database(address).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, _database(connection, TEMPLATE) as template:
        upgrade(template)
        yield connection


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all tables, to be copied: making them takes longer than most tests."""
    file = tmp_path_factory.mktemp("sqlite") / "telltale.db"
    upgrade(f"sqlite:///{file}")
    return file


DATABASES = ["sqlite", "postgresql"]


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database of this test's own, with all tables, empty: on either of the two that are served."""
    with new_database(request, tmp_path) as address:
        yield address


@contextmanager
def new_database(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """What a fixture with `DATABASES` for its parameters yields."""
    if request.param == "sqlite":
        (folder / "data").mkdir(parents=True, exist_ok=True)
        yield f"sqlite:///{shutil.copy(request.getfixturevalue('sqlite'), folder / 'data')}"
    else:
        server = request.getfixturevalue("postgresql")
        with _database(server, f"telltale_{secrets.token_hex(8)}", f"TEMPLATE {TEMPLATE}") as address:
            yield address


@contextmanager
def _database(server: Connection, name: str, like: str = "") -> Iterator[str]:
    """The address of a database that is gone afterwards, whoever still holds a connection to it."""
    server.execute(text(f"CREATE DATABASE {name} {like}"))
    try:
        yield server.engine.url.set(database=name).render_as_string(hide_password=False)
    finally:
        server.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(server: Server, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            httpx.get(f"{server.url}/gradio_api/app_id", timeout=1)
            return
        except httpx.TransportError:
            time.sleep(0.3)
    pytest.fail(f"The app did not start:\n{server.log.read_text()}")


def _absent(what: str) -> NoReturn:
    """Skips by name on a developer's machine; in CI the thing must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
