// The buses of the app's options: the fields of each strategy, what would change, saved by Home Assistant's Supervisor.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { learnMore, said, t, tOr } from "../format.js";
import { ask, openFor, state } from "../data.js";
import { packKeys } from "../pieces.js";
import { difference, ending, pasted, waiting } from "./saving.js";
import { lockBar } from "./settings.js";

let met = null; // the greeting of the connection on which the options were read
let told = null; // the options as the server told them
let rows = []; // [{was, bus, keep, touched, form, problem}]
let found = null; // an entry of a scan that has no place yet
let open = null; // row whose form is shown
let ports = { ports: [], can: [] };
let typed = new Set(); // fields of ports that are typed, as the port is not in the list
let review = null, busy = false, problem = "", paste = "", saved = false, restarting = false;

const touched = () => rows.some((one) => one.touched) || rows.length !== (told?.buses.length ?? 0);
const draft = () => ({ sum: told.sum, draft: rows.map(({ was, bus, keep, touched: changed }) => (changed ? { was, bus: clean(bus), keep } : { was })) });

/** The values of a bus as they are sent: texts as they were typed become numbers where the option is one. */
function clean(bus) {
  const kinds = Object.fromEntries((told.forms[formOf(bus)] ?? []).map(({ key, kind }) => [key, kind]));
  const all = Object.entries(bus).map(([key, value]) => [key, meant(kinds[key], value)]);
  return Object.fromEntries(all.filter(([, value]) => value !== "" && value != null));
}

/** What a text field holds, as what the option is: a number where it looks like one and may be one. */
function meant(kind, value) {
  if (typeof value !== "string") return value;
  const text = value.trim(), number = Number(text);
  return text !== "" && (kind === "number" || kind === "any") && Number.isFinite(number) ? number : text;
}

// --- asking -------------------------------------------------------------------------------------------------

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

async function read(ui) {
  met = state.hello;
  found = ui.entry ?? found;
  ui.entry = null;
  const answer = await asked(ui, "options", found ? { entry: found } : {});
  if (answer.t === "options") { taken(answer); found = null; }
  const connected = await ask("ports");
  if (connected.t === "ports") ports = connected;
  ui.draw();
}

/** Begin anew with what the server told; an entry that was found is put in its place. */
function taken(answer) {
  told = answer;
  rows = answer.buses.map((one, was) => ({ was, bus: { ...one.bus }, keep: [...one.kept], touched: false, problem: one.problem }));
  open = review = null;
  typed = new Set();
  paste = "";
  if (!answer.proposed) return;
  const { was, bus, keep } = answer.proposed;
  const row = { was, bus: { ...bus }, keep: [...keep], touched: true, problem: "" };
  if (was === null) rows.push(row);
  else rows[was] = row;
  open = row;
}

async function look(ui) {
  const answer = await asked(ui, "options_review", draft());
  if (answer.t === "review") reviewed(answer);
  ui.draw();
}

function reviewed(answer) {
  review = answer;
  const [first] = answer.errors;
  if (first) open = rows[first[0]];
}

