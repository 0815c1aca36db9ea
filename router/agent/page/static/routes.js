// Routes: a table of which the first rows are shown, a search, and what becomes of each and why.

import { at, empty, h, mark, narrow, row, table } from "./dom.js";
import { ask, NoAnswer } from "./poll.js";
import { index, search } from "./search.js";
import { count, number, routeState } from "./words.js";

const COLUMNS = [
  { name: "State" },
  { name: "Prefix", head: true, code: true },
  { name: "Next hops", code: true },
  { name: "AS path", code: true },
  { name: "From" },
  { name: "Note", words: true },
];
const first = () => (narrow.matches ? 15 : 20); // rows that are shown at first
const MAIN_TABLE = 254; // as ip(8) has it in its rt_tables
const MOST_LINES = 4; // of a cell; what the row unfolds to has all

let entries = [];
let answer = null;
let most = first();
let opened = null; // the prefix that is explained, and what was said of it

export function routesOf() {
  return answer?.routes ?? [];
}

export function takeRoutes(given) {
  answer = given;
  entries = index(given.routes, routeState);
  draw();
}

export function startRoutes() {
  at("q").addEventListener("input", again);
  at("q-state").addEventListener("input", again);
  at("routes-form").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, select, textarea");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      at("q").focus();
    }
  });
}

function again() {
  most = first();
  draw();
}

function draw() {
  if (answer === null) return;
  const found = search(entries, at("q").value, at("q-state").value);
  const focused = document.activeElement?.id;
  at("routes-note").textContent = note(found.length);
  at("routes-body").replaceChildren(...content(found));
  if (focused && document.activeElement?.id !== focused) at(focused)?.focus({ preventScroll: true });
}

function note(found) {
  const all = entries.length;
  const isAll = answer.total === all;
  if (!isAll) return `${number(found)} of the first ${number(all)}; ${number(answer.total)} are known (podroute routes PREFIX has the others)`;
  return found === all ? count(all, "route") : `${number(found)} of ${count(all, "route")}`;
}

function content(found) {
  if (!entries.length) return [empty("Nothing learned: no peer has announced a prefix.")];
  if (!found.length) return [empty("No route matches.")];
  const made = [table("Routes", COLUMNS, found.slice(0, most).flatMap(rows))];
  if (found.length > most) {
    const rest = found.length - most;
    made.push(h("p", { class: "rest" }, h("button", { type: "button", id: "more-routes", onclick: more }, `Show ${number(Math.min(rest, 200))} more of ${number(rest)}`)));
  }
  return made;
}

function more() {
  most += 200;
  draw();
}

// A row is made once and then only put in and out: typing changes which, not what.
function rows(entry) {
  if (opened?.prefix !== entry.route.prefix) return [(entry.row ??= closed(entry))];
  entry.row = null;
  return [closed(entry), explained()];
}

function closed({ route, state }) {
  const best = route.paths.filter((path) => path.best);
  const shown = best.length ? best : route.paths;
  const paths = [...new Set(shown.map((path) => path.as_path.join(" ") || "local"))];
  const peers = [...new Set([...shown, ...(shown.length ? [] : route.rejected)].map((each) => each.peer))];
  const isOpen = opened?.prefix === route.prefix;
  const id = `route-${route.prefix}`;
  return row(COLUMNS, [
    mark(state),
    h("button", { type: "button", class: "disclose", id, "aria-expanded": String(isOpen), onclick: () => explain(route.prefix) }, route.prefix),
    lines(route.next_hops.slice(0, MOST_LINES)),
    lines(paths.slice(0, MOST_LINES)),
    lines(peers.slice(0, MOST_LINES)),
    remark(route),
  ]);
}

const lines = (texts) => (texts.length ? texts.map((text) => h("span", { class: "line" }, text)) : "–");

function remark(route) {
  const parts = [];
  if (route.why_not && route.paths.length) parts.push(route.why_not);
  else if (route.why_not && route.installed) parts.push(route.why_not);
  const reasons = new Map();
  for (const { reason, peer } of route.rejected) reasons.set(reason, [...(reasons.get(reason) ?? []), peer]);
  for (const [reason, told] of reasons) parts.push(`${reason} (${told.join(", ")})`);
  const stale = route.paths.filter((path) => path.stale).map((path) => path.peer);
  if (stale.length) parts.push(`stale from ${stale.join(", ")}`);
  const communities = [...new Set(route.paths.flatMap((path) => [...path.communities, ...path.large_communities]))];
  if (communities.length) parts.push(`communities ${communities.join(" ")}`);
  return parts.length ? parts.join("; ") : null;
}

// --- why ----------------------------------------------------------------------------------------

async function explain(prefix) {
  if (opened?.prefix === prefix) {
    opened = null;
    draw();
    return;
  }
  const mine = (opened = { prefix, why: null, problem: "" });
  draw();
  try {
    mine.why = await (await ask(`/v1/why?of=${encodeURIComponent(prefix)}`)).json();
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    mine.problem = error.message || "The agent does not answer.";
  }
  if (opened === mine) draw();
}

function explained() {
  const { why, problem } = opened;
  const cell = h("td", { role: "cell", colspan: String(COLUMNS.length) });
  if (why === null) cell.append(h("p", null, problem || "Asking the agent why"));
  else cell.append(...whyText(why));
  return h("tr", { role: "row", class: "more" }, cell);
}

function whyText(why) {
  const facts = [];
  const learned = why.learned;
  if (learned?.asked_for_by) facts.push(["Let in by", learned.asked_for_by]);
  if (why.kernel.installed) {
    const where = why.kernel.table === MAIN_TABLE ? "main" : why.kernel.table;
    facts.push(["Kernel", `table ${where}, metric ${why.kernel.metric}, ${why.kernel.next_hops.join(", ")}`]);
  }
  for (const path of learned?.paths ?? []) {
    const origin = `${path.as_path.join(" ") || "empty AS path"}, ${path.origin}`;
    const med = path.med === null ? "" : `, MED ${path.med}`;
    const verdict = path.best ? "used" : (path.why_not_best ?? "not used");
    facts.push([path.peer, `${verdict}: ${origin}, local preference ${path.local_preference ?? "none"}${med}; ${path.accepted_by}`]);
  }
  for (const each of learned?.rejected ?? []) facts.push([each.peer, `rejected: ${each.reason} (${each.by}), ${each.as_path.join(" ")}`]);
  return [
    h("p", { class: "verdict" }, why.verdict),
    h("dl", { class: "pairs" }, facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))),
  ];
}
