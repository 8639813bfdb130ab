// @ts-check
/** Charts with one time axis. Each is a `<figure data-chart>`, and has a table for those who cannot see it. */

/**
 * @typedef {{title: string, unit?: "s" | "%" | "B", steps?: boolean, bars?: boolean, marks?: boolean, points?: boolean, lead?: boolean, optional?: boolean, height?: number, series: [string, string][]}} Spec
 * @typedef {{at: number, up: boolean, label: string, text: string}} Mark
 * @typedef {{at: number, value: number, text: string, url: string}} Point
 * @typedef {{lines: {times: number[], values: Record<string, (number | null)[]>} | null, marks?: Mark[], points?: Point[], limit?: number | null}} Data
 *   `limit` is in seconds
 */

const SYNC = "page";
const TABLE_ROWS = 24;
/** Of the highest bar: one error among thousands of events is seen, too. */
const LOWEST_BAR = 0.02;
const COLORS = 4;
/** @type {any} */
const uPlot = /** @type {any} */ (globalThis).uPlot;

/** @param {string} name */
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * @param {number | null | undefined} value
 * @param {Spec["unit"]} unit
 */
export function text(value, unit) {
  if (value == null) return "–";
  if (unit === "%") return `${(value * 100).toFixed(value && value < 0.1 ? 2 : 1)} %`;
  if (unit === "s") return value < 1 ? `${(value * 1000).toFixed(0)} ms` : `${value.toFixed(2)} s`;
  if (unit === "B") return value < 1e6 ? `${(value / 1e3).toFixed(1)} kB` : value < 1e9 ? `${(value / 1e6).toFixed(0)} MB` : `${(value / 1e9).toFixed(2)} GB`;
  return Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 2 : 1);
}

/** @param {number} seconds */
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });

/** @param {number} seconds */
const moment = (seconds) => new Date(seconds * 1000).toLocaleString([], { hour12: false });

/**
 * A model and its version, which is a hash.
 * @param {string} name
 */
const shorter = (name) => name.replace(/[0-9a-f]{13,}/, (hash) => hash.slice(0, 12));

/**
 * The samples without a neighbour, which no line shows.
 * @param {any} plot
 * @param {number} index of the series
 */
function alone(plot, index) {
  const values = plot.data[index];
  return values.flatMap((/** @type {any} */ one, /** @type {number} */ at) => (one != null && values[at - 1] == null && values[at + 1] == null ? [at] : []));
}

class Chart {
  /** @param {HTMLElement} figure */
  constructor(figure) {
    this.figure = figure;
    /** @type {Spec} */
    this.spec = JSON.parse(figure.dataset.chart ?? "{}");
    this.plot = null;
    /** @type {Mark[]} */
    this.marks = [];
    /** @type {Point[]} */
    this.points = [];
    /** @type {number | null | undefined} */
    this.limit = null;
    this.series = this.spec.series;
    figure.innerHTML =
      '<figcaption></figcaption><div class="over"><div class="plot" aria-hidden="true"></div><div class="points" role="group"></div></div><div class="marks" role="group"></div><p class="sentence" aria-live="polite"></p>' +
      '<details><summary></summary><div class="scroll"></div></details>';
    this.part("figcaption").textContent = this.spec.title;
    this.part("summary").textContent = `Table: ${this.spec.title}`;
    this.part(".marks").setAttribute("aria-label", "Decisions on the time axis");
    this.part(".points").setAttribute("aria-label", "Slow requests, each leads to its trace");
    if (!this.spec.points) this.part(".points").remove();
    if (!this.spec.marks) this.part(".marks").remove(), this.part(".sentence").remove();
    this.part("details").addEventListener("toggle", () => this.table());
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(figure);
  }

  /** @param {string} selector */
  part(selector) {
    return /** @type {HTMLElement} */ (this.figure.querySelector(selector));
  }

  /** @param {number} seconds */
  time(seconds) {
    return this.spec.bars ? moment(seconds - this.step() / 2) : clock(seconds);
  }

