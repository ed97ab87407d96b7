"""The page in a browser, on the real app, as a person meets it."""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests import clips
from tests.conftest import ROOT, Server, running

playwright = pytest.importorskip("playwright.sync_api")
Page, expect = playwright.Page, playwright.expect

pytestmark = pytest.mark.browser

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PATIENCE_MS = 60_000

PLAYED_TO = "() => document.querySelector('#clip video').currentTime"
CURSOR_AT = """() => document.querySelector('#analyze-timeline .js-plotly-plot').layout.shapes
    .find((shape) => shape.name === 'cursor').x0"""
DRAWN = """(name = 'analyze') => (document.querySelector(`#${name}-timeline .js-plotly-plot`)?.data ?? [])
    .filter(({ meta, visible, x }) => meta && visible !== 'legendonly' && x.some((time) => time !== null))
    .map(({ meta }) => [meta.kind.replace('line', meta.method), meta.region].join(' ').trim()).join(' ')"""
"""The lines that are seen in the chart: fused, yours, or a method and its region."""
FRAMES = "(name) => document.querySelector(`#${name}-landmarks .js-plotly-plot`)?._transitionData?._frames?.length ?? 0"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        # Chromium keeps no sandbox for root, which is what containers run as; and for a page that is said to be from
        # the internet it would ask a person before it shows one of this machine.
        more = ["--no-sandbox", "--disable-features=LocalNetworkAccessChecks"]
        yield driver.chromium.launch(executable_path=chromium, args=more)


