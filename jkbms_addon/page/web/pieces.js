// Small pieces that several pages are made of. Pure functions of what they are given.
import { html, nothing, svg } from "./vendor/lit-html/lit-html.js";
import { age, barHeight, clock, DASH, join, num, power, said, span, t, tOr } from "./format.js";
import { state } from "./data.js";

const PATHS = {
  battery: svg`<rect x="2" y="7" width="17" height="10" rx="2.5"/><path d="M22 10.5v3M6 10.5v3M9.5 10.5v3M13 10.5v3"/>`,
  gauge: svg`<path d="M4 18a9 9 0 1 1 16 0M12 14l4-4.5"/><circle cx="12" cy="14.5" r="1.2"/>`,
  grid: svg`<rect x="3.5" y="3.5" width="7" height="7" rx="1.5"/><rect x="13.5" y="3.5" width="7" height="7" rx="1.5"/><rect x="3.5" y="13.5" width="7" height="7" rx="1.5"/><rect x="13.5" y="13.5" width="7" height="7" rx="1.5"/>`,
  sliders: svg`<path d="M4 7h9M17.500 7H20M4 17h3M11.500 17H20"/><circle cx="15" cy="7" r="2.300"/><circle cx="9" cy="17" r="2.300"/>`,
  wave: svg`<rect x="3.500" y="3.500" width="17" height="17" rx="3"/><path d="M7 12c1.600-4 3.400-4 5 0s3.400 4 5 0"/>`,
  warn: svg`<path d="M12 4 2.8 19.5h18.4zM12 10v4.5M12 17.2v.1"/>`,
  pulse: svg`<path d="M3 12h4l2.500-6 5 12 2.500-6h4"/>`,
  lock: svg`<rect x="5" y="10.5" width="14" height="9.5" rx="2"/><path d="M8 10.5V8a4 4 0 0 1 8 0v2.5"/>`,
  back: svg`<path d="m14.5 5.5-6.5 6.500 6.5 6.500"/>`,
  more: svg`<circle cx="12" cy="12" r="3"/><path d="M12 3v3M12 18v3M3 12h3M18 12h3M5.600 5.600l2.100 2.100M16.300 16.300l2.100 2.100M5.600 18.400l2.100-2.100M16.300 7.700l2.100-2.100"/>`,
  fine: svg`<circle cx="12" cy="12" r="9"/><path d="m8 12.500 2.800 2.800L16 9.500"/>`,
  plug: svg`<path d="M9 3v5M15 3v5M6.500 8h11v3.500a5.500 5.500 0 0 1-11 0zM12 17v4"/>`,
};

export const icon = (name) => html`<svg class="i" viewBox="0 0 24 24" aria-hidden="true">${PATHS[name]}</svg>`;

/** What an inverter makes of being told to stop, and what its protocol cannot or must not say: key of the words, sentence. */
export function meanings({ stops, lacks, never }) {
  const all = (texts) => texts.map(said).join("; ");
  return [["inverter.stop_charging", said(stops[0])], ["inverter.stop_discharging", said(stops[1])], ["inverter.lacks", all(lacks)], ["inverter.never", all(never)]].filter(([, words]) => words);
}

/** Keys of all packs: buses in the order of the options, then by address. */
export function packKeys() {
  const order = state.hello?.order ?? [];
  const place = (key) => { const [bus, address] = key.split("/"); return [order.indexOf(bus), Number(address)]; };
  return Object.keys(state.packs).sort((a, b) => {
    const [x, y] = [place(a), place(b)];
    return x[0] - y[0] || x[1] - y[1];
  });
}

/** What a pack is called: by its bus where there are several. */
export function packName(key) {
  const [bus, address] = (key ?? "").split("/");
  if ((state.hello?.order.length ?? 1) < 2) return t("pack.name", { n: address });
  return `${bus.charAt(0).toUpperCase()}${bus.slice(1)} ${address}`;
}

/** The name of a pack by its label in a sentence of the server; null where there is one bus, or it is not clear. */
export function calledPack(label) {
  if ((state.hello?.order.length ?? 1) < 2) return null;
  const found = Object.keys(state.packs).filter((key) => key === label || key.endsWith(`/${label}`));
  return found.length === 1 ? packName(found[0]) : null;
}

/** The shortest name of a pack that is still clear. */
export function packLabel(key) {
  const [bus, address] = (key ?? "").split("/");
  const buses = state.hello?.order ?? [];
  return buses.length < 2 || bus === buses[0] ? address : `${bus.charAt(0).toUpperCase()}${address}`;
}

/** All that is known of a pack, or was when it was heard last. */
export const valuesOf = (pack) => ({ ...pack.about, ...pack.settings, ...pack.live });

