// What every page needs that changes options: the difference, the text to paste, and the restart that uses them.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { t } from "../format.js";
import { openFor, state } from "../data.js";
import { lockBar } from "./settings.js";

let copied = false;

async function copy(ui) {
  const text = document.querySelector(".paste");
  try {
    await navigator.clipboard.writeText(text.textContent);
  } catch { // where the page is not encrypted, there is the old way only
    getSelection().selectAllChildren(text);
    document.execCommand("copy");
  }
  copied = true;
  ui.draw();
}

export const pasted = (ui, why, text) => html`<p>${why}</p><pre class="paste" tabindex="0">${text}</pre>
  <p class="acts"><button type="button" class="btn" @click=${() => copy(ui)}>${t("opt.copy")}</button> <span role="status">${copied ? t("opt.copied") : ""}</span></p>`;

const KINDS = { "+": "added", "-": "left", "@": "gap" };

/** What differs, line by line. */
export const difference = (lines) => html`<ol class="diff" tabindex="0" aria-label=${t("opt.review")}>${lines.map((line) => html`<li class=${KINDS[line[0]] ?? ""}>${line[0] === "@" ? "⋯" : line}</li>`)}</ol>`;

/** Options wait for a restart, which is offered. */
export function waiting(title, busy, restart) {
  const telling = state.inverter?.outlets.some((one) => one.emitting);
  return html`<section class="card sheet" role="status"><header><h2>${title}</h2></header><p>${t("opt.later")} ${telling ? t("opt.inverter") : nothing}</p>${lockBar()}
    <p class="acts"><button type="button" class="btn primary" ?disabled=${!openFor() || busy} @click=${restart}>${t("opt.restart")}</button></p></section>`;
}

export const ending = () => html`<section class="card sheet" role="status"><p>${t("opt.restarting")}</p></section>`;
