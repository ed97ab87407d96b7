"""One labelled video or photograph, whatever data set it is from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from core.errors import InputError
from training.clips import linked

Split = Literal["train", "val", "test", ""]
"""Empty: the data set does not say."""
GENUINE = "genuine"
"""The method of what nobody manipulated."""
AND = "+"
"""Joins the identities of one sample: a swapped face sits on somebody else's head."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a layout says of one file.

    `id` is the sample's name in its data set, a relative path without `..`; `label` 0 genuine, 1 manipulated; `method`
    GENUINE or the name of the manipulation; `compression` such as c23. `source` is the video it was made from, and of a
    genuine one that video itself; `identity` who is to be seen, several joined by `+`; `pair` a name that a manipulated
    video and its genuine counterparts share. What is not known is empty.
    """

    id: str
    path: Path
    label: Literal[0, 1]
    split: Split
    method: str
    compression: str = ""
    source: str = ""
    identity: str = ""
    pair: str = ""

    def __post_init__(self) -> None:
        place = PurePosixPath(self.id)
        if not place.parts or place.is_absolute() or ".." in place.parts:
            raise ValueError(f"`id` must be a relative path without `..`, got {self.id!r}")

    @property
    def bonds(self) -> frozenset[str]:
        """What no sample on the other side of a split may share: `source:...`, `identity:...`, `pair:...`."""
        named = [("source", self.source), ("pair", self.pair)]
        named += [("identity", one) for one in self.identity.split(AND)]
        return frozenset(f"{name}:{value}" for name, value in named if value)


def read_json(path: Path) -> Any:
    """
    Raises:
        InputError: it is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); bring the file again.") from error


def groups(samples: Sequence[Sample]) -> list[int]:
    """A number for each sample: the same for those that share a source, identity or pair, even by way of others."""
    return linked([sample.bonds for sample in samples])
