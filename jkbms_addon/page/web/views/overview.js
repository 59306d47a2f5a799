// The first page: how the bank is, what needs a look, every pack at a glance.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { clock, DASH, num, plural, power, join, said, span, t, tOr, unit } from "../format.js";
import { history, state } from "../data.js";
import { store } from "../theme.js";
import { alarmName, alarmsOf, badges, cellBars, cellsOf, figure, glyph, heard, icon, LIMITS, meanings, packKeys, packLabel, packName, powerFigure, reason, stateBadge, SEVERE, tierSwitch, TIERS, valuesOf, volts } from "../pieces.js";
import { findings } from "./findings.js";
import { grid } from "./pack.js";

/** The worst alarm that was not put aside, and how many others there are. */
function banner(ui) {
  const raised = state.alarms.filter((one) => one.s !== "info");
  const open = raised.filter((one) => !ui.quiet.has(`${one.pack} ${one.name} ${one.since}`));
  const [worst, ...others] = open;
  if (!worst) return nothing;
  const hush = () => {
    ui.quiet.add(`${worst.pack} ${worst.name} ${worst.since}`);
    store("jkbms-quiet", JSON.stringify([...ui.quiet].slice(-50)));
    ui.draw();
  };
  return html`<section class="banner ${SEVERE[worst.s]}" role="alert">${icon("warn")}
    <p><a href="#pack/${worst.pack}"><b>${packName(worst.pack)}: ${alarmName(worst)}</b></a>
      <span>${t("alarm.since", { time: clock(worst.since) })} · ${t(`alarm.${worst.s}`)}</span></p>
    ${others.length ? html`<span class="others">${plural("alarm.more", others.length)}</span>` : nothing}
    <button type="button" class="btn small" @click=${hush}>${t("alarm.quiet")}</button></section>`;
}

/** The one sentence: what flows, and until when. */
function sentence(bank) {
  const direction = bank.direction ?? (Math.abs(bank.a ?? 0) < 0.5 ? "idle" : bank.a > 0 ? "charging" : "discharging");
  const [time, key] = bank.to_full_s != null ? [bank.to_full_s, "bank.full_in"] : [bank.to_empty_s, "bank.empty_in"];
  const after = [
    time == null || direction === "idle" ? null : t(key, { time: span(time) }),
    bank.counted < bank.known ? t("bank.count", { n: bank.counted, of: bank.known }) : null,
  ].filter(Boolean);
  const first = direction === "idle" ? t("bank.idle") : t(`bank.${direction}`, { power: join(power(Math.abs(bank.w))) });
  return html`<div class="sentence"><p class="flow ${direction}">${first}</p>${after.length ? html`<p class="after">${after.join(" · ")}</p>` : nothing}</div>`;
}

/** One segment a pack: as wide as its capacity, as full as it is. */
function bankBar(keys) {
  return html`<ol class="bankbar ${keys.length === 1 ? "single" : ""}">${keys.map((key) => {
    const pack = state.packs[key], values = valuesOf(pack), soc = pack.on ? values.state_of_charge : null;
    const kind = !pack.on ? "stale" : alarmsOf(key).length ? "warned" : "";
    const words = `${packName(key)}: ${pack.on ? unit(soc, "%") : t("pack.silent", { time: span(pack.age) })}`;
    return html`<li style="--w:${values.full_charge_capacity || 100}"><a href="#pack/${key}" class=${kind} aria-label=${words}>
      <span class="tank"><i class="fill" style="--soc:${soc ?? 0}"></i><b>${soc == null ? "?" : num(soc)}</b></span><span class="label">${packLabel(key)}</span></a></li>`;
  })}</ol>`;
}

const place = (extreme, kind) => (extreme?.at ? html`<u class=${kind}>${packLabel(extreme.at)}-${extreme.n ?? "?"}</u>` : DASH);

function figures(bank, single) {
  const { temp } = bank;
  const range = temp.min == null || temp.max - temp.min < 0.1 ? "" : t("bank.range", { low: num(temp.min, 1), high: num(temp.max, 1) });
  const stored = bank.kwh == null
    ? figure(t("bank.stored"), num(bank.ah), "Ah", bank.full_ah == null ? "" : t("bank.of", { all: unit(bank.full_ah, "Ah") }))
    : figure(t("bank.stored"), num(bank.kwh, bank.kwh < 100 ? 1 : 0), "kWh", t("bank.of", { all: unit(bank.full_kwh, "kWh", bank.full_kwh < 100 ? 1 : 0) }));
  return html`<dl class="figures">
    ${figure(t("current"), num(bank.a, 1), "A", single ? "" : plural("bank.share", bank.counted))}
    ${figure(t("voltage"), num(bank.v, 2), "V", single || bank.spread_v == null ? "" : t("bank.apart", { mv: num(bank.spread_v * 1000) }))}
    ${stored}
    ${figure(t("bank.spread"), num(bank.delta), "mV", html`${place(bank.min, "low")} ${t("bank.to")} ${place(bank.max, "high")}`)}
    ${figure(t("temperature"), num(temp.mean, 1), "°C", range)}
    ${figure(t("health"), num(bank.soh), "%", bank.cycles == null ? "" : plural("cycles", bank.cycles))}
  </dl>`;
}

