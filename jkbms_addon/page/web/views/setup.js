// A first inverter in four steps: which one, by which adapter, within which limits, and what it would be told.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { learnMore, list, num, said, t, tOr, unit } from "../format.js";
import { ask, openFor, state } from "../data.js";
import { meanings, packName } from "../pieces.js";
import { missing, rehearsal } from "./rehearsal.js";
import { difference, ending, pasted, waiting } from "./saving.js";
import { lockBar } from "./settings.js";

const STEPS = ["which", "adapter", "limits", "rehearsal"];
const NUMBERS = [["charge_voltage", "V"], ["float_voltage", "V"], ["min_discharge_voltage", "V"], ["max_charge_current", "A"], ["max_discharge_current", "A"]];
const OTHER = "other"; // chosen by its protocol
const USUAL = "500000"; // bit/s
/** The step in which each option is chosen; limits are those of the third. */
const OF_STEP = { protocol: 0, channel: 1, bitrate: 1, baudrate: 1, set_up_link: 1 };
const NOTHING = { profile: "", protocol: "", channel: "", typing: false, bitrate: USUAL, baudrate: "", up: null };

let met = null; // the greeting of the connection on which it was asked what there is
let told = null; // what the server told
let ports = { ports: [], can: [] };
let step = 0; // the last one is behind the four: what is saved
let pick = { ...NOTHING }, numbers = {}; // what was chosen, and typed in place of what was proposed
let find = "", errors = [], heard = null, review = null, sure = false;
let busy = false, problem = "", paste = "", saved = false, restarting = false;

// --- asking ---------------------------------------------------------------------------------------------------

/** Ask something, with everything greyed until the answer is there. */
async function asked(ui, kind, more) {
  busy = true;
  problem = "";
  ui.draw();
  const answer = await ask(kind, more);
  busy = false;
  if (answer.t === "no") problem = answer.reason;
  return answer;
}

/** Read again what there is; what was chosen stays. */
async function read(ui) {
  met = state.hello;
  const answer = await asked(ui, "inverter_setup");
  if (answer.t === "inverter_setup") told = answer;
  const connected = await ask("ports");
  if (connected.t === "ports") ports = connected;
  ui.draw();
}

const dialect = () => told.dialects[pick.protocol];
const serial = () => dialect()?.port === "serial";
const onInterface = () => Boolean(pick.channel) && !pick.channel.startsWith("/");
const isDown = (name) => ports.can.some((one) => one.name === name && !one.up);
const setUp = () => onInterface() && (pick.up ?? isDown(pick.channel));
const shown = (value) => (value == null ? "" : String(value).replace(".", num(0.5, 1)[1])); // with the reader's point
const typedOr = (key) => numbers[key] ?? shown(told.proposal[key][0]);

/** A number as it was typed, with a comma, too; what is none is sent as it is, so that it is told what is wrong. */
function meant(text) {
  const value = text.trim().replace(/^(-?\d+),(\d+)$/, "$1.$2"), number = Number(value);
  return value === "" ? null : Number.isFinite(number) ? number : value;
}

/** The section of the options; what is null is left out, also where it stands there already. */
function section() {
  const can = !serial();
  const link = { bitrate: can && pick.bitrate !== USUAL ? pick.bitrate : null, baudrate: can ? null : pick.baudrate || null, set_up_link: (can && setUp()) || null };
  const limits = Object.fromEntries(NUMBERS.map(([key]) => [key, meant(typedOr(key))]));
  return { protocol: pick.protocol, channel: pick.channel.trim(), ...link, ...limits, confirmed: sure };
}

const draft = () => ({ sum: told.sum, draft: { inverter: section() } });

/** Go to a step, with its heading in focus for who uses no mouse. */
function go(ui, to) {
  step = to;
  problem = paste = "";
  if (step < STEPS.length) sure = false; // what is changed must be confirmed anew
  ui.draw();
  requestAnimationFrame(() => requestAnimationFrame(() => {
    document.querySelector(".setup h2")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }));
}

/** Back to the earliest step in which something is wrong, if it is not later than this one. */
function wrongHere(found) {
  errors = found;
  const places = found.map(([key]) => OF_STEP[key] ?? (key ? 2 : step));
  return Math.min(...places, Infinity);
}

