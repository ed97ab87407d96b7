"""The tab About: what the answers mean, what becomes of a video, and what this cannot do."""

import gradio as gr

from core.settings import Settings
from core.types import Label
from core.words import duration, say
from ui.languages import everywhere
from ui.messages import band_name


def about_tab(settings: Settings) -> None:
    gr.Markdown(everywhere(lambda: about(settings)), elem_classes="about")


def about(settings: Settings) -> str:
    """In Markdown."""
    return say(
        "about.text",
        meanings="\n".join(f"| **{band_name(label)}** | {meaning(label)} |" for label in Label),
        kept=say("about.kept_desk", days=f"{settings.media_days:g}")
        if settings.moderated
        else say("about.kept_public", hours=f"{settings.keep_hours:g}"),
        number=say("about.number"),
        cannot="\n".join(f"* {limit}" for limit in cannot()),
        max_mb=f"{settings.max_mb:.0f}",
        length=duration(settings.max_seconds),
        max_side_px=settings.max_side_px,
    )


def meaning(label: Label) -> str:
    """What a verdict means."""
    return say(f"meanings.{label}")


def cannot() -> list[str]:
    """What the methods cannot tell."""
    return [say("about.no_proof"), say("about.trained"), say("about.faces"), say("about.nobody")]
