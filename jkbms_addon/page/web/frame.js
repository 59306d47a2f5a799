// What stands around every page: top bar, chips of the buses, the menu, tabs, and the bar that says that data stopped.
import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { age, clock, language, t } from "./format.js";
import { lost, openFor, state, unlock } from "./data.js";
import { icon, segmented } from "./pieces.js";
import { choose, theme } from "./theme.js";

export const TABS = [["overview", "gauge"], ["cells", "grid"], ["settings", "sliders"], ["inverter", "wave"], ["doctor", "pulse"]];
export const LANGUAGES = [["en", "English"], ["de", "Deutsch"], ["fr", "Français"]];

const tabs = (page) => TABS.map(([name, picture]) => html`<a href="#${name}" aria-current=${page === name ? "page" : nothing}>${icon(picture)}<span>${t(`tab.${name}`)}</span></a>`);

/** One chip a bus: how old its newest frame is, how many of its packs are silent, or what is wrong. */
function chip(bus) {
  const packs = Object.entries(state.packs).filter(([key]) => key.startsWith(`${bus.name}/`)).map(([, pack]) => pack);
  const silent = packs.filter((pack) => !pack.on).length;
  const youngest = Math.min(...packs.map((pack) => pack.age ?? Infinity));
  const kind = !bus.connected || bus.wrong ? "bad" : silent || !packs.length || bus.problem ? "warn" : "ok";
  const words = !bus.connected || bus.wrong ? t("chip.off") : silent ? t("chip.silent", { n: silent }) : packs.length ? age(youngest) : t("chip.nobody");
  return html`<a class="chip ${kind}" href="#overview/links"><i class="dot ${kind}"></i>${bus.name} <span>${words}</span></a>`;
}

function menu(ui) {
  if (!ui.menu) return nothing;
  const themes = ["auto", "light", "dark"].map((one) => [one, t(`theme.${one}`)]);
  return html`<div class="menu card" id="menu">
    <h2>${t("menu.theme")}</h2>${segmented(t("menu.theme"), themes, theme(), (one) => { choose(one); ui.draw(); })}
    <h2>${t("menu.language")}</h2>${segmented(t("menu.language"), LANGUAGES, language(), (one) => ui.speak(one))}
    <p>JK BMS ${state.hello?.app ?? ""}</p>
  </div>`;
}

const askToken = (ui) => html`<main class="narrow-page"><form class="card" @submit=${(event) => {
  event.preventDefault();
  unlock(new FormData(event.target).get("token"));
  ui.draw();
}}><h1>${t("token.title")}</h1><p>${t(state.locked === "wait" ? "token.wait" : "token.text")}</p>
  <label for="token">${t("token.label")}</label>
  <input id="token" name="token" type="password" autocomplete="current-password" required ?disabled=${state.locked === "wait"}>
  <button class="btn primary" ?disabled=${state.locked === "wait"}>${t("token.enter")}</button></form></main>`;

export function frame(ui, content) {
  const gone = lost();
  return html`<header class="top"><div class="in">
    <a class="brand" href="#overview" aria-label="JK BMS"><span class="mark">${icon("battery")}</span><b>JK BMS</b></a>
    <nav class="tabs" aria-label=${t("nav")}>${tabs(ui.page)}</nav>
    <div class="chips">${state.buses.map(chip)}${openFor() ? html`<a class="chip warn" href="#settings">${icon("lock")}<span>${t("chip.open")}</span></a>` : nothing}</div>
    <button type="button" class="round" aria-label=${t("menu.open")} aria-expanded=${String(ui.menu)} @click=${() => ui.set({ menu: !ui.menu })}>${icon("more")}</button></div>${menu(ui)}</header>
    ${gone ? html`<p class="gone" role="status">${t("lost", { time: clock(state.heardAt / 1000, true) })}</p>` : nothing}
    ${state.locked ? askToken(ui) : html`<main class=${gone ? "stopped" : ""} id="main">${content}</main>`}
    <nav class="bottom" aria-label=${t("nav")}>${tabs(ui.page)}</nav>`;
}
