// What an inverter would be told: the limits with their reasons, and every frame, as bytes and in words.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { DASH, list, num, said, t, tOr, unit } from "../format.js";
import { LIMITS, packName } from "../pieces.js";

const named = (one) => tOr(`trouble.${one}`, tOr(`say.${one}`, one));

/** One value in words: number with its unit, yes or no, what is raised. */
function words(value, symbol, digits) {
  if (value == null) return t("inv.not_known");
  if (typeof value === "boolean") return t(value ? "inv.yes" : "inv.no");
  if (Array.isArray(value)) return value.length ? list(value.map(named)) : t("inv.none_raised");
  if (typeof value === "number") return symbol ? unit(value, symbol, digits) : num(value, Number.isInteger(value) ? 0 : 2);
  return value || DASH;
}

const frame = ({ id, bytes, says }) => html`<li><p><b>${id}</b> <code>${bytes}</code></p>
  ${says.length ? html`<dl>${says.map(([key, value, symbol, digits]) => html`<div><dt>${tOr(`say.${key}`, key)}</dt><dd>${words(value, symbol, digits)}</dd></div>`)}</dl>` : html`<small>${t("inv.always")}</small>`}</li>`;

const decided = (limits) => html`<dl class="limits">${LIMITS.map(([key, symbol]) => html`<div><dt>${t(`limit.${key}`)}</dt><dd><b>${unit(limits[key][0], symbol, 1)}</b><span>${said(limits[key][1])}</span></dd></div>`)}</dl>`;

/** A limit that the protocol cannot say. */
function differently([key, meant, said]) {
  const symbol = key.endsWith("current") ? "A" : "V";
  return html`<p class="problem" role="alert">${t("inv.otherwise", { limit: t(`limit.${key}`), meant: unit(meant, symbol, 1), said: unit(said, symbol, 1) })}</p>`;
}

/** Packs that do not count. */
export const missing = (packsOut) => packsOut.map(([pack, why]) => html`<p class="warned">${t("inv.missing", { pack: packName(pack), why: said(why) })}</p>`);

export function rehearsal(heard, busy, again) {
  if (!heard) return nothing;
  const once = html`<p class="acts"><button type="button" class="btn small" ?disabled=${busy} @click=${again}>${t("inv.again")}</button></p>`;
  if (!heard.frames.length) return html`<p class="warned">${t("inv.silence", { why: said(heard.why) })}</p><p class="muted">${t("inv.silence_text")}</p>${once}`;
  return html`<p class="muted">${t("inv.rehearsal_text")}</p>${heard.off ? html`<p class="warned">${t("inv.off", { why: said(heard.off) })}</p>` : nothing}
    ${missing(heard.missing)}${heard.otherwise.map(differently)}${decided(heard.limits)}
    <h3>${t(heard.frames[0].id.startsWith("0x") ? "inv.frames" : "inv.answers")}</h3><ul class="frames">${heard.frames.map(frame)}</ul>${once}`;
}
