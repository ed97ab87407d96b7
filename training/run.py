"""What the commands of all methods share: read the config, train what the method brings, leave a record.

python -m training.<method> --config FILE [key=value ...]
"""

import argparse
import json
import logging
import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from core.errors import AppError, InputError
from core.settings import VERSION, Settings
from core.weights.store import sha256_of
from detectors.engines import device, limit_threads
from training.config import Config, Data, Record, read_config
from training.loop import Progress, Task, best_of, fit, say
from training.runs import RECORD, Run, write_run
from training.splits import Parts
from training.starts import Start

log = logging.getLogger(__name__)

C = TypeVar("C", bound=Config)
R = TypeVar("R", bound=Record)
PACKAGES = ("torch", "numpy", "opencv-contrib-python", "scipy", "mediapipe", "safetensors")
MAY_CHANGE = ("workers", "checkpoint_s", "compile", "out")
"""Settings in which a run that goes on may differ from the one that was killed."""


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """One network to train: what the loop needs, what it began from, for how long, and the tensors to keep of it."""

    task: Task
    start: Start
    epochs: int
    tensors: Callable[[nn.Module], Mapping[str, torch.Tensor]] = nn.Module.state_dict


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A method ready to train: the parts it reads, and its streams by the role of their file."""

    parts: Parts
    streams: Mapping[str, Stream]


@dataclass(frozen=True, slots=True, eq=False)
class Method(Generic[C]):
    """`detector` as in the manifest; `open` reads the data and builds the networks."""

    detector: str
    config: type[C]
    paper: str
    open: Callable[[C, Settings], Opened]
    small: bool = False
    """On a CPU its networks are too small to share out among threads, which would wait for each other."""


def has_config(arguments: list[str] | None) -> bool:
    """Whether a command line, that of this process where it is None, names a config; some methods have other commands
    too."""
    words = sys.argv[1:] if arguments is None else arguments
    return any(word.split("=")[0] == "--config" for word in words)


def command(method: Method[Any], doc: str | None, arguments: list[str] | None = None) -> int:
    """The command line of a method; returns the exit code."""

    def run(config: Any, settings: Settings) -> None:
        if method.small:
            torch.set_num_threads(1)
        train(method, config, settings)

    return configured(method.detector, method.config, run, doc, arguments)


def configured(
    name: str,
    kind: type[R],
    work: Callable[[R, Settings], object],
    doc: str | None,
    arguments: list[str] | None = None,
) -> int:
    """The command line of whatever takes a config of this kind; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=f"python -m training.{name}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="a YAML file, such as in configs/")
    parser.add_argument("changes", nargs="*", metavar="key=value", help="goes before the file: data.frames=8")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    limit_threads()
    try:
        work(read_config(kind, given.config, given.changes), Settings.from_env(os.environ))
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def train(method: Method[C], config: C, settings: Settings) -> Run:
    """Trains every stream, or goes on with what was begun in `out`; writes the networks and their record there.

    Raises:
        InputError: the data cannot be trained on, or `out` holds a run of another config or of other data.
    """
    data = data_hashes(config.data)
    opened = method.open(config, settings)
    if config.frozen_epochs == "all" and not all(stream.start.sha256 for stream in opened.streams.values()):
        raise InputError("A backbone that stays as it is (`frozen_epochs: all`) must be trained already: give `start`.")
    begin(config, data, config.out)
    log.info("%s on %s, seed %d, into %s", method.detector, device(), config.seed, config.out)
    progress = {
        role: fit(stream.task, config, config.out / role, stream.epochs, stream.tensors)
        for role, stream in opened.streams.items()
    }
    for role, own in progress.items():
        log.info("%s: the best was %s", role, say(own.best))
    run = write_run(
        config.out,
        {role: best_of(config.out / role) for role in progress},
        detector=method.detector,
        region=config.region,
        input=config.looks_at(),
        steps=sum(own.step for own in progress.values()),
        trained_on=say_data(config.data, opened.parts),
        paper=method.paper,
        seen=opened.parts.seen,
        made_by=made_by(config, data, opened, progress),
    )
    log.info("%s", config.out / RECORD)
    return run


def data_hashes(data: Data) -> dict[str, str]:
    """SHA-256 of the index of each cache."""
    return {str(cache): sha256_of(cache / "index.csv") for cache in data.cache if (cache / "index.csv").exists()}


def begin(config: Record, data: Mapping[str, str], out: Path) -> None:
    """Notes what is trained here and on what, or compares it with what was begun.

    Raises:
        InputError: another run was begun in `out`.
    """
    own = {"config": config.model_dump(mode="json", exclude=set(MAY_CHANGE)), "data": dict(data)}
    note = out / "begun.json"
    if not note.exists():
        out.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(own, indent=2) + "\n", encoding="utf-8")
        return
    begun = json.loads(note.read_text(encoding="utf-8"))
    changed = [key for part in ("config", "data") for key in own[part] if begun[part].get(key) != own[part][key]]
    if changed or begun["data"].keys() != own["data"].keys():
        raise InputError(
            f"{out} holds a run that was begun otherwise ({', '.join(changed) or 'caches'} changed); give "
            "another `out`, or delete that folder to begin anew."
        )


def say_data(data: Data, parts: Parts) -> str:
    """For people: what was learned from."""
    samples = [*parts.train, *parts.validation]
    names = ", ".join(cache.name for cache in data.cache)
    made = {"sbi": "self-blended", "bi": "blended with look-alikes", "fwa": "warped"}
    if data.synthesis:
        return f"{len(samples)} genuine samples of {names} and fakes made of them ({made[data.synthesis]})"
    fake = sum(p.sample.label for p in samples)
    return f"{len(samples) - fake} genuine and {fake} manipulated samples of {names}"


def say_start(start: Start) -> dict[str, Any]:
    return asdict(start) | {"new": list(start.new) if start.sha256 else "all"}


def made_by(
    config: Config, data: Mapping[str, str], opened: Opened, progress: Mapping[str, Progress]
) -> dict[str, Any]:
    """Whatever it takes to make it again, and what was measured while it was made."""
    return {
        "config": config.model_dump(mode="json"),
        "data_sha256": dict(data),
        "samples": {
            name: {
                "genuine": sum(not p.sample.label for p in part),
                "manipulated": sum(p.sample.label for p in part),
            }
            for name, part in (("train", opened.parts.train), ("validation", opened.parts.validation))
        },
        "start": {role: say_start(stream.start) for role, stream in opened.streams.items()},
        "history": {role: [asdict(epoch) for epoch in own.history] for role, own in progress.items()},
        "best_epoch": {role: own.best.epoch for role, own in progress.items()},
        "device": torch.cuda.get_device_name() if device() == "cuda" else f"cpu ({platform.machine()})",
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    return {
        "telltale": VERSION,
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }
