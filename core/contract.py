"""The report as programs see it: JSON, SI units, snake case. The API returns it and the page offers it for download."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from core.types import Report

MAX_CELLS = 16
"""Cells a side of a heat map in JSON; what is finer is told by the hottest place of each cell."""


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain dicts, lists, strings and numbers; pictures and series of landmarks and hashes stay here."""
    plain = asdict(report)
    plain["settings"] = plain.pop("options")
    del plain["likeness"]
    for person in plain["tracks"]:
        del person["thumbnail"], person["motion"]
    for exhibit in plain["exhibits"]:
        del exhibit["crop"], exhibit["frame"], exhibit["to_frame"]
        exhibit["heat"] = _coarse(exhibit["heat"]).round(3).tolist()
    return dict(json.loads(json.dumps(plain)))


def _coarse(heat: np.ndarray) -> np.ndarray:
    """At most 16 x 16."""
    rows, columns = (np.linspace(0, side, min(side, MAX_CELLS), endpoint=False).astype(int) for side in heat.shape)
    return np.maximum.reduceat(np.maximum.reduceat(heat.astype(np.float64), rows, axis=0), columns, axis=1)
