// Charts: uPlot in an element of its own, the only piece of the page that keeps something for itself.
import { num, power, join, region, signed, t } from "./format.js";

let library = null;

const AGAIN = 2000; // ms after which what could not be fetched is asked for once more

/** uPlot, fetched when the first chart is shown, and asked for until it comes. */
function uplot() {
  library ??= new Promise((resolve) => fetched(resolve));
  return library;
}

function fetched(resolve) {
  const script = document.createElement("script");
  script.src = new URL("vendor/uplot/uPlot.iife.min.js", import.meta.url);
  script.onload = () => resolve(window.uPlot);
  script.onerror = () => { script.remove(); setTimeout(fetched, AGAIN, resolve); };
  document.head.append(script);
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const faded = (value, share) => `color-mix(in srgb, ${value} ${share}%, transparent)`;

/** Points in time of an axis, by what lies between two of them. */
function times(axis) {
  return (plot, values, _axis, space, step) => {
    const days = step >= 86400;
    const form = new Intl.DateTimeFormat(region(), days ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit" });
    return values.map((one) => form.format(new Date(one * 1000)));
  };
}

function axes(left, right) {
  const grid = { stroke: color("--line"), width: 1 };
  const common = { stroke: color("--muted"), font: "11px system-ui, sans-serif", ticks: { show: false }, gap: 4 };
  const found = [{ ...common, grid, size: 26, space: 70, values: times() }, { ...common, grid, size: 54, space: 34, ...left }];
  if (right) found.push({ ...common, side: 1, size: 40, grid: { show: false }, ...right });
  return found;
}

/** Power up and down with the state of charge. */
function powerFigure(data) {
  const { power: flow = [], soc = [] } = data.columns;
  const largest = Math.max(100, ...flow.map((one) => Math.abs(one ?? 0)));
  const kilo = largest >= 1000;
  return {
    data: [data.times, flow.map((one) => (one == null ? null : Math.max(0, one))), flow.map((one) => (one == null ? null : Math.min(0, one))), soc],
    series: [
      {},
      { stroke: color("--charge"), fill: faded(color("--charge"), 72), width: 0, points: { show: false } },
      { stroke: color("--discharge"), fill: faded(color("--discharge"), 72), width: 0, points: { show: false } },
      { stroke: color("--text"), width: 1.8, scale: "soc", points: { show: false } },
    ],
    scales: { y: { range: (plot, low, high) => bounds(low, high) }, soc: { range: [0, 100] } },
    axes: axes(
      { values: (plot, values) => watts(values, kilo) },
      { scale: "soc", values: (plot, values) => values.map((one) => num(one) + (one === 100 ? " %" : "")), splits: () => [0, 50, 100] },
    ),
    told: (row) => [flow[row] == null ? null : join(power(flow[row])), soc[row] == null ? null : `${num(soc[row])} %`],
  };
}

/** Digits behind the point that a step between two lines needs, at most 3. */
export const digitsOf = (step) => [0, 1, 2].find((digits) => Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) < 1e-6) ?? 3;

/** Power at the lines of the axis, with as many digits as tell them apart and the unit at the uppermost. */
function watts(values, kilo) {
  const step = Math.abs(values[1] - values[0]) / (kilo ? 1000 : 1);
  const digits = kilo ? digitsOf(step) : 0;
  return values.map((one) => num(kilo ? one / 1000 : one, digits) + (one === Math.max(...values) ? (kilo ? " kW" : " W") : ""));
}

/** A little room above and below, zero always in sight. */
function bounds(low, high) {
  const [bottom, top] = [Math.min(0, low ?? 0), Math.max(0, high ?? 0)];
  const room = Math.max(50, top - bottom) * 0.06;
  return [bottom < 0 ? bottom - room : 0, top > 0 ? top + room : bottom < 0 ? 0 : 100];
}

/** One cell against the mean of its pack. */
function cellFigure(data, column, side) {
  const cell = data.columns[column] ?? [], mean = data.columns.mean_cell ?? [];
  return {
    data: [data.times, mean, cell],
    series: [
      {},
      { stroke: color("--muted"), width: 1.6, points: { show: false } },
      { stroke: color(`--${side}`), width: 1.8, points: { show: false } },
    ],
    scales: { y: { range: (plot, low, high) => (low == null ? [3, 3.5] : [low - Math.max(0.002, (high - low) * 0.1), high + Math.max(0.002, (high - low) * 0.1)]) } },
    axes: axes({ values: (plot, values) => values.map((one) => num(one, Math.max(2, digitsOf(values[1] - values[0])))), size: 48 }),
    told: (row) => [
      cell[row] == null ? null : `${num(cell[row], 3)} V`,
      cell[row] == null || mean[row] == null ? null : t("chart.off", { off: signed((cell[row] - mean[row]) * 1000) }),
    ],
  };
}

const FIGURES = { power: powerFigure, cell: cellFigure };

/** `<jk-plot>`: properties `kind`, `data` (as history gives it) and `column`. */
class Plot extends HTMLElement {
  #plot = null;
  #drawn = null;
  #size = new ResizeObserver(() => this.#resize());
  #themed = () => this.#draw(true);

  connectedCallback() {
    this.#size.observe(this);
    addEventListener("jkbms-theme", this.#themed);
    this.#draw(true);
  }

  disconnectedCallback() {
    this.#size.disconnect();
    removeEventListener("jkbms-theme", this.#themed);
    this.#plot?.destroy();
    this.#plot = this.#drawn = null;
  }

  set figure({ kind, data, column, side }) {
    if (this.kind === kind && this.data === data && this.column === column) return;
    Object.assign(this, { kind, data, column, side });
    this.#draw();
  }

  #resize() {
    if (this.#plot && this.clientWidth) this.#plot.setSize({ width: this.clientWidth, height: this.clientHeight - 22 });
    else this.#draw();
  }

  /** Nothing is known of this time yet. */
  #wait() {
    this.#plot?.destroy();
    this.#plot = null;
    const words = document.createElement("p");
    words.className = "waits";
    words.textContent = t("chart.gathers");
    this.replaceChildren(words);
  }

  async #draw(anew = false) {
    if (!this.data || !this.isConnected || !this.clientWidth) return;
    const uPlot = await uplot();
    if (!this.isConnected || (!anew && this.#drawn === this.data)) return;
    this.#drawn = this.data;
    if (Object.values(this.data.columns).every((one) => one.filter((value) => value != null).length < 3)) return this.#wait();
    const { data, told, ...options } = FIGURES[this.kind](this.data, this.column, this.side);
    this.#plot?.destroy();
    this.replaceChildren();
    const readout = document.createElement("p");
    readout.className = "readout";
    this.append(readout);
    const form = new Intl.DateTimeFormat(region(), { weekday: this.data.tier > 60 ? "short" : undefined, hour: "2-digit", minute: "2-digit" });
    const setCursor = [(plot) => {
      const row = plot.cursor.idx;
      const words = row == null ? [] : told(row).filter(Boolean);
      readout.textContent = row == null ? "" : [form.format(new Date(data[0][row] * 1000)), ...words].join(" · ");
    }];
    this.#plot = new uPlot({
      width: this.clientWidth,
      height: this.clientHeight - 22,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      hooks: { setCursor },
      padding: [8, options.axes.length > 2 ? 4 : 20, 0, 0],
      ...options,
    }, data, this);
  }
}

customElements.define("jk-plot", Plot);
