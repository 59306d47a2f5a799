// The sheet of changes: what was edited, its review, what became of it, and the way back; files and copies.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { clock, plural, t } from "../format.js";
import { ask, openFor, state, write } from "../data.js";
import { packName, packSelect } from "../pieces.js";
import { saidOf, settingText, specName } from "./findings.js";

const CLOSE = 5e-4;
/** Whether two values are the same within what a BMS tells. */
export const same = (one, other) => (typeof one === "number" && typeof other === "number" ? Math.abs(one - other) < CLOSE : one === other);

const wished = (edits) => Object.entries(edits).flatMap(([pack, own]) => Object.entries(own).map(([key, to]) => ({ pack, key, to })));
/** One field of steps by pack and key; of what the review showed, so that the server refuses to write over something else. */
const byPack = (steps, field) => {
  const found = {};
  for (const one of steps) (found[one.pack] ??= {})[one.key] = one[field];
  return found;
};
/** Edits with one more, or without it where it is what the BMS holds, or nothing. */
export function changed(edits, pack, key, value) {
  const own = { ...edits[pack] }, all = { ...edits, [pack]: own };
  if (value == null || same(value, state.packs[pack]?.settings?.[key])) delete own[key];
  else own[key] = value;
  if (!Object.keys(own).length) delete all[pack];
  return all;
}
const title = (pack, key) => html`<b>${packName(pack)} · ${specName(key)}</b>`;
const clear = { edits: {}, plan: null, steps: [], typed: {}, problem: "", writing: false };

async function review(ui) {
  const plan = await ask("plan", { changes: wished(ui.edits) });
  ui.set(plan.t === "no" ? { problem: plan.reason } : { plan, typed: {}, problem: "" });
}

async function carryOut(ui) {
  const changes = ui.plan.steps.map(({ pack, key, to }) => ({ pack, key, to }));
  ui.set({ writing: true, steps: [], problem: "" });
  const problem = await write({ changes, seen: byPack(ui.plan.steps, "before"), typed: Object.values(ui.typed) }, (step) => ui.set({ steps: [...ui.steps, step] }));
  ui.set({ writing: false, problem });
}

/** The old values of all that was applied, as edits to be reviewed. */
function undo(ui) {
  ui.set({ ...clear, edits: byPack(ui.steps.filter((one) => one.result === "applied" && one.before != null), "before") });
  return review(ui);
}

const arrow = (key, before, to) => html`<p class="turn"><s>${before == null ? "?" : settingText(key, before)}</s> → <b>${settingText(key, to)}</b></p>`;

function edited(ui, packs, rangeOf) {
  const changes = wished(ui.edits);
  return html`<ul class="changes">${changes.map(({ pack, key, to }) => {
    const others = packs.filter((one) => one !== pack && state.packs[one].on && rangeOf(one, key) && !same(ui.edits[one]?.[key] ?? state.packs[one].settings?.[key], to));
    const set = (packs, value) => ui.set({ edits: packs.reduce((edits, one) => changed(edits, one, key, value), ui.edits), plan: null });
    return html`<li>${title(pack, key)}${arrow(key, state.packs[pack]?.settings?.[key], to)}
      <p class="acts"><button type="button" class="btn small" @click=${() => set([pack], null)}>${t("set.drop")}</button>${others.length ? html`<button type="button" class="btn small" @click=${() => set(others, to)}>${plural("set.spread", others.length)}</button>` : nothing}
      ${others.length > 1 ? others.map((one) => html`<button type="button" class="btn small" aria-label=${t("set.also", { name: packName(one) })} @click=${() => set([one], to)}>+ ${packName(one)}</button>`) : nothing}</p></li>`;
  })}</ul><p class="acts"><button type="button" class="btn primary" ?disabled=${!openFor()} @click=${() => review(ui)}>${t("set.review")}</button><button type="button" class="btn" @click=${() => ui.set(clear)}>${t("set.drop_all")}</button></p>`;
}

/** Within what a value must lie; nothing where that is not known, or it is a switch. */
function bounds(range, key) {
  return range && state.hello.specs[key].k !== "flag" ? html`<small class="muted">${t("set.range", { low: settingText(key, range[0]), high: settingText(key, range[1]) })}</small>` : nothing;
}

function reviewed(ui, rangeOf) {
  const { steps, refused, left_out: left, typed } = ui.plan;
  const missing = typed.some((pack) => (ui.typed[pack] ?? "").trim() !== pack);
  return html`<ol class="changes">${steps.map(({ pack, key, before, to, wire }) => html`<li>${title(pack, key)}${arrow(key, before, to)}${bounds(rangeOf(pack, key), key)}${wire ? html`<small class="muted">${t("wire.over", { wire })}</small>` : nothing}</li>`)}
    ${refused.map(({ pack, key, reason }) => html`<li class="bad">${title(pack, key)} <span class="badge bad">${t("result.refused")}</span><p>${saidOf(reason)}</p></li>`)}</ol>
    ${left.length ? html`<p class="muted">${t("set.left_out", { keys: [...new Set(left.map(({ key }) => specName(key)))].join(", ") })}</p>` : nothing}
    ${typed.map((pack) => html`<label class="typed">${t("set.type", { name: pack })}<input autocomplete="off" autocapitalize="off" spellcheck="false" .value=${ui.typed[pack] ?? ""} @input=${(event) => ui.set({ typed: { ...ui.typed, [pack]: event.target.value } })}></label>`)}
    <p class="muted">${t("set.how", { user: state.hello.user })}</p>
    <p class="acts"><button type="button" class="btn primary" ?disabled=${missing || refused.length > 0 || !steps.length || !openFor()} @click=${() => carryOut(ui)}>${t("set.write")}</button><button type="button" class="btn" @click=${() => ui.set({ plan: null })}>${t("set.back")}</button></p>`;
}

