// Worth a look: what the server found, in the reader's words, each with a way to act.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { list, num, said, span, t, tOr, unit } from "../format.js";
import { state } from "../data.js";
import { icon, packKeys, packName, tally } from "../pieces.js";

const MOST = 5;
/** Where to go for a finding without a pack of its own; for a silent pack, too, as its page does not tell why. */
const PLACES = {
  score: "doctor", bus: "doctor", option: "doctor", twin: "doctor", charging: "inverter", password: "settings",
  warm: "overview", apart: "overview", soc: "overview", settings: "settings", silent: "doctor",
};
/** Arguments that are sentences. */
const SENTENCES = ["text", "problem", "cause"];
const ACTS = { weak: "cells", silent: "doctor" };

export const specName = (key) => tOr(`spec.${key}`, state.hello.specs[key]?.n ?? key);

/** What the server says of settings, in the reader's words; it names them by their keys. */
export const saidOf = (text) => said(text).replace(/\b[a-z]+(?:_[a-z0-9]+)+\b/g, specName);

/** A setting as it is read. */
export function settingText(key, value) {
  const { u, d, k } = state.hello.specs[key];
  return k === "flag" ? t(value ? "switch.on" : "switch.off") : unit(value, u ?? "", d ?? 0).trim();
}

/** In which of these settings a pack is not like most of the others with as many cells: name, its value, theirs. */
export function differing(pack, keys) {
  const cells = (one) => state.packs[one].live?.cell_voltage?.length;
  const peers = packKeys().filter((one) => state.packs[one].settings && cells(one) === cells(pack));
  const own = state.packs[pack].settings ?? {};
  return keys.flatMap((key) => {
    const [most] = tally(peers.map((one) => state.packs[one].settings[key]))[0] ?? [];
    return own[key] == null || most == null || own[key] === most ? [] : [[specName(key), settingText(key, own[key]), settingText(key, most)]];
  });
}

/** Arguments as they are read: names for packs, numbers of the language, sentences of the server in its words. */
export function readable(found) {
  const args = {};
  for (const [name, value] of Object.entries(found.args)) {
    if (["pack", "low", "high"].includes(name)) args[name] = packName(value);
    else if (name === "keys") args.keys = list(value.split(" ").slice(0, 5).map(specName));
    else args[name] = typeof value === "number" ? num(value, Number.isInteger(value) ? 0 : 1) : SENTENCES.includes(name) ? said(value) : value;
  }
  if (found.key === "silent") args.time = span(state.packs[found.pack]?.age ?? found.args.seconds);
  return args;
}

/** The key of its words: some have two sides. */
export function wordKey({ key, args }) {
  if (key === "unequal") return args.less ? "unequal.less" : "unequal.more";
  if (key === "quirk") return `quirk.${args.quirk}`;
  if (key === "silent" && args.cause) return "silent.cause";
  if (["password", "settings"].includes(key)) return args.count === 1 ? `${key}.one` : `${key}.other`;
  return key;
}

function entry(found) {
  const key = wordKey(found), args = readable(found);
  const odd = found.key === "settings" && packKeys().find((one) => differing(one, found.args.keys.split(" ")).length);
  const target = odd ? `pack/${odd}` : found.key === "weak" ? `cells/${found.pack}/${found.args.cell}` : found.pack && found.key !== "silent" ? `pack/${found.pack}` : PLACES[found.key];
  const sign = found.s === "info" ? "i" : "!";
  const title = t(`find.${key}.title`, args);
  return html`<li><span class="sev ${found.s}" aria-hidden="true">${sign}</span>
    <div><h3>${title}</h3><p>${t(`find.${key}.text`, args)}</p></div>
    ${target ? html`<a href="#${target}" aria-label=${`${t("look.show")}: ${title}`}>${ACTS[found.key] ? t(`tab.${ACTS[found.key]}`) : t("look.show")}</a>` : nothing}</li>`;
}

export function findings() {
  const found = state.findings;
  return html`<section class="card look" id="look"><header><h2>${t("look.title")}</h2>${found.length ? html`<small>${found.length}</small>` : nothing}</header>
    ${found.length ? html`<ul>${found.slice(0, MOST).map(entry)}</ul>` : html`<p class="fine">${icon("fine")}${t("look.none")}</p>`}
    ${found.length > MOST ? html`<details><summary>${t("look.more", { n: found.length - MOST })}</summary><ul>${found.slice(MOST).map(entry)}</ul></details>` : nothing}</section>`;
}
