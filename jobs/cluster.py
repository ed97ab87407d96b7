"""More than one machine: analyses are tasks of a Ray cluster, and the networks are held by actors there.

This process, the driver, sends a file by its hash, hears signs of life, and gets the report, which it alone writes
down. A task decodes and finds faces on one processor, and asks the actors of its own machine, or those of machines with
GPUs, for scores. What is lost with a machine is done again on another one.
"""

import logging
import math
import os
import random
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import ray
from ray.actor import ActorHandle
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from analysis.pipeline import Order, analyze
from core.errors import AppError
from core.settings import ROOT, VERSION, Settings
from core.types import Progress, Report, Saliency, Scores, Track
from core.weights import Weights
from core.words import in_language, language, say
from detectors import Choice, Detector, open_detector
from detectors.engines import device, limit_threads
from jobs.exchange import Exchange, Mislaid
from jobs.worker import follow

log = logging.getLogger(__name__)

KNOCK_S = 5.0
POLL_S = 0.25
"""How often a task is looked at."""
TRIES = 3
"""An analysis that is lost with its machine so often is given up: the file may be what kills them."""
GIVEN_UP = (
    f"The analysis was lost {TRIES} times with the machine it ran on. Try a shorter video or a faster setting; the "
    "cluster's log may say more."
)
LOST = (NodeDiedError, WorkerCrashedError, RayActorError, ObjectLostError, OutOfMemoryError, Mislaid)
CPUS_A_NETWORK = 4
"""On machines without a GPU, so many processors share one actor: an analysis keeps it busy for a fifth of its time."""
HELD = 8
"""Tracks that an actor remembers, since several questions about one come in a row."""
SWEPT_S = 3600
"""After the limit of an analysis, when what it left behind is deleted."""

Step = Progress | Report
Places = Mapping[str, Sequence[ActorHandle]]
"""The actors that hold networks, by the id of their node."""


