// The doctor: how each bus and each battery on it is doing and what to try, what can be done about it, and the log.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { clock, DASH, num, plural, said, span, t } from "../format.js";
import { ask, openFor, state } from "../data.js";
import { icon, portList, reasonCard, reasons, segmented } from "../pieces.js";
import { strategy } from "./overview.js";
import { lockBar } from "./settings.js";

let met = null; // the greeting of the connection on which the log was asked for
let ports = null, lookedAt = 0;
const LOOK = 10000; // ms between looks at what is connected
let every = false; // whether all lines of the log are shown, or warnings only
let watched = ""; // bus whose bytes are shown
let seconds = 30; // of a capture
let bundle = null; // what will be in the bundle
let refused = ""; // why something was not begun

/** Ask for what is only told to who looks at it. */
async function enter(ui) {
  if (met !== state.hello) {
    met = state.hello;
    lookedAt = 0;
    state.log = [];
    watched = ""; // it ended with the connection
    ask("log", { on: true });
  }
  if (Date.now() - lookedAt < LOOK) return;
  lookedAt = Date.now();
  const found = await ask("ports");
  if (found.t === "ports") ports = found;
  ui.draw();
}

/** Nobody looks any more. */
export function leave() {
  if (met && met === state.hello) {
    ask("log", { on: false });
    const own = state.jobs.find((one) => one.kind === "bytes" && one.where === watched && one.state === "runs");
    if (own) ask("stop", { job: own.id });
  }
  watched = "";
  met = null;
}

// --- what is under way ----------------------------------------------------------------------------------------

/** Begin something; why not is said at the top. */
async function begin(ui, kind, more) {
  const answer = await ask(kind, more);
  refused = answer.t === "no" ? answer.reason : "";
  if (kind === "bytes" && !refused) { watched = more.bus; state.bytes = []; }
  ui.draw();
}

const button = (words, act, off = false) => html`<button type="button" class="btn" ?disabled=${off} @click=${act}>${words}</button>`;
const scan = (ui, more) => button(t("doc.scan"), () => begin(ui, "scan", more), !openFor());

const WIRED = ["BMS", "model", "firmware", "serial", "cells", "voltage", "after", "mode"];
const AIR = ["address", "name", "rssi", "model", "firmware", "serial", "cells", "voltage"];

/** A cell of what was found, by its column; a version is no number. */
const cell = (key, text) => (key === "mode" ? t(`doc.how.${text}`) : key === "voltage" ? said(text) : text);

/** What was found, one row for each BMS. */
const table = (label, keys, rows) => html`<div class="scroll" tabindex="0" role="region" aria-label=${label}><table class="answers"><thead><tr>${keys.map((key) => html`<th scope="col">${key === "BMS" ? key : t(`doc.${key}`)}</th>`)}</tr></thead><tbody>${rows.map(([n, ...row]) => html`<tr><th scope="row">${n}</th>${row.map((one, at) => html`<td>${cell(keys[at + 1], one)}</td>`)}</tr>`)}</tbody></table></div>`;

/** An entry that was found goes to the options. */
const take = (ui, bus, words) => html`<a class="btn primary" href="#options" @click=${() => { ui.entry = bus; }}>${words}</a>`;

function scanned(ui, { rows, air, entry, bus, buses, notes, reason, where }) {
  const found = `${t("doc.found")}: ${where}`;
  return html`${notes.map((one) => html`<p class="muted">${said(one)}</p>`)}${reason ? reasonCard("", reason) : nothing}
    ${rows?.length ? table(found, WIRED, rows) : nothing}
    ${air?.length ? table(found, AIR, air) : nothing}
    ${entry ? html`<p>${t("doc.entry")}</p><pre tabindex="0">${entry}</pre>` : nothing}
    ${bus ? html`<p class="acts">${take(ui, bus, t("opt.use"))}</p>` : nothing}
    ${buses?.length ? html`<p class="acts">${buses.map((one) => take(ui, one, buses.length > 1 ? `${t("opt.use")}: ${one.mac}` : t("opt.use")))}</p>` : nothing}`;
}

/** One job: how far it is, what came of it. */
function job(ui, one) {
  const runs = one.state === "runs", left = one.began + one.seconds - state.at;
  const words = one.phase || (runs && one.seconds && left > 0 ? t("doc.left", { time: span(left) }) : t(`doc.state.${one.state}`));
  return html`<li class="job"><p><b>${t(`doc.${one.kind}`)}</b> ${one.where} · <span role="status">${said(one.why ?? words)}</span>${one.full ? html` · ${t("doc.full")}` : nothing}${one.lost ? html` · ${t("doc.lost", { n: num(one.lost) })}` : nothing}
    ${runs ? button(t("doc.stop"), () => begin(ui, "stop", { job: one.id })) : nothing}
    ${one.file ? html`<a class="btn" href=${one.file[0]} download>${t("doc.download", { kb: num(Math.max(1, one.file[1] / 1024)) })}</a>` : nothing}</p>${one.rows || one.air ? scanned(ui, one) : nothing}</li>`;
}

