"""What a finished training leaves in its folder: its networks as safetensors, and `run.json` that says what made them.

`training.export` takes it from there into the app.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import safe_open
from safetensors.torch import save_file

from core.errors import WeightsError
from core.weights.store import sha256_of

if TYPE_CHECKING:
    from torch import Tensor

RECORD = "run.json"


class File(BaseModel):
    """One network: its file beside the record, and the SHA-256 of that."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[\w.-]+\.safetensors$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Run(BaseModel):
    """`detector` and `region` as in the manifest; `files` by role, as that detector asks for them; `input` the profile
    that the network was trained with; `steps` of the optimiser."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    detector: str
    region: str = "entire"
    files: dict[str, File]
    input: dict[str, Any]
    steps: int = Field(ge=0)
    trained_on: str
    """For people: a phrase."""
    paper: str = "none"
    seen: tuple[str, ...]
    """The bonds of everything that had a say, by its gradient or by when training stopped: `identity:a`, `pair:b`."""
    made_by: dict[str, Any] = {}
    """Whatever else is worth knowing: command, configuration, seed, versions, validation."""


def write_run(folder: Path, networks: Mapping[str, Mapping[str, "Tensor"]], **facts: Any) -> Run:
    """Writes the tensors of each network, by role, and then the record, from the `facts` that are its other fields."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for role, tensors in networks.items():
        path = folder / f"{role}.safetensors"
        partial = path.with_suffix(".partial")
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial)
        partial.replace(path)
        files[role] = File(name=path.name, sha256=sha256_of(path))
    run = Run(files=files, **facts)
    partial = folder / f"{RECORD}.partial"
    partial.write_text(run.model_dump_json(indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / RECORD)
    return run


def read_run(folder: Path) -> Run:
    """The record of a finished training, whose files are there and unchanged.

    Raises:
        WeightsError: there is none, it cannot be read, or a file is absent or another one.
    """
    record = folder / RECORD
    if not record.is_file():
        raise WeightsError(f"There is no {RECORD} in {folder}; name the folder that a finished training wrote.")
    try:
        run = Run.model_validate(json.loads(record.read_text(encoding="utf-8")))
    except (ValidationError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        raise WeightsError(f"{record} cannot be read: {'.'.join(map(str, first['loc']))} {first['msg']}.") from error
    for file in run.files.values():
        path = folder / file.name
        if not path.is_file():
            raise WeightsError(f"{RECORD} names {file.name}, which is not beside it; train again or bring the file.")
        if sha256_of(path) != file.sha256:
            raise WeightsError(f"{file.name} is not the file that {RECORD} names: its SHA-256 is another; train again.")
    return run


def recorded(path: Path) -> Run | None:
    """The record that `training.export` keeps inside a network's own file; None where there is none."""
    if path.suffix != ".safetensors":
        return None
    with safe_open(path, "np") as file:
        text = (file.metadata() or {}).get(RECORD)
    return Run.model_validate_json(text) if text else None
