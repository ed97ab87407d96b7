"""The page: `build` lays it out, `launch_options` says how it is to be served."""

from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.routing import Route

from ui.about import about_tab
from ui.accounts import accounts_tab, greeting, masthead
from ui.analyze import analyze_tab, example_route
from ui.api import endpoints
from ui.detectors import detectors_tab
from ui.door import Door, mark_scripts
from ui.health import PATH, Health
from ui.history import history_tab
from ui.languages import TEXTS, answer_in_the_visitors_language, everywhere, said
from ui.login import admission, caller, login_routes
from ui.messages import QUICK
from ui.quality import quality_tab
from ui.queue import queue_tab
from ui.reviewing import clip_route
from ui.uploads import keep_uploads_apart, uploads_route
from ui.visit import Desk

ASSETS = Path(__file__).parent / "assets"

KEEP_SECRET = """(known) => known || Array.from(
  crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("")"""
"""The secret of a page: the one that this browser keeps, or a new one of 128 random bits."""

SWEEP_S, KEEP_S = 300, 3600
"""How often uploads are looked through, and how old one that is not analysed may get; longer than most waits."""

HELD = 200
"""Requests that Gradio keeps before it looks at them."""
THREADS = 40
"""Handlers that may run beside those that wait for an analysis, each of which takes one."""


def build(desk: Desk) -> gr.Blocks:
    """The whole page with its endpoints, ready to launch."""
    keep_uploads_apart()
    mark_scripts()
    answer_in_the_visitors_language()
    with gr.Blocks(title="Telltale", analytics_enabled=False, delete_cache=(SWEEP_S, KEEP_S)) as page:
        # The key to this visitor's reports lies in their browser, which makes it: who clicks at once would be ahead of
        # an answer of ours. `secret=` is sent to every page and protects nothing.
        secret = gr.BrowserState(None, storage_key="telltale-visitor", secret="telltale-visitor")
        page.load(None, secret, secret, js=KEEP_SECRET, **QUICK)
        head = gr.HTML(everywhere(masthead))
        if desk.users:
            page.load(greeting(desk), None, head, **QUICK)

        with gr.Tabs():
            with gr.Tab(said("page.analyze")):
                analyze_tab(desk, secret, desk.report)
            if desk.queue:
                with gr.Tab(said("page.queue"), elem_id="queue-tab") as queue:
                    queue_tab(desk, secret, desk.report, opened=queue)
                with gr.Tab(said("page.quality")) as quality:
                    quality_tab(desk, opened=quality)
            else:
                # At the desk, the queue lists everything there is.
                with gr.Tab(said("page.history")) as history:
                    history_tab(desk, secret, desk.report, opened=history)
            with gr.Tab(said("page.detectors")):
                detectors_tab(desk)
            with gr.Tab(said("page.about_tab")):
                about_tab(desk.settings, desk.manifest, desk.health)
            if desk.users:
                with gr.Tab(said("page.account")) as account:
                    accounts_tab(desk, desk.users, opened=account)
        endpoints(desk)
    # Who waits for an analysis stands in the line of the database, which is bounded too.
    return page.queue(max_size=HELD, api_open=False)


def routes(desk: Desk) -> list[Route]:
    """What is served beside Gradio's page; before its own routes, so that these may take their place."""
    own = [Route(PATH, Health(desk.health).show), example_route(), uploads_route(desk.settings.uploads)]
    return [*own, clip_route(desk), *login_routes(desk.users)] if desk.users else own


def launch_options(desk: Desk) -> dict[str, Any]:
    """Arguments of `Blocks.launch` that keep files and errors private, and the page free of requests to elsewhere.

    At the moderators' desk nobody is let in but its users.
    """
    settings, own = desk.settings, routes(desk)
    theme = gr.themes.Default(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"], primary_hue="blue"
    )
    # Gradio's own greys are too faint to read small print by.
    theme.set(body_text_color_subdued="*neutral_600", block_info_text_color="*neutral_600")
    theme.set(body_text_color_subdued_dark="*neutral_400", block_info_text_color_dark="*neutral_400")
    # Not through `css=`, which reaches the inside of the page only and breaks selectors that hold a comma.
    style = f"<style>{(ASSETS / 'telltale.css').read_text(encoding='utf-8')}</style>"
    names = ["telltale.js", "queue.js"] if settings.moderated else ["telltale.js"]
    scripts = [(ASSETS / name).read_text(encoding="utf-8") for name in names]
    admit = admission(desk.users) if desk.users else None
    door = Middleware(Door, settings=settings, routes=own, scripts=scripts, admit=admit)
    return {
        "server_name": settings.server_name,
        "server_port": settings.server_port,
        "max_threads": THREADS + settings.waiting + settings.at_once,
        "max_file_size": f"{settings.max_mb:g}mb",
        "show_error": False,
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "share": False,
        "footer_links": ["api"],
        "theme": theme,
        "head": style + "".join(f"<script>{script}</script>" for script in scripts),
        "i18n": TEXTS,
        "auth_dependency": caller if desk.users else None,
        "app_kwargs": {"routes": own, "middleware": [door]},
    }
