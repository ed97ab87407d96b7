"""From a file as its authors published it to safetensors, without running a line of what is in it."""

import json
import os
import pickle
import re
import shutil
import tempfile
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from core.errors import WeightsError
from core.settings import Settings
from core.weights.manifest import Weights, WeightsFile
from core.weights.store import Record, check, converted_name, record_of, require_consent, sha256_of, store

if TYPE_CHECKING:  # takes seconds, and the app imports this file without ever converting
    from torch import Tensor

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Where training checkpoints keep the weights, among epochs and optimisers."""

INERT = ("network.", "torch.nn.", "torch.optim.", "numpy.", "argparse.", "_codecs.")
"""What is let in as an empty shell: classes of FaceForensics++'s networks, and what else checkpoints carry along."""


def import_file(weights: Weights, published: Path, settings: Settings, role: str | None = None) -> Path:
    """Takes in a file that a person brought, and returns what was kept of it.

    Raises:
        WeightsError: the licence was not accepted, or it is not a file of this entry.
    """
    if weights.source == "bundled":
        raise WeightsError(f"{weights.id} comes with the app; there is nothing to import.")
    require_consent(weights, settings)
    if not published.is_file():
        raise WeightsError(f"There is no file {published}.")
    files = [f for f in weights.files if role == f.role or (role is None and published.name == f.name)]
    if role is None and len(weights.files) == 1:
        files = list(weights.files)
    if not files:
        parts = ", ".join(f"{f.role}: {f.name}" for f in weights.files)
        raise WeightsError(f"{weights.id} has the files {parts}; say with --role which of them {published.name} is.")
    return adopt(weights, files[0], published, settings)


def adopt(weights: Weights, file: WeightsFile, published: Path, settings: Settings) -> Path:
    """Checks a published file and keeps it, converted where the manifest says so; the file itself stays.

    Raises:
        WeightsError: it is not the file the manifest names, or holds no such weights.
    """
    digest = check(file, published)
    if not file.convert:
        kept = store(settings) / weights.detector / file.name
        with _beside(kept) as partial:
            shutil.copyfile(published, partial)
        return kept
    from safetensors.torch import save_file

    tensors = _wanted(file, published, read_tensors(published))
    kept = store(settings) / converted_name(weights, file)
    with _beside(kept) as partial:
        save_file(tensors, partial, metadata={"format": "pt", "source": file.name, "source_sha256": digest})
        write_record(kept, Record(sha256_of(partial), file.name, digest))
    return kept


def write_record(kept: Path, record: Record) -> None:
    record_of(kept).write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")


def read_tensors(path: Path) -> dict[str, "Tensor"]:
    """The tensors of safetensors, of a PyTorch checkpoint, or of a whole module that was pickled; float64 as float32.

    Raises:
        WeightsError: the file is none of these, or asks for anything that weights have no use for.
    """
    import torch

    try:
        tensors = _tensors(_load(path))
    except Exception as error:  # a damaged or hostile file may fail in any way, and all mean the same
        first = str(error).partition("\n")[0]
        raise WeightsError(f"{path.name} cannot be read as weights: {first or type(error).__name__}.") from error
    if not tensors:
        raise WeightsError(f"{path.name} holds no weights.")
    return {
        name: (tensor.float() if tensor.dtype == torch.float64 else tensor).detach().clone().contiguous()
        for name, tensor in tensors.items()
    }


def _wanted(file: WeightsFile, path: Path, tensors: Mapping[str, "Tensor"]) -> dict[str, "Tensor"]:
    """Those that are kept, after a look at those that must be there."""
    for end, shape in file.holds.items():
        if not any(name.endswith(end) and list(tensor.shape) == shape for name, tensor in tensors.items()):
            raise WeightsError(
                f"{path.name} does not look like {file.name}: no tensor …{end} of shape {tuple(shape)} among "
                f"{len(tensors)}. Check where it came from."
            )
    return {name: tensor for name, tensor in tensors.items() if file.keep is None or re.match(file.keep, name)}


def _load(path: Path) -> Any:
    import torch

    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:  # not tensors alone: a whole module, or something worse
            return torch.load(path, map_location="cpu", weights_only=False, pickle_module=_InertPickle)


def _tensors(loaded: Any) -> dict[str, "Tensor"]:
    """The tensors of a state dict, a training checkpoint or an inert module, by name."""
    from torch import Tensor

    if isinstance(loaded, _Inert):
        loaded = dict(_walk(loaded))
    if not isinstance(loaded, Mapping):
        return {}
    for wrapper in WRAPPERS:
        if isinstance(loaded.get(wrapper), Mapping | _Inert):
            return _tensors(loaded[wrapper])
    return {name: value for name, value in loaded.items() if isinstance(value, Tensor)}


class _Inert:
    """Stands for a class of the file: takes what the file says of an object and does nothing with it."""

    dump_patches = False
    """PyTorch asks for this where a file carries the source of its classes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            vars(self).update(state)


def _walk(module: _Inert) -> Iterator[tuple[str, Any]]:
    """What an inert module and those below it hold, under the names a state dict would give it.

    By its dictionaries alone: methods and attributes of modules as old as these files no longer fit.
    """
    own = vars(module)
    for kind in ("_parameters", "_buffers"):
        yield from own.get(kind, {}).items()
    for name, child in own.get("_modules", {}).items():
        if isinstance(child, _Inert):
            yield from ((f"{name}.{below}", tensor) for below, tensor in _walk(child))


class _InertUnpickler(pickle.Unpickler):
    """Knows how tensors are put together; a few packages become inert, and nothing else is let in."""

    def find_class(self, module: str, name: str) -> Any:
        import torch

        plain = {
            ("collections", "OrderedDict"): OrderedDict,
            ("builtins", "set"): set,
            ("__builtin__", "set"): set,
            ("torch", "Size"): torch.Size,
            ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
            ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
            ("torch._utils", "_rebuild_parameter"): _first,
            ("torch.nn.parameter", "Parameter"): _first,
        }
        if (module, name) in plain:
            return plain[module, name]
        if f"{module}.".startswith(INERT):
            return type(name, (_Inert,), {"__module__": module})
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which weights have no use for")


def _first(tensor: Any, *_: Any) -> Any:
    """A parameter is its tensor."""
    return tensor


class _InertPickle:
    """What PyTorch uses of the module `pickle` when it loads."""

    Unpickler = _InertUnpickler

    @staticmethod
    def load(stream: IO[bytes], **options: Any) -> Any:
        return _InertUnpickler(stream, **options).load()


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A temporary file that becomes the target when all went well, so that no half of a file is ever found."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
    os.close(descriptor)
    try:
        yield Path(name)
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)