  size() {
    return { width: Math.max(200, this.figure.clientWidth), height: this.spec.height ?? 190 };
  }

  /** @param {Data} data */
  show(data) {
    if (this.spec.bars) this.figure.hidden = !data.lines;
    if (!data.lines) return;
    const { times, values } = data.lines;
    this.marks = data.marks ?? [];
    this.points = (this.spec.points && data.points) || [];
    const before = [this.limit, this.series].join();
    this.limit = this.spec.unit === "s" ? data.limit : null;
    this.series = this.spec.series.flatMap(([key, label]) => {
      const keys = Object.keys(values).filter((one) => one.startsWith(`${key} `)).sort();
      return keys.length ? keys.map((one) => /** @type {[string, string]} */ ([one, keys.length > 1 || this.spec.optional || !label ? [label, shorter(one.slice(key.length + 1))].filter(Boolean).join(": ") : label])) : [/** @type {[string, string]} */ ([key, label])];
    });
    /** @type {(number | null)[][]} */
    this.data = [times, ...this.series.map(([key]) => values[key] ?? times.map(() => null))];
    if (this.spec.optional) this.figure.hidden = this.series.every(([key]) => !values[key]?.some((one) => one !== null));
    if (this.limit) this.data.push(times.map(() => this.limit ?? null));
    if (this.plot && before === [this.limit, this.series].join()) this.plot.setData(this.drawn());
    else this.draw();
    if (/** @type {HTMLDetailsElement} */ (this.part("details")).open) this.table();
  }

  /** The data as they are drawn. */
  drawn() {
    const [times, ...columns] = this.data ?? [];
    if (!this.spec.bars) return this.data;
    const least = LOWEST_BAR * Math.max(...columns.flat().map(Number));
    return [times, ...columns.map((column) => column.map((value) => value && Math.max(value, least)))];
  }

  /**
   * What the legend says of a series: the value where a person points, or now, or when the line has ended.
   * @param {any} plot
   * @param {number} index of the series
   */
  told(plot, index) {
    const column = this.data?.[index] ?? [], at = plot.cursor.idx ?? column.findLastIndex((one) => one != null);
    // The newest sample may be on its way.
    if (plot.cursor.idx == null && at >= 0 && at < column.length - 2) return `ended ${this.time(this.data?.[0][at] ?? 0)}`;
    return text(column[at], this.spec.unit);
  }

