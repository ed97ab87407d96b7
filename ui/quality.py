"""The tab Quality."""

import gradio as gr

from ui.visit import Desk


def quality_tab(desk: Desk, *, opened: gr.Tab) -> None:
    gr.HTML("")
