// The one websocket: what the server told, and asking it for more. Everything that is shown comes from `state`.
import { t } from "./format.js";

export const state = {
  hello: null,
  bank: null,
  inverter: null,
  first: null,
  buses: [],
  packs: {},
  findings: [],
  alarms: [],
  ranges: null, // which settings of a pack may be changed, and within which range
  owner: null, // numbers and switches of the inverter's owner
  openUntil: 0, // until when this page may write, ms of this computer's clock
  jobs: [], // what the doctor is doing, for everybody
  bytes: [], // what passed on the bus that is watched
  log: [], // newest lines of the app's log, as long as somebody looks at them
  at: 0, // s since 1970 of the last tick
  heardAt: 0, // of this computer's clock, ms
  connected: false,
  locked: "", // why we are not let in
};

const FIRST_WAIT = 500, LONGEST_WAIT = 5000, HERE_EVERY = 10000, SILENCE = 45000, HIDDEN = 30000; // ms
const QUIET = 3000; // ms without data after which it is said
const OWN = import.meta.url.match(/\/(v-[0-9a-f]+)\//)?.[1];

let socket = null, wait = FIRST_WAIT, again = 0, hiding = 0, changed = () => {};
let requests = 0;
const wants = new Map(); // what the views want of the history: key -> {ask, data, at, touched}
const questions = new Map(); // what was asked and is not answered: id -> what takes the answer
let writing = null; // {id, step, done} of the write that is under way
const TOKEN = "jkbms-token";

/** Seconds for which this page may write. */
export const openFor = () => Math.max(0, (state.openUntil - Date.now()) / 1000);

/** Whether the connection is gone for long enough to say so. */
export const lost = () => Boolean(state.heardAt) && Date.now() - state.heardAt > QUIET;

function take(message) {
  if (message.t === "hello") {
    if (OWN && message.web !== OWN) return location.reload();
    state.hello = message;
    state.locked = "";
  } else if (message.t === "tick") {
    tick(message);
  } else if (message.t === "history") {
    const want = [...wants.values()].find((one) => one.id === message.id);
    if (want) Object.assign(want, { data: decoded(message), at: Date.now(), id: null });
  } else if (message.t === "no") {
    const want = [...wants.values()].find((one) => one.id === message.id);
    if (want) Object.assign(want, { at: Date.now(), id: null }); // once more when it is due again
    answered(message);
  } else if (message.t === "log") {
    state.log = [...state.log, ...message.lines].slice(-300);
  } else if (message.t === "bytes") {
    state.bytes = [...state.bytes, ...message.lines].slice(-200);
  } else if (message.t === "step") {
    if (writing?.id === message.id) writing.step(message);
  } else if (message.t === "done") {
    if (writing?.id === message.id) writing.done("");
  } else {
    answered(message);
  }
  changed();
}

function answered(message) {
  questions.get(message.id)?.(message);
  questions.delete(message.id);
}

/** Ask the server something; the answer, or `{t: "no", reason}`. */
export function ask(kind, more = {}) {
  if (socket?.readyState !== WebSocket.OPEN) return Promise.resolve({ t: "no", reason: t("set.lost") });
  const id = ++requests;
  socket.send(JSON.stringify({ ...more, t: kind, id }));
  return new Promise((resolve) => questions.set(id, resolve));
}

/** Carry changes out; `step` gets each as it is done. Why it was not begun or not ended, or nothing. */
export async function write(plan, step) {
  let done;
  const end = new Promise((resolve) => { done = resolve; });
  const begun = ask("write", plan);
  writing = { id: requests, step, done };
  const { t: kind, reason } = await begun;
  const problem = kind === "no" ? reason : await end;
  writing = null;
  return problem;
}

/** Unlock this page for writing, or lock it again. */
export async function lock(open) {
  const answer = await ask(open ? "unlock" : "lock");
  state.openUntil = answer.open ? Date.now() + answer.left_s * 1000 : 0;
  changed();
}

function tick(message) {
  for (const kind of ["bank", "inverter", "first", "findings", "alarms", "ranges", "owner", "jobs", "buses", "at"]) {
    if (kind in message) state[kind] = message[kind];
  }
  // a pack that is not told of any more is gone; what is not told anew of one that is stays
  const packs = {};
  for (const [key, told] of Object.entries(message.packs)) {
    if (told.settings) told.settings = named(told.settings);
    packs[key] = { ...state.packs[key], ...told };
  }
  state.packs = packs;
  state.heardAt = Date.now();
  state.connected = true;
  wait = FIRST_WAIT;
}

/** Settings by key; they come as a list in the order of the table. */
const named = (values) => Object.fromEntries(Object.keys(state.hello.specs).map((key, n) => [key, values[n]]));

/** Columns of numbers from base64 of int16, little endian; null where nothing was known. */
export function decoded(message) {
  const bytes = Uint8Array.from(atob(message.data), (one) => one.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const columns = {};
  message.cols.forEach((name, n) => {
    columns[name] = Array.from({ length: message.rows }, (_, row) => {
      const count = view.getInt16(2 * (n * message.rows + row), true);
      return count === -32768 ? null : count * message.scale[n];
    });
  });
  const times = Array.from({ length: message.rows }, (_, row) => message.from + row * message.tier);
  return { times, columns, tier: message.tier };
}

/** History that a view shows now; null until it has come. It is asked for again as long as somebody wants it. */
export function history(of, tier, cols) {
  const key = `${of} ${tier} ${cols.join()}`;
  if (!wants.has(key)) wants.set(key, { ask: { t: "history", of, tier, cols }, data: null, at: 0, id: null });
  const want = wants.get(key);
  want.touched = Date.now();
  if (!want.at && want.id === null) askHistory();
  return want.data;
}

function askHistory() {
  if (socket?.readyState !== WebSocket.OPEN || !state.hello) return;
  const now = Date.now();
  for (const [key, want] of wants) {
    if (now - want.touched > 120000) wants.delete(key);
    else if (want.id === null && now - want.touched < 3000 && now - want.at > Math.max(10, want.ask.tier) * 1000) {
      want.id = ++requests;
      socket.send(JSON.stringify({ ...want.ask, id: want.id }));
    }
  }
}

function token() {
  try { return sessionStorage.getItem(TOKEN) ?? localStorage.getItem(TOKEN) ?? ""; } catch { return ""; }
}

/** Try a token; it is kept in this browser. */
export function unlock(text) {
  try { localStorage.setItem(TOKEN, text); } catch { /* a browser without storage asks again */ }
  state.locked = "";
  close();
  connect();
}

function connect() {
  clearTimeout(again);
  if (socket || document.hidden || state.locked) return;
  const url = new URL("live", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  const own = (socket = new WebSocket(url));
  own.onopen = () => own.send(JSON.stringify({ t: "hello", v: 1, token: token() }));
  own.onmessage = ({ data }) => socket === own && take(JSON.parse(data));
  own.onclose = ({ code }) => {
    if (socket !== own) return;
    close();
    if (code === 4001 || code === 4003) state.locked = code === 4003 ? "wait" : "token";
    changed();
    if (code === 4003) setTimeout(() => { state.locked = "token"; changed(); }, 60000);
    again = setTimeout(connect, wait);
    wait = Math.min(LONGEST_WAIT, wait * 2);
  };
}

function close() {
  const old = socket;
  socket = null;
  state.connected = false;
  for (const want of wants.values()) want.id = null;
  state.openUntil = 0; // the server's lock was that of the connection
  for (const id of [...questions.keys()]) answered({ t: "no", id, reason: t("set.lost") });
  writing?.done(t("set.lost"));
  old?.close();
}

function retry() {
  clearTimeout(hiding);
  wait = FIRST_WAIT;
  if (state.heardAt && Date.now() - state.heardAt > SILENCE) close();
  connect();
}

/** Connect for ever; `then` is called when something is new. */
export function start(then) {
  changed = then;
  connect();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hiding = setTimeout(close, HIDDEN);
    else retry();
  });
  addEventListener("online", retry);
  addEventListener("pageshow", ({ persisted }) => persisted && retry());
  setInterval(() => socket?.readyState === WebSocket.OPEN && socket.send('{"t":"here"}'), HERE_EVERY);
  setInterval(() => {
    if (socket && state.heardAt && Date.now() - state.heardAt > SILENCE) { close(); connect(); }
    askHistory();
    if (lost()) changed();
  }, 1000);
}
