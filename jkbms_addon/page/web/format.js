// Words and numbers in the reader's language. Pure but for the table that `speak` puts in place.

let words = {};
let locale = "en";
const numbers = new Map();

/** Take a language's table of words into use. */
export function speak(language, table) {
  for (const view of Object.keys(fetched)) delete fetched[view];
  locale = [...navigator.languages].find((one) => one.startsWith(language)) ?? language; // 24 h or AM as the reader has it
  words = table;
  numbers.clear();
  phrases = [];
  known.clear();
}

// --- what the server says in English -------------------------------------------------------------------------
let phrases = []; // [pattern, translation], the most particular first
const known = new Map(); // what was translated: the same few sentences come again every second
const MOST = 500;

/** Fetch the sentences of the server in the reader's language; where there are none, they stay English. */
export async function learnSaid(draw) {
  const one = language();
  if (one === "en") return;
  try {
    const answer = await fetch(new URL(`said/${one}.json`, import.meta.url));
    const table = await answer.json();
    if (language() !== one) return; // another one was chosen meanwhile
    const plain = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    const sorted = Object.entries(table).sort(([a], [b]) => b.replaceAll("{}", "").length - a.replaceAll("{}", "").length);
    phrases = sorted.map(([text, to]) => [new RegExp(`^${text.split("{}").map(plain).join("(.+?)")}$`), to]);
    known.clear();
    draw();
  } catch { /* English, then */ }
}

/** A sentence of the server, with the sentences in it, in the reader's language as far as it has them. */
export function said(text) {
  if (text && phrases.length && !known.has(text)) {
    if (known.size >= MOST) known.clear();
    known.set(text, translated(text));
  }
  // a name may change with the next hello, so it is not kept
  return (known.get(text) ?? text ?? "").replace(/\bpack ((?:[a-z0-9_]+\/)?\d+)(?![\w/])/gi, (words, label) => called(label) ?? words);
}

let called = () => null;

/** How a pack is named in what the server says, by its label there; null as it stands. */
export const callPacks = (name) => { called = name; };

function translated(text) {
  const decimals = /^([+-]?\d+\.(\d+))( \S{1,4})?$/.exec(text); // perhaps with a unit
  if (decimals) return (text.startsWith("+") ? "+" : "") + num(Number(decimals[1]), decimals[2].length) + (decimals[3] ?? "");
  for (const [pattern, to] of phrases) {
    const found = pattern.exec(text);
    if (found) return to.replace(/\{(\d)\}/g, (_, n) => translated(found[Number(n) + 1]));
  }
  for (const between of ["; ", ": "]) {
    const [first, ...rest] = text.split(between);
    if (rest.length) return `${translated(first)}${between}${translated(rest.join(between))}`;
  }
  return text;
}

const fetched = {}; // language of the words of each view that has its own

/** Fetch the words of a view that has its own, when it is opened for the first time in this language. */
export async function learnMore(view, draw) {
  const one = language();
  if (fetched[view] === one) return;
  fetched[view] = one;
  try {
    const answer = await fetch(new URL(`i18n/${view}/${one}.json`, import.meta.url));
    const more = await answer.json();
    if (language() !== one) return; // another one was chosen meanwhile
    words = { ...words, ...more };
    draw();
  } catch {
    delete fetched[view]; // the next time it is drawn
  }
}

export const language = () => locale.slice(0, 2);

/** The language with its region, for whoever formats by himself. */
export const region = () => locale;

/** The words of a key; {name} stands for an argument. An unknown key shows itself, which a test forbids. */
export function t(key, args) {
  const text = words[key] ?? key;
  return args ? text.replace(/\{(\w+)\}/g, (whole, name) => args[name] ?? whole) : text;
}

/** Words of a key, or what is given instead where the language has none. */
export const tOr = (key, other) => words[key] ?? other;

/** One of two keys by number: key.one, key.other. */
export const plural = (key, count, args) => t(`${key}.${count === 1 ? "one" : "other"}`, { n: num(count), ...args });

function formatter(digits, sign) {
  const key = `${digits}${sign}`;
  if (!numbers.has(key)) {
    const options = { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: sign };
    numbers.set(key, new Intl.NumberFormat(locale, options));
  }
  return numbers.get(key);
}

export const DASH = "–";

/** A number with so many digits behind the point; a dash where it is unknown. */
export const num = (value, digits = 0) => (value == null ? DASH : formatter(digits, "negative").format(value));

/** A number with its sign, +0 and -0 without one. */
export const signed = (value, digits = 0) => (value == null ? DASH : formatter(digits, "exceptZero").format(value));

/** A number with its unit behind a space that does not break. */
export const unit = (value, symbol, digits = 0) => (value == null ? DASH : `${num(value, digits)}\u00a0${symbol}`);

/** Power as number and unit, W below 10 kW or where it is asked for. */
export function power(watts, inWatts = false) {
  if (watts == null) return [DASH, "W"];
  const big = Math.abs(watts) >= 1000 && !inWatts;
  return big ? [num(watts / 1000, Math.abs(watts) >= 99950 ? 0 : 1), "kW"] : [num(watts), "W"];
}

export const join = ([value, symbol]) => (value === DASH ? DASH : `${value}\u00a0${symbol}`);

/** A time span in its two largest units: 3 h 10 min, 45 s. */
export function span(seconds) {
  if (seconds == null) return DASH;
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return t("span.s", { n: s });
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return t("span.min", { n: minutes });
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? t("span.hmin", { h: hours, n: minutes % 60 }) : t("span.h", { h: hours });
  const days = Math.floor(hours / 24);
  return hours % 24 && days < 10 ? t("span.dh", { d: num(days), h: hours % 24 }) : t("span.d", { d: num(days) });
}

/** How long ago something was heard: one digit of seconds below 10. */
export function age(seconds) {
  if (seconds == null) return DASH;
  return seconds < 9.95 ? t("span.s", { n: num(seconds, 1) }) : span(seconds);
}

/** Time of day of s since 1970, with the date where it is not today; `withSeconds` may be a number of digits behind them. */
export function clock(at, withSeconds = false) {
  const date = new Date(at * 1000);
  const options = { hour: "2-digit", minute: "2-digit", ...(withSeconds && { second: "2-digit" }), ...(withSeconds > 1 && { fractionalSecondDigits: withSeconds }) };
  if (date.toDateString() !== new Date().toDateString()) Object.assign(options, { day: "numeric", month: "short" });
  return new Intl.DateTimeFormat(locale, options).format(date);
}

export const day = (at) => new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" }).format(new Date(at * 1000));

/** Words of a list: a, b and c. */
export const list = (items) => new Intl.ListFormat(locale, { type: "conjunction" }).format(items);

/** Height of a cell's bar in percent of half the room, by its deviation in mV: a square root, full at 30 mV. */
export const barHeight = (millivolts) => Math.min(50, Math.sqrt(Math.abs(millivolts) / 30) * 50);

/** Step of colour of a deviation: -4 to 4, 0 within 2.5 mV, 4 from 15 mV on. */
export function heat(millivolts) {
  const size = Math.abs(millivolts);
  if (size < 2.5) return 0;
  return Math.sign(millivolts) * Math.min(4, 1 + Math.floor((size - 2.5) / 4.2));
}
