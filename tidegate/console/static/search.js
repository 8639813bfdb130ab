// @ts-check
import { follow, localTimes } from "./live.js";
import { copyButtons } from "./copy.js";
import { completed } from "./completion.js";

/** The parameters of this search. */
const parameters = new URLSearchParams(location.search);

/** Zoom: dragging over the histogram searches the time range. */
function zoom() {
  const card = document.querySelector('[data-block="histogram"]');
  /** @type {{from: number, area: SVGRectElement} | null} */
  let drag = null;
  /** @param {PointerEvent} event @param {SVGSVGElement} svg */
  const at = (event, svg) => {
    const box = svg.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  const chart = () => /** @type {SVGSVGElement | null} */ (document.querySelector("svg.histogram"));
  card?.addEventListener("pointerdown", (event) => {
    const svg = chart();
    if (!svg || !(event instanceof PointerEvent) || event.button || !(event.target instanceof Node) || !svg.contains(event.target)) return;
    const area = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    area.setAttribute("class", "area");
    area.setAttribute("height", "100");
    drag = { from: at(event, svg), area };
  });
  window.addEventListener("pointermove", (event) => {
    const svg = chart();
    if (!drag || !svg) return;
    const width = svg.viewBox.baseVal.width, to = at(event, svg);
    if (!drag.area.isConnected) svg.append(drag.area);
    drag.area.setAttribute("x", String(Math.min(drag.from, to) * width));
    drag.area.setAttribute("width", String(Math.abs(to - drag.from) * width));
  });
  window.addEventListener("pointerup", (event) => {
    const svg = chart(), from = drag?.from;
    drag?.area.remove();
    drag = null;
    if (!svg || from === undefined) return;
    const to = at(event, svg);
    if (Math.abs(to - from) < 0.01) return; // a click: the link of the bar
    event.preventDefault();
    svg.addEventListener("click", (click) => click.preventDefault(), { once: true, capture: true });
    const since = Date.parse(svg.dataset.since ?? ""), whole = Date.parse(svg.dataset.until ?? "") - since;
    parameters.set("since", new Date(since + Math.min(from, to) * whole).toISOString());
    parameters.set("until", new Date(since + Math.max(from, to) * whole).toISOString());
    for (const name of ["after", "live"]) parameters.delete(name);
    location.assign(`/search?${parameters}`);
  });
  card?.addEventListener("dragstart", (event) => event.preventDefault());
}

/** The drawer: a click on an event shows it beside the list; Esc closes it, and the focus returns. */
function drawer() {
  const dialog = document.getElementById("drawer");
  if (!(dialog instanceof HTMLDialogElement)) return;
  document.addEventListener("click", async (event) => {
    const link = event.target instanceof Element && event.target.closest("a.open");
    if (!(link instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const url = new URL(link.href);
    url.searchParams.set("part", "1");
    try {
      const answer = await fetch(url);
      const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
      dialog.replaceChildren(...parsed.body.childNodes);
    } catch {
      location.assign(link.href);
      return;
    }
    localTimes(dialog);
    copyButtons(dialog);
    if (!dialog.open) dialog.showModal();
    dialog.dataset.from = link.id;
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  // A live list replaces the element that had the focus.
  dialog.addEventListener("close", () => document.getElementById(dialog.dataset.from ?? "")?.focus());
}

zoom();
drawer();
completed(document.getElementById("q"), () => parameters.get("since") ?? "");
// A page that was loaded while the store was away has no list to update.
if (parameters.get("live")) follow(`/search/live?${parameters}`, () => document.getElementById("problem") && location.reload());
