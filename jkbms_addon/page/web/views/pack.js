// One pack: who it is, how it is, every cell, what was, and the facts of its life.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { clock, DASH, heat, list, num, plural, power, signed, span, t, unit } from "../format.js";
import { history, state } from "../data.js";
import { framed, navigate } from "../theme.js";
import { alarmName, alarmsOf, badges, cellsOf, figure, glyph, heard, icon, packKeys, packName, stateBadge, tierSwitch, valuesOf, volts } from "../pieces.js";
import { curve } from "./cells.js";
import { differing } from "./findings.js";

const SWITCHES = [["charging_switch", "charging"], ["discharging_switch", "discharging"], ["balancing_switch", null]];

/** The three switches as the BMS has them; what is on but blocked says so. */
function switches(v) {
  const found = SWITCHES.filter(([key, own]) => v[key] != null || v[own] != null);
  if (!found.length) return nothing;
  return html`<ul class="switches">${found.map(([key, own]) => {
    const set = v[key] ?? v[own], flows = own ? v[own] ?? set : set;
    const kind = set && flows ? "on" : set ? "blocked" : "off";
    return html`<li class=${kind}>${t(`switch.${key}`)} <b>${t(`switch.${kind}`)}</b></li>`;
  })}</ul>`;
}

function head(key, pack, v) {
  const [bus, address] = key.split("/");
  const identity = [
    bus, t("pack.dip", { n: address }), v.model,
    v.hardware_version && t("pack.hardware", { v: v.hardware_version }),
    v.software_version && t("pack.firmware", { v: v.software_version }),
    v.serial_number && t("pack.serial", { v: v.serial_number }),
  ].filter(Boolean).join(" · ");
  return html`<div class="ident ${pack.on ? "" : "stale"}">${glyph(v.state_of_charge)}<div class="who"><h1>${packName(key)} ${stateBadge(pack)}</h1><small>${identity}</small><small>${heard(pack)}</small></div>${switches(v)}</div>`;
}

const sensors = (v) => [1, 2, 4, 5].map((n) => [n, v[`temperature_sensor_${n}`]]).filter(([, value]) => value != null);

function figures(key, pack, v) {
  const share = pack.on ? state.bank?.share[key] : null, { mean } = cellsOf(pack), warm = sensors(v);
  const first = warm[0]?.[1] ?? v.average_cell_temperature;
  const others = [...warm.slice(1).map(([n, value]) => `T${n} ${num(value, 1)}`), v.mosfet_temperature == null ? null : `MOS ${num(v.mosfet_temperature, 1)}`].filter(Boolean).join(" · ");
  const limits = v.max_charge_current == null ? "" : t("pack.allowed", { charge: num(v.max_charge_current), discharge: num(v.max_discharge_current) });
  const [watts, symbol] = power(v.power, true);
  const life = [v.charging_cycles == null ? null : plural("cycles", v.charging_cycles), v.total_charging_cycle_capacity == null ? null : unit(v.total_charging_cycle_capacity, "Ah")];
  const kwh = pack.energy?.kwh;
  return html`<dl class="figures live">
    ${figure(t("power"), watts, symbol, share == null ? "" : t("pack.of_bank", { share: unit(share, "%", 1) }))}
    ${figure(t("current"), num(v.current, 1), "A", limits)}
    ${figure(t("voltage"), num(v.total_voltage, 2), "V", mean == null ? "" : t("pack.mean", { v: volts(mean) }))}
    ${figure(t("bank.stored"), num(v.capacity_remaining, 0), "Ah", [v.full_charge_capacity == null ? null : t("bank.of", { all: unit(v.full_charge_capacity, "Ah") }), kwh == null ? null : unit(kwh, "kWh", 1)].filter(Boolean).join(" · "))}
    ${figure(t("temperature"), num(first, 1), "°C", others)}
    ${figure(t("health"), num(v.state_of_health), "%", life.filter(Boolean).join(" · "))}</dl>`;
}

export function grid(ui, key, pack) {
  const { cells, spread } = cellsOf(pack);
  if (!cells.length) return nothing;
  const picked = ui.cell?.[0] === key ? ui.cell[1] : null;
  return html`<section class="card ${pack.on ? "" : "stale"}"><header><h2>${t("tab.cells")}</h2><small>${t("pack.spread")} ${unit(spread, "mV")}</small></header>
    <div class="cellgrid">${cells.map((cell) => html`<button type="button" class="heat${cell.off == null ? 0 : heat(cell.off)} ${cell.edge}" aria-pressed=${String(cell.n === picked)} @click=${() => ui.set({ cell: [key, cell.n] })}>
      <span><i>${cell.n}</i>${cell.mohm == null ? nothing : html`<i>${unit(cell.mohm, "mΩ")}</i>`}</span><b>${volts(cell.mv)}</b><span>${cell.off == null ? DASH : `${signed(cell.off, 1)} mV`}</span></button>`)}</div></section>`;
}

function balancing(v) {
  if (v.balancing_switch === false) return t("fact.balance_off");
  if (v.balancing) return t("fact.balance_runs", { a: num(Math.abs(v.balancing_current ?? 0), 2) });
  if (v.balancing == null) return null;
  return v.balancing_start_voltage == null ? t("fact.balance_idle") : t("fact.balance_waits", { v: num(v.balancing_start_voltage, 2) });
}

