// No battery heard yet: what was tried bus by bus, what is connected to this computer, and how to go on.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { plural, t } from "../format.js";
import { portList, reasons } from "../pieces.js";
import { strategy } from "./overview.js";

function tried(bus) {
  const kind = !bus.connected ? "bad" : "warn";
  const facts = [
    bus.timeouts ? plural("first.asked", bus.timeouts) : null,
    bus.bytes ? plural("first.bytes", bus.bytes) : bus.connected ? t("first.no_bytes") : null,
    bus.frames ? plural("links.frames", bus.frames) : null,
    bus.bad ? plural("links.bad", bus.bad) : null,
  ].filter(Boolean);
  return html`<li class="card"><header><h2><i class="dot ${kind}"></i>${bus.name}</h2><small>${strategy(bus)}${bus.target ? html` · <span class="path">${bus.target}</span>` : nothing}</small></header>
    ${bus.problem ? reasons(bus) : html`<p class="symptom">${t("first.listening")}</p>`}
    ${facts.length ? html`<small>${facts.join(" · ")}</small>` : nothing}</li>`;
}

const example = (port) => `buses:\n  - name: rs485\n    strategy: auto\n    port: ${port}\n    addresses: 1-15`;
const canExample = (name) => `buses:\n  - name: can\n    strategy: can_broadcast\n    channel: ${name}\n    bitrate: 250000`;

function connected({ ports, can }) {
  const best = ports[0]?.path ?? "/dev/serial/by-id/…";
  return html`<section class="card"><header><h2>${t("first.connected")}</h2></header>
    ${portList(ports, can)}
    <p>${t("first.how", { scan: t("opt.scan") })}</p>
    <details><summary>${t("first.typed")}</summary><p>${t("first.where")}</p>
      <pre tabindex="0">${example(best)}</pre>
      ${can.length ? html`<p>${t("first.how_can")}</p><pre tabindex="0">${canExample(can[0].name)}</pre>` : nothing}</details></section>`;
}

export function first({ buses, first: told }) {
  return html`<div class="first"><header class="lead"><h1>${t("first.title")}</h1><p>${t(buses.length ? "first.text" : "first.no_bus", { scan: t("opt.scan") })}</p><p class="acts"><a class="btn primary" href="#doctor">${t("opt.scan")}</a><a class="btn" href="#options">${t("opt.open")}</a></p></header>
    <ul class="tried">${buses.map(tried)}</ul>${told ? connected(told) : nothing}</div>`;
}
