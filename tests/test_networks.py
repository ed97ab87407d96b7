"""Every network gives the numbers of its authors' code, in torch and in ONNX Runtime.

`tests/golden` holds those numbers; weights and inputs are drawn from their names (`tests/seeded.py`).
"""

import numpy as np
import torch

from detectors.networks import load_checkpoint
from tests.seeded import golden, seeded_input, seeded_state


def error(ours: torch.Tensor | np.ndarray, reference: np.ndarray) -> float:
    """The largest difference over the largest reference value."""
    ours = np.asarray(ours.detach() if isinstance(ours, torch.Tensor) else ours, dtype=np.float64)
    assert ours.shape == reference.shape
    return float(np.abs(ours - reference).max() / np.abs(reference).max())


def outputs_of(network: torch.nn.Module, paths: list[str], x: torch.Tensor) -> list:
    """What the submodules at `paths` return while the network reads x; the network's own output last."""
    seen: dict[str, object] = {}
    hooks = [
        network.get_submodule(path).register_forward_hook(lambda _m, _i, out, path=path: seen.update({path: out}))
        for path in paths
    ]
    with torch.inference_mode():
        result = network(x)
    for hook in hooks:
        hook.remove()
    return [*(seen[path] for path in paths), result]


def test_lrnet_equals_its_reference() -> None:
    reference, network = golden("lrnet_seeded"), load_checkpoint("lrnet", seeded_state("lrnet"))
    points = seeded_input("lrnet", (4, 60, 136))
    (_, last), residual, logits = outputs_of(network, ["gru", "dense.1"], points)
    with torch.inference_mode():
        difference = network(points.diff(dim=1))
    for name, ours in {
        "gru_h_n": last,
        "residual": residual,
        "logits": logits,
        "probs": logits.softmax(dim=1),
        "logits_diff": difference,
        "probs_diff": difference.softmax(dim=1),
    }.items():
        assert error(ours, reference[name]) < 1e-5, name
