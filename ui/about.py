"""The tab About: what the answers mean, what becomes of a video, and what this cannot do."""

import gradio as gr

from core.settings import Settings
from core.types import Label
from ui.messages import BANDS, duration

MEANINGS = {
    Label.STRONG_SIGNS: "The methods that could look agree that the face moves or looks as manipulated ones do.",
    Label.SOME_SIGNS: "There is more evidence for manipulation than against it. Look closer.",
    Label.INCONCLUSIVE: "The methods could look, and what they saw does not point either way.",
    Label.NO_SIGNS: "The methods that could look found nothing. It does not mean that the video is genuine.",
    Label.NOT_ASSESSED: "Nobody could look; the reason is given. There is no number, not even one half.",
}

NUMBER = (
    "The number beside a verdict is P(manipulated), from 0 to 1: how likely a manipulation is after the methods were "
    "calibrated on labelled clips, had there been as many manipulated clips as genuine ones. The 90 % interval says "
    "how far to trust the number, and coverage how much of the video and how many of the chosen methods stand behind "
    "it."
)

CANNOT = (
    "A verdict is a hint, not a proof. No method finds every manipulation, and each one errs on genuine video as well. "
    "Do not decide about a person by this alone.",
    "A method knows the manipulations it was trained on. Newer ones, strong compression, small or blurred faces, heads "
    "turned away and unusual frame rates make it weaker or wrong.",
    "Only faces are looked at. Cuts, false captions, cloned voices, changed bodies and changed backgrounds go "
    "unnoticed.",
    "Nobody is recognised. Faces are followed within one video and never compared with another one.",
)

TEXT = """
## What the answers mean

| Verdict | It means |
| --- | --- |
{meanings}

{number}

A thorough analysis looks at the clip three times: as it is, encoded again, and at three quarters of its size. None of
these should matter; where they lead to another verdict, the first one is called *unstable* and is worth less.

## What this cannot tell

{cannot}

*Detectors* lists the limits of each method, with its measured accuracy.

## Privacy

* The uploaded file is deleted from the server as soon as its analysis ends, also when it fails or is cancelled; one
  that is never analysed goes within about an hour. The player keeps showing the copy in your own browser.
* The report is kept, with a small picture of each face, a few seconds of their landmarks, what the file says of its own
  origin and, scaled down, the frames that mattered most, until you delete it under *History*. It is listed for this
  browser only, by a random key that your browser keeps. Clear its storage, and nobody can reach those reports any more,
  not even you.
* Nothing is sent to other servers: no analytics, no fonts, no scripts from elsewhere.

## Limits

Up to {max_mb:.0f} MB, {length} and {max_side_px} px a side, with up to five people at a time. Sound is ignored. Few
analyses run at a time; further ones wait for their turn.

## For programs

The same analysis is offered to programs; *Use via API* at the foot of this page shows how. Send a random text of your
own as the header `x-telltale-visitor` to find your reports again.

## Licences

Telltale is free software under the Apache License 2.0. Weights have licences of their own, listed under *Detectors*. It
stands on Gradio, PyAV and FFmpeg, MediaPipe, PyTorch, OpenCV and Plotly.
"""


def about_tab(settings: Settings) -> None:
    words = {
        "meanings": "\n".join(f"| **{BANDS[label]}** | {meaning} |" for label, meaning in MEANINGS.items()),
        "number": NUMBER,
        "cannot": "\n".join(f"* {limit}" for limit in CANNOT),
    }
    limits = {"max_mb": settings.max_mb, "length": duration(settings.max_seconds), "max_side_px": settings.max_side_px}
    gr.Markdown(TEXT.format(**words, **limits), elem_classes="about")
