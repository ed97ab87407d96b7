"""GenD: does this face look manipulated to a network that has seen much of the world?

Source: GenD, arXiv 2508.06248, WACV 2026.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from detectors.appearance import Appearance
from detectors.base import Card
from detectors.engines import own_turn
from detectors.saliency import scaled
from preprocessing.regions import REGIONS

WATCHED = 12
"""Of the 24 layers, those in which it is followed who looks at whom; before them, tokens still stand for their places
and little more, and following costs memory."""


class GenD(Appearance):
    card = Card(
        name="gend",
        title="GenD: look of the face",
        summary="Traces of manipulation in single frames, seen with CLIP's large vision network.",
        source="GenD, WACV 2026",
        regions=REGIONS,
        limits="The strongest on methods it has not seen, but blind to pictures that are generated whole, and slow on "
        "a CPU. The published demo answers 0 where it finds no face; here that is no answer.",
        heat="Patches whose attention reaches the answer and raises it, followed through the upper half of its layers.",
        cost=22,
    )
    int8 = True

    def heat(self, tensors: np.ndarray, fake: np.ndarray) -> list[np.ndarray]:
        network = self._network().to(self._device)
        faces = [torch.from_numpy(tensor)[None].to(self._device) for tensor in tensors]
        return [
            scaled(relevance(network, face, self.answer), score)
            for face, score in zip(faces, fake.tolist(), strict=True)
        ]


def relevance(network: nn.Module, face: torch.Tensor, answer: Callable[[Any], torch.Tensor]) -> np.ndarray:
    """What each patch brings into the class token in favour of the answer: float32 (16, 16), from (1, 3, 224, 224).

    Roll-out of attention, in which each share counts by how much more of it would raise the answer, and not at all
    where it would lower it. Source: Chefer, Gur, Wolf, "Generic Attention-model Explainability for Interpreting
    Bi-Modal and Encoder-Decoder Transformers", ICCV 2021.
    """
    attentions: list[torch.Tensor] = []

    def watch(attention: nn.Module, given: tuple[torch.Tensor], _: torch.Tensor) -> torch.Tensor:
        q, k, v = attention.split(given[0])  # type: ignore[operator]
        shares = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(dim=-1).requires_grad_()
        attentions.append(shares)
        tokens: torch.Tensor = attention.join(shares @ v)  # type: ignore[operator]
        return tokens

    layers = network.get_submodule("feature_extractor.vision_model.encoder.layers")
    assert isinstance(layers, nn.Sequential)
    hooks = [layer.get_submodule("self_attn").register_forward_hook(watch) for layer in list(layers)[-WATCHED:]]
    try:
        with own_turn(), torch.enable_grad():
            slopes = torch.autograd.grad(answer(network(face)).sum(), attentions)
    finally:
        for hook in hooks:
            hook.remove()
    rolled = torch.eye(attentions[0].shape[-1], device=face.device)
    for shares, slope in zip(attentions, slopes, strict=True):
        rolled = rolled + (shares * slope).clamp(min=0).mean(dim=1)[0].detach() @ rolled
    side = int((len(rolled) - 1) ** 0.5)
    patches: np.ndarray = rolled[0, 1:].reshape(side, side).cpu().numpy()
    return patches
