"""The one loop that trains every network, and that goes on after a kill as if nothing had been.

Bit for bit, on one machine: what is drawn for a sample follows from the seed, the epoch and its place in it, whoever
draws it; everything else that the next step depends on is in the checkpoint. On CUDA it runs compiled and at mixed
precision (bfloat16, which needs no scaling of the loss), and asks for deterministic kernels.
"""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from core.errors import InputError
from detectors.engines import device as best_device
from training.config import Config, Optimiser
from training.measures import auc

log = logging.getLogger(__name__)

LOGGED_EVERY = 20
"""Steps for one point of the loss in TensorBoard."""

Item = dict[str, np.ndarray]
"""What a network is shown at a time, and what it shall answer: `x`, `fake` bool (k,), and what its loss wants beside.
All with a leading axis k, which is 1, or 2 for a face and its fake."""
Batch = dict[str, torch.Tensor]


class Samples(Protocol):
    """n samples; `fake` bool (n,), `video` int (n,): samples of one video are measured together."""

    @property
    def fake(self) -> np.ndarray: ...

    @property
    def video(self) -> np.ndarray: ...

    def draw(self, i: int, rng: np.random.Generator) -> Item:
        """For training: augmented, with every chance taken from the generator."""

    def see(self, i: int) -> Item:
        """For measuring: always the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What a method brings.

    `loss` gives the weighted parts of the loss from the network's answer and the batch, `log_odds` (B,) those of fake
    from the answer. `backbone` are beginnings of the names of what `frozen_epochs` freezes; `still`: its normalisations
    do not move either. `average` is what is averaged over the samples of a video.
    """

    network: nn.Module
    loss: Callable[[Any, Batch], dict[str, torch.Tensor]]
    log_odds: Callable[[Any], torch.Tensor]
    train: Samples
    validation: Samples
    backbone: tuple[str, ...] = ()
    still: bool = False
    average: Literal["probability", "logit"] = "probability"


@dataclass(slots=True)
class Epoch:
    """What is known after an epoch: mean training loss, loss and AUC over the videos that validate."""

    epoch: int
    loss: float
    validation_loss: float
    validation_auc: float


@dataclass(slots=True)
class Progress:
    """Where a run stands. `position` batches of this epoch are done, with `losses` so far."""

    step: int = 0
    epoch: int = 0
    position: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)

    @property
    def best(self) -> Epoch:
        """Of the highest AUC; among equals, of the least loss."""
        return max(self.history, key=lambda e: (e.validation_auc, -e.validation_loss))

    @property
    def waited(self) -> int:
        """Epochs since the AUC last rose."""
        aucs = [e.validation_auc for e in self.history]
        return len(aucs) - 1 - aucs.index(max(aucs)) if aucs else 0


def fit(
    task: Task, config: Config, folder: Path, epochs: int, save: Callable[[nn.Module], Mapping[str, Any]]
) -> Progress:
    """Trains until the last epoch, or until the validation AUC has not risen for `patience` of them.

    In `folder`: `best.safetensors`, what `save` gives of the network that validated best; `checkpoint.pt`, from which a
    killed run goes on; `log`, for TensorBoard.

    Raises:
        InputError: the validation samples are of one class only.
    """
    run = _Run(task, config, folder)
    run.resume()
    with SummaryWriter(folder / "log", purge_step=run.progress.step) as writer:
        while run.progress.epoch < epochs and not run.is_done(config.patience):
            run.train_epoch(epochs, writer)
            run.validate(writer, save)
    task.network.eval()
    return run.progress