/** Have everything checked and rehearsed; on to a step, unless something is wrong in this one or before. */
async function rehearse(ui, to) {
  const answer = await asked(ui, "inverter_rehearse", { sum: told.sum, inverter: { ...section(), confirmed: false } });
  if (answer.t === "no") return ui.draw();
  heard = answer.errors.length ? null : answer;
  const wrong = wrongHere(answer.errors), here = wrong <= step ? wrong : to;
  if (here === step) ui.draw();
  else go(ui, here);
}

const next = (ui) => (step === 0 ? go(ui, 1) : rehearse(ui, step + 1));

function reviewed(ui, answer) {
  review = answer;
  const wrong = wrongHere(answer.errors.filter(([where]) => where === "inverter").map(([, key, text]) => [key, text]));
  if (wrong < STEPS.length) go(ui, wrong);
}

async function look(ui) {
  const answer = await asked(ui, "options_review", draft());
  if (answer.t === "review") {
    if (step < STEPS.length) go(ui, STEPS.length);
    reviewed(ui, answer);
  }
  ui.draw();
}

async function save(ui) {
  const { text } = review;
  const answer = await asked(ui, "options_save", draft());
  if (answer.t === "saved") {
    saved = true;
    if (!answer.kept) problem = t("opt.otherwise");
  } else if (answer.t === "review") reviewed(ui, answer);
  else paste = text;
  ui.draw();
}

async function restart(ui) {
  met = state.hello;
  const answer = await asked(ui, "restart");
  restarting = answer.t !== "no" || !state.connected; // the app may be gone before it can answer
  if (restarting) problem = "";
  ui.draw();
}

// --- pieces ---------------------------------------------------------------------------------------------------

const choices = (all, value) => all.map(([key, words]) => html`<option value=${key} ?selected=${key === value}>${words}</option>`);

const wrongAt = (key) => errors.filter(([where]) => where === key).map(([, text]) => said(text));

/** One field with its label, what is wrong with it, and a word of help. */
function field(key, input, help, label = t(`inv.f.${key}`)) {
  const wrong = wrongAt(key);
  return html`<div class="field ${wrong.length ? "wrong" : ""}"><label for="inv-${key}">${label}</label><span class="in">${input}</span>
    <small id="inv-${key}-help">${wrong.length ? html`<b role="alert">${wrong.join(" ")}</b> ` : nothing}${help}</small></div>`;
}

const select = (key, all, value, take) => html`<select id="inv-${key}" aria-describedby="inv-${key}-help" aria-invalid=${wrongAt(key).length ? "true" : nothing} @change=${(event) => take(event.target.value)}>${choices(all, value)}</select>`;

/** One of several to choose from, with what is told of it when it is. */
const choice = (group, on, choose, words, more = nothing, closed = false) => html`<li class="choice ${on ? "on" : ""} ${closed ? "closed" : ""}"><label><input type="radio" name="inv-${group}" .checked=${on} ?disabled=${closed} @change=${choose}><span>${words}</span></label>${on ? more : nothing}</li>`;

function chosen(ui, changes) {
  pick = { ...pick, ...changes };
  errors = [];
  heard = review = null;
  ui.draw();
}

// --- the four steps -------------------------------------------------------------------------------------------

const nameOf = (one) => tOr(`inv.name.${one.key}`, one.name);
const menuOf = (one) => tOr(`inv.menu.${one.key}`, one.menu);
const noteOf = (one) => tOr(`inv.note.${one.key}`, one.note);

/** What an inverter makes of being told to stop, and what its protocol cannot or must not say. */
function speaks() {
  const one = dialect();
  return html`<details><summary>${t("inverter.speaks", { title: said(one.title) })}</summary><dl>${meanings(one).map(([key, text]) => html`<div><dt>${t(key)}</dt><dd>${text}</dd></div>`)}</dl></details>`;
}

function protocols(ui, names) {
  const help = t(names.length > 1 && pick.profile !== OTHER ? "inv.h.protocols" : "inv.h.protocol");
  return field("protocol", select("protocol", names.map((one) => [one, `${one}: ${said(told.dialects[one].title)}`]), pick.protocol, (protocol) => chosen(ui, { protocol, channel: "", typing: false })), help);
}

