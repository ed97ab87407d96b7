"""Who works at the moderators' desk, and what each of them may do."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from core.errors import InputError

NAME = re.compile(r"[\w.@+-]{1,40}")
"""Shorter than the hash that stands for a visitor of a public page, so that the two never meet as owners."""


class Role(StrEnum):
    """In this order; each may do all that those before it may.

    A viewer reads reports, a reviewer analyses and decides, a lead deletes and sets rules, an admin keeps the users.
    """

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    LEAD = "lead"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Whether this role may do what the other may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who has logged in, or a program with a key of theirs."""

    name: str
    role: Role


def user_name(given: str) -> str:
    """The one spelling of a name: lower case, composed.

    Raises:
        InputError: it is none.
    """
    name = unicodedata.normalize("NFKC", given.strip()).casefold()
    if not NAME.fullmatch(name):
        raise InputError("A user name has 1 to 40 letters, digits or signs among . @ + - _; choose another one.")
    return name


def role_called(given: str) -> Role:
    """The role of this name.

    Raises:
        InputError: there is none.
    """
    if given not in list(Role):
        raise InputError(f"There is no role called {given!r}; choose among: {', '.join(Role)}.")
    return Role(given)
