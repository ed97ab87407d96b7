"""The published networks, written from their papers, with the key names of their published checkpoints."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes seconds to import; whoever only wants the names need not wait
    from torch import Tensor, nn


def _build(module: str, cls: str) -> "nn.Module":
    network: nn.Module = getattr(import_module(f"{__name__}.{module}"), cls)()
    return network


NETWORKS: dict[str, Callable[[], "nn.Module"]] = {
    "lrnet": partial(_build, "lrnet", "LRNet"),
}
"""From a network's name to a function that builds it, without weights."""


def load_checkpoint(name: str, state: Mapping[str, "Tensor"]) -> "nn.Module":
    """The network `name` with these weights, in eval mode and float32.

    Raises:
        ValueError: tensors are missing, left over or of another shape; names them.
    """
    network = NETWORKS[name]()
    wanted = network.state_dict()
    wrong = {
        "missing": sorted(wanted.keys() - state.keys()),
        "unexpected": sorted(state.keys() - wanted.keys()),
        "of another shape": sorted(k for k in wanted.keys() & state.keys() if wanted[k].shape != state[k].shape),
    }
    if any(wrong.values()):
        found = "; ".join(f"{what}: {', '.join(keys)}" for what, keys in wrong.items() if keys)
        raise ValueError(f"This is not a checkpoint of {name}: {found}.")
    network.load_state_dict(state)
    return network.eval()
