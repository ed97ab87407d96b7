"""What a file says of its own origin, in words; the same for the page and for documents."""

from markupsafe import Markup

from core.types import Provenance
from core.words import say
from ui.markup import facts, titled


def credentials_words(provenance: Provenance | None) -> str:
    """In one or two sentences, whether there are credentials and what they are worth."""
    if provenance is None:
        return say("credentials.unread")
    match provenance.status:
        case "intact":
            return f"{say('credentials.intact')} {say('credentials.trust')}"
        case "broken":
            return f"{say('credentials.broken')} {say('credentials.trust')}"
        case "unreadable":
            return say("credentials.unreadable", why="; ".join(provenance.problems).rstrip("."))
        case "absent":
            return say("credentials.absent")


def credentials_facts(provenance: Provenance | None) -> dict[str, str]:
    """What they say, by name; nothing where nothing could be read."""
    if provenance is None or provenance.status not in ("intact", "broken"):
        return {}
    told = {
        say("credentials.signer"): provenance.signer,
        say("credentials.signed_at"): provenance.signed_at,
        say("credentials.generator"): provenance.generator,
        say("credentials.name"): provenance.title,
        say("credentials.actions"): "; ".join(provenance.actions),
        say("credentials.ingredients"): "; ".join(provenance.ingredients),
        say("credentials.problems"): "; ".join(provenance.problems),
    }
    return {name: fact for name, fact in told.items() if fact}


def credentials(provenance: Provenance | None) -> Markup:
    """The panel of the page."""
    return Markup('<section class="credentials">{}<p>{}</p>{}</section>').format(
        titled(say("credentials.title"), say("credentials.hint")),
        credentials_words(provenance),
        facts(credentials_facts(provenance)),
    )