class Cluster:
    """The cluster at `settings.ray_address`, of which this machine must be part."""

    def __init__(self, settings: Settings) -> None:
        """Joins it.

        Raises:
            AppError: nothing answers there.
        """
        told_to_end = signal.getsignal(signal.SIGTERM)
        try:
            _knock(settings.ray_address or "auto")
            ray.init(
                address=settings.ray_address,
                runtime_env={
                    # Where the app lies here; of a machine where it lies elsewhere, its own path says so.
                    "env_vars": {"PYTHONPATH": f"{ROOT}:${{PYTHONPATH}}"},
                    "worker_process_setup_hook": "core.surroundings.settle_here",
                },
                logging_level=logging.WARNING,
                log_to_driver=False,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise AppError(
                f"No Ray cluster can be joined at {settings.ray_address} ({str(error).partition('. ')[0]}): start one "
                "with `ray start` on this machine too, as docs/scaling.md says, or leave TELLTALE_RAY_ADDRESS empty."
            ) from error
        signal.signal(signal.SIGTERM, told_to_end)  # Ray's own takes it for a crash
        self._settings, self._exchange = _without_passwords(settings), Exchange(settings.exchange)
        self._exchange.sweep()
        self._places: dict[str, list[ActorHandle]] = {}
        self._lock = Lock()

    @property
    def at_once(self) -> int:
        """How many analyses it runs side by side: one a processor."""
        return max(1, int(ray.cluster_resources().get("CPU", 0)))

    def run(
        self,
        path: Path,
        *,
        order: Order,
        settings: Settings,
        references: Sequence[Path] = (),
        reference_names: Sequence[str] = (),
        **arguments: Any,
    ) -> Generator[Step, None, None]:
        """As `jobs.worker.follow` with `analyze`, on some machine of the cluster.

        Raises:
            AppError: what the analysis raised, or it was lost with its machine too often.
        """
        files = {order.sha256: path} | dict(zip(order.references, references, strict=True))
        names = list(reference_names) or [file.name for file in references]
        arguments |= {"order": order, "settings": _without_passwords(settings)}
        try:
            for last in (*[False] * (TRIES - 1), True):
                for sha256, file in files.items():
                    self._exchange.put(file, sha256)
                try:
                    yield from _steps(
                        _analyse.remote(self._networks(), VERSION, language(), list(files), names, arguments)
                    )
                    return
                except LOST as error:
                    log.warning("analysis of %s was lost: %s", order.sha256[:8], type(error).__name__)
                    if last:
                        if isinstance(error, Mislaid):
                            raise
                        raise AppError(GIVEN_UP) from error
        finally:
            for sha256 in files:
                self._exchange.discard(sha256)

    def close(self) -> None:
        """Leaves the cluster; its actors go."""
        ray.shutdown()

    def _networks(self) -> Places:
        """Those on machines that live: on each GPU as many as share one or, where there is no GPU at all, one for every
        few processors. Machines that joined since are given theirs."""
        nodes = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
        has_gpus = any("GPU" in resources for resources in nodes.values())
        share = self._settings.gpu_share if has_gpus else 0.0
        with self._lock:
            for id, has in nodes.items():
                if id not in self._places:
                    count = has.get("GPU", 0) // share if has_gpus else math.ceil(has.get("CPU", 0) / CPUS_A_NETWORK)
                    there = NodeAffinitySchedulingStrategy(id, soft=False)
                    made = Networks.options(num_gpus=share, scheduling_strategy=there)  # type: ignore[attr-defined]
                    self._places[id] = [made.remote(self._settings) for _ in range(int(count))]
            return {id: actors for id in nodes if (actors := self._places[id])}


def _without_passwords(settings: Settings) -> Settings:
    """All that other machines have to know."""
    return settings.model_copy(update={"database": None})


def _knock(address: str) -> None:
    """Raises at once where nothing listens; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), KNOCK_S).close()


def _steps(task: ray.ObjectRefGenerator) -> Generator[Step, None, None]:
    """What a task yields, and meanwhile the last of it again, so that whoever listens may go; then the task ends."""
    step: Step = Progress(say("stages.starting"), 0.0)
    try:
        while not isinstance(step, Report):
            if ray.wait([task], timeout=POLL_S)[0]:
                step = ray.get(next(task))
            yield step
    except RayTaskError as error:
        raise _cause(error) from error
    finally:
        if not isinstance(step, Report):
            ray.cancel(task)


def _cause(error: RayError) -> BaseException:
    """What was raised where the work is done."""
    while isinstance(error, RayTaskError):
        error = error.cause
    return error


@ray.remote(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")
def _analyse(
    places: Places, version: str, spoken: str, files: list[str], names: list[str], arguments: dict[str, Any]
) -> Generator[Step, None, None]:
    """One analysis on this machine, of the files by these hashes."""
    if version != VERSION:
        raise AppError(f"A machine of the cluster has release {VERSION} of Telltale, where {version} is wanted.")
    arguments["settings"] = settings = _here(arguments["settings"])
    exchange = Exchange(settings.exchange)
    (folder := settings.data / "cluster").mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():  # of a process that was killed
        if time.time() - old.stat().st_mtime > 60 * settings.max_minutes + SWEPT_S:
            shutil.rmtree(old, ignore_errors=True)
    with in_language(spoken), tempfile.TemporaryDirectory(dir=folder) as own:
        path, *references = [exchange.get(sha256, Path(own) / sha256) for sha256 in files]
        networks = _Reached(places)
        there = partial(analyze, open=networks.open, on=networks.device)
        for step in follow(there, path, references=references, reference_names=names, **arguments):
            if not isinstance(step, Report):
                yield step
    yield step  # once nothing is left here of the file


def _here(settings: Settings) -> Settings:
    """What the driver was told, but for where things lie on this machine."""
    own = Settings.from_env(os.environ)
    lies = {"data": own.data, "weights": own.weights, "store": own.store or settings.store}
    return settings.model_copy(update=lies)


@ray.remote(num_cpus=0, max_restarts=-1)
class Networks:
    """Detectors, loaded once for all tasks that ask; one question at a time."""

    def __init__(self, settings: Settings) -> None:
        limit_threads()
        self._settings = _here(settings)
        self._known: dict[tuple[str, str], Weights] = {}

    def device(self) -> str:
        return device()

    def ask(self, choice: Choice, question: str, track: list[ray.ObjectRef], *more: Any) -> Any:
        # Weights and tracks are equal only to themselves, and detectors remember both.
        weights = self._known.setdefault((choice.weights.id, choice.weights.sha256), choice.weights)
        detector = open_detector(Choice(choice.card, weights, None), self._settings, device())
        return getattr(detector, question)(_received(*track), *more)


@lru_cache(maxsize=HELD)
def _received(track: ray.ObjectRef) -> Track:
    return ray.get(track)


class _Reached:
    """The networks of one actor, as the pipeline opens them: one of this node, or else any."""

    def __init__(self, places: Places) -> None:
        everywhere = [actor for actors in places.values() for actor in actors]
        self._actor = random.choice(places.get(ray.get_runtime_context().get_node_id()) or everywhere)
        self._sent: WeakKeyDictionary[Track, ray.ObjectRef] = WeakKeyDictionary()
        self.device = str(ray.get(self._actor.device.remote()))

    def open(self, choice: Choice, settings: Settings, device: str) -> Detector:
        return _Distant(choice, self)

    def ask(self, choice: Choice, question: str, track: Track, *more: Any) -> Any:
        if track not in self._sent:  # once for all detectors
            self._sent[track] = ray.put(track)
        try:
            return ray.get(self._actor.ask.remote(choice, question, [self._sent[track]], *more))
        except RayTaskError as error:
            raise _cause(error) from error


class _Distant(Detector):
    """A detector that an actor holds, asked as if it were here."""

    def __init__(self, choice: Choice, networks: _Reached) -> None:
        self._ask = partial(networks.ask, choice)

    def score(self, track: Track) -> Scores:
        return self._ask("score", track)

    def explain(self, track: Track, scores: Scores, moments: Sequence[int]) -> list[Saliency]:
        return self._ask("explain", track, scores, moments)

    def hide(self, track: Track, scores: Scores, moments: Sequence[int]) -> dict[str, Scores]:
        return self._ask("hide", track, scores, moments)