const under = (ui, fits) => {
  const found = state.jobs.filter(fits).reverse();
  return found.length ? html`<ul class="jobs">${found.map((one) => job(ui, one))}</ul>` : nothing;
};

const TIMES = [[30, "30 s"], [300, "5 min"], [1800, "30 min"]];

/** What can be done on a bus; the server tells whether it shows what passes, and whether it asks. */
function acts(ui, { name, connected, shows, asks }) {
  const busy = state.jobs.some((one) => (one.where === name || one.beside.includes(name)) && one.state === "runs");
  const off = busy || !connected;
  const listen = () => html`${button(t("doc.capture"), () => begin(ui, "capture", { bus: name, seconds }), off)}
    <select aria-label=${t("doc.how_long", { bus: name })} @change=${(event) => { seconds = Number(event.target.value); ui.draw(); }}>${TIMES.map(([value, words]) => html`<option value=${value} ?selected=${value === seconds}>${words}</option>`)}</select>
    ${button(t("doc.bytes"), () => begin(ui, "bytes", { bus: name }), off)}`;
  return html`${asks || shows ? html`<p class="acts">${asks ? scan(ui, { bus: name }) : nothing} ${shows ? listen() : nothing}</p>` : nothing}${under(ui, (one) => one.where === name)}`;
}

/** A value that a frame tells, by its key in all captures and messages. */
function told([key, value, symbol]) {
  const text = typeof value === "number" ? num(value, String(value).split(".")[1]?.length ?? 0) : Array.isArray(value) ? value.join(", ") || DASH : value;
  return `${key}\u00a0${text}${symbol ? `\u00a0${symbol}` : ""}`; // one piece where lines are broken
}

/** What a message says; the server knows, this finds the words. */
function meaning(kind, about) {
  const args = { ...about, a: about.a ?? "?", page: about.page && t(`doc.page.${about.page}`), version: about.version ? ` (V${about.version})` : "" };
  const values = [["v", "V", 2], ["i", "A", 1], ["soc", "%", 0]].filter(([key]) => about[key] != null).map(([key, symbol, digits]) => `${num(about[key], digits)} ${symbol}`);
  return [t(`doc.b.${kind}`, args), ...values, ...(about.told ?? []).map(told)].join(" · ");
}

/** Frames stand below each other as in candump. */
const columns = (id, hex) => html`<b>${id.padStart(8)}</b> ${hex.padEnd(23)}`;

function bytes() {
  if (!watched) return nothing;
  const title = t("doc.bytes_on", { bus: watched });
  return html`<section class="card"><header><h2>${title}</h2></header>
    <ol class="bytes" tabindex="0" aria-label=${title}>${[...state.bytes].reverse().map(([at, way, hex, kind, about]) => html`<li><time>${clock(at, 3)}</time> <span class=${way}>${way === "tx" ? "→" : "←"}</span> ${about.id ? columns(about.id, hex) : hex} <span class="muted">${meaning(kind, about)}</span></li>`)}</ol></section>`;
}

function gateway(ui) {
  const submit = (event) => {
    event.preventDefault();
    const { host, port } = event.target.elements;
    begin(ui, "scan", { host: host.value.trim(), tcp_port: port.valueAsNumber });
  };
  return html`<form class="acts" @submit=${submit}><label>${t("doc.gateway")} <input name="host" required maxlength="200" autocomplete="off"></label><label>${t("doc.tcp_port")} <input name="port" type="number" min="1" max="65535" value="8899" required></label><button class="btn" ?disabled=${!openFor()}>${t("doc.scan")}</button></form>`;
}

function connected(ui) {
  const buses = state.buses.map((one) => one.name);
  return html`<section class="card"><header><h2>${t("first.connected")}</h2></header>${ports ? portList(ports.ports, ports.can, (one) => scan(ui, { port: one.path })) : nothing}
    <h3>${t("doc.elsewhere")}</h3>${gateway(ui)}
    ${ports?.air ? html`<h3>${t("doc.air")}</h3><p class="acts">${scan(ui, { air: true })} <span class="muted">${t("doc.air_hint")}</span></p>` : nothing}${under(ui, (one) => one.kind === "scan" && !buses.includes(one.where))}</section>`;
}

