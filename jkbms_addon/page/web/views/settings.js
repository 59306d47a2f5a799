// Settings of all packs side by side: what differs, and changing it: edit, review, write, undo.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { DASH, learnMore, num, t, tOr } from "../format.js";
import { ask, lock, openFor, state } from "../data.js";
import { icon, numberField, openField, packKeys, packName, packSelect, segmented, tally } from "../pieces.js";
import { settingText, specName } from "./findings.js";
import { changed, same, sheet, toReview, transfer } from "./changes.js";

const rangeOf = (pack, key) => state.ranges?.tables[state.ranges.packs[pack]]?.[key];

const OWN = new Set(["device_address"]); // what every pack has for itself

/** What most of the packs with as many cells hold; undefined where there is no majority. */
function usual(pack, key) {
  if (OWN.has(key)) return undefined;
  const cells = state.packs[pack].settings?.cell_count;
  const told = packKeys().map((one) => state.packs[one].settings).filter((one) => one && one.cell_count === cells && one[key] != null);
  const [most, ...others] = tally(told.map((one) => one[key]));
  return others.length && most[1] > told.length / 2 ? most[0] : undefined;
}

const odd = (pack, key) => {
  const most = usual(pack, key);
  return most !== undefined && state.packs[pack].settings[key] != null && !same(state.packs[pack].settings[key], most);
};

const differs = (packs, key) => {
  if (OWN.has(key)) return false;
  const told = packs.map((pack) => state.packs[pack].settings?.[key]).filter((one) => one != null);
  return told.some((one) => !same(one, told[0]));
};

const edit = (ui, pack, key, value) => ui.set({ edits: changed(ui.edits, pack, key, value), editing: null, plan: null, problem: "" });

let facts = {}, askedFor; // what is usual by setting, and for which packs that was asked

/** What is usual with the cells that there are; asked again where there are other packs. */
async function learnFacts(ui) {
  const now = String(Object.keys(state.packs).filter((one) => state.packs[one].settings));
  if (askedFor === now) return;
  askedFor = now;
  const answer = await ask("usual");
  if (answer.t === "usual") facts = answer.facts;
  else askedFor = undefined;
  ui.draw();
}

/** Open what a setting is, or close it. */
function explain(ui, key) {
  ui.set({ help: key });
  if (key) learnFacts(ui);
}

const fact = (key, [kind, cells, value]) => html`<p>${t(`usual.${kind}${kind === "preset" && cells ? "_for" : ""}`, { cells, value: settingText(key, value) })}</p>`;

/** What a setting does, and what is usual. */
function help(key, columns) {
  const words = tOr(`help.${key}`, "");
  return words ? html`<tr class="help" id="help-${key}"><td colspan=${columns}><div><p>${words}</p>${(facts[key] ?? []).map((one) => fact(key, one))}</div></td></tr>` : nothing;
}

function cell(ui, pack, key) {
  const told = state.packs[pack], present = told.settings?.[key], wanted = ui.edits[pack]?.[key];
  const { k, d } = state.hello.specs[key];
  const text = (value) => (value == null ? DASH : k === "flag" ? t(value ? "switch.on" : "switch.off") : num(value, d ?? 0));
  const kind = [wanted !== undefined && "wanted", odd(pack, key) && "odd", !told.on && "stale", pack === ui.chosen && "chosen"].filter(Boolean).join(" ");
  const value = wanted === undefined ? text(present) : html`<s>${text(present)}</s> <b>${text(wanted)}</b>`;
  const free = openFor() && told.on && present != null && rangeOf(pack, key) && !ui.writing;
  if (!free) return html`<td class=${kind}>${value}</td>`;
  if (ui.editing?.[0] === pack && ui.editing[1] === key) {
    const label = `${packName(pack)}: ${specName(key)}`;
    return html`<td class=${kind}>${numberField(ui, { label, value: wanted ?? present, range: rangeOf(pack, key), digits: d ?? 0, take: (typed) => edit(ui, pack, key, typed) })}</td>`;
  }
  const begin = () => {
    if (k === "flag") return edit(ui, pack, key, !(wanted ?? present));
    explain(ui, key);
    openField(ui, [pack, key]);
  };
  return html`<td class=${kind}><button type="button" class="value" aria-label=${`${packName(pack)}, ${specName(key)}: ${text(wanted ?? present)}`} @click=${begin}>${value}</button></td>`;
}

