// Values as people read them. Pure, but for the running clocks at the end.

const STATES = {
  established: { word: "established", level: "ok", shape: "up" },
  open_sent: { word: "opening", level: "warn", shape: "trying" },
  connect: { word: "connecting", level: "bad", shape: "trying" },
  active: { word: "waiting for it to dial", level: "bad", shape: "trying" },
  waiting: { word: "not found on the link", level: "bad", shape: "trying" },
  idle: { word: "idle", level: "bad", shape: "down" },
  held: { word: "held down", level: "bad", shape: "down" },
  disabled: { word: "disabled", level: "bad", shape: "down" },
  shutdown: { word: "shut down by you", level: "off", shape: "off" },
};

export function peerState(peer) {
  const state = STATES[peer.state] ?? { word: peer.state, level: "bad", shape: "down" };
  if (peer.state === "established" && peer.bfd && !peer.bfd.trusted) {
    return { word: "established, BFD down", level: "bad", shape: "down" };
  }
  return state;
}

export function routeState(route) {
  if (route.installed && !route.paths.length) {
    return { key: "installed", word: "kept", level: "warn", shape: "trying" };
  }
  if (route.installed) return { key: "installed", word: "installed", level: "ok", shape: "up" };
  if (!route.paths.length) return { key: "rejected", word: "rejected", level: "off", shape: "off" };
  return { key: "missing", word: "not installed", level: "bad", shape: "down" };
}

// What the headline says of the sessions need not be said again.
export const isOfSessions = (reason) => /^\d+ of \d+ sessions are not established$/.test(reason);

export const TURNS = {
  established: { word: "established", level: "ok", shape: "up" },
  lost: { word: "lost", level: "bad", shape: "down" },
  failed: { word: "attempt failed", level: "warn", shape: "trying" },
};

const STEPS = [
  [86400, "d", 3600, "h"],
  [3600, "h", 60, "min"],
  [60, "min", 1, "s"],
];

export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [size, name, part, partName] of STEPS) {
    if (whole < size) continue;
    const rest = Math.floor((whole % size) / part);
    return rest ? `${Math.floor(whole / size)} ${name} ${rest} ${partName}` : `${Math.floor(whole / size)} ${name}`;
  }
  return `${whole} s`;
}

export const number = (value) => value.toLocaleString("en");
export const count = (n, one, many) => `${number(n)} ${n === 1 ? one : (many ?? `${one}s`)}`;

export function list(words, most = 3) {
  if (words.length <= most) return words.join(", ");
  return `${words.slice(0, most).join(", ")} and ${words.length - most} more`;
}

export function clock(text) {
  const when = new Date(text);
  const time = when.toLocaleTimeString("en-GB");
  return when.toDateString() === new Date().toDateString() ? time : `${when.toLocaleDateString("en-CA")} ${time}`;
}

// The node's clock and the browser's may differ: ages are counted from the agent's own "ago".
let ahead_ms = 0;
export function trust(agentTime) {
  ahead_ms = Date.parse(agentTime) - Date.now();
}
export const agentNow = () => Date.now() + ahead_ms;

export function ticking(since, suffix = "") {
  const element = document.createElement("time");
  element.dateTime = since;
  element.title = clock(since);
  element.dataset.suffix = suffix;
  tick(element);
  return element;
}

function tick(element) {
  const text = duration((agentNow() - Date.parse(element.dateTime)) / 1000) + element.dataset.suffix;
  if (element.textContent !== text) element.textContent = text;
}

export function tickAll() {
  document.querySelectorAll("time[data-suffix]").forEach(tick);
}