function which(ui) {
  const wanted = find.trim().toLowerCase();
  const all = told.profiles.filter((one) => `${nameOf(one)} ${menuOf(one)} ${one.protocols.join(" ")}`.toLowerCase().includes(wanted));
  const choose = (one) => () => chosen(ui, { ...NOTHING, profile: one.key, protocol: one.protocols[0], bitrate: String(one.bitrate ?? USUAL) });
  const words = (one) => html`<b>${nameOf(one)}</b>${menuOf(one) ? html`<small>${t("inv.in_menu", { menu: menuOf(one) })}</small>` : nothing}`;
  const more = (one) => html`<div class="more">${one.protocols.length > 1 ? protocols(ui, one.protocols) : nothing}<p class="muted">${t("inv.rests", { how: list(one.rests_on.map((how) => t(`inv.rests.${how}`))) })}</p>${noteOf(one) ? html`<p>${noteOf(one)}</p>` : nothing}${speaks()}</div>`;
  const other = { key: OTHER, protocols: Object.keys(told.dialects), bitrate: null };
  return html`<p class="muted">${t("inv.which_text")}</p>
    <input type="search" aria-label=${t("inv.find")} placeholder=${t("inv.find")} .value=${find} @input=${(event) => { find = event.target.value; ui.draw(); }}>
    <fieldset><legend class="vh">${t("inv.which")}</legend><ul class="choices">${all.map((one) => one.protocols.length
      ? choice("profile", pick.profile === one.key, choose(one), words(one), pick.profile === one.key ? more(one) : nothing)
      : html`<li class="choice closed"><p>${nameOf(one)}<small>${noteOf(one)}</small></p></li>`)}
      ${choice("profile", pick.profile === OTHER, choose(other), html`<b>${t("inv.other")}</b><small>${t("inv.other_text")}</small>`, pick.profile === OTHER ? html`<div class="more">${protocols(ui, other.protocols)}${speaks()}</div>` : nothing)}</ul></fieldset>`;
}

/** Interfaces and adapters that this inverter can be told by: [path, words, who uses it, whether it cannot be had]. */
function adapters() {
  const can = serial() ? [] : ports.can.map((one) => [one.name, t(one.up ? "first.can_up" : "first.can_down"), one.used, false]);
  return [...can, ...ports.ports.map((one) => [one.path, t(serial() ? "inv.rs485" : "inv.slcan"), one.used, Boolean(one.used)])];
}

function link(ui) {
  if (serial()) return field("baudrate", select("baudrate", [["", t("inv.baudrate_any")], ["9600", "9600"], ["115200", "115200"]], pick.baudrate, (baudrate) => chosen(ui, { baudrate })), t("inv.h.baudrate"));
  const rate = field("bitrate", select("bitrate", [[USUAL, t("opt.usual", { value: USUAL })], ["250000", "250000"]], pick.bitrate, (bitrate) => chosen(ui, { bitrate })), t("inv.h.bitrate"));
  if (!onInterface()) return rate;
  return html`${rate}${field("set_up_link", html`<input type="checkbox" id="inv-set_up_link" aria-describedby="inv-set_up_link-help" .checked=${setUp()} @change=${(event) => chosen(ui, { up: event.target.checked })}>`, t("inv.h.set_up_link"))}`;
}

/** The pins of the inverter's socket, as far as anybody told. */
function wiring() {
  if (serial()) return t("inv.wires_rs485");
  const { name, high, low, ground } = told.profiles.find((one) => one.key === pick.profile)?.socket ?? told.profiles.at(-1).socket;
  return `${ground == null ? t("inv.wires_usual", { high, low }) : t("inv.wires", { name, high, low, ground })} ${t("inv.wires_measure")}`;
}

