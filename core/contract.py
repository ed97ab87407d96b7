"""The report as programs see it: JSON, SI units, snake case. The API returns it and the page offers it for download."""

import json
from dataclasses import asdict
from typing import Any

from core.types import Report


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain dicts, lists, strings and numbers; thumbnails and landmark series are left to the page."""
    plain = asdict(report)
    plain["settings"] = plain.pop("options")
    for person in plain["tracks"]:
        del person["thumbnail"], person["motion"]
    return dict(json.loads(json.dumps(plain)))
