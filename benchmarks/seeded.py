"""Weights and inputs that follow from their names, so that a network can be held against its reference without a file.

Every tensor is drawn from a legacy NumPy generator (whose streams never change) that is seeded with the CRC-32 of its
key: the golden numbers in `tests/golden` were made by the authors' own code with weights drawn this way. They are for
tests and benchmarks; the app runs no network on them.
"""

import json
import re
import zlib

import numpy as np
import torch

from core.settings import ROOT

GOLDEN = ROOT / "tests" / "golden"


def golden(name: str) -> dict[str, np.ndarray]:
    """The reference's arrays."""
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return dict(arrays)


def seeded_input(name: str, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> torch.Tensor:
    """float32, uniform in [low, high)."""
    return torch.from_numpy(_generator(name).uniform(low, high, size=shape).astype(np.float32))


def seeded_state(name: str, *, without: str = "(?!)") -> dict[str, torch.Tensor]:
    """A state dict with the keys and shapes of the published checkpoint `name`, but for keys that hold `without`."""
    shapes = json.loads((GOLDEN / f"{name}.keys.json").read_text(encoding="utf-8"))
    return {key: seeded_tensor(key, tuple(shape)) for key, shape in shapes.items() if not re.search(without, key)}


def seeded_tensor(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Normal noise, scaled by what the key's last word says it is."""
    leaf = key.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.long)
    noise = _generator(key).standard_normal(shape)
    if leaf == "running_var":
        noise = np.exp(0.2 * noise)
    elif len(shape) >= 2:
        noise = noise * np.sqrt(2.0 / np.prod(shape[1:]))
    elif leaf == "weight":  # one-dimensional: of a normalisation
        noise = 1.0 + 0.1 * noise
    else:
        noise = 0.1 * noise
    return torch.from_numpy(np.asarray(noise, dtype=np.float32))


def _generator(name: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(name.encode()))