function hero(keys) {
  const { bank } = state;
  const waits = html`<section class="card hero" id="bank"><h1 class="vh">${t("bank.title")}</h1><p class="muted">${t("bank.waits")}</p>${bankBar(keys)}</section>`;
  if (!bank) return waits;
  const out = bank.out.filter((one) => state.packs[one.pack]?.on);
  if (!bank.counted) return html`${waits}`;
  return html`<section class="card hero" id="bank"><h1 class="vh">${t("bank.title")}</h1>
    <div class="say"><p class="soc"><span class="vh">${t("soc")}</span>${num(bank.soc)}<small>%</small></p>${sentence(bank)}</div>
    ${bankBar(keys)}
    ${figures(bank, keys.length === 1)}
    ${out.length ? html`<ul class="out">${out.map((one) => html`<li>${t("bank.out", { pack: packName(one.pack), why: said(one.why) })}</li>`)}</ul>` : nothing}
  </section>`;
}

function inverter() {
  const told = state.inverter;
  if (!told) return nothing;
  const badges = told.outlets.map((one) => one.emitting
    ? html`<span class="badge charge">${one.heard_s == null ? said(one.title) : t("inverter.heard", { title: said(one.title), time: span(one.heard_s) })}</span>`
    : html`<span class="badge ${told.enabled ? "bad" : "idle"}">${t(told.enabled ? "inverter.silent" : "inverter.off")}</span>`);
  const why = [...new Set(told.outlets.map((one) => one.why).filter(Boolean))];
  return html`<section class="card told"><header><h2>${t("inverter.title")}</h2>${badges}</header>
    ${told.limits ? html`<dl>${LIMITS.map(([key, symbol, digits]) => html`<div><dt>${t(`limit.${key}`)}</dt><dd><b>${unit(told.limits[key][0], symbol, digits)}</b><span>${reason(told.limits[key][1])}</span></dd></div>`)}</dl>` : nothing}
    ${why.map((words) => html`<p class="why">${said(words)}</p>`)}
    ${told.outlets.map(speaks)}</section>`;
}

/** What this inverter makes of a stop, and what its protocol cannot say. */
function speaks(outlet) {
  return html`<details class="speaks"><summary>${t("inverter.speaks", { title: said(outlet.title) })}</summary>
    <ul>${meanings(outlet.speaks).map(([key, words]) => html`<li><b>${t(key)}</b> ${words}</li>`)}</ul></details>`;
}

const COLUMNS = ["power", "charged", "discharged", "soc"];

/** Energy of a column in the window that is shown, kWh; null where nothing is known. */
function energy(data, column) {
  const known = data.columns[column].filter((one) => one != null);
  return known.length ? (known.reduce((sum, one) => sum + one, 0) * data.tier) / 3.6e6 : null;
}

function chart(ui) {
  const data = history("bank", ui.tier, COLUMNS);
  const [charged, discharged] = data ? [energy(data, "charged"), energy(data, "discharged")] : [null, null];
  const title = t(`last.${TIERS.find(([step]) => step === ui.tier)[1]}`);
  const kwh = (value) => unit(value, "kWh", value != null && value >= 100 ? 0 : 1);
  const words = t("chart.label", { title, charged: kwh(charged), discharged: kwh(discharged) });
  return html`<section class="card chart"><header><h2>${title}</h2>${tierSwitch(ui.tier, (tier) => ui.set({ tier }))}</header>
    <jk-plot role="img" aria-label=${words} .figure=${{ kind: "power", data }}></jk-plot>
    <p class="legend"><span class="charge">${t("chart.charged")} <b>${kwh(charged)}</b></span><span class="discharge">${t("chart.discharged")} <b>${kwh(discharged)}</b></span><span class="line">${t("soc")}</span></p></section>`;
}

const SENSORS = ["temperature_sensor_1", "temperature_sensor_2", "temperature_sensor_4", "temperature_sensor_5"];

function footer(key, pack) {
  const v = valuesOf(pack), share = state.bank?.share[key];
  const warm = SENSORS.map((one) => v[one]).filter((one) => one != null);
  const mean = warm.length ? warm.reduce((sum, one) => sum + one, 0) / warm.length : v.average_cell_temperature;
  return [
    mean == null ? null : unit(mean, "°C", 1),
    v.mosfet_temperature == null ? null : `MOS ${unit(v.mosfet_temperature, "°C", 1)}`,
    share == null || !pack.on || packKeys().length === 1 ? null : t("pack.share", { share: unit(share, "%", 1) }),
    v.state_of_health == null ? null : t("pack.health", { health: unit(v.state_of_health, "%") }),
  ].filter(Boolean).map((words) => html`<span>${words}</span>`);
}