@pytest.fixture
def visit(browser: playwright.Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Opens the page as a new visitor; in the end, nothing may have been asked of any other host, or gone wrong."""
    asked: list[str] = []
    wrong: list[str] = []

    def open_page(**look: object) -> Page:
        page = browser.new_context(**({"viewport": DESK} | look)).new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
        page.goto(server.url)
        page.wait_for_selector("#clip input[type=file]", state="attached")
        return page

    open_page.wrong = wrong
    yield open_page
    for context in browser.contexts:
        context.close()
    assert asked
    assert not [url for url in asked if not url.startswith((server.url, "data:", "blob:"))]
    assert not wrong


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.good(tmp_path_factory.mktemp("browser") / "clip.mp4", 110)


@pytest.fixture(scope="module")
def glimpse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face, but not for long enough to be scored: for what does not need the scores."""
    return clips.good(tmp_path_factory.mktemp("browser") / "clip.mp4", 30)


def choose(page: Page, clip: Path) -> None:
    """Uploads a clip for LRNet alone, and waits until the player shows the browser's own copy."""
    page.get_by_role("checkbox", name=re.compile("Texture")).uncheck()
    page.set_input_files("#clip input[type=file]", clip)
    page.wait_for_function("() => document.querySelector('#clip video')?.src.startsWith('blob:')")


def analyze(page: Page) -> None:
    page.click("#start")
    expect(page.locator("#analyze-timeline .js-plotly-plot")).to_be_visible(timeout=PATIENCE_MS)


def test_a_clip_goes_in_and_a_verdict_comes_out_tied_to_the_player(visit, server, clip):
    page = visit()
    choose(page, clip)
    expect(page.locator("#estimate")).to_contain_text("for one person in view")
    analyze(page)
    expect(page.locator(".banner h2")).to_have_text(re.compile("signs|Inconclusive|Could not assess"))
    expect(page.locator(".person h3")).to_have_text(["Person 1"])
    assert not list((server.data / "uploads").rglob("*.mp4"))

    chart = page.locator("#analyze-timeline .js-plotly-plot .nsewdrag").first
    box = chart.bounding_box()
    chart.click(position={"x": box["width"] / 2, "y": box["height"] / 3})
    middle_s = 110 / 25 / 2
    page.wait_for_function(f"() => Math.abs(({PLAYED_TO})() - {middle_s}) < 0.3")
    page.wait_for_function(f"() => Math.abs(({CURSOR_AT})() - {middle_s}) < 0.3")
    page.evaluate("() => document.querySelector('#clip video').play()")
    page.wait_for_function(f"() => ({CURSOR_AT})() > {middle_s} + 0.5")

    page.wait_for_function(f"() => ({FRAMES})('analyze') > 50")
    moved = "() => document.querySelector('#analyze-landmarks .scatterlayer path.js-line').getAttribute('d')"
    before = page.evaluate(moved)
    page.locator("#analyze-landmarks .updatemenu-button", has_text="Play").click()
    page.wait_for_function(f"(before) => ({moved})() !== before", arg=before)


CENTRED = """(which) => [...document.querySelectorAll(which)].some((one) => {
  const { top, height } = one.getBoundingClientRect();
  return height > 0 && Math.abs(top + height / 2 - innerHeight / 2) < 40;
})"""
"""Whether a piece of the page was brought into the middle of the window."""


def test_weighing_the_methods_changes_the_preview_and_a_cell_of_the_matrix_opens_its_line(visit, clip):
    page = visit()
    choose(page, clip)
    analyze(page)
    recorded = page.locator(".banner").inner_text()
    page.get_by_role("button", name="Weigh the methods yourself").click()
    switch = page.get_by_role("checkbox", name="lrnet · entire")
    switch.focus()
    page.keyboard.press("Space")
    expect(page.locator(".preview")).to_contain_text("Could not assess")
    page.keyboard.press("Space")
    expect(page.locator(".preview")).to_have_count(0)
    page.get_by_role("slider").and_(page.locator("#analyze-weights *")).press("ArrowRight")
    expect(page.locator(".preview")).to_contain_text("Your weighting")
    page.wait_for_function(f"() => ({DRAWN})().includes('yours')")
    page.get_by_role("button", name="Reset").click()
    expect(page.locator(".preview")).to_have_count(0)
    page.wait_for_function(f"() => !({DRAWN})().includes('yours')")
    assert page.locator(".banner").inner_text() == recorded

    time = page.locator("#analyze-matrix .nsewdrag").nth(1)
    box = time.bounding_box()
    time.click(position={"x": box["width"] / 2, "y": box["height"] / 4})
    page.wait_for_function(f"() => ({DRAWN})() === 'fused'")
    page.wait_for_function(f"() => Math.abs(({PLAYED_TO})() - {110 / 25 / 2}) < 0.3")
    time.click(position={"x": box["width"] / 2, "y": box["height"] * 3 / 4})
    page.wait_for_function(f"() => ({DRAWN})() === 'fused lrnet entire'")

    page.get_by_role("tab", name="History").click()
    page.get_by_role("button", name="Open the report on clip.mp4").first.click()
    page.wait_for_function(f"() => ({DRAWN})('history') === 'fused lrnet entire'")
    page.locator("#history-matrix .nsewdrag").first.click(position={"x": 5, "y": 5})
    page.wait_for_function(f"() => ({DRAWN})('history') === 'fused'")
    page.get_by_role("button", name="Show the highest score of lrnet").press("Enter")
    page.wait_for_function(f"() => ({DRAWN})('history') === 'fused lrnet entire'")
    page.wait_for_function(CENTRED, arg=".exhibit[data-method=lrnet]")


def test_a_script_that_somebody_slips_in_does_not_run(visit):
    page = visit()
    blocked = page.evaluate(SLIP_IN)
    assert blocked == ["script-src-attr", "script-src-elem"]
    assert page.evaluate("() => window.ran") is None
    page.wait_for_timeout(100)
    visit.wrong[:] = [line for line in visit.wrong if "Content Security Policy" not in line]


def test_the_page_of_a_space_shows_the_app_in_its_frame_and_nobody_else_can(browser, server, glimpse, tmp_path):
    with running(tmp_path, SPACE_ID="someone/telltale") as space:
        frame = framed(browser, "https://huggingface.co", space)
        frame.set_input_files("#clip input[type=file]", glimpse)
        frame.wait_for_function("() => document.querySelector('#clip video')?.src.startsWith('blob:')")
        (cookie,) = frame.page.context.cookies()
        assert (cookie["httpOnly"], cookie["partitionKey"]) == (True, "https://huggingface.co")
        for site, app in (("https://evil.example", space), ("https://huggingface.co", server)):
            with pytest.raises(playwright.TimeoutError):
                framed(browser, site, app, patience_ms=3000)


def framed(browser: playwright.Browser, site: str, app: Server, patience_ms: int = PATIENCE_MS) -> playwright.Frame:
    """The app within a page of another site, once it is drawn."""
    page = browser.new_context().new_page()
    body = f'<iframe src="{app.url}" width="1200" height="900"></iframe>'
    page.route(f"{site}/**", lambda route: route.fulfill(content_type="text/html", body=body))
    page.goto(f"{site}/spaces")
    frame = page.frames[-1]
    frame.wait_for_selector("#clip input[type=file]", state="attached", timeout=patience_ms)
    return frame


SLIP_IN = """() => new Promise((done) => {
  const blocked = [];
  document.addEventListener("securitypolicyviolation", ({ effectiveDirective }) => {
    blocked.push(effectiveDirective);
    if (blocked.length === 2) done(blocked.sort());
  });
  const place = document.body.appendChild(document.createElement("div"));
  place.innerHTML = `<img src="data:," onerror="window.ran = 1">`;
  const script = document.createElement("script");
  script.textContent = "window.ran = 2";
  place.append(script);
})"""


def test_each_person_has_a_card_and_can_be_chosen_for_the_animation(visit, tmp_path):
    page = visit()
    choose(page, clips.two_people(tmp_path / "two.mp4"))
    analyze(page)
    expect(page.locator(".person h3")).to_have_text(["Person 1", "Person 2"])
    page.wait_for_function(f"() => ({FRAMES})('analyze') > 20")
    face = page.locator("#analyze-landmarks .scatterlayer path.js-line").first
    before = face.get_attribute("d")
    page.get_by_role("radio", name="Person 2").check()
    expect(face).not_to_have_attribute("d", before)
    page.wait_for_function(f"() => ({FRAMES})('analyze') > 20")


def test_the_report_can_be_taken_along_and_opens_offline(visit, server, glimpse, tmp_path):
    page = visit()
    choose(page, glimpse)
    analyze(page)
    for kind, start in (("json", b"{"), ("html", b"<!doctype html>"), ("pdf", b"%PDF")):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download: {kind.upper()}").click()
        assert download.value.suggested_filename.endswith(f".{kind}")
        download.value.save_as(tmp_path / f"report.{kind}")
        assert (tmp_path / f"report.{kind}").read_bytes().startswith(start)
    alone = page.context.browser.new_context(offline=True).new_page()
    wrong: list[str] = []
    alone.on("console", lambda line: wrong.append(line.text))
    alone.goto((tmp_path / "report.html").as_uri())
    expect(alone.locator(".headline")).to_be_visible()
    assert alone.locator("article img").evaluate("image => image.naturalWidth") > 0
    assert not wrong
    assert not [file for file in (server.data / "uploads").rglob("*") if file.is_file()]


def test_a_clip_can_be_analysed_again_after_the_server_has_deleted_it(visit, server, glimpse):
    page = visit()
    choose(page, glimpse)
    analyze(page)
    assert not list((server.data / "uploads").rglob("*.mp4"))
    page.get_by_text("More settings").click()
    page.get_by_label("Fast", exact=True).check()
    analyze(page)
    expect(page.locator(".banner .note")).to_have_count(0)
    page.get_by_label("Standard", exact=True).check()
    analyze(page)
    expect(page.locator(".banner .note")).to_contain_text("analysed before")
    assert not list((server.data / "uploads").rglob("*.mp4"))


def test_the_history_opens_a_report_again_and_deletes_it(visit, glimpse):
    page = visit()
    choose(page, glimpse)
    analyze(page)
    page.get_by_role("tab", name="History").click()
    page.get_by_role("button", name="Open the report on clip.mp4").click()
    expect(page.locator("#history-timeline .js-plotly-plot")).to_be_visible()
    expect(page.locator(".banner .note:visible")).to_contain_text("From your history")
    page.wait_for_function(f"() => ({FRAMES})('history') > 20")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete the report on clip.mp4").click()
    expect(page.locator("#reports")).to_contain_text("No reports yet")
    expect(page.locator("#history-timeline")).to_be_hidden()


def test_reports_stay_with_the_browser_and_strangers_see_none(visit, glimpse):
    page = visit()
    choose(page, glimpse)
    analyze(page)
    page.reload()
    page.get_by_role("tab", name="History").click()
    expect(page.locator("#reports")).to_contain_text("clip.mp4")
    stranger = visit()
    stranger.get_by_role("tab", name="History").click()
    expect(stranger.locator("#reports")).to_contain_text("No reports yet")


def test_cancel_says_so_and_frees_the_page(visit, server, tmp_path):
    page = visit()
    choose(page, clips.good(tmp_path / "long.mp4", 1500))
    page.click("#start")
    expect(page.locator("#status")).to_contain_text("Following faces", timeout=PATIENCE_MS)
    page.click("#cancel")
    expect(page.locator("#status")).to_contain_text("Stopped")
    expect(page.locator("#start")).to_be_enabled()
    page.wait_for_timeout(1000)
    expect(page.locator("#status")).to_contain_text("Stopped")
    assert not list((server.data / "uploads").rglob("*.mp4"))


@pytest.mark.parametrize(("make", "sentence"), [(clips.text, "not a video"), (clips.one_frame, "a single picture")])
def test_a_refusal_stays_on_the_page_as_one_sentence(visit, tmp_path, make, sentence):
    page = visit()
    page.set_input_files("#clip input[type=file]", make(tmp_path / "clip.mp4"))
    page.wait_for_function("() => document.querySelector('#clip video')?.src.startsWith('blob:')")
    page.click("#start")
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    expect(page.locator("#start")).to_be_enabled()


def test_a_file_the_browser_cannot_play_is_analysed_without_alarm(visit, tmp_path):
    page = visit()
    page.set_input_files("#clip input[type=file]", clips.no_frame_rate(tmp_path / "clip.avi"))
    expect(page.locator("#clip.unplayable")).to_be_visible()
    analyze(page)
    expect(page.locator(".toast-body")).to_have_count(0)


def test_start_without_a_clip_asks_for_one(visit):
    page = visit()
    for _ in range(2):
        page.click("#start")
        expect(page.get_by_role("alert")).to_contain_text("Choose a video first")


def test_the_example_is_one_click_away(visit):
    page = visit()
    page.click("#example")
    page.wait_for_function("() => document.querySelector('#clip video')?.src.startsWith('blob:')")
    analyze(page)
    expect(page.locator(".banner")).to_contain_text("example.mp4")
    assert (ROOT / "ui" / "assets" / "example.mp4").is_file()


def test_a_german_browser_is_spoken_to_in_german_in_what_is_laid_out_and_in_every_answer(visit, clip):
    page = visit(locale="de-AT")
    page.click("#start")
    expect(page.get_by_role("alert")).to_have_text("Kein Bericht. Wählen Sie zuerst ein Video aus.")
    choose(page, clip)
    expect(page.locator("#estimate")).to_contain_text("für eine Person im Bild")
    page.get_by_text("Weitere Einstellungen").click()
    page.get_by_label("Schnell", exact=True).check()
    expect(page.get_by_label("entire")).to_have_count(0)
    page.click("#start")
    expect(page.locator("#status")).to_contain_text("Gesichter werden verfolgt", timeout=PATIENCE_MS)
    expect(page.locator("#analyze-timeline .js-plotly-plot")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator(".banner")).to_contain_text(
        re.compile(r"P\(manipuliert\) 0\.\d\d · 90-%-Intervall 0\.\d\d bis")
    )
    expect(page.locator(".banner h2")).to_have_text(re.compile("Hinweise|Nicht eindeutig"))
    for words in ("Zeit im Video", "zusammengefasst", "Insgesamt", "Roh, wie gefunden", "Wärme zeigen", "Befunde"):
        expect(page.locator(".report:visible")).to_contain_text(words)
    page.get_by_role("tab", name="Verlauf").click()
    expect(page.get_by_role("button", name="Bericht zu clip.mp4 öffnen")).to_be_visible()
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.get_by_role("button", name="Bericht zu clip.mp4 löschen").click()
    assert asked == ["Diesen Bericht löschen? Er lässt sich nicht wiederherstellen."]
    page.get_by_label("Urteil").click()
    expect(page.get_by_role("option", name="Nicht eindeutig")).to_be_visible()
    page.get_by_role("tab", name="Detektoren").click()
    expect(page.locator(".card").first).to_contain_text("Trainiert mit")
    page.get_by_role("tab", name="Über Telltale").click()
    expect(page.locator(".about.prose")).to_contain_text("Was die Antworten bedeuten")


def test_a_browser_whose_language_is_not_there_is_spoken_to_in_english(visit):
    page = visit(locale="fr-FR")
    page.click("#start")
    expect(page.get_by_role("alert")).to_have_text("No report. Choose a video first.")
    page.get_by_role("tab", name="History").click()
    expect(page.locator("#reports")).to_contain_text("No reports yet")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone_and_text_can_be_read(visit, clip, scheme):
    page = visit(viewport=PHONE, color_scheme=scheme)
    choose(page, clip)
    analyze(page)
    for tab in ("Analyze", "History", "Detectors", "About"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(300)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
        assert not page.evaluate(TOO_FAINT), f"{tab}, {scheme}"


def test_the_whole_path_can_be_walked_with_the_keyboard(visit, clip):
    page = visit()
    choose(page, clip)
    reached = []
    page.get_by_role("tab", name="Analyze").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.id || document.activeElement.type"))
        outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", reached
        if reached[-1] == "start":
            break
    assert "checkbox" in reached
    page.keyboard.press("Enter")
    expect(page.locator(".banner h2")).to_be_visible(timeout=PATIENCE_MS)
    levels = page.evaluate(HEADINGS)
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


HEADINGS = """() => [...document.querySelectorAll("h1, h2, h3, h4")]
    .filter((heading) => heading.checkVisibility()).map((heading) => +heading.tagName[1])"""

TOO_FAINT = """() => {
  const numbers = (colour) => (colour.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const light = (colour) => numbers(colour).slice(0, 3)
    .map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if ((numbers(colour)[3] ?? 1) > 0.9) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll(".prose :is(p, h1, h2, h3, h4, td, th, dd, dt, li), label span")]
    .filter((e) => e.checkVisibility() && e.innerText?.trim())
    .filter((e) => {
      const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
      return (a + 0.05) / (b + 0.05) < 4.5;
    })
    .map((e) => e.innerText.slice(0, 40));
}"""
"""The texts whose contrast is below 4.5:1 (WCAG 2.1, AA)."""
