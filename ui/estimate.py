"""About how long an analysis will take, told beside the button that starts it."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from analysis.costs import Estimate, estimate
from core.errors import AppError
from core.types import Options
from core.words import duration, say
from detectors import choices, choose
from preprocessing.video import Claim, read_claim
from ui.markup import announced
from ui.messages import Refusal, about
from ui.uploads import is_upload
from ui.visit import Desk


def measure(upload: str | None, desk: Desk, owner: str) -> Claim | Refusal | None:
    """How long an upload of this owner is by its header, or why that cannot be told; None where there is none."""
    if not upload or not is_upload(Path(upload), desk.settings.uploads, owner):
        return None
    try:
        return read_claim(Path(upload), settings=desk.settings) or Refusal(say("estimate.silent"))
    except AppError as error:
        return Refusal(str(error))


def told_before(clip: Claim | Refusal | None, genuine: Sequence[Claim], options: Options, desk: Desk) -> Markup:
    """One or two sentences; nothing where there is nothing to say yet."""
    if isinstance(clip, Refusal):
        return announced(clip.sentence)
    if clip is None:
        return Markup("")
    try:
        offered = choices(desk.manifest, desk.settings)
        chosen = choose(options.detectors, offered, options.regions, referenced=bool(genuine))
        return announced(_sentence(estimate(clip, genuine, options, chosen, desk.settings), desk.settings.max_minutes))
    except AppError as error:
        return announced(str(error))


def _sentence(found: Estimate, max_minutes: float) -> str:
    parts = [say("estimate.takes", time=about(found.seconds))]
    if found.preparing_s:
        parts.append(say("estimate.preparing", time=about(found.preparing_s)))
    parts.append("." if found.is_measured else say("estimate.guess"))
    if found.seconds > 60 * max_minutes:
        parts.append(" " + say("estimate.too_long", limit=duration(60 * max_minutes)))
    return "".join(parts)