class _Run:
    def __init__(self, task: Task, config: Config, folder: Path) -> None:
        self.task, self.config, self.folder = task, config, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.progress = Progress()
        self.device = best_device()
        if self.device == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
        self.network = task.network.to(self.device)
        self.answer = torch.compile(self.network) if self.device == "cuda" and config.compile else self.network
        self.optimiser = open_optimiser(config.optimiser, self.network)
        self.mean = (
            AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=True)
            if config.ema
            else None
        )
        torch.manual_seed(config.seed)

    def is_done(self, patience: int | None) -> bool:
        return patience is not None and self.progress.waited >= patience

    def train_epoch(self, epochs: int, writer: SummaryWriter) -> None:
        """From where it stands to the end of this epoch."""
        config, progress = self.config, self.progress
        self._freeze()
        order = order_of(self.task.train.fake, config, progress.epoch)
        count = batches_in(len(order), config.batch)
        batches = self._batches(order, progress.position)
        kept = time.monotonic()
        with tqdm(
            total=count, initial=progress.position, desc=f"epoch {progress.epoch + 1}/{epochs}", disable=None
        ) as bar:
            while progress.position < count:
                some = [next(batches) for _ in range(min(config.accumulate, count - progress.position))]
                self._set_rate(progress.epoch + progress.position / count)
                parts = self._step(some)
                progress.position += len(some)
                progress.step += 1
                progress.losses.append(sum(parts.values()))
                bar.update(len(some))
                if progress.step % LOGGED_EVERY == 0 or progress.step == 1:
                    for name, value in parts.items():
                        writer.add_scalar(f"train/{name}", value, progress.step)
                    bar.set_postfix(loss=f"{np.mean(progress.losses[-LOGGED_EVERY:]):.4f}")
                if time.monotonic() - kept >= config.checkpoint_s:
                    self.keep()
                    kept = time.monotonic()

    def validate(self, writer: SummaryWriter, save: Callable[[nn.Module], Mapping[str, Any]]) -> None:
        """Measures, keeps the network if it is the best so far, and ends the epoch."""
        progress = self.progress
        network = self.mean.module if self.mean else self.network
        loss, value = measure(self.task, network, self.device, self.config.batch)
        progress.epoch += 1
        progress.history.append(Epoch(progress.epoch, float(np.mean(progress.losses)), loss, value))
        progress.position, progress.losses = 0, []
        log.info("%s", say(progress.history[-1]))
        for name, number in asdict(progress.history[-1]).items():
            if name != "epoch":
                writer.add_scalar(f"epoch/{name}", number, progress.step)
        writer.add_scalar("epoch/rate", self.optimiser.param_groups[0]["lr"], progress.step)
        writer.flush()
        if progress.best is progress.history[-1]:
            whole = {key: tensor.cpu().contiguous() for key, tensor in save(network).items()}
            _whole(self.folder / "best.safetensors", lambda path: save_file(whole, path))
        self.keep()

    def keep(self) -> None:
        """All that the next step depends on, in a file that is whole or not there."""
        state = {
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict() if self.mean else None,
            "optimiser": self.optimiser.state_dict(),
            "progress": asdict(self.progress),
            "chance": torch.get_rng_state(),
            "chance_cuda": torch.cuda.get_rng_state_all() if self.device == "cuda" else [],
        }
        _whole(self.folder / "checkpoint.pt", lambda path: torch.save(state, path))

    def resume(self) -> None:
        """Goes back to the checkpoint, if there is one."""
        file = self.folder / "checkpoint.pt"
        if not file.exists():
            return
        state = torch.load(file, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.mean:
            self.mean.load_state_dict(state["mean"])
        told = state["progress"]
        self.progress = Progress(**told | {"history": [Epoch(**epoch) for epoch in told["history"]]})
        torch.set_rng_state(state["chance"])
        if state["chance_cuda"]:
            torch.cuda.set_rng_state_all(state["chance_cuda"])
        log.info("Goes on at step %d, epoch %d.", self.progress.step, self.progress.epoch + 1)

    def _freeze(self) -> None:
        """The backbone stays for as many epochs as the config says, the rest moves."""
        until = math.inf if self.config.frozen_epochs == "all" else self.config.frozen_epochs
        frozen = self.progress.epoch < until
        self.network.train()
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(not (frozen and name.startswith(self.task.backbone)))
        if frozen and self.task.still:
            for name, part in self.network.named_modules():
                if name.startswith(self.task.backbone):
                    part.eval()

    def _batches(self, order: np.ndarray, position: int) -> Iterator[Batch]:
        size = self.config.batch
        loader = DataLoader(
            _Drawn(self.task.train, order, self.config.seed, self.progress.epoch, position * size),
            size,
            num_workers=self.config.workers,
            collate_fn=collate,
            pin_memory=self.device == "cuda",
            worker_init_fn=_one_thread,
            generator=torch.Generator(),  # so that it takes no chances from the one that is kept
        )
        return iter(loader)

    def _set_rate(self, epoch: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.optimiser.rate * self.config.factor(epoch)

    def _step(self, batches: Sequence[Batch]) -> dict[str, float]:
        """One step of the optimiser; gives the parts of the loss before it."""
        moved = [batch_to(batch, self.device) for batch in batches]
        parts = self._gradients(moved)
        if self.config.optimiser.sharpness:
            with _at_the_worst(self.network, self.config.optimiser.sharpness):
                self._gradients(moved)
        self.optimiser.step()
        if self.mean:
            self.mean.update_parameters(self.network)
        return {name: value.item() for name, value in parts.items()}

    def _gradients(self, batches: Sequence[Batch]) -> dict[str, torch.Tensor]:
        self.optimiser.zero_grad()
        found = []
        for batch in batches:
            with precision(self.device):
                answer = self.answer(batch["x"])
            parts = {name: part / len(batches) for name, part in self.task.loss(as_float(answer), batch).items()}
            torch.stack([*parts.values()]).sum().backward()
            found.append({name: part.detach() for name, part in parts.items()})
        return {name: torch.stack([own[name] for own in found]).sum() for name in found[0]}


class _at_the_worst:
    """Sharpness-aware minimisation: within, the weights are where the loss rises most in a ball of this radius.

    Source: Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization", ICLR 2021.
    """

    def __init__(self, network: nn.Module, radius: float) -> None:
        self.moved = [(p, p.detach().clone()) for p in network.parameters() if p.grad is not None]
        self.radius = radius

    @torch.no_grad()
    def __enter__(self) -> None:
        gradients = [p.grad for p, _ in self.moved if p.grad is not None]
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        for (p, _), gradient in zip(self.moved, gradients, strict=True):
            p.add_(self.radius / (norm + 1e-12) * gradient)

    @torch.no_grad()
    def __exit__(self, *_: object) -> None:
        for p, before in self.moved:
            p.copy_(before)


class _Drawn(Dataset[Item]):
    """The samples of one epoch from a place on, each drawn with a generator of its own."""

    def __init__(self, samples: Samples, order: np.ndarray, seed: int, epoch: int, begin: int) -> None:
        self.samples, self.order, self.chance, self.begin = samples, order, (seed, epoch), begin

    def __len__(self) -> int:
        return len(self.order) - self.begin

    def __getitem__(self, i: int) -> Item:
        place = self.begin + i
        return self.samples.draw(int(self.order[place]), np.random.default_rng([*self.chance, place]))


def order_of(fake: np.ndarray, config: Config, epoch: int) -> np.ndarray:
    """In which order the samples are drawn in this epoch, int64 (m,)."""
    rng = np.random.default_rng([config.seed, epoch])
    order = np.arange(len(fake))
    if config.data.balanced and fake.any() and not fake.all():
        rarer = np.flatnonzero(fake if fake.mean() < 0.5 else ~fake)
        copies, rest = divmod(len(fake) - 2 * len(rarer), len(rarer))
        order = np.concatenate([order, np.tile(rarer, copies), rng.permutation(rarer)[:rest]])
    return rng.permutation(order)


def batches_in(samples: int, batch: int) -> int:
    """How many whole ones; a rest is left out, since normalisation over a few would mislead, unless it is all."""
    return max(1, samples // batch)


def open_optimiser(wanted: Optimiser, network: nn.Module) -> torch.optim.Optimizer:
    parameters = network.parameters()
    if wanted.name == "sgd":
        return torch.optim.SGD(parameters, wanted.rate, wanted.momentum, weight_decay=wanted.weight_decay)
    kind = torch.optim.AdamW if wanted.name == "adamw" else torch.optim.Adam
    return kind(parameters, wanted.rate, wanted.betas, weight_decay=wanted.weight_decay)


@torch.inference_mode()
def measure(task: Task, network: nn.Module, device: str, batch: int) -> tuple[float, float]:
    """Loss per batch, and AUC over the videos that validate; a face and a fake made of it count as two.

    Raises:
        InputError: there is one class only.
    """
    network.eval()
    losses, odds, fake, video = [], [], [], []
    for begin in range(0, len(task.validation.fake), batch):
        places = range(begin, min(begin + batch, len(task.validation.fake)))
        items = [task.validation.see(i) for i in places]
        told = batch_to(collate(items), device)
        with precision(device):
            answer = network(told["x"])
        losses.append(sum(part.item() for part in task.loss(as_float(answer), told).values()))
        odds.append(task.log_odds(as_float(answer)).double().cpu())
        fake.append(told["fake"].cpu())
        video += [int(task.validation.video[i]) for i, item in zip(places, items, strict=True) for _ in item["fake"]]
    said, of_fake = torch.cat(odds).numpy(), torch.cat(fake).numpy().astype(bool)
    said = said if task.average == "logit" else 1 / (1 + np.exp(-said))
    units, member = np.unique(np.stack([video, of_fake], axis=1), axis=0, return_inverse=True)
    means = np.bincount(member.ravel(), said) / np.bincount(member.ravel())
    if len(np.unique(units[:, 1])) < 2:
        raise InputError("The samples that validate are of one class only, so nothing can be measured; give both.")
    return float(np.mean(losses)), auc(means, units[:, 1].astype(bool))


def collate(items: Sequence[Item]) -> Batch:
    """Items along their leading axis, as tensors."""
    return {key: torch.from_numpy(np.concatenate([item[key] for item in items])) for key in items[0]}


def batch_to(batch: Batch, device: str) -> Batch:
    return {key: tensor.to(device, non_blocking=True) for key, tensor in batch.items()}


def precision(device: str) -> Any:
    return torch.autocast("cuda", torch.bfloat16) if device == "cuda" else nullcontext()


def as_float(answer: Any) -> Any:
    """Whatever the network answers, a tensor or a named tuple of them, at single precision: losses need it."""
    if isinstance(answer, torch.Tensor):
        return answer.float()
    return type(answer)(*(part.float() for part in answer))


def say(epoch: Epoch) -> str:
    return (
        f"epoch {epoch.epoch}: loss {epoch.loss:.4f}, validation loss {epoch.validation_loss:.4f}, "
        f"validation AUC {epoch.validation_auc:.4f}"
    )


def best_of(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of the network that validated best."""
    return load_file(folder / "best.safetensors")


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)


def _whole(path: Path, write: Callable[[Path], object]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    write(partial)
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.replace(path)
