// Light or dark, and the colours of Home Assistant around us. What we are told by the panel we live in, too.

const COPIED = {
  "--primary-background-color": "--bg",
  "--card-background-color": "--card",
  "--primary-text-color": "--text",
  "--divider-color": "--line",
  "--primary-color": "--brand",
};
const KEY = "jkbms-theme";
let chosen = "auto";
let dark = matchMedia("(prefers-color-scheme: dark)");

const stored = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
export const store = (key, value) => { try { localStorage.setItem(key, value); } catch { /* a browser without storage */ } };
export const remembered = stored;

/** The document around us, where it is of the same origin; null otherwise. */
function around() {
  try {
    return parent !== window && parent.document ? parent.document.documentElement : null;
  } catch {
    return null;
  }
}

/** Red, green and blue of a colour in any notation, 0 to 255; null where it is none. */
export function rgb(text) {
  const probe = document.createElement("i");
  probe.style.color = text;
  if (!text || !probe.style.color) return null;
  document.body.append(probe);
  const found = getComputedStyle(probe).color.match(/[\d.]+/g);
  probe.remove();
  return found ? found.slice(0, 3).map(Number) : null;
}

/** Relative luminance of a colour, 0 to 1. */
export function luminance(color) {
  const [r, g, b] = color.map((one) => (one / 255 <= 0.03928 ? one / 255 / 12.92 : ((one / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** How well two colours can be told apart, 1 to 21. */
export function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

/** Follow what was chosen, else Home Assistant, else the system. */
export function apply() {
  const root = document.documentElement;
  const frame = chosen === "auto" ? around() : null;
  const told = frame ? getComputedStyle(frame) : null;
  const background = told && rgb(told.getPropertyValue("--primary-background-color").trim());
  for (const own of Object.values(COPIED)) root.style.removeProperty(own);
  root.dataset.theme = chosen !== "auto" ? chosen : (background ? luminance(background) < 0.3 : dark.matches) ? "dark" : "light";
  if (background) copy(told, root);
  dispatchEvent(new Event("jkbms-theme"));
}

/** Take colours over one by one, but none that our own texts could not be read on. */
function copy(told, root) {
  const own = getComputedStyle(root);
  const muted = rgb(own.getPropertyValue("--muted").trim());
  const text = rgb(told.getPropertyValue("--primary-text-color").trim()) ?? rgb(own.getPropertyValue("--text").trim());
  for (const [theirs, ours] of Object.entries(COPIED)) {
    const value = told.getPropertyValue(theirs).trim();
    const color = rgb(value);
    if (!color) continue;
    const ground = ours === "--bg" || ours === "--card";
    if (ground && (contrast(color, muted) < 4.6 || contrast(color, text) < 7)) continue;
    root.style.setProperty(ours, value);
  }
}

export const theme = () => chosen;

export function choose(value) {
  chosen = value;
  store(KEY, value);
  apply();
}

/** The language of Home Assistant, of the choice made here, or of the browser; one of those that we have. */
export function preferredLanguage(known) {
  const wanted = [stored("jkbms-language"), around()?.lang, ...navigator.languages];
  const found = wanted.map((one) => (one ?? "").slice(0, 2).toLowerCase()).find((one) => known.includes(one));
  return found ?? "en";
}

/** Ask the panel of Home Assistant how it is; without an answer nothing changes. */
function subscribe(changed) {
  if (parent === window) return;
  addEventListener("message", ({ data, source }) => {
    if (source !== parent || data?.type !== "home-assistant/properties") return;
    document.documentElement.classList.toggle("narrow", Boolean(data.narrow));
    changed(data.route?.path);
  });
  parent.postMessage({ type: "home-assistant/subscribe-properties", kioskMode: false, handleSafeArea: false }, "*");
}

/** Show the long history of an entity in Home Assistant. */
export const navigate = (path) => parent !== window && parent.postMessage({ type: "home-assistant/navigate", path }, "*");

export const framed = () => parent !== window;

export function start(changed) {
  chosen = ["light", "dark"].includes(stored(KEY)) ? stored(KEY) : "auto";
  dark.addEventListener("change", apply);
  const frame = around();
  if (frame) new MutationObserver(apply).observe(frame, { attributes: true, attributeFilter: ["style", "class"] });
  subscribe(changed);
  apply();
}
