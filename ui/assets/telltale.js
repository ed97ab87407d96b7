// What the page does by itself: it keeps a copy of every chosen file, because the server deletes its own, and it ties
// the player to the chart. Listeners sit on the document, so they outlive whatever Gradio draws anew.
window.telltale = (() => {
  const copies = new Map(); // path on the server -> promise of a Blob
  const spent = new Set(); // paths that were analysed, so the server has deleted them
  let shown = null; // path of the clip in the player
  let played = ""; // address of its copy in the browser
  let analysed = null; // path of the clip the chart is about
  let sent = [null, []]; // the clip and the genuine ones of the analysis that was started last

  const address = (path) => new URL(path, document.baseURI).href;
  const player = () => document.querySelector("#clip video");
  const linked = () => (shown && shown === analysed ? player() : null);

  // Fetches a file that was uploaded, while the server still has it.
  function keep(files) {
    for (const file of [files].flat()) {
      if (!file?.path || copies.has(file.path)) continue;
      const copy = fetch(file.url).then((reply) => (reply.ok ? reply.blob() : Promise.reject(reply.status)));
      copies.set(file.path, copy.catch(() => null));
    }
  }

  // The same for the clip, which the player then shows from this copy.
  async function watch(file) {
    if (shown && file?.path === shown) return;
    copies.delete(shown);
    URL.revokeObjectURL(played);
    shown = file?.path ?? null;
    keep(file ?? []);
    const blob = await copies.get(shown);
    if (!blob) return;
    for (let patience = 50; !player() && patience; patience--) await new Promise((done) => setTimeout(done, 100));
    played = URL.createObjectURL(blob);
    if (player()) player().src = played;
  }

  // The inputs of an analysis; a file the server has deleted since is uploaded once more.
  async function fresh(...inputs) {
    analysed = shown;
    const [clip, genuine, ...settings] = inputs;
    sent = [await revive(clip), await Promise.all((genuine ?? []).map(revive))];
    return [...sent, ...settings];
  }

  async function revive(file) {
    const copy = await copies.get(file?.path);
    if (!copy) return file;
    const lives = !spent.has(file.path) && (await fetch(file.url, { method: "HEAD" })).ok;
    spent.add(file.path);
    return lives ? file : send(copy, file.orig_name || "video.mp4").catch(() => file);
  }

  async function send(blob, name) {
    const form = new FormData();
    form.append("files", blob, name);
    const reply = await fetch(address("gradio_api/upload"), { method: "POST", body: form });
    const [path] = await reply.json();
    return { path, url: address(`gradio_api/file=${path}`), orig_name: name, meta: { _type: "gradio.FileData" } };
  }

  // A clip of ours, uploaded as if it had been chosen.
  async function upload(path) {
    return send(await (await fetch(address(path))).blob(), path.split("/").pop());
  }

  // A figure is drawn some time after its data arrived.
  function addFrames(name, frames, patience = 50) {
    const chart = document.querySelector(`#${name}-landmarks .js-plotly-plot`);
    if (chart?._fullLayout && window.Plotly) window.Plotly.addFrames(chart, frames || []);
    else if (patience) setTimeout(addFrames, 100, name, frames, patience - 1);
  }

  // A report is shown, perhaps once more: what was weighed by hand is no longer meant.
  function settle(name, frames) {
    addFrames(name, frames);
    document.querySelector(`#${name}-weights .witnesses`)?.dispatchEvent(new Event("telltale-reset", { bubbles: true }));
    drawYours(name, []);
  }

  // The fused lines by the visitor's own weights; of whom there is none, the line is emptied.
  function drawYours(name, lines) {
    const chart = document.querySelector(`#${name}-timeline .js-plotly-plot`);
    for (const [i, trace] of (chart?.data ?? []).entries()) {
      if (trace.meta?.kind !== "yours") continue;
      const line = (lines ?? []).find((line) => line.person === trace.meta.person);
      const { name, x, y, hovertext } = line ?? { name: trace.name, x: [null], y: [null], hovertext: [""] };
      const change = { name, x: [x], y: [y], hovertext: [hovertext], showlegend: Boolean(line) };
      window.Plotly.restyle(chart, change, [i]);
    }
  }

  // A document that came in an answer becomes a file of the visitor's; the answer is not kept.
  function save(file) {
    if (file) {
      const content = Uint8Array.from(atob(file.content), (letter) => letter.charCodeAt(0));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([content], { type: file.kind }));
      link.download = file.name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    }
    return null;
  }

  // A row of the matrix, at a time if there is one: only its line stays in the chart, the player moves there, and the
  // frame nearest to it comes into view.
  function open(view, { person, method, region }, time) {
    const chart = view.querySelector("[id$='-timeline'] .js-plotly-plot");
    if (!chart?.data) return;
    const kept = ({ meta }) =>
      !meta || (meta.person === person && (meta.kind !== "line" || (meta.method === method && meta.region === region)));
    window.Plotly.restyle(chart, { visible: chart.data.map((trace) => kept(trace) || "legendonly") });
    const video = chart.closest("#analyze-timeline") && linked();
    if (video && time !== null) video.currentTime = time;
    const far = ({ dataset }) => Math.abs(dataset.time - (time ?? 0));
    const [frame] = [...view.querySelectorAll("[data-person][data-method][data-region][data-time]:not(button)")]
      .filter(({ dataset }) => +dataset.person === person && dataset.method === method && dataset.region === region)
      .sort((a, b) => far(a) - far(b));
    (frame ?? chart).scrollIntoView({ block: "center", behavior: "smooth" });
  }

  function openCell(event) {
    const matrix = event.target.closest?.(".report [id$='-matrix'] .js-plotly-plot");
    if (!matrix?._fullLayout) return;
    const { xaxis2, yaxis } = matrix._fullLayout;
    const box = matrix.getBoundingClientRect();
    const row = matrix.layout.meta.rows[Math.round(yaxis.p2d(event.clientY - box.top - yaxis._offset))];
    const time = xaxis2.p2d(event.clientX - box.left - xaxis2._offset);
    if (row) open(matrix.closest(".report"), row, xaxis2.range[0] <= time && time <= xaxis2.range[1] ? time : null);
  }

  // The same for the keyboard.
  function openFinding(event) {
    const button = event.target.closest?.(".report button[data-open]");
    if (!button) return;
    const { person, method, region, time } = button.dataset;
    open(button.closest(".report"), { person: +person, method, region }, +time);
  }

  // A click anywhere on the chart moves the player there; points and bars alone would be hard to hit.
  function seek(event) {
    const chart = event.target.closest?.("#analyze-timeline .js-plotly-plot");
    const video = linked();
    if (!video || !chart?._fullLayout || event.target.closest(".legend, .modebar")) return;
    const axis = chart._fullLayout.xaxis;
    const time = axis.p2d(event.clientX - chart.getBoundingClientRect().left - axis._offset);
    if (time < axis.range[0] || time > axis.range[1]) return;
    video.currentTime = time;
    video.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  function moveCursor(event) {
    const chart = document.querySelector("#analyze-timeline .js-plotly-plot");
    if (event.target !== linked() || !chart?._fullLayout) return;
    const cursor = `shapes[${chart.layout.shapes.findIndex((shape) => shape.name === "cursor")}]`;
    const time = event.target.currentTime;
    window.Plotly.relayout(chart, { [`${cursor}.x0`]: time, [`${cursor}.x1`]: time });
  }

  // A file that a browser cannot play may be one that can be analysed: the style sheet says so, rather than an alarm.
  function playable(event) {
    if (event.target !== player()) return;
    event.target.closest("#clip").classList.toggle("unplayable", event.type === "error");
    if (event.type === "error") event.stopImmediatePropagation();
  }

  // A session has ended: Gradio would say nothing, the log-in page does.
  const ask = window.fetch;
  window.fetch = async (...request) => {
    const reply = await ask(...request);
    if (reply.status === 401) location.reload();
    return reply;
  };

  document.addEventListener("click", seek, true);
  document.addEventListener("click", openCell, true);
  document.addEventListener("click", openFinding, true);
  document.addEventListener("timeupdate", moveCursor, true);
  document.addEventListener("seeked", moveCursor, true);
  document.addEventListener("error", playable, true);
  document.addEventListener("loadeddata", playable, true);
  return { keep, watch, fresh, sent: () => sent, upload, addFrames, settle, drawYours, save };
})();
