"""The page: `build` lays it out, `launch_options` says how it is to be served."""

from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from core.settings import Settings
from core.types import Report
from core.words import say
from ui.about import about_tab
from ui.analyze import analyze_tab
from ui.api import endpoints
from ui.detectors import detectors_tab
from ui.history import history_tab
from ui.languages import TEXTS, answer_in_the_visitors_language, everywhere, said
from ui.messages import QUICK
from ui.rights import whose
from ui.uploads import keep_uploads_apart
from ui.visit import Desk, new_secret

ASSETS = Path(__file__).parent / "assets"

SWEEP_S, KEEP_S = 300, 3600
"""How often uploads are looked through, and how old one that is not analysed may get; longer than most waits."""


_MASTHEAD = Markup('<header class="masthead"><h1>Telltale</h1><p>{}</p></header>')


def build(desk: Desk) -> gr.Blocks:
    """The whole page with its endpoints, ready to launch."""
    keep_uploads_apart()
    answer_in_the_visitors_language()
    with gr.Blocks(title="Telltale", analytics_enabled=False, delete_cache=(SWEEP_S, KEEP_S)) as page:
        # The key to this visitor's reports lies in their browser. `secret=` is sent to every page and protects nothing.
        secret = gr.BrowserState(None, storage_key="telltale-visitor", secret="telltale-visitor")
        page.load(new_secret, secret, secret, **QUICK)
        gr.HTML(everywhere(lambda: _MASTHEAD.format(say("page.about"))))

        def find(report_id: str, secret: str | None, request: gr.Request) -> Report:
            return desk.store.get(report_id, owner=whose(desk, secret, request))

        with gr.Tabs():
            with gr.Tab(said("page.analyze")):
                analyze_tab(desk, secret, find)
            with gr.Tab(said("page.history")) as history:
                history_tab(desk, secret, find, opened=history)
            with gr.Tab(said("page.detectors")):
                detectors_tab(desk)
            with gr.Tab(said("page.about_tab")):
                about_tab(desk.settings)
        endpoints(desk)
    # With `api_open`, a request could run beside the analysis that has its turn.
    return page.queue(max_size=desk.settings.waiting, api_open=False)


def launch_options(settings: Settings) -> dict[str, Any]:
    """Arguments of `Blocks.launch` that keep files and errors private, and the page free of requests to elsewhere."""
    theme = gr.themes.Default(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"], primary_hue="blue"
    )
    # Gradio's own greys are too faint to read small print by.
    theme.set(body_text_color_subdued="*neutral_600", block_info_text_color="*neutral_600")
    theme.set(body_text_color_subdued_dark="*neutral_400", block_info_text_color_dark="*neutral_400")
    # Not through `css=`, which reaches the inside of the page only and breaks selectors that hold a comma.
    style = f"<style>{(ASSETS / 'telltale.css').read_text(encoding='utf-8')}</style>"
    script = f"<script>{(ASSETS / 'telltale.js').read_text(encoding='utf-8')}</script>"
    return {
        "server_name": settings.server_name,
        "server_port": settings.server_port,
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
        "head": style + script,
        "i18n": TEXTS,
    }
