// Settings of all packs side by side: what differs, and changing it: edit, review, write, undo.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { DASH, num, t } from "../format.js";
import { lock, openFor, state } from "../data.js";
import { icon, packKeys, packName, segmented } from "../pieces.js";
import { settingText, specName } from "./findings.js";
import { same, sheet, transfer } from "./changes.js";

const rangeOf = (pack, key) => state.ranges?.tables[state.ranges.packs[pack]]?.[key];

/** What most of the packs with as many cells hold; undefined where there is no majority. */
function usual(pack, key) {
  if (OWN.has(key)) return undefined;
  const cells = state.packs[pack].settings?.cell_count;
  const told = packKeys().map((one) => state.packs[one].settings).filter((one) => one && one.cell_count === cells && one[key] != null);
  const counts = new Map();
  for (const one of told) counts.set(one[key], (counts.get(one[key]) ?? 0) + 1);
  const [most] = [...counts].sort((a, b) => b[1] - a[1]);
  return most && counts.size > 1 && most[1] > told.length / 2 ? most[0] : undefined;
}

const odd = (pack, key) => {
  const most = usual(pack, key);
  return most !== undefined && state.packs[pack].settings[key] != null && !same(state.packs[pack].settings[key], most);
};

const OWN = new Set(["device_address"]); // what every pack has for itself

const differs = (packs, key) => {
  if (OWN.has(key)) return false;
  const told = packs.map((pack) => state.packs[pack].settings?.[key]).filter((one) => one != null);
  return told.some((one) => !same(one, told[0]));
};

function edit(ui, pack, key, value) {
  const edits = { ...ui.edits }, own = { ...edits[pack] };
  if (value == null || same(value, state.packs[pack].settings[key])) delete own[key];
  else own[key] = value;
  edits[pack] = own;
  if (!Object.keys(own).length) delete edits[pack];
  ui.set({ edits, editing: null, plan: null, problem: "" });
}

/** The field in which a number is typed, within its range and on its step. */
function field(ui, pack, key) {
  const [min, max, step] = rangeOf(pack, key), value = ui.edits[pack]?.[key] ?? state.packs[pack].settings[key];
  const digits = state.hello.specs[key].d ?? 0;
  const take = (event) => {
    event.preventDefault();
    const typed = event.target.elements.value.valueAsNumber;
    edit(ui, pack, key, Number.isFinite(typed) ? Number(typed.toFixed(6)) : null);
  };
  return html`<form class="edit" @submit=${take} @keydown=${(event) => event.key === "Escape" && ui.set({ editing: null })}>
    <input name="value" type="number" required min=${min} max=${max} step=${step} .value=${Number(value).toFixed(digits)} aria-label=${`${packName(pack)}: ${specName(key)}`}>
    <button class="btn small">${t("set.take")}</button><small>${t("set.range", { low: num(min, digits), high: num(max, digits) })}</small></form>`;
}

function cell(ui, pack, key) {
  const told = state.packs[pack], present = told.settings?.[key], wanted = ui.edits[pack]?.[key];
  const { k, d } = state.hello.specs[key];
  const text = (value) => (value == null ? DASH : k === "flag" ? t(value ? "switch.on" : "switch.off") : num(value, d ?? 0));
  const kind = [wanted !== undefined && "wanted", odd(pack, key) && "odd", !told.on && "stale", pack === ui.chosen && "chosen"].filter(Boolean).join(" ");
  const value = wanted === undefined ? text(present) : html`<s>${text(present)}</s> <b>${text(wanted)}</b>`;
  const free = openFor() && told.on && present != null && rangeOf(pack, key) && !ui.writing;
  if (!free) return html`<td class=${kind}>${value}</td>`;
  if (ui.editing?.[0] === pack && ui.editing[1] === key) return html`<td class=${kind}>${field(ui, pack, key)}</td>`;
  const begin = () => {
    if (k === "flag") return edit(ui, pack, key, !(wanted ?? present));
    ui.set({ editing: [pack, key] });
    requestAnimationFrame(() => document.querySelector(".edit input")?.select());
  };
  return html`<td class=${kind}><button type="button" class="value" aria-label=${`${packName(pack)}, ${specName(key)}: ${text(wanted ?? present)}`} @click=${begin}>${value}</button></td>`;
}

function row(ui, packs, key) {
  const { u, lvl } = state.hello.specs[key], others = usual(ui.chosen, key);
  return html`<tr class=${differs(packs, key) ? "differs" : ""}><th scope="row">${specName(key)} ${u ? html`<span class="muted">${u}</span>` : nothing} ${lvl ? html`<small>${t(`level.${lvl}`)}</small>` : nothing}
    ${odd(ui.chosen, key) ? html`<small class="phone others">${t("set.others", { value: settingText(key, others) })}</small>` : nothing}</th>${packs.map((pack) => cell(ui, pack, key))}</tr>`;
}

function table(ui, packs) {
  const keys = Object.keys(state.hello.specs).filter((key) => packs.some((pack) => state.packs[pack].settings?.[key] != null));
  const shown = ui.only ? keys.filter((key) => differs(packs, key)) : keys;
  if (!shown.length) return html`<p>${t(keys.length ? "set.all_same" : "set.none")}</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t("tab.settings")}><table class="settings"><thead><tr><th scope="col">${t("set.setting")}</th>${packs.map((pack) => html`<th scope="col" class=${pack === ui.chosen ? "chosen" : ""}>${packName(pack)}</th>`)}</tr></thead>
    ${state.hello.groups.map((group) => {
      const own = shown.filter((key) => state.hello.specs[key].g === group);
      return own.length ? html`<tbody><tr class="group"><th scope="rowgroup" colspan=${packs.length + 1}>${t(`group.${group}`)}</th></tr>${own.map((key) => row(ui, packs, key))}</tbody>` : nothing;
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

export function settings(ui) {
  const packs = packKeys().filter((pack) => state.packs[pack].settings);
  if (!packs.includes(ui.chosen)) ui.chosen = packs[0];
  const many = Object.keys(state.hello.specs).filter((key) => differs(packs, key)).length;
  const filters = [[false, t("set.all")], [true, t("set.differing", { n: num(many) })]];
  return html`<h1 class="vh">${t("tab.settings")}</h1><section class="card tools"><div>${segmented(t("set.show"), filters, ui.only, (only) => ui.set({ only }))}
      <label class="phone">${t("set.pack")} <select @change=${(event) => ui.set({ chosen: event.target.value })}>${packs.map((pack) => html`<option value=${pack} ?selected=${pack === ui.chosen}>${packName(pack)}</option>`)}</select></label></div>
    ${permission(ui, packs)}</section>
    <div class="sides"><section class="card">${table(ui, packs)}</section><div>${sheet(ui, packs, rangeOf)}${transfer(ui, packs)}</div></div>`;
}
