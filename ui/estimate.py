"""About how long an analysis will take, told beside the button that starts it."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from analysis.costs import Estimate, estimate
from core.errors import AppError
from core.types import Options
from detectors import choices, choose
from preprocessing.video import Claim, read_claim
from ui.messages import Refusal, duration
from ui.uploads import is_upload
from ui.visit import Desk

SILENT = "How long this takes cannot be told: the file does not say how long the video is."


def measure(upload: str | None, desk: Desk) -> Claim | Refusal | None:
    """How long an upload is by its header, or why that cannot be told; None where there is none."""
    if not upload or not is_upload(Path(upload), desk.settings.uploads):
        return None
    try:
        return read_claim(Path(upload), settings=desk.settings) or Refusal(SILENT)
    except AppError as error:
        return Refusal(str(error))


def told_before(clip: Claim | Refusal | None, genuine: Sequence[Claim], options: Options, desk: Desk) -> Markup:
    """One or two sentences; nothing where there is nothing to say yet."""
    if isinstance(clip, Refusal):
        return _hint(clip.sentence)
    if clip is None:
        return Markup("")
    try:
        offered = choices(desk.manifest, desk.settings)
        chosen = choose(options.detectors, offered, options.regions, referenced=bool(genuine))
        return _hint(_sentence(estimate(clip, genuine, options, chosen, desk.settings), desk.settings.max_minutes))
    except AppError as error:
        return _hint(str(error))


def _sentence(found: Estimate, max_minutes: float) -> str:
    parts = [f"Takes {about(found.seconds)} for one person in view"]
    if found.preparing_s:
        parts.append(f", {about(found.preparing_s)} of it to prepare networks for this machine, once")
    parts.append("." if found.is_measured else "; a rough guess, until this has been timed on this machine.")
    if found.seconds > 60 * max_minutes:
        parts.append(
            f" An analysis is stopped after {duration(60 * max_minutes)}: choose a shorter clip, fewer detectors or a "
            "faster setting."
        )
    return "".join(parts)


def about(seconds: float) -> str:
    """A length of time as far as it can be foretold."""
    if seconds < 8:
        return "a few seconds"
    if seconds < 75:
        return f"about {10 * round(max(seconds, 10) / 10)} s"
    if seconds < 150:
        return "a minute or two"
    return f"about {seconds / 60:.0f} min"


def _hint(sentence: str) -> Markup:
    return Markup('<p class="hint" role="status">{}</p>').format(sentence)
