// @ts-check
import { Charts } from "./chart.js";
import { follow, localTimes } from "./live.js";
import { copyButtons } from "./copy.js";
import { completed } from "./completion.js";

/** The parameters of this search. */
const parameters = new URLSearchParams(location.search);

/** The drawer: a click on an event shows it beside the list; Esc closes it, and the focus returns. */
function drawer() {
  const dialog = document.getElementById("drawer");
  if (!(dialog instanceof HTMLDialogElement)) return;
  document.addEventListener("click", async (event) => {
    const link = event.target instanceof Element && event.target.closest("a.open");
    if (!(link instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    try {
      const answer = await fetch(link.href);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const article = page.querySelector("article");
      if (!article) throw new Error("no event"); // its page says why
      dialog.lastElementChild?.replaceChildren(article);
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

drawer();
completed(document.getElementById("q"), parameters);
const charts = new Charts(document);
const lines = document.getElementById("histogram")?.dataset.lines;
if (lines) charts.show(JSON.parse(lines));
if (parameters.get("live")) {
  follow(`/search/live?${parameters}`, (update) => {
    // A page that was loaded while the store was away has no list to update.
    if (document.getElementById("problem") && !Object.keys(update.problems).length) location.reload();
    if (update.chart) charts.show(update.chart);
  });
}