function card(key) {
  const pack = state.packs[key], v = valuesOf(pack), { spread, low, high } = cellsOf(pack);
  const [bus, address] = key.split("/");
  const flags = badges(key, pack);
  const kind = !pack.on ? "stale" : alarmsOf(key).length ? "warned" : "";
  const identity = [state.hello.order.length > 1 ? bus : null, t("pack.dip", { n: address }), v.model?.replace(/^JK[_-]/, "")];
  return html`<li class="card pack ${kind}"><a href="#pack/${key}">
    ${glyph(v.state_of_charge)}
    <span class="who"><h2>${packName(key)}</h2><small>${identity.filter(Boolean).join(" · ")}</small></span>
    <span class="state">${stateBadge(pack)}<small>${heard(pack)}</small></span>
    <dl class="three live"><div><dt>${t("power")}</dt><dd>${powerFigure(v.power, true)}</dd></div><div><dt>${t("current")}</dt><dd><b>${num(v.current, 1)}<small>A</small></b></dd></div><div><dt>${t("voltage")}</dt><dd><b>${num(v.total_voltage, 2)}<small>V</small></b></dd></div></dl>
    ${cellBars(pack, packName(key))}
    ${low ? html`<span class="lohi live"><span><b class="low">${volts(low.mv)}</b> #${low.n}</span><span>${t("pack.spread")} <b>${unit(spread, "mV")}</b></span><span><b class="high">${volts(high.mv)}</b> #${high.n}</span></span>` : nothing}
    <span class="foot">${footer(key, pack)}</span>
    ${flags.length ? html`<span class="flags">${flags}</span>` : nothing}</a></li>`;
}

/** How a bus reads its batteries, in words. */
export const strategy = (bus) => tOr(`strategy.${bus.strategy === "auto" && bus.mode ? bus.mode : bus.strategy}`, bus.strategy); // a plug-in by its name

function links() {
  return html`<section class="card links" id="links"><header><h2>${t("links.title")}</h2><small>${t("links.score")}</small></header>
    <ul>${state.buses.map((bus) => {
      const packs = Object.entries(state.packs).filter(([key]) => key.startsWith(`${bus.name}/`));
      const silent = packs.filter(([, pack]) => !pack.on).map(([key]) => packName(key));
      const answers = Object.values(bus.bms).map((one) => one.ms).filter((one) => one != null);
      const facts = [
        plural("links.frames", bus.frames),
        bus.bad ? plural("links.bad", bus.bad) : t("links.none_bad"),
        answers.length ? t("links.after", { ms: num(answers.reduce((sum, one) => sum + one, 0) / answers.length) }) : null,
        t("links.packs", { n: packs.length - silent.length, of: packs.length }),
        bus.reconnects ? plural("links.reconnects", bus.reconnects) : null,
      ];
      const kind = !bus.connected ? "bad" : bus.problem || silent.length ? "warn" : "ok";
      return html`<li><i class="dot ${kind}"></i><div><p><b>${bus.name}</b> · ${strategy(bus)}${bus.target ? html` · <span class="path">${bus.target}</span>` : nothing}</p>
        <small>${facts.filter(Boolean).join(" · ")}</small>
        ${bus.problem ? html`<small class="problem">${said(bus.problem)}</small>` : nothing}</div><b class="score">${bus.score ?? DASH}</b></li>`;
    })}</ul></section>`;
}

/** A single pack shows its cells at once. */
const alone = (ui, key) => html`<div class="columns all"><div>${grid(ui, key, state.packs[key])}</div><div><ul class="packs">${card(key)}</ul>${links()}</div></div>`;

export function overview(ui) {
  const keys = packKeys();
  const found = state.findings.length;
  return html`<div class="overview">${banner(ui)}
    <div class="pair one">${hero(keys)}${inverter()}</div>
    ${found ? html`<a class="card oneline" href="#overview/look"><span class="sev ${state.findings[0].s}" aria-hidden="true">${state.findings[0].s === "info" ? "i" : "!"}</span><b>${plural("look.count", found)}</b><span aria-hidden="true">›</span></a>` : nothing}
    <div class="pair two">${chart(ui)}${findings()}</div>
    ${keys.length === 1 ? alone(ui, keys[0]) : html`<section class="all"><h2 class="vh">${t("packs.title")}</h2><ul class="packs">${repeat(keys, (key) => key, card)}</ul></section>
    ${links()}`}</div>`;
}