async function save(ui) {
  const { text } = review;
  const answer = await asked(ui, "options_save", draft());
  if (answer.t === "saved") {
    taken(answer);
    saved = true;
    if (!answer.kept) problem = t("opt.otherwise");
  } else if (answer.t === "review") reviewed(answer);
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

// --- forms --------------------------------------------------------------------------------------------------

const formOf = ({ strategy, plugin }) => (strategy === "plugin" ? plugin : strategy);
const label = (key) => tOr(`opt.f.${key}`, key);
const named = (name) => (name ? `${name}: ${tOr(`strategy.${name}`, t("opt.foreign"))}` : "");

function change(ui, row, key, value) {
  row.bus = { ...row.bus, [key]: value };
  row.touched = true;
  row.keep = row.keep.filter((one) => one !== key);
  review = null;
  saved = false;
  ui.draw();
}

/** Another strategy: what it has no field for is gone. */
function turn(ui, row, form) {
  const known = new Set(["name", ...(told.forms[form] ?? []).map(({ key }) => key)]);
  const kept = Object.entries(row.bus).filter(([key]) => known.has(key));
  row.bus = { ...Object.fromEntries(kept), ...(told.foreign.includes(form) ? { strategy: "plugin", plugin: form } : { strategy: form }) };
  row.keep = row.keep.filter((key) => known.has(key));
  change(ui, row, "strategy", row.bus.strategy);
}

const options = (choices, value) => choices.map(([key, words]) => html`<option value=${key} ?selected=${String(key) === String(value ?? "")}>${words}</option>`);

/** Ports that exist, by the names that last; the one that is set stays in the list when it is not plugged in. */
function portChoices(kind, value) {
  const serial = ports.ports.map(({ path, used }) => [path, used ? `${path} (${t("doc.used", { bus: used })})` : path]);
  const can = kind === "channel" ? ports.can.map(({ name }) => [name, name]) : [];
  const found = [...can, ...serial];
  return value && !found.some(([path]) => path === value) ? [[value, t("opt.away", { port: value })], ...found] : found;
}

function port(ui, row, { key, kind, required }, more) {
  const value = row.bus[key], other = "\u0000";
  const choose = (event) => {
    if (event.target.value === other) { typed.add(row); ui.draw(); }
    else change(ui, row, key, event.target.value);
  };
  if (typed.has(row)) return html`<input id=${more.id} aria-describedby=${more.help} .value=${value ?? ""} @input=${(event) => change(ui, row, key, event.target.value)}>`;
  return html`<select id=${more.id} aria-describedby=${more.help} aria-invalid=${more.wrong} @change=${choose}>${options([["", t(required ? "opt.choose" : "opt.none")], ...portChoices(kind, value), [other, t("opt.type")]], value)}</select>`;
}

function input(ui, row, field, more) {
  const { key, kind, choices, default: usual } = field, value = row.bus[key];
  if (kind === "port" || kind === "channel") return port(ui, row, field, more);
  if (kind === "flag") return html`<input type="checkbox" id=${more.id} aria-describedby=${more.help} .checked=${value ?? usual ?? false} @change=${(event) => change(ui, row, key, event.target.checked)}>`;
  if (kind === "choice") {
    const take = ({ target }) => change(ui, row, key, choices.find((one) => String(one) === target.value) ?? "");
    return html`<select id=${more.id} aria-describedby=${more.help} aria-invalid=${more.wrong} @change=${take}>${options([["", usual == null ? t("opt.none") : t("opt.usual", { value: usual })], ...choices.map((one) => [one, one])], value)}</select>`;
  }
  const hidden = kind === "secret", kept = row.keep.includes(key);
  const holder = kept ? t("opt.kept") : usual == null ? "" : String(usual);
  const take = (event) => change(ui, row, key, event.target.value);
  return html`<input id=${more.id} type=${hidden ? "password" : "text"} autocomplete=${hidden ? "new-password" : "off"} inputmode=${kind === "number" ? "decimal" : nothing} placeholder=${holder} aria-describedby=${more.help} aria-invalid=${more.wrong} .value=${value == null ? "" : String(value)} @input=${take}>
    ${kept ? html`<button type="button" class="btn small" @click=${() => change(ui, row, key, "")}>${t("opt.forget")}</button>` : nothing}`;
}

/** One field with its label, a word of help, and what is wrong with it. */
function field(ui, row, one) {
  const n = rows.indexOf(row), id = `opt-${n}-${one.key}`, help = tOr(`opt.h.${one.key}`, "");
  const wrong = (review?.errors ?? []).filter(([where, key]) => where === n && key === one.key).map(([, , text]) => said(text));
  const more = { id, help: `${id}-help`, wrong: wrong.length ? "true" : nothing };
  return html`<div class="field ${wrong.length ? "wrong" : ""}"><label for=${id}>${label(one.key)}${one.required ? html` <span aria-hidden="true">*</span>` : nothing}</label><span class="in">${one.input ?? input(ui, row, one, more)}</span>
    <small id=${more.help}>${wrong.length ? html`<b role="alert">${wrong.join(" ")}</b> ` : nothing}${help}</small></div>`;
}

function form(ui, row) {
  const name = formOf(row.bus), n = rows.indexOf(row), fields = told.forms[name];
  const strategies = [...(fields ? [] : [["", t("opt.choose")]]), ...Object.keys(told.forms).map((one) => [one, named(one)])];
  const select = html`<select id="opt-${n}-strategy" aria-describedby="opt-${n}-strategy-help" @change=${(event) => turn(ui, row, event.target.value)}>${options(strategies, fields ? name : "")}</select>`;
  const own = new Set(["name", "strategy", ...(fields ?? []).map(({ key }) => key)]);
  const elsewhere = (review?.errors ?? []).filter(([where, key]) => where === n && !own.has(key)).map(([, key, text]) => (key ? `${label(key)}: ${said(text)}` : said(text)));
  const was = row.was === null ? null : told.buses[row.was].bus.name;
  return html`<div class="fields">${field(ui, row, { key: "name", kind: "text", required: true })}${field(ui, row, { key: "strategy", required: true, input: select })}
    ${(fields ?? []).map((one) => field(ui, row, one))}</div>
    ${elsewhere.map((text) => html`<p class="problem" role="alert">${text}</p>`)}
    ${was !== null && row.bus.name !== was ? html`<p class="muted">${t("opt.renamed")}</p>` : nothing}`;
}

function bus(ui, row) {
  const { name, strategy, port: path, host, tcp_port: number, channel, mac } = row.bus;
  const place = path || channel || mac || (host ? `${host}:${number ?? ""}` : "");
  const drop = () => { rows = rows.filter((one) => one !== row); review = null; saved = false; if (open === row) open = null; ui.draw(); };
  const shown = open === row, wrong = (review?.errors ?? []).some(([where]) => where === rows.indexOf(row));
  return html`<li class="card"><header><div><h2>${name || t("opt.new")} ${row.touched ? html`<span class="badge info">${t("opt.changed")}</span>` : nothing}${wrong ? html`<span class="badge bad">${t("opt.wrong")}</span>` : nothing}</h2><small>${named(formOf(row.bus)) || strategy} <span class="path">${place}</span></small></div>
    <p class="acts"><button type="button" class="btn" aria-expanded=${String(shown)} @click=${() => { open = shown ? null : row; ui.draw(); }}>${t(shown ? "opt.close" : "opt.change")}</button><button type="button" class="btn" @click=${drop}>${t("opt.remove")}</button></p></header>
    ${row.problem && !row.touched ? html`<p class="problem">${said(row.problem)}</p>` : nothing}${shown ? form(ui, row) : nothing}</li>`;
}

// --- review ---------------------------------------------------------------------------------------------------

function reviewCard(ui) {
  const back = html`<button type="button" class="btn" @click=${() => { review = null; paste = ""; ui.draw(); }}>${t("set.back")}</button>`;
  if (!review.diff.length) return html`<section class="card"><p>${t("opt.nothing")}</p><p class="acts">${back}</p></section>`;
  return html`<section class="card sheet"><header><h2>${t("opt.review")}</h2></header>
    ${difference(review.diff)}
    ${review.notes.map((text) => html`<p class="problem">${said(text)}</p>`)}
    ${told.home ? html`<p class="muted">${t("opt.how")}</p>${lockBar()}<p class="acts"><button type="button" class="btn primary" ?disabled=${!openFor() || busy} @click=${() => save(ui)}>${t("opt.save")}</button>${back}</p>
      ${paste ? pasted(ui, t("opt.paste"), paste) : nothing}` : html`${pasted(ui, t("opt.alone"), review.json)}<p class="acts">${back}</p>`}</section>`;
}

function pending(ui) {
  if (restarting) return ending();
  if (!told.home || !told.pending || touched()) return nothing;
  return waiting(t(saved ? "opt.saved" : "opt.pending"), busy, () => restart(ui));
}

function acts(ui) {
  const append = () => { const row = { was: null, bus: { name: "", strategy: "auto" }, keep: [], touched: true, problem: "" }; rows = [...rows, row]; open = row; review = null; saved = false; ui.draw(); };
  return html`<p class="acts"><button type="button" class="btn" @click=${append}>${t("opt.add")}</button>
    ${touched() ? html`<button type="button" class="btn primary" ?disabled=${busy} @click=${() => look(ui)}>${t("set.review")}</button><button type="button" class="btn" @click=${() => { review = null; read(ui); }}>${t("set.drop_all")}</button>` : nothing}</p>
    ${state.inverter || touched() || !packKeys().length ? nothing : html`<p class="muted">${t("opt.no_inverter")} <a href="#inverter">${t("opt.set_up")}</a></p>`}`;
}

export function view(ui) {
  learnMore("options", ui.draw);
  if (restarting && met !== state.hello) { restarting = saved = false; location.hash = "overview"; }
  // what is being typed stays when the connection is lost
  if (!busy && (ui.entry || (met !== state.hello && !(told && touched())))) read(ui);
  const sheet = new URL("options.css", import.meta.url).href;
  return html`<link rel="stylesheet" href=${sheet}><h1>${t("opt.title")}</h1>
    ${problem ? html`<p class="problem" role="alert">${said(problem)} <button type="button" class="btn small" @click=${() => read(ui)}>${t("opt.again")}</button></p>` : nothing}
    ${told ? html`<div class="options">${pending(ui)}<ul>${rows.map((row) => bus(ui, row))}</ul>${rows.length ? nothing : html`<p>${t("opt.no_bus")}</p>`}${review && !review.errors.length ? reviewCard(ui) : acts(ui)}</div>` : nothing}`;
}
