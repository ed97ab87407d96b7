"""The tab Detectors: what each one looks at, how good it is, where it fails, and whether it runs here."""

import gradio as gr
from markupsafe import Markup

from detectors import Choice, choices
from ui.visit import Desk


def detectors_tab(desk: Desk) -> None:
    gr.HTML(cards(choices(desk.manifest, desk.settings)))


def cards(offered: list[Choice]) -> Markup:
    """One card per detector, with a row for each of its sets of weights."""
    by_name: dict[str, list[Choice]] = {}
    for choice in offered:
        by_name.setdefault(choice.card.name, []).append(choice)
    return Markup('<div class="cards">{}</div>').format(Markup("").join(_card(sets) for sets in by_name.values()))


def _card(sets: list[Choice]) -> Markup:
    card = sets[0].card
    return Markup(
        '<article class="card"><h2>{}</h2><p>{}</p><dl><dt>Source</dt><dd>{}</dd><dt>Looks at</dt><dd>{}</dd>'
        '<dt>Limits</dt><dd>{}</dd></dl><h3>Weights</h3><div class="sets">{}</div></article>'
    ).format(
        card.title,
        card.summary,
        card.source,
        ", ".join(card.regions),
        card.limits,
        Markup("").join(_weights(choice) for choice in sets),
    )


def _weights(choice: Choice) -> Markup:
    weights = choice.weights
    facts = {
        "Trained on": weights.trained_on,
        "Measured here": weights.measured or "Not measured.",
        "Licence": weights.licence + ("" if weights.commercial_use else ", no commercial use"),
        "Paper": weights.paper,
        "SHA-256": weights.sha256,
    }
    rows = Markup("").join(Markup("<dt>{}</dt><dd>{}</dd>").format(name, fact) for name, fact in facts.items())
    state = (
        Markup('<p class="state">✓ Ready</p>')
        if choice.ready
        else Markup('<p class="state">✗ Not ready. {}</p>').format(choice.reason)
    )
    return Markup('<section class="weights"><h4>{}</h4>{}<dl>{}</dl></section>').format(weights.id, state, rows)
