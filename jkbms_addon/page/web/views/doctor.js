// The doctor: how each bus and each battery on it is doing and what to try, what is connected, and the log.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { clock, DASH, num, plural, t } from "../format.js";
import { ask, state } from "../data.js";
import { portList, reasons, segmented } from "../pieces.js";
import { strategy } from "./overview.js";

let met = null; // the greeting of the connection on which the log was asked for
let ports = null, lookedAt = 0;
const LOOK = 10000; // ms between looks at what is connected
let every = false; // whether all lines of the log are shown, or warnings only

/** Ask for what is only told to who looks at it. */
async function enter(ui) {
  if (met !== state.hello) {
    met = state.hello;
    lookedAt = 0;
    state.log = [];
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
  if (met && met === state.hello) ask("log", { on: false });
  met = null;
}

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
    worst && t("doc.worst", { s: num(worst[0]), why: worst[1] }),
  ];
  return html`<section class="card"><header><div><h2>${one.name} <span class="badge ${kind}">${words}</span></h2><small><span class="path">${one.target}</span> · ${strategy(one)}</small></div><b class="score" title=${t("links.score")}>${one.score ?? DASH}</b></header>
    ${reasons(one)}<p class="muted">${facts.filter(Boolean).join(" · ")}</p>${answers(one)}</section>`;
}

const LOUD = { ERROR: "bad", FATAL: "bad", WARNING: "warn" };

function log(ui) {
  const lines = state.log.filter(([, level]) => every || level in LOUD).reverse();
  const options = [[true, t("doc.all")], [false, t("doc.warnings")]];
  return html`<section class="card"><header><h2>${t("doc.log")}</h2>${segmented(t("doc.log"), options, every, (one) => { every = one; ui.draw(); })}</header>
    ${lines.length ? html`<ol class="log" tabindex="0" aria-label=${t("doc.log")}>${lines.map(([at, level, text]) => html`<li class=${LOUD[level] ?? ""}><time>${clock(at, true)}</time><span>${level in LOUD ? html`<b>${level}</b> ` : nothing}${text}</span></li>`)}</ol>` : html`<p class="muted">${t(every ? "doc.no_lines" : "doc.no_warnings")}</p>`}</section>`;
}

export function doctor(ui) {
  enter(ui);
  return html`<h1 class="vh">${t("tab.doctor")}</h1><div class="doctor">${state.buses.map((one) => bus(ui, one))}</div>
    <div class="doctor"><section class="card"><header><h2>${t("first.connected")}</h2></header>${ports ? portList(ports.ports, ports.can) : nothing}</section>${log(ui)}</div>`;
}
