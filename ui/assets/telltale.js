// What the page does by itself: it keeps a copy of the chosen clip, because the server deletes its own, and ties the
// player to the chart. Listeners sit on the document, so they outlive whatever Gradio draws anew.
window.telltale = (() => {
  const copies = new Map(); // server path -> the file, as a promise of a Blob

  const player = () => document.querySelector("#clip video");
  const charts = () => document.querySelectorAll(".timeline .js-plotly-plot");

  // Fetches the clip once it is uploaded and lets the player show that copy.
  function keep(file) {
    const clip = file && (file.video || file);
    if (!clip || !clip.path || copies.has(clip.path)) return;
    copies.clear();
    const copy = fetch(clip.url).then((reply) => (reply.ok ? reply.blob() : Promise.reject(reply.status)));
    copies.set(clip.path, copy);
    copy.then((blob) => show(URL.createObjectURL(blob), 50)).catch(() => copies.delete(clip.path));
  }

  function show(address, patience) {
    const video = player();
    if (video) video.src = address;
    else if (patience) setTimeout(show, 100, address, patience - 1);
  }

  // The inputs of an analysis, the clip uploaded once more where the server has deleted it since.
  async function fresh(file, ...others) {
    const clip = file && (file.video || file);
    const copy = clip && (await copies.get(clip.path)?.catch(() => null));
    if (!copy || (await fetch(clip.url, { method: "HEAD" })).ok) return [file, ...others];
    const form = new FormData();
    form.append("files", copy, clip.orig_name || "video.mp4");
    const [path] = await (await fetch(new URL("gradio_api/upload", document.baseURI), { method: "POST", body: form })).json();
    copies.set(path, Promise.resolve(copy));
    return [{ ...clip, path, url: null }, ...others];
  }

  function addFrames(name, frames, patience = 50) {
    const chart = document.querySelector(`#${name}-landmarks .js-plotly-plot`);
    if (chart?._fullLayout && window.Plotly) window.Plotly.addFrames(chart, frames || []);
    else if (patience) setTimeout(addFrames, 100, name, frames, patience - 1);
  }

  // A click anywhere on the chart moves the player there; points and bars alone would be hard to hit.
  document.addEventListener("click", (event) => {
    const chart = event.target.closest?.(".timeline .js-plotly-plot");
    const video = player();
    if (!chart || !video || !chart._fullLayout || event.target.closest(".legend, .modebar")) return;
    const axis = chart._fullLayout.xaxis;
    const time = axis.p2d(event.clientX - chart.getBoundingClientRect().left - axis._offset);
    if (time >= axis.range[0] && time <= axis.range[1]) video.currentTime = time;
  }, true);

  for (const moved of ["timeupdate", "seeked"]) {
    document.addEventListener(moved, (event) => {
      if (event.target !== player()) return;
      const time = event.target.currentTime;
      for (const chart of charts()) {
        if (chart._fullLayout) window.Plotly.relayout(chart, { "shapes[0].x0": time, "shapes[0].x1": time });
      }
    }, true);
  }

  return { keep, fresh, addFrames };
})();
