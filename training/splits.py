"""Who is learned from and who validates: no video, no pair and nobody's face is ever on both sides."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from core.errors import InputError
from training.config import Data
from training.layouts.sample import groups
from training.prepared import Prepared, load

log = logging.getLogger(__name__)

NAMED = 3
"""How many of what two parts share are named."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """`test` is not touched; it is here to be held against the others."""

    train: Sequence[Prepared]
    validation: Sequence[Prepared]
    test: Sequence[Prepared]

    @property
    def seen(self) -> tuple[str, ...]:
        """The bonds of all that has a say in what is learned."""
        return tuple(sorted({bond for one in (*self.train, *self.validation) for bond in one.sample.bonds}))


def read_parts(data: Data, kind: str, seed: int) -> Parts:
    """The samples of all caches that have this kind. Without a part that validates, one is held back.

    Raises:
        InputError: a part is missing or lacks a class, or two parts share a video, a pair or an identity.
    """
    wanted = [prepared for cache in data.cache for prepared in load(cache, kind) if _is_wanted(prepared, data)]
    by_split = {split: [p for p in wanted if p.sample.split == split] for split in ("train", "", "val", "test")}
    train, validation = by_split["train"] + by_split[""], by_split["val"]
    if not train:
        raise InputError("The caches hold nothing to train on; prepare a part called train.")
    if not validation:
        train, validation = hold_back(train, data.held_back, seed)
    refuse_leaks({"train": train, "validation": validation, "test": by_split["test"]})
    if data.synthesis:
        train, validation = ([p for p in part if not p.sample.label] for part in (train, validation))
    for name, part in (("train", train), ("validation", validation)):
        found = {p.sample.label for p in part}
        if found != ({0} if data.synthesis else {0, 1}):
            raise InputError(
                f"The part {name} has {_count(part, 0)} genuine and {_count(part, 1)} manipulated samples; "
                f"{'genuine ones' if data.synthesis else 'both'} are needed."
            )
        log.info("%s: %d genuine and %d manipulated", name, _count(part, 0), _count(part, 1))
    return Parts(train, validation, by_split["test"])


def refuse_leaks(parts: Mapping[str, Sequence[Prepared]]) -> None:
    """Whoever is in two parts is remembered instead of judged.

    Raises:
        InputError: two parts share a source, an identity or a pair.
    """
    bonds = {name: {bond for p in part for bond in p.sample.bonds} for name, part in parts.items()}
    for one, other in combinations(bonds, 2):
        shared = sorted(bonds[one] & bonds[other])
        if shared:
            more = f" and {len(shared) - NAMED} more" if len(shared) > NAMED else ""
            raise InputError(
                f"The parts {one} and {other} share {', '.join(shared[:NAMED])}{more}, so what is remembered would "
                "count as found; put each wholly into one part (the column split of the index) or leave it out."
            )


def hold_back(train: Sequence[Prepared], share: float, seed: int) -> tuple[list[Prepared], list[Prepared]]:
    """Of those to train on, a share that validates instead: whole groups of whatever hangs together.

    Where everything hangs together, as where everybody's face was swapped with everybody's, identities are held back,
    and samples that show both somebody held back and somebody else are left out.
    """
    group = np.array(groups([p.sample for p in train]))
    rng = np.random.default_rng(seed)
    if np.bincount(group).max() > (1 - share) * len(train):
        return _hold_back_identities(train, share, rng)
    label = np.array([p.sample.label for p in train])
    wanted = {k: max(1, round(share * int((label == k).sum()))) for k in set(label.tolist())}
    held = np.zeros(len(train), bool)
    for g in rng.permutation(np.unique(group)):
        mine = group == g
        lacking = [k for k, count in wanted.items() if (held & (label == k)).sum() < count]
        if any((mine & (label == k)).any() for k in lacking):
            held |= mine
    log.info("No part validates in the caches: %d of %d samples are held back for it.", held.sum(), len(train))
    return [p for p, h in zip(train, held, strict=True) if not h], [p for p, h in zip(train, held, strict=True) if h]


def _hold_back_identities(
    train: Sequence[Prepared], share: float, rng: np.random.Generator
) -> tuple[list[Prepared], list[Prepared]]:
    people = [{b for b in p.sample.bonds if b.startswith("identity:")} for p in train]
    everybody = sorted(set().union(*people))
    if len(everybody) < 2:
        raise InputError("All samples hang together, so none can be held back to validate; prepare a part called val.")
    # Of swaps between two, the square of this share stays wholly among them.
    count = min(len(everybody) - 1, max(1, round(np.sqrt(share) * len(everybody))))
    held = set(rng.permutation(everybody)[:count].tolist())
    validation = [p for p, own in zip(train, people, strict=True) if own and own <= held]
    rest = [p for p, own in zip(train, people, strict=True) if not own & held]
    log.info(
        "No part validates in the caches: %d of %d identities are held back for it; %d samples that show them and "
        "others are left out.",
        count,
        len(everybody),
        len(train) - len(rest) - len(validation),
    )
    return rest, validation


def _is_wanted(prepared: Prepared, data: Data) -> bool:
    sample = prepared.sample
    return (not sample.label or data.methods is None or sample.method in data.methods) and (
        data.compressions is None or not sample.compression or sample.compression in data.compressions
    )


def _count(part: Sequence[Prepared], label: int) -> int:
    return sum(p.sample.label == label for p in part)
