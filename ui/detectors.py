"""The tab Detectors: what each one looks at, how good it is, where it fails, and whether it runs here."""

import gradio as gr
from markupsafe import Markup

from detectors import Choice, choices
from ui.markup import facts
from ui.visit import Desk


def detectors_tab(desk: Desk) -> None:
    gr.HTML(detector_cards(choices(desk.manifest, desk.settings)))


def detector_cards(offered: list[Choice]) -> Markup:
    """One card per detector, with all its sets of weights."""
    by_name: dict[str, list[Choice]] = {}
    for choice in offered:
        by_name.setdefault(choice.card.name, []).append(choice)
    return Markup('<div class="cards">{}</div>').format(Markup("").join(_card(sets) for sets in by_name.values()))


def _card(sets: list[Choice]) -> Markup:
    card = sets[0].card
    about = {"Source": card.source, "Looks at": ", ".join(card.regions), "Limits": card.limits}
    return Markup(
        '<article class="card"><h2>{}</h2><p>{}</p>{}<h3>Weights</h3><div class="sets">{}</div></article>'
    ).format(card.title, card.summary, facts(about), Markup("").join(_weights(choice) for choice in sets))


def _weights(choice: Choice) -> Markup:
    weights = choice.weights
    about = {
        "Region": weights.region,
        "Trained on": weights.trained_on,
        "Measured": weights.measured or "Not measured here.",
        "Licence": weights.licence + ("" if weights.commercial_use else ", no commercial use"),
        "Terms": weights.terms,
        "Paper": weights.paper,
        "SHA-256": weights.sha256,
    }
    state = "✓ Ready" if choice.ready else f"✗ Not ready. {choice.reason}"
    return Markup('<section class="weights"><h4>{}</h4><p class="state">{}</p>{}</section>').format(
        weights.id, state, facts({name: fact for name, fact in about.items() if fact})
    )
