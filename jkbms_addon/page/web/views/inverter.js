// What the inverter is told and why, what each pack allows, and what its owner may steer.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { age, clock, DASH, num, plural, said, t, tOr, unit } from "../format.js";
import { ask, openFor, state } from "../data.js";
import { LIMITS, numberField, openField, packKeys, packName, reason, valuesOf } from "../pieces.js";
import { lockBar } from "./settings.js";

const PHASES = ["bulk", "absorption", "float"];
const BUTTONS = ["charge_fully", "balance", "wake_up"];

/** What came of asking for something of the owner's, in the reader's words. */
function result(key, answer) {
  const bad = answer.t === "no", words = bad ? answer.reason : answer.text;
  return { bad, text: said(words.replaceAll(key, tOr(`owner.${key}`, key))) };
}

/** Ask for something of the owner's, and show what came of it. */
async function steer(ui, key, to = "") {
  const answer = await ask("owner", { key, to, sure: true });
  ui.set({ told: result(key, answer), asking: null, editing: null });
}

/** Ask what the inverter would be told then; it is shown before anything is confirmed. */
async function look(ui, key, to = "") {
  ui.set({ asking: { key, to }, told: null });
  const answer = await ask("preview", { key, to });
  if (ui.asking?.key !== key || ui.asking.to !== to) return;
  if (answer.t === "no") ui.set({ told: result(key, answer), asking: null, editing: null });
  else ui.set({ asking: { key, to, ...answer } });
}

const asked = (ui, key, to) => ui.asking?.key === key && (to == null || ui.asking.to === to);

/** What is told then, without and with the change: only what differs. */
function becomes({ before, after }) {
  if (!after) return html`<p>${t(before ? "steer.silence" : "steer.same")}</p>`;
  const shown = (limit, symbol) => (limit ? unit(limit[0], symbol, 1) : DASH);
  const rows = LIMITS.filter(([key, symbol]) => shown(before?.[key], symbol) !== shown(after[key], symbol));
  if (!rows.length) return html`<p>${t("steer.same")}</p>`;
  return html`<p>${t("steer.becomes")}</p><dl class="rows">${rows.map(([key, symbol]) => html`<div><dt>${t(`limit.${key}`)}</dt><dd>${shown(before?.[key], symbol)} → <b>${shown(after[key], symbol)}</b> <small>${reason(after[key][1])}</small></dd></div>`)}</dl>`;
}

/** The question, what comes of it, and yes or no. */
function question(ui, words) {
  const { key, to, text } = ui.asking;
  return html`<div class="sure" role="alert"><p>${words}</p>${text == null ? nothing : becomes(ui.asking)}
    <p class="acts"><button type="button" class="btn small" ?disabled=${text == null} @click=${() => steer(ui, key, to)}>${t("steer.yes")}</button><button type="button" class="btn small" @click=${() => ui.set({ asking: null, editing: null })}>${t("steer.no")}</button></p></div>`;
}

/** A button that asks once more, and shows what would be sent, before it does anything. */
function sure(ui, key, to, words, kind = "") {
  if (!asked(ui, key, to)) return html`<button type="button" class="btn ${kind}" ?disabled=${!openFor()} @click=${() => look(ui, key, to)}>${words}</button>`;
  return question(ui, t(`steer.${key}.${to || "press"}`));
}

function told(ui) {
  const { limits, enabled, phase, since, outlets } = state.inverter, sending = outlets.some((one) => one.emitting);
  return html`<section class="card"><header><h2>${t("inverter.told")} <span class="badge ${sending ? "charge" : "warn"}">${t(sending ? "inverter.sending" : enabled ? "inverter.silent" : "inverter.off")}</span></h2>
      ${enabled ? sure(ui, "stop", "", t("steer.stop"), "danger") : sure(ui, "enable", "ON", t("steer.enable"), "primary")}</header>
    <dl class="limits">${LIMITS.map(([key, symbol]) => html`<div><dt>${t(`limit.${key}`)}</dt><dd><b>${limits ? unit(limits[key][0], symbol, 1) : DASH}</b><span>${reason(limits?.[key][1])}</span></dd></div>`)}</dl>
    <ol class="rail" aria-label=${t("inverter.phase")}>${PHASES.map((one) => html`<li class=${one === phase ? "now" : ""} aria-current=${one === phase ? "step" : nothing}>${t(`phase.${one}`)}${one === phase && since != null ? html` <small>${t("phase.since", { time: clock(since) })}</small>` : nothing}</li>`)}</ol>
    </section>`;
}