function adapter(ui) {
  const found = adapters();
  const words = ([path, kind, used, closed]) => html`<b class="path">${path}</b><small>${kind}${used ? html` <span class="badge idle">${t("doc.used", { bus: used })}</span>` : nothing}${used && !closed ? html` ${t("inv.shared")}` : nothing}</small>`;
  const typing = html`<div class="more">${field("channel", html`<input id="inv-channel" autocomplete="off" spellcheck="false" aria-describedby="inv-channel-help" .value=${pick.channel} @input=${(event) => chosen(ui, { channel: event.target.value })}>`, t(serial() ? "inv.h.port" : "inv.h.channel"))}</div>`;
  return html`<p class="muted">${t(serial() ? "inv.adapter_serial" : "inv.adapter_can")}</p><p>${wiring()}</p>
    <fieldset><legend class="vh">${t("inv.adapter")}</legend>${found.length ? nothing : html`<p>${t("inv.no_adapter")}</p>`}
      <ul class="choices">${found.map((one) => choice("adapter", !pick.typing && pick.channel === one[0], () => chosen(ui, { channel: one[0], typing: false, up: null }), words(one), nothing, one[3]))}
      ${choice("adapter", pick.typing, () => chosen(ui, { typing: true, channel: "" }), html`<b>${t("opt.type")}</b>`, typing)}</ul></fieldset>
    ${pick.typing ? nothing : wrongAt("channel").map((text) => html`<p class="problem" role="alert">${text}</p>`)}
    <div class="fields">${link(ui)}</div>
    <p class="acts"><button type="button" class="btn small" ?disabled=${busy} @click=${() => read(ui)}>${t("inv.look_again")}</button></p>`;
}

/** What a voltage per cell is for the whole battery. */
function whole(key) {
  const value = meant(typedOr(key)), cells = Math.min(...told.packs.map((one) => one.cells));
  if (key.endsWith("current") || !told.packs.length || typeof value !== "number" || value > 5) return nothing;
  return html` <output for="inv-${key}">${t("inv.whole", { v: unit(value * cells, "V", 1), cells })}</output>`;
}

function limit(ui, [key, symbol]) {
  const [value, why] = told.proposal[key], changed = numbers[key] !== undefined && numbers[key] !== shown(value);
  const take = (text) => { numbers = { ...numbers, [key]: text }; errors = []; heard = review = null; ui.draw(); };
  const back = html`<button type="button" class="link" @click=${() => take(shown(value))}>${t("inv.take", { value: unit(value, symbol, symbol === "V" ? 2 : 0) })}</button>`;
  const help = value == null ? t("inv.unknown_why", { why: said(why) }) : html`${t("inv.why", { why: said(why) })} ${changed ? back : nothing}`;
  return field(key, html`<input id="inv-${key}" inputmode="decimal" autocomplete="off" placeholder=${t("inv.open")} aria-describedby="inv-${key}-help" aria-invalid=${wrongAt(key).length ? "true" : nothing} .value=${typedOr(key)} @input=${(event) => take(event.target.value)}><span class="unit">${t(symbol === "V" ? "inv.per_cell" : "inv.amperes")}</span>`, html`${whole(key)} ${help}`);
}