function facts(key, pack, v) {
  const { share, fair } = state.bank ?? { share: {}, fair: {} };
  const { low, hours } = pack.cells ?? { low: [], hours: 0 };
  const most = low.length ? low.indexOf(Math.max(...low)) : -1;
  const [bus, address] = key.split("/");
  const bms = state.buses.find((one) => one.name === bus)?.bms[address];
  const raised = alarmsOf(key), e = pack.energy ?? {};
  const starts = v.power_on_count == null ? "" : ` · ${plural("fact.starts", v.power_on_count)}`;
  const odd = differing(key, (state.findings.find((one) => one.key === "settings")?.args.keys ?? "").split(" ").filter(Boolean));
  const rows = [
    ["share", share[key] == null || !pack.on ? null : t("fact.share_of", { share: unit(share[key], "%", 1), fair: unit(fair[key], "%", 1) })],
    ["lowest", most < 0 || low[most] < 20 || hours < 0.25 ? null : t("fact.lowest_of", { n: most + 1, share: unit(low[most], "%"), time: hours < 23.5 ? span(hours * 3600) : t("tier.24h") })],
    ["balancing", balancing(v)],
    ["full", e.last_full == null ? null : clock(e.last_full)],
    ["efficiency", e.efficiency == null ? null : unit(e.efficiency, "%", 1)],
    ["counted", e.charged ? t("fact.in_out", { charged: unit(e.charged, "kWh", 1), discharged: unit(e.discharged, "kWh", 1) }) : null],
    ["runtime", v.total_runtime == null ? null : `${span(v.total_runtime)}${starts}`],
    ["life", v.total_charging_cycle_capacity == null ? null : t("fact.life_in", { ah: unit(v.total_charging_cycle_capacity, "Ah"), cycles: plural("cycles", v.charging_cycles ?? 0) })],
    ["alarms", raised.length ? list(raised.map((one) => `${alarmName(one)} (${clock(one.since)})`)) : t("fact.no_alarms")],
    ["answers", bms?.ms == null ? null : t("fact.after", { ms: num(bms.ms) })],
    ["chemistry", v.battery_type],
    ["made", v.manufacturing_date],
  ].filter(([, value]) => value != null);
  return html`<section class="card facts"><header><h2>${t("facts.title")}</h2>${framed() ? html`<button type="button" class="link" @click=${() => navigate("/history")}>${t("facts.history")}</button>` : nothing}</header>
    <dl>${rows.map(([name, value]) => html`<div><dt>${t(`fact.${name}`)}</dt><dd>${value}</dd></div>`)}</dl>
    ${wires(pack.wires ?? [])}
    ${odd.length ? html`<h3>${t("fact.settings")}</h3><dl>${odd.map(([name, own, most]) => html`<div><dt>${name}</dt><dd><b>${own}</b> ${t("fact.others", { value: most })}</dd></div>`)}</dl>` : nothing}</section>`;
}

/** How each wire of a battery with several is, and what it tells. */
function wires(told) {
  if (!told.length) return nothing;
  const state = ({ state: is, at, tells }) => [t(`wire.${is}`, { time: at == null ? "" : clock(at) }), tells.length ? list(tells.map((kind) => t(`wire.tells.${kind}`))) : null].filter(Boolean).join(": ");
  return html`<h3>${t("wire.title")}</h3><dl>${told.map((one) => html`<div><dt>${one.wire}</dt><dd>${state(one)}</dd></div>`)}</dl>`;
}

function chart(ui, key) {
  const data = history(key, ui.tier, ["power", "soc"]);
  return html`<section class="card chart"><header><h2>${t("pack.chart")}</h2>${tierSwitch(ui.tier, (tier) => ui.set({ tier }))}</header>
    <jk-plot role="img" aria-label=${t("pack.chart_label", { pack: packName(key) })} .figure=${{ kind: "power", data }}></jk-plot>
    <p class="legend"><span class="charge">${t("chart.charging")}</span><span class="discharge">${t("chart.discharging")}</span><span class="line">${t("soc")}</span></p></section>`;
}

/** The cell that the pack's page shows: the one that was touched, else the one that is farthest off. */
function cellOf(ui, key, pack) {
  if (ui.cell?.[0] === key) return ui.cell;
  const { cells } = cellsOf(pack);
  const worst = cells.reduce((most, one) => (Math.abs(one.off ?? 0) > Math.abs(most?.off ?? 0) ? one : most), null);
  return [key, worst?.n ?? 1];
}

export function pack(ui) {
  const key = ui.part, told = state.packs[key];
  if (!told) return html`<section class="card"><h1>${t("pack.unknown")}</h1><p><a href="#overview">${t("tab.overview")}</a></p></section>`;
  const v = valuesOf(told), keys = packKeys(), at = keys.indexOf(key), flags = badges(key, told);
  const step = (to, words) => (keys[to] ? html`<a class="btn small" href="#pack/${keys[to]}" aria-label=${`${words}: ${packName(keys[to])}`}>${to < at ? `‹ ${packName(keys[to])}` : `${packName(keys[to])} ›`}</a>` : nothing);
  return html`<nav class="crumbs" aria-label=${t("pack.nav")}><a class="back" href="#overview">${icon("back")}${t("tab.overview")}</a><span>${step(at - 1, t("pack.before"))}${step(at + 1, t("pack.next"))}</span></nav>
    <section class="card ${told.on ? "" : "stale"}">${head(key, told, v)}${flags.length ? html`<p class="flags">${flags}</p>` : nothing}${figures(key, told, v)}</section>
    <div class="columns"><div>${grid(ui, key, told)}${chart(ui, key)}</div><div>${cellsOf(told).cells.length ? curve(ui, cellOf(ui, key, told)) : nothing}${facts(key, told, v)}</div></div>`;
}