export const alarmsOf = (key) => state.alarms.filter((one) => one.pack === key && one.s !== "info");

export const SEVERE = { fault: "bad", warning: "warn" };

export const alarmName = (alarm) => tOr(`alarm.${alarm.name}`, alarm.n);

/** What is off, raised or running; what is normal is not shown. */
export function badges(key, pack) {
  const v = valuesOf(pack);
  const found = alarmsOf(key).map((one) => [SEVERE[one.s], `! ${alarmName(one)}`]);
  if (v.charging === false || v.charging_switch === false) found.push(["warn", t("badge.no_charge")]);
  if (v.discharging === false || v.discharging_switch === false) found.push(["warn", t("badge.no_discharge")]);
  if (v.balancing_switch === false) found.push(["idle", t("badge.no_balance")]);
  if (v.balancing && pack.on) found.push(["info", t("badge.balancing", { a: num(Math.abs(v.balancing_current ?? 0), 1) })]);
  if (v.heating && pack.on) found.push(["info", t("badge.heating")]);
  const out = pack.on && state.bank?.out.find((one) => one.pack === key);
  if (out) found.push(["warn", t("badge.out")]);
  return found.map(([kind, words]) => html`<span class="badge ${kind}">${words}</span>`);
}

const WAYS = { charging: ["charge", "↑"], discharging: ["discharge", "↓"], idle: ["idle", "–"] };

/** Which way a pack's current flows. */
export function way(pack) {
  const told = pack.energy?.direction;
  if (told) return told;
  const current = pack.live?.current ?? 0;
  return Math.abs(current) < 0.5 ? "idle" : current > 0 ? "charging" : "discharging";
}

export function stateBadge(pack) {
  if (!pack.on) return html`<span class="badge bad">${t("pack.silent", { time: span(pack.age) })}</span>`;
  const [kind, arrow] = WAYS[way(pack)];
  return html`<span class="badge ${kind}">${kind === "idle" ? nothing : html`<span aria-hidden="true">${arrow}</span>`}${t(`state.${way(pack)}`)}</span>`;
}

/** When a pack was heard: its age, or the time of the last word of a silent one. */
export const heard = (pack) => (pack.on ? t("ago", { time: age(pack.age) }) : t("last", { time: clock(state.at - pack.age, true) }));

export const glyph = (soc) => html`<span class="glyph" style="--soc:${soc ?? 0}"><i class="cap"></i><i class="body"><i class="lvl"></i></i><b>${soc == null ? "?" : num(soc)}<small>%</small></b></span>`;

export const figure = (name, value, symbol, below, kind = "") => html`<div class="figure ${kind}"><dt>${name}</dt><dd><b>${value}${value === DASH ? nothing : html`<small>${symbol}</small>`}</b><span>${below}</span></dd></div>`;

export const powerFigure = (watts, inWatts) => {
  const [value, symbol] = power(watts, inWatts);
  return html`<b>${value}${value === DASH ? nothing : html`<small>${symbol}</small>`}</b>`;
};

/** What there is of a pack that tells its extremes only, as on CAN. */
function extremesOf({ min_cell_voltage: min, max_cell_voltage: max, average_cell_voltage: mean, min_voltage_cell: low, max_voltage_cell: high }) {
  if (min == null || max == null) return { cells: [], mean: null, spread: null, low: null, high: null };
  const at = (volts, n) => ({ mv: volts * 1000, n: n ?? "?" });
  return { cells: [], mean: mean == null ? null : mean * 1000, spread: (max - min) * 1000, low: at(min, low), high: at(max, high) };
}

/** Cells of a pack with the mean: mV, deviation in mV, whether it is the lowest or the highest. */
export function cellsOf(pack) {
  const told = pack.live?.cell_voltage ?? [];
  const known = told.filter((one) => one != null);
  if (!known.length) return extremesOf(pack.live ?? {});
  const mean = known.reduce((sum, one) => sum + one, 0) / known.length;
  const [min, max] = [Math.min(...known), Math.max(...known)];
  const [low, high] = [told.indexOf(min), told.indexOf(max)];
  const cells = told.map((mv, n) => ({
    n: n + 1,
    mv,
    off: mv == null ? null : mv - mean,
    mohm: pack.live.cell_resistance?.[n] ?? null,
    edge: min === max ? "" : n === low ? "low" : n === high ? "high" : "",
  }));
  return { cells, mean, spread: max - min, low: cells[low], high: cells[high] };
}

