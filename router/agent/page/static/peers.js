// The peers: state first, then what a session carries, then why it went down last.

import { at, empty, h, mark, row, s, show, table } from "./dom.js";
import { agentNow, count, duration, number, peerState, ticking } from "./words.js";

const COLUMNS = [
  { name: "State" },
  { name: "Peer", head: true },
  { name: "AS", number: true },
  { name: "Link", code: true },
  { name: "For" },
  { name: "Last hour" },
  { name: "Received", number: true },
  { name: "Accepted", number: true },
  { name: "Announced", number: true },
  { name: "BFD" },
  { name: "Losses", number: true },
  { name: "Last error", words: true },
];
const SPAN_S = 3600;
const WORST = ["bad", "warn", "off", "ok"];
const open = new Set();
let latest = null;

export function showPeers(overview) {
  latest = overview;
  const peers = [...overview.peers].sort(
    (a, b) => WORST.indexOf(peerState(a).level) - WORST.indexOf(peerState(b).level),
  );
  const model = peers.map((peer) => ({ ...peer, for_s: null, last_down_for_s: null, strip: strip(peer, overview), open: open.has(peer.name) }));
  show("peers-body", model, () =>
    peers.length
      ? table("Peers and their sessions", COLUMNS, model.flatMap(rows))
      : empty("No peer is configured: nothing is learned, and nothing is announced."),
  );
  at("peers-note").textContent = peers.length ? count(peers.length, "peer") : "";
}

function sum(peer, key) {
  return Object.values(peer.families).reduce((total, family) => total + family[key], 0);
}

function rows(peer) {
  const id = `peer-${peer.name}`;
  const isOpen = peer.open;
  const button = h(
    "button",
    {
      type: "button",
      class: "disclose",
      id,
      "aria-expanded": String(isOpen),
      "aria-controls": isOpen ? `${id}-more` : null,
      onclick: () => toggle(peer.name),
    },
    peer.name,
  );
  const made = row(COLUMNS, [
    mark(peerState(peer)),
    [button, h("span", { class: "under code" }, peer.address)],
    String(peer.remote_asn),
    peer.link && peer.link_carrier === false ? [peer.link, h("span", { class: "under" }, "no carrier")] : (peer.link ?? "–"),
    ticking(peer.since),
    strips(peer),
    number(sum(peer, "received")),
    accepted(peer),
    number(sum(peer, "announced")),
    bfd(peer),
    number(peer.times_down),
    lastError(peer),
  ]);
  return isOpen ? [made, more(peer, `${id}-more`)] : [made];
}

function toggle(name) {
  if (!open.delete(name)) open.add(name);
  if (latest) showPeers(latest);
}

function accepted(peer) {
  const [stale, rejected] = [sum(peer, "stale"), sum(peer, "rejected")];
  const beside = [rejected && `${number(rejected)} rejected`, stale && `${number(stale)} stale`].filter(Boolean);
  return [number(sum(peer, "accepted")), beside.length ? h("span", { class: "under" }, beside.join(", ")) : null];
}

function bfd(peer) {
  if (!peer.bfd) return "–";
  const level = peer.bfd.trusted ? "ok" : "bad";
  return mark({ level, shape: peer.bfd.state === "up" ? "up" : "down", word: peer.bfd.state });
}

function lastError(peer) {
  if (peer.state !== "established" && peer.reason) return peer.reason;
  if (!peer.last_down) return "–";
  return [peer.last_down, h("span", { class: "under" }, ticking(peer.last_down_at, " ago"))];
}

// --- what one row unfolds to ------------------------------------------------------------------

function more(peer, id) {
  const restart = peer.graceful_restart_s;
  const facts = [
    ["Router ID", peer.router_id ?? "not told yet"],
    ["Our AS toward it", peer.local_asn],
    ["Hold time", `${peer.hold_time_s} s`],
    ["Graceful restart", `ours ${restart.local} s, its ${restart.remote === null ? "none" : `${restart.remote} s`}`],
    ["Link MTU", peer.link_mtu ? `${number(peer.link_mtu)} bytes` : "not on a link of ours"],
    ...Object.entries(peer.families).map(([name, family]) => [name, familyText(family)]),
  ];
  if (peer.bfd) {
    const { bfd } = peer;
    const detection = bfd.detection_ms ? `, gone after ${bfd.detection_ms} ms of silence` : "";
    facts.push(["BFD", `every ${bfd.interval_ms} ms${detection}; lost ${count(bfd.times_down, "time")}${bfd.problem ? `; ${bfd.problem}` : ""}`]);
  }
  return h(
    "tr",
    { role: "row", id, class: "more" },
    h(
      "td",
      { role: "cell", colspan: String(COLUMNS.length) },
      h("dl", { class: "pairs" }, facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, String(value))))),
    ),
  );
}

function familyText(family) {
  if (!family.negotiated) return "not negotiated";
  const end = (yes) => (yes ? "yes" : "not yet");
  return (
    `${number(family.received)} of at most ${number(family.limit)} received, ` +
    `End-of-RIB received: ${end(family.end_of_rib_received)}, sent: ${end(family.end_of_rib_sent)}`
  );
}

// --- the last hour as a strip ------------------------------------------------------------------

// Spans of time in tenths of a percent of the last hour, from the changes that are still known.
function strip(peer, overview) {
  const now = agentNow() / 1000;
  const from = now - SPAN_S;
  const known = Math.max(from, Date.parse(overview.status.since) / 1000);
  const turns = overview.changes
    .filter((c) => c.peer === peer.name && c.what !== "failed")
    .map((c) => ({ at: Date.parse(c.at) / 1000, up: c.what === "established" }))
    .reverse();
  const first = turns[0];
  let up = first ? !first.up : peer.state === "established";
  let begin = known;
  const spans = [];
  const put = (end) => {
    const [a, b] = [Math.max(begin, from), end].map((t) => Math.round(((t - from) / SPAN_S) * 200));
    if (b > a) spans.push({ a, b, up });
  };
  for (const turn of turns) {
    put(turn.at);
    [begin, up] = [turn.at, turn.up];
  }
  put(now);
  return spans;
}

function strips(peer) {
  const lost = peer.strip.filter((span) => !span.up);
  const away_s = lost.reduce((total, span) => total + ((span.b - span.a) / 200) * SPAN_S, 0);
  const text = away_s ? `down for ${duration(away_s)} of the last hour` : "up as long as known";
  return s(
    "svg",
    { class: "strip", viewBox: "0 0 200 12", preserveAspectRatio: "none", role: "img", "aria-label": text },
    s("title", null, text),
    s("rect", { class: "unknown", width: 200, height: 12 }),
    peer.strip.map(({ a, b, up }) =>
      // Low or high tells it without the colour.
      s("rect", { class: up ? "up" : "down", x: a, width: b - a, y: up ? 0 : 8, height: up ? 12 : 4 }),
    ),
  );
}
