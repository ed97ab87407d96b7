"""The tab About: what the answers mean, what becomes of a video, what this cannot do, and how this installation is."""

from collections.abc import Callable, Mapping

import gradio as gr
from markupsafe import Markup

from core.settings import VERSION, Settings
from core.types import Label
from core.weights import Weights
from core.weights.store import Kind, state
from core.words import duration, say
from detectors import choices
from ui.languages import everywhere
from ui.markup import facts
from ui.messages import QUICK, band_name


def about_tab(settings: Settings, manifest: Mapping[str, Weights], health: Callable[[], Mapping[str, str]]) -> None:
    def installation() -> Markup:
        return condition(settings, manifest, health())

    gr.Markdown(everywhere(lambda: about(settings)), elem_classes="about")
    # At each visit, as it is then.
    gr.on(None, installation, None, gr.HTML(), **QUICK)


def condition(settings: Settings, manifest: Mapping[str, Weights], health: Mapping[str, str]) -> Markup:
    """Version, health and weights of this installation; `health` is as in `storage.health`."""
    by_state: dict[str, dict[str, None]] = {}
    for choice in choices(manifest, settings):
        kind: Kind = state(choice.weights, settings).kind
        where = "bundled" if choice.weights.source == "bundled" else "fetched"
        by_state.setdefault({"ready": where, "refused": "refused"}.get(kind, "missing"), {})[choice.set] = None
    told = {
        say("condition.version"): VERSION,
        say("condition.health"): "; ".join(
            f"{say(f'condition.{part}')} {'✓' if found == 'ok' else '✗ ' + say(f'condition.{found}')}"
            for part, found in health.items()
        ),
    }
    told |= {
        say(f"condition.{where}"): ", ".join(by_state.get(where, ())) or say("condition.none")
        for where in ("bundled", "fetched", "missing", "refused")
    }
    return Markup("<h2>{}</h2>{}").format(say("condition.title"), facts(told))


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
