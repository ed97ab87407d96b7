"""Makes the README's picture of the page: `python docs/screenshot.py`, with Chromium on the path.

It starts the app on an empty folder, analyses the example clip as a visitor would, and photographs what they see.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "screenshot.png"
WIDTH_PX, HEIGHT_PX = 1180, 1400
MOMENT_S = 6.6
"""Just after the face began to be blended."""


def main() -> None:
    """Writes the picture."""
    with tempfile.TemporaryDirectory() as data, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        own = {"TELLTALE_DATA": data, "GRADIO_SERVER_PORT": port}
        app = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=os.environ | own, stderr=subprocess.PIPE, text=True
        )
        try:
            assert app.stderr
            address = next(line.split()[-1] for line in app.stderr if "Telltale is at" in line)
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": WIDTH_PX, "height": HEIGHT_PX})
                page.goto(address)
                _analyze_example(page)
                end = page.locator(".people").bounding_box()
                assert end
                shown = {"x": 0, "y": 0, "width": WIDTH_PX, "height": end["y"] + end["height"] + 8}
                page.screenshot(path=TARGET, full_page=True, clip=shown)
        finally:
            app.terminate()
            app.communicate()


def _analyze_example(page: Page) -> None:
    page.click("#example")
    page.wait_for_function("() => document.querySelector('#clip video')?.src.startsWith('blob:')")
    page.click("#start")
    page.wait_for_selector("#analyze-timeline .js-plotly-plot", timeout=120_000)
    page.evaluate(f"() => {{ document.querySelector('#clip video').currentTime = {MOMENT_S}; }}")
    page.wait_for_timeout(1500)


if __name__ == "__main__":
    main()
