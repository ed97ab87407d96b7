"""One checked, frozen record of a training run, from a YAML file and `key=value` words of the command line.

A file may be `like` another one and then says only what is different. A key that nobody knows is refused, by name.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import InputError
from core.weights import load_manifest
from preprocessing.profile import InputProfile

Method = Literal["lrnet", "laa_net", "lipforensics", "xception", "capsule", "dsp_fwa", "compact"]
Region = Literal["entire", "eyes", "nose", "mouth", "rest"]


class Record(BaseModel):
    """Frozen, and no place for a key it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(Record):
    """What is learned from: folders that `python -m training.prepare` has filled."""

    cache: tuple[Path, ...] = Field(min_length=1)
    methods: tuple[str, ...] | None = None
    """Manipulated by one of these; None for all. Genuine samples are always taken."""
    compressions: tuple[str, ...] | None = None
    """Such as c23; None for all."""
    frames: int = Field(32, gt=0)
    """Of each video, evenly spread; of networks that read clips and blocks, the most of those."""
    synthesis: Literal["sbi", "bi", "fwa"] | None = None
    """Fakes are made from the genuine faces while training, and listed fakes are left alone: self-blended, blended with
    a look-alike, or warped."""
    balanced: bool = False
    """The rarer class is drawn again until both are alike."""
    held_back: float = Field(0.1, gt=0, lt=1)
    """Share of the training sources that validate where the data set has no validation part of its own."""


class Optimiser(Record):
    name: Literal["adam", "adamw", "sgd"] = "adam"
    rate: float = Field(gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    weight_decay: float = Field(0.0, ge=0)
    sharpness: float = Field(0.0, ge=0)
    """Radius of sharpness-aware minimisation around it; 0 for none."""


class Config(Record):
    """What all methods share; each adds its own."""

    method: Method
    region: Region = "entire"
    data: Data
    start: str | None = None
    """A weights id, a file, or None: from nothing."""
    frozen_epochs: int | Literal["all"] = 0
    """For how long the backbone stays as it began."""
    epochs: int = Field(gt=0)
    batch: int = Field(gt=0)
    accumulate: int = Field(1, gt=0)
    """Batches for one step of the optimiser."""
    optimiser: Optimiser
    schedule: tuple[tuple[float, float], ...] = ((0, 1),)
    """Epochs and by what the rate is multiplied there; straight lines between them."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay of the running mean of the weights, which is then what is measured and kept."""
    patience: int | None = Field(None, gt=0)
    """Stops after so many epochs in which the validation AUC did not rise."""
    seed: int = 0
    workers: int = Field(0, ge=0)
    """Processes that draw samples; they change no draw."""
    compile: bool = True
    """On CUDA."""
    checkpoint_s: float = Field(600, ge=0)
    """How often what is needed to go on is kept, besides at the end of every epoch."""
    out: Path

    def factor(self, epoch: float) -> float:
        """By what the rate is multiplied there."""
        at, by = zip(*self.schedule, strict=True)
        return float(np.interp(epoch, at, by))

    def looks_at(self) -> dict[str, Any]:
        """The `input` of the manifest entry that the result will have."""
        raise NotImplementedError


class PictureConfig(Config):
    """Of methods that look at the picture."""

    input: str | InputProfile
    """Or the id of weights that look at the same."""
    augment: tuple[Literal["flip", "blur", "tone", "jpeg", "shift", "contrast"], ...] = ()

    def profile(self) -> InputProfile:
        """Everything between a frame and the numbers of the network.

        Raises:
            InputError: there are no weights of this id, or a region other than the entire face is not masked.
        """
        profile = self.input
        if isinstance(profile, str):
            manifest = load_manifest()
            if profile not in manifest:
                raise InputError(f"`input` {profile} is no weights id; `python -m core.weights list` shows them.")
            profile = InputProfile.model_validate(manifest[profile].input)
        if self.region != "entire" and not profile.masked and profile.crop.name != "lipforensics":
            raise InputError(
                f"`region` {self.region} needs an `input` whose `masked` is true, or the whole face shows."
            )
        return profile

    def looks_at(self) -> dict[str, Any]:
        return self.profile().model_dump(mode="json")


C = TypeVar("C", bound=Record)


def read_config(kind: type[C], file: Path, changes: Sequence[str] = ()) -> C:
    """The config of a file; `changes` such as `data.frames=8` go before what it says. Results go to
    `data/runs/<name of the file>` where neither says another place.

    Raises:
        InputError: there is no such file, it is no YAML, or a key or a value is not one of this method's.
    """
    values = {"out": f"data/runs/{file.stem}"} | _read(file)
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise InputError(f"`{change}` changes nothing; write key=value, such as data.frames=8.")
        _put(values, key.split("."), yaml.safe_load(value))
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{file}: {_sentence(kind, error)}") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"There is no file {file}; those that come with Telltale lie in configs/.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is no YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(values, dict):
        raise InputError(f"{file} must hold keys and values, such as `epochs: 10`.")
    like = values.pop("like", None)
    return _merged(_read(file.parent / like), values) if like else values


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Tables are merged key by key, anything else is replaced."""
    merged = base | own
    for key in base.keys() & own.keys():
        if isinstance(base[key], dict) and isinstance(own[key], dict):
            merged[key] = _merged(base[key], own[key])
    return merged


def _put(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for key in path[:-1]:
        values = values.setdefault(key, {})
    values[path[-1]] = value


def _sentence(kind: type[Record], error: ValidationError) -> str:
    """The first of the errors, and the way out."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"`{where}` is {first.get('input')!r}: {first['msg']}."
    known = kind.model_fields if len(first["loc"]) == 1 else _fields_at(kind, first["loc"][:-1])
    close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
    hint = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(sorted(known))}."
    return f"`{where}` is no setting of this method; {hint}"


def _fields_at(kind: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """The names that are known in a nested table."""
    for part in path:
        annotation = kind.model_fields[str(part)].annotation if str(part) in kind.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        kind = annotation
    return list(kind.model_fields)
