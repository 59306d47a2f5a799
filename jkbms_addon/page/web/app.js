// Starts the page and draws it: view = f(state, ui), one render for each message or touch.
import { html, render } from "./vendor/lit-html/lit-html.js";
import { callPacks, language, learnSaid, speak, t } from "./format.js";
import { start as connect, state } from "./data.js";
import { preferredLanguage, start as follow, store } from "./theme.js";
import { frame, LANGUAGES } from "./frame.js";
import { calledPack, packKeys, packName } from "./pieces.js";
import { overview } from "./views/overview.js";
import { cells } from "./views/cells.js";
import { pack } from "./views/pack.js";
import { first } from "./views/first.js";
import "./charts.js";

callPacks(calledPack);
const root = document.getElementById("app");
const PAGES = { overview, cells, pack };
/** Fetched when the first data has been painted, or when they are wanted. */
const LATER = {
  settings: () => import("./views/settings.js"),
  inverter: () => import("./views/inverter.js"),
  doctor: () => import("./views/doctor.js"),
  options: () => import("./views/options.js"),
};
const OF_PACKS = ["settings", "inverter"]; // without a battery there is nothing to show
const here = {}; // modules that were fetched

/** What the reader chose; everything else is what the server told. */
const ui = {
  page: "overview",
  part: "", // the rest of the address: a pack, or a place on the page
  tier: 0, // s of a step of the charts; 0 until the reader or the age of the data decides
  metric: "deviation",
  cell: null, // [pack, number] whose curve is shown
  row: null, // pack whose cells are unfolded on a phone
  quiet: new Set(), // alarms that are not to be shown as a banner any more
  menu: false,
  edits: {}, // settings that were changed here and not yet written: pack -> key -> value
  editing: null, // [pack, key] of the field that is open
  plan: null, // what the server made of the edits
  steps: [], // what became of them
  typed: {}, // names of packs that were typed
  writing: false,
  problem: "",
  only: false, // settings that differ only
  help: null, // setting that is explained
  chosen: null, // pack whose settings a phone shows
  told: null, // what came of the last thing that was steered
  asking: null, // what was touched and must be confirmed
  from: null, // pack that is saved, copied or restored
  targets: {}, // packs that are copied to
  capacity: false, // whether the capacity is copied, too
  entry: null, // a bus that a scan has found, for the options
  set(changes) { Object.assign(ui, changes); draw(); },
  draw,
  speak: async (one) => { store("jkbms-language", one); await learn(one); draw(); },
};

const SOON = 1500; // ms after the first data
let drawing = 0, drawn = false, whole = false;

function draw() {
  drawing ||= requestAnimationFrame(() => { drawing = 0; paint(); });
}

const GHOST = html`<div class="card ghost"></div><div class="card ghost low"></div>`;

/** What is shown in place of a page that could not be fetched; after an update the old one is gone, and a new start has the new one. */
const lost = () => html`<section class="card" role="status"><h1 class="vh">${t(`tab.${ui.page}`)}</h1><p>${t("later.lost")}</p><p class="acts"><button type="button" class="btn" @click=${() => location.reload()}>${t("later.again")}</button></p></section>`;

/** A page that comes later. */
function later(name) {
  if (here[name]?.view) return here[name].view(ui);
  here[name] ??= LATER[name]().then((module) => { here[name] = module; draw(); }, () => { here[name] = { view: lost }; draw(); });
  return GHOST;
}

/** The other pages come while nobody waits, so that each is there at once. What fails comes when it is wanted. */
function fetched() {
  for (const name of Object.keys(LATER)) LATER[name]().then((module) => { here[name] ??= module; }, () => {});
}

function content() {
  if (!state.hello || !state.buses.length && !state.at) return GHOST;
  const some = packKeys().length > 0;
  if (ui.page in LATER && (some || !OF_PACKS.includes(ui.page))) return later(ui.page);
  if (!some) return first(state);
  ui.tier ||= packKeys().some((key) => (state.packs[key].cells?.hours ?? 0) > 2) ? 60 : 10;
  return PAGES[ui.page](ui);
}

function paint() {
  if (!drawn) root.replaceChildren();
  drawn = true;
  render(frame(ui, content()), root);
  const name = ui.page === "pack" ? packName(ui.part) : t(`tab.${ui.page}`);
  document.title = `${name} · JK BMS`;
  if (!whole && state.at) {
    whole = true;
    setTimeout(() => { fetched(); learnSaid(draw); }, SOON);
  }
}

const exists = (page) => page in PAGES || page in LATER;

/** Address to page: #overview, #cells, #pack/garage/3; #overview/links scrolls there. */
function route() {
  const [page, ...rest] = decodeURIComponent(location.hash.slice(1)).split("/");
  const part = rest.join("/");
  const known = exists(page) && (page !== "pack" || rest.length === 2);
  const moved = ui.page !== (known ? page : "overview") || ui.part !== part;
  Object.assign(ui, { page: known ? page : "overview", part, menu: false });
  if (ui.page !== "doctor") here.doctor?.leave?.();
  if (moved) draw();
  requestAnimationFrame(() => {
    const place = ui.page === "overview" && part && document.getElementById(part);
    if (place) place.scrollIntoView({ block: "start" });
    else if (moved) scrollTo(0, 0);
  });
}

async function learn(one) {
  const answer = await fetch(new URL(`i18n/${one}.json`, import.meta.url));
  speak(one, await answer.json());
  document.documentElement.lang = one;
  if (whole) learnSaid(draw);
}

/** A deep link of Home Assistant's panel: /app/<slug>/cells. */
function linked(path) {
  const page = (path ?? "").split("/").filter(Boolean).pop();
  if (exists(page) && page !== "pack" && !location.hash) location.hash = page;
}

try { ui.quiet = new Set(JSON.parse(localStorage.getItem("jkbms-quiet") ?? "[]")); } catch { /* none then */ }
follow(linked);
addEventListener("hashchange", route);
addEventListener("keydown", ({ key }) => key === "Escape" && ui.menu && ui.set({ menu: false }));
connect(draw);
await learn(preferredLanguage(LANGUAGES.map(([key]) => key)));
route();
paint();