function row(ui, packs, key, apart) {
  const { u, lvl } = state.hello.specs[key], others = usual(ui.chosen, key), open = ui.help === key;
  const name = html`<button type="button" class="name" aria-expanded=${String(open)} aria-controls="help-${key}" @click=${() => explain(ui, open ? null : key)}>${specName(key)}</button>`;
  return html`<tr class=${apart.has(key) ? "differs" : ""}><th scope="row">${name} ${u ? html`<span class="muted">${u}</span>` : nothing} ${lvl ? html`<small>${t(`level.${lvl}`)}</small>` : nothing}
    ${odd(ui.chosen, key) ? html`<small class="phone others">${t("set.others", { value: settingText(key, others) })}</small>` : nothing}</th>${packs.map((pack) => cell(ui, pack, key))}</tr>${open ? help(key, packs.length + 1) : nothing}`;
}

function table(ui, packs, apart) {
  const keys = Object.keys(state.hello.specs).filter((key) => packs.some((pack) => state.packs[pack].settings?.[key] != null));
  const shown = ui.only ? keys.filter((key) => apart.has(key)) : keys;
  if (!shown.length) return html`<p>${t(keys.length ? "set.all_same" : "set.none")}</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t("tab.settings")}><table class="settings"><thead><tr><th scope="col">${t("set.setting")}</th>${packs.map((pack) => html`<th scope="col" class=${pack === ui.chosen ? "chosen" : ""}>${packName(pack)}</th>`)}</tr></thead>
    ${state.hello.groups.map((group) => {
      const own = shown.filter((key) => state.hello.specs[key].g === group);
      return own.length ? html`<tbody><tr class="group"><th scope="rowgroup" colspan=${packs.length + 1}>${t(`group.${group}`)}</th></tr>${own.map((key) => row(ui, packs, key, apart))}</tbody>` : nothing;
    })}</table></div>`;
}

/** The lock of this page, and its key. */
export function lockBar() {
  const left = openFor();
  const words = left ? t("set.open", { time: `${Math.floor(left / 60)}:${String(Math.floor(left % 60)).padStart(2, "0")}` }) : t("set.locked");
  return html`<p class="permission"><span class="badge ${left ? "warn" : "idle"}">${icon("lock")}${words}</span>
    ${left ? html`<button type="button" class="btn" @click=${() => lock(false)}>${t("set.lock")}</button>` : html`<button type="button" class="btn primary" @click=${() => lock(true)}>${t("set.unlock")}</button>`}</p>`;
}

/** Whether and how anything can be changed here. */
function permission(ui, packs) {
  const { level } = state.hello.may;
  if (level === "off") return html`<p class="muted">${t("set.level_off")}</p>`;
  const closed = packs.filter((pack) => state.packs[pack].on && state.ranges?.packs[pack] === undefined);
  return html`<div class="permission"><span class="badge idle">${t("set.level", { level: t(`level.${level}`) })}</span>${lockBar()}</div>
    ${closed.length && closed.length < packs.length ? html`<p class="muted">${t("set.closed", { packs: closed.map(packName).join(", ") })}</p>` : closed.length ? html`<p class="muted">${t("set.all_closed")}</p>` : nothing}`;
}

export function view(ui) {
  learnMore("settings", ui.draw);
  const packs = packKeys().filter((pack) => state.packs[pack].settings);
  if (!packs.includes(ui.chosen)) ui.chosen = packs[0];
  const apart = new Set(Object.keys(state.hello.specs).filter((key) => differs(packs, key)));
  const filters = [[false, t("set.all")], [true, t("set.differing", { n: num(apart.size) })]];
  return html`<h1 class="vh">${t("tab.settings")}</h1><section class="card tools"><div>${segmented(t("set.show"), filters, ui.only, (only) => ui.set({ only }))}
      ${packSelect(packs, ui.chosen, (chosen) => ui.set({ chosen }), "phone")}</div>
    ${permission(ui, packs)}</section>
    <div class="sides"><section class="card">${table(ui, packs, apart)}</section><div>${sheet(ui, packs, rangeOf)}${transfer(ui, packs)}</div></div>${toReview(ui)}`;
}