/** Interface, rate and protocol of a link, what went over it, what came back, and whether nobody else tells limits. */
function link({ title, target, rate, sets, heard_s, why, alone }) {
  const speed = rate == null ? null : rate % 1000 ? unit(rate, "bit/s") : unit(rate / 1000, "kbit/s");
  const lines = [plural("inverter.sets", sets), heard_s == null ? t("inverter.unheard") : t("inverter.answer", { time: age(heard_s) }), alone ? t("inverter.alone") : null, why ? said(why) : null];
  return html`<div class="wire"><h3>${[target, speed, said(title)].filter(Boolean).join(", ")}</h3><ul class="muted">${lines.filter(Boolean).map((one) => html`<li>${one}</li>`)}</ul></div>`;
}

function links() {
  const { outlets } = state.inverter;
  return html`<section class="card"><header><h2>${t("inverter.link")}</h2></header>${outlets.map(link)}</section>`;
}

/** What the charge control lets a pack contribute in a direction; null where it does not count. */
const allowed = (key, charging) => (state.packs[key].on ? state.inverter.allows[key]?.[charging ? 0 : 1] ?? null : null);

/** What a pack allows in the direction in which current flows, and what it carries of it. */
function packRow(key, charging, largest) {
  const pack = state.packs[key], v = valuesOf(pack), allows = allowed(key, charging);
  const carries = pack.on ? Math.abs(v.current ?? 0) : null, out = state.bank?.out.find((one) => one.pack === key);
  const share = (value) => Math.min(100, (100 * (value ?? 0)) / largest);
  return html`<tr class=${pack.on ? "" : "stale"}><th scope="row">${packName(key)}</th><td class="desk"><span class="carry"><i class=${charging ? "charge" : "discharge"} style="--w:${share(carries)}"></i>${allows == null ? nothing : html`<u style="--at:${share(allows)}"></u>`}</span></td>
    <td>${allows == null ? DASH : unit(allows, "A", Number.isInteger(allows) ? 0 : 1)}</td><td>${carries == null ? DASH : unit(carries, "A", 1)}</td><td>${out ? html`<span class="badge bad">${said(out.why)}</span>` : html`<span class="badge charge">${t("inverter.counts_yes")}</span>`}</td></tr>`;
}

function packs() {
  const keys = packKeys(), charging = (state.bank?.a ?? 0) >= 0;
  const limits = keys.map((key) => Math.max(allowed(key, charging) ?? 0, state.packs[key].on ? Math.abs(valuesOf(state.packs[key]).current ?? 0) : 0));
  const largest = Math.max(1, ...limits) * 1.2;
  return html`<section class="card"><header><h2>${t("inverter.packs")}</h2><small>${t(charging ? "inverter.of_charge" : "inverter.of_discharge")}</small></header>
    <div class="scroll" tabindex="0" role="region" aria-label=${t("inverter.packs")}><table class="settings"><thead><tr><th scope="col" class="chosen">${t("set.pack")}</th><th scope="col" class="desk chosen">${t("current")}</th><th scope="col" class="chosen">${t("inverter.allows")}</th><th scope="col" class="chosen">${t("inverter.carries")}</th><th scope="col" class="chosen">${t("inverter.counts")}</th></tr></thead>
    <tbody class="plain">${keys.map((key) => packRow(key, charging, largest))}</tbody></table></div></section>`;
}