/** Deviation of every cell as a bar, up or down from the mean. */
export function cellBars(pack, name) {
  const { cells, spread, low, high } = cellsOf(pack);
  if (!cells.length) return nothing;
  const label = t("bars.label", { pack: name, spread: num(spread), low: low.n, high: high.n });
  return html`<div class="bars" role="img" aria-label=${label} style="--n:${cells.length}">${cells.map((cell) => {
    const height = cell.off == null ? 0 : Math.max(2, barHeight(cell.off));
    return html`<i class=${cell.edge} style="--t:${(cell.off ?? 0) > 0 ? 50 - height : 50}%;--h:${height}%"></i>`;
  })}</div>`;
}

/** A bus's trouble and that of its single batteries: symptom, what is likely, what to try. */
export function reasons(bus) {
  const found = [["", bus.reason], ...Object.entries(bus.bms).map(([n, one]) => [`BMS ${n}: `, one.reason])].filter(([, reason]) => reason);
  return found.map(([who, reason]) => reasonCard(who, reason));
}

export function reasonCard(who, [symptom, cause, remedy]) {
  return html`<div class="why"><p class="symptom">${(who + said(symptom)).replace(/^[a-z]/, (one) => one.toUpperCase())}</p>
    ${cause ? html`<dl class="reason"><div><dt>${t("first.likely")}</dt><dd>${said(cause)}</dd></div><div><dt>${t("first.try")}</dt><dd>${said(remedy)}</dd></div></dl>` : nothing}</div>`;
}

/** What is connected to this computer; `act` gives what can be done with a port that nobody uses. */
export function portList(ports, can, act = () => nothing) {
  if (!ports.length && !can.length) return html`<p class="muted">${t("first.nothing")}</p>`;
  const use = (one) => (one.used ? html`<span class="badge idle">${t("doc.used", { bus: one.used })}</span>` : nothing);
  return html`<ul class="ports">${ports.map((one) => html`<li>${icon("plug")}<code>${one.path}</code>${one.device && one.device !== one.path ? html`<small>${one.device}</small>` : nothing} ${use(one)}${one.used ? nothing : act(one)}</li>`)}
    ${can.map((one) => html`<li>${icon("plug")}<code>${one.name}</code><small>${t(one.up ? "first.can_up" : "first.can_down")}</small> ${use(one)}</li>`)}</ul>`;
}

export const segmented = (label, options, value, choose) => html`<div class="seg" role="group" aria-label=${label}>${options.map(([key, text]) => html`<button type="button" aria-pressed=${String(key === value)} @click=${() => choose(key)}>${text}</button>`)}</div>`;

/** The limits that an inverter is told, with unit and digits. */
export const LIMITS = [["charge_voltage", "V", 1], ["charge_current", "A", 0], ["discharge_current", "A", 0], ["discharge_voltage", "V", 1]];

/** Why a limit is as it is, without the number that stands beside it. */
export const reason = (words) => said((words ?? "").includes(": ") ? words.replace(/^[^:]*: /, "") : "");

/** Values with how often each is there, the commonest first. */
export function tally(values) {
  const counts = new Map();
  for (const one of values) counts.set(one, (counts.get(one) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

export const packSelect = (packs, value, choose, kind = "") => html`<label class=${kind}>${t("set.pack")} <select @change=${(event) => choose(event.target.value)}>${packs.map((pack) => html`<option value=${pack} ?selected=${pack === value}>${packName(pack)}</option>`)}</select></label>`;

/** Open the field of something, with what it holds ready to be typed over. */
export function openField(ui, editing) {
  ui.set({ editing });
  requestAnimationFrame(() => document.querySelector(".edit input")?.select());
}

/** The field in which a number is typed, within its range and on its step. */
export function numberField(ui, { label, value, range: [min, max, step], digits, take, more = nothing }) {
  const submit = (event) => { event.preventDefault(); take(event.target.elements.value.valueAsNumber); };
  return html`<form class="edit" @submit=${submit} @keydown=${(event) => event.key === "Escape" && ui.set({ editing: null })}>
    <input name="value" type="number" required min=${min} max=${max} step=${step} .value=${value == null ? "" : value.toFixed(digits)} aria-label=${label}>
    <button class="btn small">${t("set.take")}</button><small>${t("set.range", { low: num(min, digits), high: num(max, digits) })} ${more}</small></form>`;
}

export const TIERS = [[10, "tier.2h"], [60, "tier.24h"], [900, "tier.30d"]];
export const tierSwitch = (value, choose) => segmented(t("tier.label"), TIERS.map(([step, key]) => [step, t(key)]), value, choose);

export const volts = (millivolts) => num(millivolts == null ? null : millivolts / 1000, 3);
export const watts = (value) => join(power(value));
