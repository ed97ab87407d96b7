"""What a file says of its own origin, in words; the same for the page and for documents."""

from markupsafe import Markup

from core.types import Provenance
from ui.markup import facts, titled

TITLE = "Where the file says it comes from"
HINT = "C2PA credentials, shown as they stand in the file. They are no part of any score."
STATES = {
    "intact": "The file carries credentials, and they are intact: the signature holds, and nothing was changed since.",
    "broken": "The file carries credentials, but they do not hold: the file, or they, changed since.",
    "unreadable": "Credentials are there but could not be read: {why}.",
    "absent": "The file carries no credentials. That means nothing: most files carry none, genuine or not.",
}
UNREAD = "This report was made before credentials were read."
TRUST = (
    "Who signed was not held against any list of trusted issuers. A signature shows that nothing was changed since; it "
    "shows neither who made it nor that what it says is true."
)


def credentials_words(provenance: Provenance | None) -> str:
    """In one or two sentences, whether there are credentials and what they are worth."""
    if provenance is None:
        return UNREAD
    words = STATES[provenance.status].format(why="; ".join(provenance.problems).rstrip("."))
    return f"{words} {TRUST}" if provenance.status in ("intact", "broken") else words


def credentials_facts(provenance: Provenance | None) -> dict[str, str]:
    """What they say, by name; nothing where nothing could be read."""
    if provenance is None or provenance.status not in ("intact", "broken"):
        return {}
    told = {
        "Signed by, in its own words": provenance.signer,
        "Signed at, in its own words": provenance.signed_at,
        "Made with": provenance.generator,
        "Title": provenance.title,
        "What was done": "; ".join(provenance.actions),
        "Made from": "; ".join(provenance.ingredients),
        "What does not hold": "; ".join(provenance.problems),
    }
    return {name: fact for name, fact in told.items() if fact}


def credentials(provenance: Provenance | None) -> Markup:
    """The panel of the page."""
    return Markup('<section class="credentials">{}<p>{}</p>{}</section>').format(
        titled(TITLE, HINT), credentials_words(provenance), facts(credentials_facts(provenance))
    )