function report(ui) {
  const look = async () => {
    const answer = await ask("bundle", { seconds: 30 });
    bundle = answer.t === "bundle" ? answer.parts : null;
    refused = answer.t === "no" ? answer.reason : "";
    ui.draw();
  };
  return html`<section class="card"><header><h2>${t("doc.report")}</h2></header><p class="muted">${t("doc.blanked")}</p>
    ${bundle ? html`<ul class="parts">${bundle.map(([name, more]) => html`<li>${t(`doc.part.${name}`, { buses: more })}</li>`)}</ul>
      <p class="acts">${button(t("doc.make"), () => begin(ui, "bundle", { seconds: 30, make: true }))} ${button(t("doc.make_short"), () => begin(ui, "bundle", { seconds: 0, make: true }))}</p>`
    : html`<p class="acts">${button(t("doc.what"), look)}</p>`}${under(ui, (one) => one.kind === "bundle")}</section>`;
}

// --- how it is -------------------------------------------------------------------------------------------------

const KINDS = { ok: "charge", late: "warn", silent: "bad", corrupt: "bad", frozen: "bad" };

function verdict(bus) {
  const silent = Object.values(bus.bms).filter((one) => one.health === "silent").length;
  if (!bus.connected || bus.wrong) return ["bad", t("chip.off")];
  if (silent) return ["warn", plural("doc.silent", silent)];
  if (bus.problem) return ["warn", t("doc.trouble")];
  return bus.frames ? ["charge", t("doc.healthy")] : ["warn", t("chip.nobody")];
}

/** How long each battery takes to answer; 0.2 s fill the bar. */
function answers(bus) {
  const rows = Object.entries(bus.bms);
  if (!rows.length) return nothing;
  return html`<table class="answers"><thead><tr><th scope="col">BMS</th><th scope="col">${t("doc.after")}</th><th scope="col" class="desk"><span class="vh">${t("doc.after")}</span></th><th scope="col">${t("doc.frames")}</th><th scope="col">${t("health")}</th></tr></thead>
    <tbody>${rows.map(([n, told]) => [n, told.health === "silent" ? { ...told, ms: null } : told]).map(([n, one]) => html`<tr><th scope="row">${n}</th><td>${num(one.ms)}${one.ms == null ? nothing : " ms"}</td><td class="desk"><span class="carry"><i style="--w:${Math.min(100, (one.ms ?? 0) / 2)}"></i></span></td><td>${num(one.frames)}</td><td><span class="badge ${KINDS[one.health]}">${t(`doc.health.${one.health}`)}</span></td></tr>`)}</tbody></table>`;
}

function bus(ui, one) {
  const [kind, words] = verdict(one), { worst } = one;
  const facts = [
    plural("links.frames", one.frames), one.bad ? plural("links.bad", one.bad) : t("links.none_bad"),
    plural("doc.timeouts", one.timeouts), one.reconnects ? plural("links.reconnects", one.reconnects) : null,
    worst && t("doc.worst", { s: num(worst[0]), why: said(worst[1]) }),
  ];
  return html`<section class="card"><header><div><h2>${one.name} <span class="badge ${kind}">${words}</span></h2><small>${one.target ? html`<span class="path">${one.target}</span> · ` : nothing}${strategy(one)}</small></div><b class="score" title=${t("links.score")}>${one.score ?? DASH}</b></header>
    ${reasons(one)}<p class="muted">${facts.filter(Boolean).join(" · ")}</p>${answers(one)}${acts(ui, one)}</section>`;
}

const LOUD = { ERROR: "bad", FATAL: "bad", WARNING: "warn" };

function log(ui) {
  const lines = state.log.filter(([, level]) => every || level in LOUD).reverse();
  const options = [[true, t("doc.all")], [false, t("doc.warnings")]];
  return html`<section class="card"><header><h2>${t("doc.log")}</h2>${segmented(t("doc.log"), options, every, (one) => { every = one; ui.draw(); })}</header>
    ${lines.length ? html`<ol class="log" tabindex="0" aria-label=${t("doc.log")}>${lines.map(([at, level, text]) => html`<li class=${LOUD[level] ?? ""}><time>${clock(at, true)}</time><span>${level in LOUD ? html`<b>${level}</b> ` : nothing}${text}</span></li>`)}</ol>` : html`<p class="muted">${t(every ? "doc.no_lines" : "doc.no_warnings")}</p>`}</section>`;
}

export function view(ui) {
  enter(ui);
  return html`<h1 class="vh">${t("tab.doctor")}</h1><section class="card tools"><p class="muted">${t("doc.intro")}</p><a class="btn" href="#options">${t("opt.open")}</a>${lockBar()}</section>
    ${refused ? html`<p class="problem" role="alert">${said(refused)}</p>` : nothing}
    <div class="doctor">${state.buses.map((one) => bus(ui, one))}</div>${bytes()}
    <div class="doctor">${connected(ui)}${log(ui)}${report(ui)}</div>`;
}
