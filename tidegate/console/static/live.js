// @ts-check
/** Live pages: follows a stream of the console, replaces what changed, and says when a source is away. */

/**
 * What the console sends: the page as it is now, and the sources that do not answer.
 * @typedef {{page?: string, problems: Record<string, string>} & Record<string, any>} Update
 */

/** @param {Record<string, string>} problems what is wrong, by the name of a source */
export function banner(problems) {
  const element = document.getElementById("banner");
  if (!element) return;
  const text = Object.entries(problems).map(([source, text]) => `${source}: ${text}`).join("\n");
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

/**
 * Replace the elements `[data-block=NAME]` whose HTML changed; the focus stays on the element with the same id,
 * and what a person opened stays open.
 * @param {string} page
 */
function replace(page) {
  const parsed = new DOMParser().parseFromString(page, "text/html");
  for (const element of document.querySelectorAll("[data-block]")) {
    if (!(element instanceof HTMLElement)) continue;
    const html = parsed.querySelector(`[data-block="${element.dataset.block}"]`)?.innerHTML;
    // As the page came: what a person has written in it meanwhile stays.
    if (html === undefined || element.dataset.html === html || element.innerHTML === html) continue;
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

/** Connections for the streams of all tabs together: a browser has six to a host, and pages need some. */
const STREAMS = 4;
const TURN_MILLISECONDS = 2000;
/** Longer than the interval of each page: the console hangs, or the network between lost the connection. */
const SILENT_MILLISECONDS = 45_000;
/** Of this machine, or with TLS; elsewhere each tab has a connection of its own. */
const locks = /** @type {LockManager | undefined} */ (navigator.locks);

/** The connection for which the fewest tabs wait. */
async function leastUsed() {
  const { held = [], pending = [] } = (await locks?.query()) ?? {};
  const tabs = new Array(STREAMS).fill(0);
  for (const { name } of [...held, ...pending]) tabs[Number(name?.slice("stream ".length))] += 1;
  return `stream ${tabs.indexOf(Math.min(...tabs))}`;
}

/**
 * Follow a stream while a person sees the page. If more tabs follow one than there are connections, they take
 * turns. It connects again by itself; the banner tells while it cannot.
 * @param {string} url
 * @param {(update: Update) => void} [show] called with each update that has what the page shows
 */
export function follow(url, show) {
  let visit = new AbortController();
  /** @param {MessageEvent} event */
  const receive = (event) => {
    const update = /** @type {Update} */ (JSON.parse(event.data));
    banner(update.problems);
    if (!update.page) return;
    replace(update.page);
    show?.(update);
  };
  /**
   * Follow it until nobody sees the page, the connection fails, or another tab waits for this one.
   * @param {AbortSignal} signal
   * @param {string} name of the connection
   * @returns {Promise<void>}
   */
  const turn = (signal, name) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const source = new EventSource(url);
      let received = false;
      let heard = Date.now();
      const lost = () => banner({ Console: "it does not answer; this page shows what it knew last and connects again by itself" });
      const end = () => (source.close(), clearInterval(timer), resolve());
      const timer = setInterval(async () => {
        const waiting = (await locks?.query())?.pending?.some((one) => one.name === name);
        const silent = Date.now() - heard > SILENT_MILLISECONDS;
        if (silent) lost();
        if (silent || source.readyState === EventSource.CLOSED || (received && waiting)) end();
      }, TURN_MILLISECONDS);
      source.onmessage = (event) => (receive(event), (received = true), (heard = Date.now()));
      source.onerror = () => ((received = true), lost()); // no turn is longer for it
      signal.addEventListener("abort", end);
    });
  const connect = async () => {
    visit.abort();
    const { signal } = (visit = new AbortController());
    while (!document.hidden && !signal.aborted) {
      const name = await leastUsed();
      if (locks) await locks.request(name, { signal }, () => turn(signal, name)).catch(() => {}); // aborted
      else await turn(signal, name);
    }
  };
  document.addEventListener("visibilitychange", connect);
  connect();
}

localTimes(document);