function packs() {
  const volts = (value) => unit(value, "V", 2), amps = (value) => unit(value, "A");
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t("inv.packs")}><table class="answers"><thead><tr>${["set.pack", "inv.cells", "inv.charge_to", "inv.charge", "inv.discharge"].map((key) => html`<th scope="col">${t(key)}</th>`)}</tr></thead>
    <tbody>${told.packs.map((one) => html`<tr><th scope="row">${packName(one.pack)}</th><td>${num(one.cells)} ${one.kind}</td><td>${volts(one.charge_voltage)}</td><td>${amps(one.charge_current)}</td><td>${amps(one.discharge_current)}</td></tr>`)}</tbody></table></div>`;
}

function limits(ui) {
  return html`<p class="muted">${t(told.packs.length ? "inv.limits_text" : "inv.limits_none")}</p>
    ${told.packs.length ? packs() : nothing}${missing(told.missing)}
    <div class="fields">${NUMBERS.map((one) => limit(ui, one))}</div>
    <p class="acts"><button type="button" class="btn small" ?disabled=${busy} @click=${() => { numbers = {}; read(ui); }}>${t("inv.propose_again")}</button></p>`;
}

// --- the end --------------------------------------------------------------------------------------------------

/** Why it cannot be confirmed; empty where it can. */
function unconfirmable() {
  return heard?.frames.length ? "" : t("inv.nothing_seen");
}

function end(ui) {
  if (!review) return nothing;
  const why = unconfirmable();
  const confirm = (event) => { sure = event.target.checked; look(ui); };
  return html`<section class="card sheet"><header><h2 tabindex="-1">${t("opt.review")}</h2></header>${difference(review.diff)}
    ${review.notes.map((text) => html`<p class="problem">${said(text)}</p>`)}
    <div class="sure"><label><input type="checkbox" .checked=${sure} ?disabled=${Boolean(why) || busy} @change=${confirm}> <span>${t("inv.sure")}</span></label>${why ? html`<p>${why}</p>` : nothing}</div>
    ${told.home ? html`<p class="muted">${t("opt.how")}</p>${lockBar()}<p class="acts"><button type="button" class="btn" @click=${() => go(ui, 3)}>${t("set.back")}</button><button type="button" class="btn primary" ?disabled=${!openFor() || busy || !sure || Boolean(why) || errors.length > 0} @click=${() => save(ui)}>${t("opt.save")}</button></p>
      ${paste ? pasted(ui, t("inv.paste"), paste) : nothing}`
      : html`${pasted(ui, t(sure ? "inv.alone" : "inv.alone_unsure"), review.json)}<p class="acts"><button type="button" class="btn" @click=${() => go(ui, 3)}>${t("set.back")}</button></p>`}</section>`;
}

/** An inverter is in the options already, and runs after a restart, or is wrong. */
function taken(ui) {
  const [one] = told.named;
  return html`<section class="card"><h1>${t("tab.inverter")}</h1><p>${t(one.channel ? "inv.taken" : "inv.taken_wrong", one)}</p>
    ${one.problem ? html`<p class="problem">${said(one.problem)}</p>` : nothing}<p class="muted">${t("inv.elsewhere")}</p><p class="acts"><a class="btn" href="#options">${t("opt.open")}</a></p></section>
    ${told.home && told.pending ? waiting(t("opt.pending"), busy, () => restart(ui)) : nothing}`;
}

const DRAWN = [which, adapter, limits, (ui) => rehearsal(heard, busy, () => rehearse(ui, 3))];
const ready = () => [Boolean(pick.protocol), Boolean(pick.channel.trim()), true, Boolean(heard)][step];

function steps(ui) {
  const rail = html`<ol class="rail" aria-label=${t("inv.steps")}>${STEPS.map((key, n) => html`<li class=${n === step ? "now" : n < step ? "done" : ""} aria-current=${n === step ? "step" : nothing}>${n + 1} <span>${t(`inv.${key}`)}</span></li>`)}</ol>`;
  const unnamed = errors.filter(([key]) => !key).map(([, text]) => html`<p class="problem" role="alert">${said(text)}</p>`);
  if (step === STEPS.length) return html`${rail}${unnamed}${end(ui)}`;
  const forward = (event) => { event.preventDefault(); if (!busy && ready()) (step === 3 ? look : next)(ui); };
  return html`${rail}<form class="card" @submit=${forward}><header><h2 tabindex="-1">${t("inv.step", { n: step + 1, of: STEPS.length, name: t(`inv.${STEPS[step]}`) })}</h2></header>${DRAWN[step](ui)}${unnamed}
    <p class="acts foot">${step ? html`<button type="button" class="btn" @click=${() => go(ui, step - 1)}>${t("set.back")}</button>` : nothing}<button class="btn primary" ?disabled=${busy || !ready()}>${t(step === 3 ? "inv.to_end" : "inv.next")}</button></p></form>`;
}

const TITLE = () => html`<h1 class="vh">${t("tab.inverter")}</h1>`;

function content(ui) {
  if (!told || !tOr("inv.title", "") || !tOr("opt.save", "")) return html`${TITLE()}<div class="card ghost"></div>`;
  if (restarting) return html`${TITLE()}${ending()}`;
  if (saved) return html`${TITLE()}${waiting(t("opt.saved"), busy, () => restart(ui))}`;
  if (told.named.length) return taken(ui);
  return html`<header class="lead"><h1>${t("inv.title")}</h1>${step ? nothing : html`<p>${t("inv.text")}</p>`}</header>${steps(ui)}`;
}

export function view(ui) {
  learnMore("options", ui.draw);
  learnMore("inverter", ui.draw);
  if (restarting && met !== state.hello) [restarting, saved, step, pick, numbers, sure] = [false, false, 0, { ...NOTHING }, {}, false];
  if (!busy && met !== state.hello) read(ui);
  const sheets = ["options.css", "setup.css"].map((name) => html`<link rel="stylesheet" href=${new URL(name, import.meta.url).href}>`);
  const failed = problem ? html`<p class="problem" role="alert">${said(problem)} <button type="button" class="btn small" @click=${() => read(ui)}>${t("opt.again")}</button></p>` : nothing;
  return html`${sheets}<div class="setup options">${failed}${content(ui)}</div>`;
}