/** What was typed or chosen, as a question. */
function wish(to, u, digits, range) {
  if (to === "default") return t("steer.set_default");
  return t("steer.set", { to: range ? unit(Number(to), u ?? "", digits).trim() : t(`grid.${to}`) });
}

function value(ui, { key, n, u, v, range, options }) {
  const digits = range ? (range[2] >= 1 ? 0 : range[2] >= 0.1 ? 1 : 2) : 0, name = tOr(`owner.${key}`, n);
  const shown = v == null ? DASH : range ? unit(v, u ?? "", digits).trim() : t(`grid.${v}`);
  if (!openFor()) return html`<div><dt>${name}</dt><dd>${shown}</dd></div>`;
  if (asked(ui, key)) return html`<div><dt>${name}</dt><dd>${question(ui, wish(ui.asking.to, u, digits, range))}</dd></div>`;
  if (!range) return html`<div><dt><label for="own-${key}">${name}</label></dt><dd><select id="own-${key}" @change=${(event) => look(ui, key, event.target.value)}>${options.map((one) => html`<option value=${one} ?selected=${one === v}>${t(`grid.${one}`)}</option>`)}</select></dd></div>`;
  const open = ui.editing?.[0] === "owner" && ui.editing[1] === key;
  const more = html`<button type="button" class="link" @click=${() => look(ui, key, "default")}>${t("steer.default")}</button>`;
  return html`<div><dt>${name}</dt><dd>${open
    ? numberField(ui, { label: name, value: v, range, digits, take: (typed) => look(ui, key, String(typed)), more })
    : html`<button type="button" class="value" aria-label=${`${name}: ${shown}`} @click=${() => openField(ui, ["owner", key])}>${shown}</button>`}</dd></div>`;
}

function owner(ui) {
  const { switches, rows, facts, problem } = state.owner;
  const found = [["last_full", facts.last_full && clock(Date.parse(facts.last_full) / 1000)], ["days_since_full", facts.days_since_full == null ? null : t("span.d", { d: num(facts.days_since_full, 1) })], ["time_absorbed", facts.time_absorbed ? t("span.min", { n: facts.time_absorbed }) : null]].filter(([, one]) => one);
  return html`<section class="card owner"><header><h2>${t("steer.title")}</h2></header>
    ${problem ? html`<p class="problem" role="alert">${said(problem)}</p>` : nothing}
    <p class="acts">${Object.entries(switches).map(([key, on]) => sure(ui, key, on ? "OFF" : "ON", t(`steer.${key}.${on ? "on" : "off"}`)))}${BUTTONS.map((key) => sure(ui, key, "", t(`steer.${key}`)))}</p>
    <dl class="rows">${rows.map((row) => value(ui, row))}${found.map(([key, one]) => html`<div><dt>${t(`owner.${key}`)}</dt><dd>${one}</dd></div>`)}</dl></section>`;
}

let setup = null; // the set-up of a first inverter, fetched where there is none

function none(ui) {
  if (setup?.view) return setup.view(ui);
  setup ??= import("./setup.js").then((module) => { setup = module; ui.draw(); }, () => { setup = { lost: true }; ui.draw(); });
  return html`<section class="card ${setup.lost ? "" : "ghost"}"><h1>${t("tab.inverter")}</h1>${setup.lost ? html`<p>${t("inverter.none")}</p>` : nothing}</section>`;
}

export function view(ui) {
  if (!state.inverter) return none(ui);
  return html`<h1 class="vh">${t("tab.inverter")}</h1><section class="card tools"><p class="muted">${t("steer.intro")}</p>${lockBar()}</section>
    ${ui.told ? html`<p class=${ui.told.bad ? "problem" : "done"} role="status">${ui.told.text}</p>` : nothing}
    ${told(ui)}<div class="columns"><div>${packs()}</div><div>${links()}${state.owner ? owner(ui) : nothing}</div></div>`;
}
