// The moderators' desk by keyboard. A key presses the button that people see, so it can do nothing the page does not
// offer, and nothing at all while somebody types.
(() => {
  const KEPT = ["blurred", "greyed"];
  const root = document.documentElement;
  const $ = (which) => document.querySelector(which);
  const seen = (element) => (element?.checkVisibility() && !element.disabled ? element : null);
  const press = (...which) => which.map($).find(seen)?.click();

  function remember(look, on) {
    root.classList.toggle(look, on);
    localStorage.setItem(`telltale-${look}`, on ? "on" : "");
    mark();
  }
  for (const look of KEPT) root.classList.toggle(look, localStorage.getItem(`telltale-${look}`) === "on");

  // Buttons are drawn some time after the page, and anew whenever Gradio sees fit.
  function mark() {
    for (const button of document.querySelectorAll("[data-look]")) {
      const on = String(root.classList.contains(button.dataset.look));
      if (button.getAttribute("aria-pressed") !== on) button.setAttribute("aria-pressed", on);
    }
  }
  new MutationObserver(mark).observe(root, { childList: true, subtree: true });

  const rows = () => [...document.querySelectorAll("#queue-rows button[data-report]")].filter(seen);
  function step(by) {
    const all = rows();
    const at = all.indexOf(document.activeElement);
    const to = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)];
    to?.focus();
    to?.closest("tr")?.scrollIntoView({ block: "nearest" });
  }

  function choose(position) {
    const radios = ["#case-opinion", "#case-decision"].map($).find(seen)?.querySelectorAll("input");
    radios?.[position - 1]?.click();
  }

  function write(which) {
    const field = seen($(`${which} :is(input, textarea)`));
    field?.focus();
    return field;
  }

  function play() {
    const video = [...document.querySelectorAll("video")].find(seen);
    if (video) video.paused ? video.play() : video.pause();
    return video;
  }

  const help = () => ($("#keys").open ? $("#keys").close() : $("#keys").showModal());

  const IN_LIST = {
    j: () => step(1),
    k: () => step(-1),
    n: () => press("#queue-take"),
    "[": () => press("#queue-back"),
    "]": () => press("#queue-forth"),
    "/": () => write("#queue-text"),
  };
  const IN_CASE = {
    c: () => press("#case-claim", "#case-release"),
    1: () => choose(1),
    2: () => choose(2),
    3: () => choose(3),
    4: () => choose(4),
    o: () => press("#case-commit"),
    p: () => write("#case-policy"),
    t: () => write("#case-note"),
    s: () => seen($("#case-second input"))?.click(),
    d: () => press("#case-decide"),
    e: () => press("#case-escalate"),
    a: () => press("#case-appeal"),
    n: () => press("#case-next"),
    Escape: () => press("#case-back"),
  };
  const EVERYWHERE = {
    b: () => remember("blurred", !root.classList.contains("blurred")),
    g: () => remember("greyed", !root.classList.contains("greyed")),
    "?": help,
  };
  const TYPED = "textarea, select, [contenteditable], input:not([type=radio], [type=checkbox], [type=range])";

  function answer(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest?.(TYPED)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if ($("#keys")?.open && event.key !== "?") return;
    const inCase = seen($("#case"));
    if (!inCase && !seen($("#queue"))) return;
    if (event.key === " " && event.target.closest?.("button:not([role=tab]), summary, a, input")) return;
    const keys = { ...(inCase ? IN_CASE : IN_LIST), ...EVERYWHERE, " ": play };
    if (!Object.hasOwn(keys, event.key)) return;
    if (event.key !== " " || play()) event.preventDefault();
    if (event.key !== " ") keys[event.key]();
  }

  function click(event) {
    const { look } = event.target.closest?.("[data-look]")?.dataset ?? {};
    if (look) remember(look, !root.classList.contains(look));
    if (event.target.closest?.("[data-keys]")) help();
  }

  document.addEventListener("keydown", answer);
  document.addEventListener("click", click);
})();
