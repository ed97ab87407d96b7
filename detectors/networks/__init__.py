"""The published networks, written from their descriptions, with the tensor names of their published checkpoints."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch takes seconds to import; whoever only wants the names need not wait
    from torch import Tensor, nn


def _build(module: str, cls: str, **options: Any) -> "nn.Module":
    network: nn.Module = getattr(import_module(f"{__name__}.{module}"), cls)(**options)
    return network


NETWORKS: dict[str, Callable[[], "nn.Module"]] = {
    "lrnet": partial(_build, "lrnet", "LRNet"),
    "xception": partial(_build, "xception", "Xception"),
    "capsule": partial(_build, "capsule", "Capsule"),
    "dsp_fwa": partial(_build, "dsp_fwa", "DSPFWA"),
    "laa_net": partial(_build, "laa_net", "LAANet"),
    "lipforensics": partial(_build, "lipforensics", "LipForensics"),
    "lipforensics_attention": partial(_build, "lipforensics", "LipForensics", attention=True),
    "gend": partial(_build, "gend", "GenD"),
}
"""From a network's name to a function that builds it, without weights."""

_RENAMED: dict[str, list[tuple[str, str]]] = {
    # FaceForensics++ and DeepfakeBench wrap the network; the head is `fc` in ImageNet's files, and second in a
    # sequence where it was trained with dropout.
    "xception": [(r"^((module|model|backbone)\.)+", ""), (r"^(fc|last_linear\.1)\.", "last_linear.")],
    # The authors publish no trunk; it is ImageNet's, under the names of its own file.
    "capsule": [(r"^features\.", "vgg_ext.vgg_1.")],
    # ImageNet's ResNet-50 has no wrapper.
    "dsp_fwa": [(r"^(?=(conv1|bn1|layer\d)\.)", "resnet.resnet."), (r"^fc\.", "resnet.fc.")],
}
"""What published files call our tensors: patterns and what to put in their place, in order."""

_UNUSED = {
    "xception": r"adjust_channel\.",
    "capsule": r"vgg_ext\.vgg_1\.(19|2\d|3\d)\.|classifier\.",  # the rest of VGG-19
    "dsp_fwa": r"resnet\.(resnet\.)?fc\.",
    "laa_net": r"inception_block\.",  # the same tensors as deconv_4.0
    "gend": r"feature_extractor\.(visual_projection\.|vision_model\.embeddings\.position_ids)",
}
"""Beginnings of the names of tensors that are published, but take no part."""


def load_checkpoint(name: str, checkpoint: Mapping[str, Any]) -> "nn.Module":
    """The network `name` with the weights of a published file, in eval mode and float32.

    Takes every layout in which the weights are known to be published, bare or inside a training checkpoint. Tensors
    that are float32 already are used as they are, not copied.

    Raises:
        ValueError: tensors are missing, left over or of another shape; names them.
    """
    import torch

    with torch.device("meta"):  # no time for random weights that are replaced at once
        network = NETWORKS[name]()
    wanted = {key: tensor for key, tensor in network.state_dict().items() if not _is_counter(key)}
    state = as_ours(name, checkpoint)
    wrong = {
        "missing": sorted(wanted.keys() - state.keys()),
        "unexpected": sorted(state.keys() - wanted.keys()),
        "of another shape": sorted(k for k in wanted.keys() & state.keys() if wanted[k].shape != state[k].shape),
    }
    if any(wrong.values()):
        found = "; ".join(f"{what}: {_listed(keys)}" for what, keys in wrong.items() if keys)
        raise ValueError(f"This is not a checkpoint of {name}: {found}.")
    network.load_state_dict({key: state[key].float() for key in wanted}, assign=True)
    return network.eval()


def as_ours(name: str, checkpoint: Mapping[str, Any]) -> dict[str, "Tensor"]:
    """The tensors of a published file that take part, under our names; the file may be a start for training only."""
    for wrapper in ("state_dict", "model_state_dict", "model", "net"):
        if isinstance(checkpoint.get(wrapper), Mapping):
            checkpoint = checkpoint[wrapper]
    state = {}
    for published, tensor in checkpoint.items():
        key = published.removeprefix("module.")
        for pattern, replacement in _RENAMED.get(name, []):
            key = re.sub(pattern, replacement, key)
        if _is_counter(key) or (name in _UNUSED and re.match(_UNUSED[name], key)):
            continue
        if key.endswith("pointwise.weight") and tensor.dim() == 2:
            tensor = tensor[:, :, None, None]
        state[key] = tensor
    return state


def _listed(keys: list[str], most: int = 5) -> str:
    return ", ".join(keys[:most]) + (f" and {len(keys) - most} more" if len(keys) > most else "")


def _is_counter(key: str) -> bool:
    """Batches seen in training: absent from files made before PyTorch 0.4.1, and of no use here."""
    return key.endswith("num_batches_tracked")
