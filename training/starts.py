"""What a network begins from: a weights id, a file, or nothing; and what of it is new, which is said and recorded."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from core.errors import InputError
from core.settings import Settings
from core.weights import load_manifest, locate
from core.weights.store import sha256_of
from detectors.base import read_tensors
from detectors.networks import NETWORKS, as_ours

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """`sha256` by name of the files it was read from; `taken` tensors of them, and the names of those that are new."""

    name: str
    sha256: Mapping[str, str]
    taken: int
    new: tuple[str, ...]


def begin(
    name: str, start: str | None, seed: int, settings: Settings, backbone: tuple[str, ...], role: str | None = None
) -> tuple[nn.Module, Start]:
    """The network `name` with what `start` holds of it; a head of another shape begins anew.

    Args:
        backbone: beginnings of the names that a start must bring whole.
        role: of the file to take where weights have several.

    Raises:
        InputError: there is no such id or file, or it lacks tensors of the backbone.
        WeightsError: the weights are not on this machine.
    """
    torch.manual_seed(seed)
    network = NETWORKS[name]()
    wanted = network.state_dict()
    if start is None:
        log.warning("%s begins from nothing: every weight is drawn at random (seed %d).", name, seed)
        return network, Start("nothing", {}, 0, tuple(wanted))
    files = _files(start, settings)
    chosen = [path for own, path in files.items() if role in (None, own) or len(files) == 1]
    state: dict[str, torch.Tensor] = {}
    for path in chosen:
        state |= as_ours(name, read_tensors(path))
    taken = {key: t.float() for key, t in state.items() if key in wanted and t.shape == wanted[key].shape}
    counters = {key for key in wanted if key.endswith("num_batches_tracked")}
    new = tuple(key for key in wanted if key not in taken and key not in counters)
    lost = [key for key in new if key.startswith(backbone)] if backbone else []
    if lost or not taken:
        raise InputError(
            f"`start` {start} does not hold the backbone of {name}: {', '.join(lost[:3]) or 'any tensor of it'} "
            f"{'and others are' if len(lost) > 3 else 'is'} missing or of another shape; give a file of this network."
        )
    network.load_state_dict(taken, strict=False)
    log.info("%s begins from %s: %d tensors are taken.", name, start, len(taken))
    if new:
        log.info("New, drawn at random (seed %d): %s.", seed, ", ".join(new))
    return network, Start(start, {path.name: sha256_of(path) for path in chosen}, len(taken), new)


def _files(start: str, settings: Settings) -> dict[str, Path]:
    manifest = load_manifest()
    if start in manifest:
        return locate(manifest[start], settings)
    if Path(start).is_file():
        return {"file": Path(start)}
    raise InputError(
        f"`start` {start} is neither a weights id nor a file; `python -m core.weights` lists the ids, and a file is a "
        ".safetensors or .pth."
    )
