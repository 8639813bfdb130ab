// @ts-check
/** Live pages: follows a stream of the console, replaces what changed, and says when a source is away. */

/**
 * What the console sends: the HTML of blocks by name, and the sources that do not answer.
 * @typedef {{blocks?: Record<string, string>, problems: {source: string, text: string}[]} & Record<string, any>} Update
 */

/** @param {{source: string, text: string}[]} problems */
export function banner(problems) {
  const element = document.getElementById("banner");
  if (!element) return;
  const text = problems.map((one) => `${one.source}: ${one.text}`).join("\n");
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

/**
 * Replace the elements `[data-block=NAME]` whose HTML changed; the focus stays on the element with the same id,
 * and what a person opened stays open.
 * @param {Record<string, string>} blocks
 */
function replace(blocks) {
  for (const [name, html] of Object.entries(blocks)) {
    const element = document.querySelector(`[data-block="${name}"]`);
    if (!(element instanceof HTMLElement) || element.dataset.html === html) continue;
    const focused = document.activeElement;
    const id = focused && element.contains(focused) ? focused.id : "";
    const open = [...element.querySelectorAll("details[open][id]")].map((one) => one.id);
    element.innerHTML = html;
    element.dataset.html = html;
    for (const one of open) document.getElementById(one)?.setAttribute("open", "");
    if (id) document.getElementById(id)?.focus();
    localTimes(element);
  }
}

/**
 * Show each `<time datetime>` in the time zone of the browser.
 * @param {ParentNode} root
 */
export function localTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(/** @type {HTMLTimeElement} */ (element).dateTime);
    if (Number.isNaN(at.getTime())) continue; // not a time: the text stays
    const today = at.toDateString() === new Date().toDateString();
    const precise = /\.\d/.test(/** @type {HTMLTimeElement} */ (element).dateTime);
    /** @type {Intl.DateTimeFormatOptions} */
    const options = { hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: precise ? 3 : undefined };
    const day = /** @type {const} */ ({ year: "numeric", month: "2-digit", day: "2-digit" });
    element.textContent = today ? at.toLocaleTimeString([], options) : at.toLocaleString([], { ...day, ...options });
    element.setAttribute("title", at.toISOString());
  }
}

/**
 * Follow a stream while a person sees the page: a browser has six connections to a host, for all tabs together.
 * It connects again by itself; the banner tells while it cannot.
 * @param {string} url
 * @param {(update: Update) => void} [show] called with each update that has what the page shows
 */
export function follow(url, show) {
  /** @type {EventSource | undefined} */
  let source;
  const connect = () => {
    source?.close();
    if (document.hidden) return;
    source = new EventSource(url);
    source.onmessage = (event) => {
      const update = /** @type {Update} */ (JSON.parse(event.data));
      banner(update.problems);
      if (!update.blocks) return;
      replace(update.blocks);
      show?.(update);
    };
    source.onerror = () => {
      banner([{ source: "Console", text: "it does not answer; this page shows what it knew last and connects again by itself" }]);
      if (source?.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
    };
  };
  document.addEventListener("visibilitychange", connect);
  connect();
}

localTimes(document);