  /** Draw it anew, as after a change of the colours. */
  draw() {
    if (!this.data) return;
    this.plot?.destroy();
    const { unit, bars } = this.spec;
    const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1, size: 4 }, font: "11px system-ui", size: 30 };
    const series = this.series.map(([, label], index) => ({
      label,
      stroke: color(bars && index ? "--bad" : `--s${(index % COLORS) + 1}`),
      width: bars ? 0 : this.spec.lead ? (index ? 1 : 2.5) : 1.75,
      fill: bars ? color(index ? "--bad" : "--s1") : index === 0 && this.series.length < 3 ? `${color("--s1")}1f` : undefined,
      points: { show: !bars, size: 4, filter: alone },
      paths: bars ? uPlot.paths.bars({ size: [0.85] }) : this.spec.steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
      dash: this.spec.steps && !this.spec.lead && index === 0 ? [5, 3] : undefined,
      value: (/** @type {any} */ plot, /** @type {any} */ _, /** @type {number} */ at) => this.told(plot, at),
    }));
    if (this.limit) series.push(/** @type {any} */ ({ label: "objective", stroke: color("--bad"), width: 1, dash: [4, 4], points: { show: false }, value: () => text(this.limit, unit) }));
    this.plot = new uPlot(
      {
        ...this.size(),
        cursor: { sync: { key: SYNC }, drag: { x: bars === true, y: false, setScale: false }, points: { size: 6 } },
        legend: { live: true },
        scales: { x: bars ? { range: (/** @type {any} */ _, /** @type {number} */ low, /** @type {number} */ high) => [low - this.step() / 2, high + this.step() / 2] } : {}, y: { range: (/** @type {any} */ _, /** @type {number} */ low, /** @type {number} */ high) => [0, Math.max(Math.max(high ?? 0, ...this.points.map((one) => one.value)) * 1.08, unit === "%" ? 0.01 : unit === "s" ? 0.05 : 1)] } },
        axes: [{ ...axis, space: 70, values: this.times() }, { ...axis, size: 54, values: (/** @type {any} */ _, /** @type {number[]} */ ticks) => ticks.map((tick) => (this.spec.steps && !Number.isInteger(tick) ? "" : text(tick, unit))) }],
        series: [{ label: "time", value: (/** @type {any} */ _, /** @type {number} */ at) => this.time(at ?? this.data?.[0].at(-1) ?? 0) }, ...series],
        hooks: { draw: [(/** @type {any} */ plot) => this.lines(plot)], setSelect: [(/** @type {any} */ plot) => this.zoom(plot)] },
      },
      this.drawn(),
      this.part(".plot"),
    );
    if (bars) this.touch();
    this.plot.over.addEventListener(bars ? "click" : "dblclick", () => this.plot.select.width || location.assign(this.requests(this.plot.cursor.idx ?? 0)));
  }

  /** Seconds between two times. */
  step() {
    const [first, second] = this.data?.[0] ?? [];
    return (second ?? (first ?? 0) + 1) - (first ?? 0);
  }

  /**
   * The address of the requests around a time, or of the events of a bar.
   * @param {number} index of the time
   */
  requests(index) {
    const at = this.data?.[0][index] ?? 0, around = this.spec.bars ? this.step() / 2 : this.step();
    return this.search(at - around, at + around);
  }

  /**
   * The address of the events between two times in seconds: of this search, if the chart shows its events.
   * @param {number} since
   * @param {number} until
   */
  search(since, until) {
    const query = new URLSearchParams(this.spec.bars ? location.search : { q: `event.dataset:${document.body.dataset.requests}` });
    for (const name of ["after", "live"]) query.delete(name);
    query.set("since", new Date(since * 1000).toISOString());
    query.set("until", new Date(until * 1000).toISOString());
    return `/search?${query}`;
  }

  /**
   * Search the time that a person has dragged over.
   * @param {any} plot
   */
  zoom(plot) {
    const { left, width } = plot.select;
    if (width > 2) location.assign(this.search(plot.posToVal(left, "x"), plot.posToVal(left + width, "x")));
  }

  /** Let a finger drag over bars, as a mouse does: uPlot knows the mouse only. */
  touch() {
    const { over } = this.plot;
    let from = 0;
    /** @param {PointerEvent} event */
    const at = (event) => Math.min(Math.max(event.clientX - over.getBoundingClientRect().left, 0), over.clientWidth);
    /** @param {number} to */
    const select = (to) => this.plot.setSelect({ left: Math.min(from, to), width: Math.abs(to - from), top: 0, height: over.clientHeight }, false);
    over.style.touchAction = "pan-y";
    over.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      from = at(event);
      select(from);
    });
    over.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
      if (event.pointerType !== "mouse" && event.buttons) select(at(event)); // a pen moves without contact, too
    });
    over.addEventListener("pointerup", (/** @type {PointerEvent} */ event) => event.pointerType === "mouse" || this.zoom(this.plot));
    over.addEventListener("pointercancel", () => select(from));
  }

  /** The labels of the time axis: with the date where the range is longer than a day. */
  times() {
    const [begin, end] = [this.data?.[0][0] ?? 0, this.data?.[0].at(-1) ?? 0];
    /** @type {Intl.DateTimeFormatOptions} */
    const format = end - begin > 90_000 ? { weekday: "short", hour: "2-digit", minute: "2-digit" } : { hour: "2-digit", minute: "2-digit", ...(end - begin < 1200 ? { second: "2-digit" } : {}) };
    return (/** @type {any} */ _, /** @type {number[]} */ ticks) => ticks.map((tick) => new Date(tick * 1000).toLocaleString([], { ...format, hour12: false }));
  }

  /**
   * Draw each decision as a vertical line.
   * @param {any} plot
   */
  lines(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = color("--soft");
    ctx.globalAlpha = 0.4;
    ctx.setLineDash([2, 3]);
    ctx.beginPath();
    for (const mark of this.marks) {
      const x = plot.valToPos(mark.at, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
    }
    ctx.stroke();
    ctx.restore();
    if (this.spec.points) this.place(plot, ".points", this.points, (point) => this.link(point));
    if (this.spec.marks) this.buttons(plot);
  }

  /**
   * Put an element at the place of each item; those that are there stay, with the focus.
   * @template {{at: number, value?: number}} T
   * @param {any} plot
   * @param {string} group
   * @param {T[]} items
   * @param {(item: T) => HTMLElement} make
   */
  place(plot, group, items, make) {
    const known = new Map([...this.part(group).children].map((one) => [one.id, /** @type {HTMLElement} */ (one)]));
    for (const item of items) {
      const x = plot.valToPos(item.at, "x") + plot.over.offsetLeft;
      if (item.at < plot.data[0][0] || !Number.isFinite(x)) continue;
      const id = `${group.slice(1)}-${item.at}`;
      const element = known.get(id) ?? make(item);
      known.delete(id);
      element.id = id;
      element.style.left = `${Math.round(x)}px`;
      if (item.value !== undefined) element.style.top = `${Math.round(plot.valToPos(item.value, "y") + plot.over.offsetTop)}px`;
      if (!element.isConnected) this.part(group).append(element);
    }
    for (const old of known.values()) old.remove();
  }

  /**
   * A point of the chart that leads to its trace.
   * @param {Point} point
   */
  link({ at, text, url }) {
    const link = document.createElement("a");
    link.href = url;
    link.title = `${this.time(at)} ${text}`;
    link.setAttribute("aria-label", link.title);
    return link;
  }

  /**
   * A button for each decision below its place on the axis; its sentence shows on hover and focus.
   * @param {any} plot
   */
  buttons(plot) {
    this.place(plot, ".marks", this.marks, (mark) => {
      const button = document.createElement("button");
      button.textContent = mark.up ? "▲" : "▼";
      button.setAttribute("aria-label", `${clock(mark.at)} ${mark.label}`);
      const say = () => (this.part(".sentence").textContent = `${clock(mark.at)}  ${mark.label}: ${mark.text}`);
      for (const event of ["mouseenter", "focus", "click"]) button.addEventListener(event, say);
      return button;
    });
    if (!this.part(".sentence").textContent) this.part(".sentence").textContent = this.marks.length ? "Each mark is a decision: point at it, or focus it." : "No decision changed the number in this range.";
  }

  /** The table of the same values, the newest first: at most TABLE_ROWS rows, or each bar. */
  table() {
    const details = /** @type {HTMLDetailsElement} */ (this.part("details"));
    if (!this.data || !details.open) return;
    const [times, ...columns] = this.data;
    const every = this.spec.bars ? 1 : Math.max(1, Math.ceil(times.length / TABLE_ROWS));
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const name of ["time", ...this.series.map(([, label]) => label), ...(this.limit ? ["objective"] : [])]) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      head.append(cell);
    }
    const body = table.createTBody();
    for (let index = times.length - 1; index >= 0; index -= every) {
      const row = body.insertRow();
      const link = document.createElement("a");
      link.href = this.requests(index);
      link.textContent = this.time(times[index] ?? 0);
      row.insertCell().append(link);
      for (const column of columns) row.insertCell().textContent = text(column[index], this.spec.unit);
    }
    details.lastElementChild?.replaceChildren(table);
  }
}

/** All charts of a page. */
export class Charts {
  /** @param {ParentNode} root */
  constructor(root) {
    this.charts = [...root.querySelectorAll("figure[data-chart]")].map((one) => new Chart(/** @type {HTMLElement} */ (one)));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.charts.forEach((one) => one.draw()));
  }

  /** @param {Data} data */
  show(data) {
    for (const chart of this.charts) chart.show(data);
  }
}
