// All cells of all packs: a map of how far each is from its pack's mean, and the curve of one of them.
import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { heat, num, signed, span, t, unit } from "../format.js";
import { history, state } from "../data.js";
import { cellsOf, packKeys, packName, segmented, tierSwitch, valuesOf, volts } from "../pieces.js";

const METRICS = ["deviation", "voltage", "resistance", "lowest"];
const STEPS = 4;
const ENOUGH = 0.25; // hours before it is said which cell is lowest most often

/** What a cell shows, and the step of its colour, by what is looked at. */
function shown(metric, cell, pack, mean) {
  if (cell.mv == null) return ["–", 0];
  if (metric === "deviation") return [signed(cell.off), heat(cell.off)];
  if (metric === "voltage") return [volts(cell.mv), heat(cell.off)];
  if (metric === "lowest") {
    const share = pack.cells?.low[cell.n - 1];
    return [share == null ? "–" : num(share), share == null || share < 20 ? 0 : -Math.min(STEPS, Math.ceil((share - 10) / 20))];
  }
  if (cell.mohm == null || !mean) return ["–", 0];
  return [num(cell.mohm), cell.mohm > mean * 1.15 ? -Math.min(STEPS, Math.ceil((cell.mohm / mean - 1.15) * 10)) : 0];
}

const meanResistance = (cells) => {
  const known = cells.map((one) => one.mohm).filter((one) => one != null);
  return known.length ? known.reduce((sum, one) => sum + one, 0) / known.length : null;
};

/** The cell whose curve is shown: the chosen one, else the one that is farthest off. */
export function chosen(ui) {
  const [bus, address, number] = ui.page === "cells" ? ui.part.split("/") : [];
  const linked = address && state.packs[`${bus}/${address}`] ? [`${bus}/${address}`, Number(number)] : null;
  const choice = ui.cell ?? linked;
  if (choice && state.packs[choice[0]]) return choice;
  let worst = null;
  for (const key of packKeys()) {
    if (!state.packs[key].on) continue;
    for (const cell of cellsOf(state.packs[key]).cells) {
      if (cell.off != null && Math.abs(cell.off) > Math.abs(worst?.off ?? 0)) worst = { key, n: cell.n, off: cell.off };
    }
  }
  return worst ? [worst.key, worst.n] : [packKeys()[0], 1];
}

function row(ui, key, most) {
  const pack = state.packs[key], { cells, mean, spread } = cellsOf(pack), name = packName(key);
  const resistance = meanResistance(cells);
  const balancing = pack.on && valuesOf(pack).balancing;
  const [pickedPack, picked] = chosen(ui);
  const pick = (n) => ui.set({ cell: [key, n], row: key });
  const empty = Array.from({ length: most - cells.length }, () => html`<td class="none"></td>`);
  return html`<tr class=${pack.on ? "" : "stale"}><th scope="row"><a href="#pack/${key}">${name}</a><small>${pack.on ? unit(valuesOf(pack).state_of_charge, "%") : t("pack.silent_short")}</small></th>
    ${cells.map((cell) => {
      const [words, step] = shown(ui.metric, cell, pack, resistance);
      const label = t("cells.one", { pack: name, n: cell.n, v: volts(cell.mv), off: signed(cell.off) });
      const edge = ui.metric === "resistance" || ui.metric === "lowest" || !cell.edge ? "" : `${cell.edge} ${spread < 8 ? "calm" : ""}`;
      const on = key === pickedPack && cell.n === picked;
      return html`<td><button type="button" class="c heat${step} ${edge} ${on ? "picked" : ""}" aria-label=${label} aria-pressed=${String(on)} @click=${() => pick(cell.n)}><span>${words}</span>${balancing && cell.edge === "high" ? html`<u></u>` : nothing}</button></td>`;
    })}${empty}
    <td class="sum"><span class="desk">${volts(mean)} V · </span><b>${num(spread)}</b><span class="desk"> mV</span></td></tr>
    ${ui.row === key ? unfolded(ui, key, cells, pack, resistance, most) : nothing}`;
}

/** On a phone the touched pack shows its numbers below. */
function unfolded(ui, key, cells, pack, resistance, most) {
  return html`<tr class="fold phone"><td colspan=${most + 2}><div>${cells.map((cell) => {
    const [words, step] = shown(ui.metric === "deviation" ? "voltage" : ui.metric, cell, pack, resistance);
    return html`<button type="button" class="c heat${step} ${cell.edge}" @click=${() => ui.set({ cell: [key, cell.n] })}><span>${cell.n}</span><b>${words}</b></button>`;
  })}</div></td></tr>`;
}