function written(ui) {
  const of = ui.plan?.steps ?? [], applied = ui.steps.filter((one) => one.result === "applied").length;
  return html`<ol class="changes" aria-live="polite">${of.map(({ pack, key, before, to }, n) => {
    const done = ui.steps[n], good = done && ["applied", "unchanged"].includes(done.result);
    const result = done ? t(`result.${done.result}`) : ui.writing ? t(n === ui.steps.length ? "result.writing" : "result.waiting") : t("result.unknown");
    return html`<li class=${done && !good ? "bad" : ""}>${title(pack, key)} <span class="badge ${done ? (good ? "charge" : "bad") : "idle"}">${good ? "✓ " : ""}${result}</span>${arrow(key, before, to)}
      ${done?.reason ? html`<p>${saidOf(done.reason)}</p>` : nothing}${done?.after != null && good ? html`<p class="muted">${t("set.read_back", { value: settingText(key, done.after), time: clock(done.at, true) })}</p>` : nothing}</li>`;
  })}</ol>${ui.writing ? nothing : html`<p class="acts">${applied ? html`<button type="button" class="btn" ?disabled=${!openFor()} @click=${() => undo(ui)}>${plural("set.undo", applied)}</button>` : nothing}<button type="button" class="btn primary" @click=${() => ui.set(clear)}>${t("set.done")}</button></p>`}`;
}

/** What is to be changed: edit, review, write; none while nothing is. */
export function sheet(ui, packs, rangeOf) {
  const count = wished(ui.edits).length, stage = ui.writing || ui.steps.length ? "write" : ui.plan ? "review" : "edit";
  if (!count && !ui.plan && !ui.problem) return nothing;
  const marks = ["edit", "review", "write"].map((one) => html`<span class=${one === stage ? "now" : ""}>${t(`stage.${one}`)}</span>`);
  return html`<section class="card sheet"><header><h2 tabindex="-1">${plural("set.changes", ui.plan ? ui.plan.steps.length : count)}</h2><small class="stages">${marks}</small></header>
    ${ui.problem ? html`<p class="problem" role="alert">${saidOf(ui.problem)}</p>` : nothing}
    ${stage === "write" ? written(ui) : stage === "review" ? reviewed(ui, rangeOf) : edited(ui, packs, rangeOf)}</section>`;
}

function toSheet() {
  const title = document.querySelector(".sheet h2");
  title.scrollIntoView({ block: "center" });
  title.focus({ preventScroll: true });
}

/** The way to the sheet where it stands above a long table: in a narrow window. */
export function toReview(ui) {
  const count = wished(ui.edits).length;
  return count ? html`<p class="pending"><button type="button" class="btn primary" @click=${toSheet}>${plural("set.changes", count)} ↑</button></p>` : nothing;
}

// --- files and copies ---------------------------------------------------------------------------------------

async function save(ui, pack) {
  const file = await ask("backup", { pack });
  if (file.t === "no") return ui.set({ problem: file.reason });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([file.text], { type: "application/json" }));
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/** What the server makes of a file or of another pack, to be reviewed. */
async function planned(ui, kind, more) {
  const plan = await ask(kind, more);
  if (plan.t === "no") return ui.set({ ...clear, problem: plan.reason });
  ui.set({ ...clear, edits: byPack(plan.steps, "to"), plan, problem: plan.steps.length || plan.refused.length ? "" : t("set.nothing") });
}

export function transfer(ui, packs) {
  const usable = packs.filter((pack) => state.packs[pack].on && state.ranges?.packs[pack] !== undefined);
  const from = ui.from ?? packs[0], targets = usable.filter((pack) => pack !== from && ui.targets[pack]);
  const include = ui.capacity ? ["total_battery_capacity"] : [];
  const restore = async (event) => {
    const [file] = event.target.files;
    if (file) await planned(ui, "restore", { text: await file.text(), to: [from], include });
    event.target.value = "";
  };
  return html`<section class="card transfer"><header><h2>${t("set.transfer")}</h2></header>
    ${packSelect(packs, from, (one) => ui.set({ from: one }))}
    <p class="acts"><button type="button" class="btn" @click=${() => save(ui, from)}>${t("set.save")}</button>
      ${openFor() && usable.includes(from) ? html`<label class="btn">${t("set.restore")}<input class="vh" type="file" accept=".json,application/json" @change=${restore}></label>` : nothing}</p>
    ${openFor() && usable.length > 1 ? html`<fieldset><legend>${t("set.copy_to")}</legend>${usable.filter((pack) => pack !== from).map((pack) => html`<label><input type="checkbox" .checked=${ui.targets[pack] ?? false} @change=${(event) => ui.set({ targets: { ...ui.targets, [pack]: event.target.checked } })}> ${packName(pack)}</label>`)}
      <label><input type="checkbox" .checked=${ui.capacity} @change=${(event) => ui.set({ capacity: event.target.checked })}> ${t("set.capacity")}</label></fieldset>
      <p class="acts"><button type="button" class="btn" ?disabled=${!targets.length} @click=${() => planned(ui, "copy", { from, to: targets, include })}>${t("set.copy")}</button></p>` : nothing}</section>`;
}
