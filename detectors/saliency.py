"""Where a network looked: what each place of its last map adds to its answer.

It is PyTorch that answers this on every device, since the form in which networks run on a CPU knows no gradients.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from detectors.engines import own_turn


def places(network: nn.Module, inputs: np.ndarray, answer: Callable[[Any], torch.Tensor], device: str) -> np.ndarray:
    """What each place of the map that `network.head` reads adds to the answer (B,): float32 (B, ..., h, w).

    Gradient times activation, summed over the channels. Where the head is linear in the map, or in its means or maxima,
    this is the class activation map in closed form: all places add up to the log-odds less their bias. Where it is not,
    it is Grad-CAM, with the gradient of each place instead of the mean over all: statistics such as a standard
    deviation have a mean gradient of 0.

    Sources: Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016; Selvaraju et al.,
    "Grad-CAM", ICCV 2017; Draelos & Carin, "HiResCAM", arXiv 2011.08891.
    """
    with own_turn():
        with torch.no_grad():
            features = network.features(torch.from_numpy(inputs).to(device))  # type: ignore[operator]
        with torch.enable_grad():
            features.requires_grad_()
            (slope,) = torch.autograd.grad(answer(network.head(features)).sum(), features)  # type: ignore[operator]
        added: np.ndarray = (features * slope).sum(dim=-3).detach().cpu().numpy()
    return added


def scaled(added: np.ndarray, score: float) -> np.ndarray:
    """Heat float32 (h, w) in [0, 1]: what speaks for fake, the most of it as hot as the score is high."""
    heat = np.maximum(added, 0)
    peak = heat.max()
    return (heat * (score / peak) if peak > 0 else heat).astype(np.float32)