function map(ui) {
  const keys = packKeys().filter((key) => cellsOf(state.packs[key]).cells.length);
  const most = Math.max(0, ...keys.map((key) => cellsOf(state.packs[key]).cells.length));
  if (!most) return html`<section class="card"><h1>${t("cells.title")}</h1><p class="muted">${t("cells.none")}</p></section>`;
  const heads = Array.from({ length: most }, (_, n) => n + 1);
  const colors = ui.metric === "deviation" || ui.metric === "voltage";
  return html`<section class="card map"><header><h1>${t("cells.title")}</h1>${segmented(t("cells.show"), METRICS.map((one) => [one, t(`metric.${one}`)]), ui.metric, (metric) => ui.set({ metric }))}</header>
    <div class="scroll" tabindex="0" role="region" aria-label=${t("cells.title")}><table class="heat ${most > 16 ? "wide" : ""}" style="--n:${most}"><thead><tr><th scope="col">${t("cells.pack")}</th>
      ${heads.map((n) => html`<th scope="col" class=${n === 1 || n % 4 === 0 ? "" : "odd"}>${n}</th>`)}
      <th scope="col" class="sum"><span class="desk">${t("cells.mean")} · ${t("cells.spread")}</span><span class="phone">mV</span></th></tr></thead>
      <tbody>${keys.map((key) => row(ui, key, most))}</tbody></table></div>
    <p class="key">${colors ? html`<span class="scale"><small>−15 mV</small>${[-4, -3, -2, -1, 0, 1, 2, 3, 4].map((step) => html`<i class="heat${step}"></i>`)}<small>+15 mV</small></span><small>${t("cells.key")}</small>` : html`<small>${t(`metric.${ui.metric}.key`)}</small>`}</p></section>`;
}

/** The curve of one cell, and in what it differs now. */
export function curve(ui, [key, n]) {
  const pack = state.packs[key], { cells, mean } = cellsOf(pack), cell = cells[n - 1];
  const column = `cell_${n}`;
  const data = history(key, ui.tier, ["mean_cell", column]);
  const title = t("cells.curve", { n, pack: packName(key) });
  const side = (cell?.off ?? 0) > 0 ? "high" : "low";
  const ohms = cell?.mohm == null ? "" : `, ${unit(cell.mohm, "mΩ")}`;
  return html`<section class="card chart"><header><h2>${title} <span class="soft desk">${t("cells.against")}</span></h2>${tierSwitch(ui.tier, (tier) => ui.set({ tier }))}</header>
    <jk-plot role="img" aria-label=${t("cells.curve_label", { title, v: volts(cell?.mv), mean: volts(mean) })} .figure=${{ kind: "cell", data, column, side }}></jk-plot>
    <p class="legend"><span class=${side}>${t("cells.cell", { n })} <b>${volts(cell?.mv)} V</b>${ohms}</span><span class="mean">${t("cells.of_mean", { pack: packName(key) })} <b>${volts(mean)} V</b></span></p></section>`;
}

/** Cells that are lowest or highest most often. */
function often(ui) {
  const rows = [];
  for (const key of packKeys()) {
    if ((state.packs[key].cells?.hours ?? 0) < ENOUGH) continue;
    const pack = state.packs[key], { cells } = cellsOf(pack);
    for (const kind of ["low", "high"]) {
      (pack.cells?.[kind] ?? []).forEach((share, n) => cells[n] && rows.push({ key, n: n + 1, kind, share, off: pack.on ? cells[n].off : null }));
    }
  }
  const top = rows.filter((one) => one.share >= 20).sort((a, b) => b.share - a.share).slice(0, 8);
  const hours = Math.max(0, ...packKeys().map((key) => state.packs[key].cells?.hours ?? 0));
  return html`<section class="card often"><header><h2>${t("often.title")}</h2><small>${hours < ENOUGH ? nothing : hours < 23.5 ? t("often.of", { time: span(hours * 3600) }) : t("tier.24h")}</small></header>
    ${top.length ? html`<table><thead><tr><th scope="col">${t("often.cell")}</th><th scope="col">${t("often.share")}</th><th scope="col">${t("often.now")}</th></tr></thead><tbody>${top.map((one) => html`<tr>
      <th scope="row"><button type="button" class="link" @click=${() => ui.set({ cell: [one.key, one.n] })}>${packName(one.key)} · ${one.n}</button></th>
      <td><span>${unit(one.share, "%")} <small>${t(`often.${one.kind}`)}</small></span><i class="share ${one.kind}" style="--w:${one.share}%"></i></td><td>${one.off == null ? "–" : `${signed(one.off)} mV`}</td></tr>`)}</tbody></table>`
    : html`<p class="muted">${t("often.none")}</p>`}</section>`;
}

export function cells(ui) {
  return html`${map(ui)}<div class="pair two">${curve(ui, chosen(ui))}${often(ui)}</div>`;
}
