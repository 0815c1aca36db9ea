// The node itself: its facts, what is wrong, what became of its sessions, its pods.

import { at, empty, h, icon, mark, row, show, table } from "./dom.js";
import { count, isOfSessions, list, number, ticking, TURNS } from "./words.js";

// --- facts --------------------------------------------------------------------------------------

export function showFacts({ status }) {
  const unreached = status.pod_cidrs.filter((cidr) => !cidr.unreachable_route).map((cidr) => cidr.prefix);
  const announced = new Set(status.announcing);
  const cidrs = status.pod_cidrs.map(({ prefix }) => (announced.has(prefix) ? prefix : `${prefix} (not announced)`));
  const facts = [
    ["Ready", status.readiness.text || status.readiness.state],
    ["Drain", status.drain.phase === "none" ? "none" : status.drain.text],
    ["AS", String(status.local_asn)],
    ["Router ID", status.router_id],
    ["Pod CIDRs", cidrs.join(", ") || "none yet"],
    ["Announced", count(status.announcing.length, "prefix", "prefixes")],
    ["Services", status.services ? `${status.services.announced} of ${count(status.services.addresses, "address", "addresses")}` : "not announced"],
    ["Routes", `${number(status.routes.learned)} learned, ${number(status.routes.installed)} installed`],
    ["Repairs", number(status.routes.repairs)],
    ["Speaker", status.speaker.pid ? `runs, ${count(status.speaker.restarts, "restart")}` : "does not run"],
  ];
  if (status.api) facts.push(["API server", status.api.connected ? "connected" : (status.api.problem ?? "not connected")]);
  if (status.waiting_for_end_of_rib.length) facts.push(["End-of-RIB awaited", list(status.waiting_for_end_of_rib)]);
  if (unreached.length) facts.push(["No unreachable route", unreached.join(", ")]);
  const model = { facts, since: status.since };
  show("facts", model, () =>
    h(
      "dl",
      null,
      facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
      h("div", null, h("dt", null, "Agent runs for"), h("dd", null, ticking(status.since))),
    ),
  );
}

// --- findings -----------------------------------------------------------------------------------

export function showFindings({ status, findings }) {
  const model = {
    reasons: status.reasons.filter((reason) => !isOfSessions(reason)),
    found: findings.findings,
    skipped: findings.not_looked_at,
    problem: findings.problem,
  };
  show("findings-body", model, () => [
    model.reasons.length ? h("ul", { class: "reasons" }, model.reasons.map((text) => h("li", null, icon("warn"), h("span", null, text)))) : null,
    doctor(model),
  ].flat().filter(Boolean));
  const age = findings.age_s === null ? "" : `doctor looked ${Math.round(findings.age_s)} s ago`;
  at("findings-note").textContent = findings.looking ? "the doctor is looking" : age;
}

function doctor({ reasons, found, skipped, problem }) {
  const made = [];
  if (problem) made.push(empty(problem));
  if (found === null) {
    if (!problem) made.push(empty("The doctor looks at the node for the first time; this takes a few seconds."));
  } else if (found.length) {
    made.push(...found.map(finding));
  } else {
    made.push(empty(reasons.length ? "The doctor has found nothing besides." : "Nothing is wrong: the agent has no complaint, and the doctor has found nothing."));
  }
  if (skipped.length) {
    made.push(h("details", null, h("summary", null, `${count(skipped.length, "thing")} could not be looked at`), h("ul", null, skipped.map((text) => h("li", null, text)))));
  }
  return made;
}

function finding({ name, text, evidence, fix }) {
  return h(
    "article",
    { class: "finding" },
    h("h3", null, icon("warn"), text),
    h("dl", { class: "pairs" }, [["Finding", name], ["Evidence", evidence], ["Fix", fix]].map(([key, value]) => h("div", null, h("dt", null, key), h("dd", null, value)))),
  );
}

// --- history ------------------------------------------------------------------------------------

const SHOWN = 12;
let isLong = false;

export function showHistory(overview) {
  const all = overview.changes;
  const changes = isLong ? all : all.slice(0, SHOWN);
  const model = { changes: changes.map((change) => ({ ...change, ago_s: null })), rest: all.length - changes.length };
  show("history-body", model, () => {
    if (!all.length) return empty("No session has come or gone since the agent started.");
    const made = [h("ol", { class: "changes" }, changes.map(turn))];
    if (model.rest) {
      const unfold = () => {
        isLong = true;
        showHistory(overview);
      };
      made.push(h("p", { class: "rest" }, h("button", { type: "button", id: "more-history", onclick: unfold }, `Show ${model.rest} older`)));
    }
    return made;
  });
  at("history-note").replaceChildren("since the agent started, ", ticking(overview.status.since, " ago"));
}

function turn(change) {
  const times = change.times > 1 ? ` ${number(change.times)} times` : "";
  return h(
    "li",
    null,
    h("p", null, mark({ ...TURNS[change.what], word: change.peer }), ` ${TURNS[change.what].word}${times}`, h("span", { class: "when" }, ticking(change.last_at, " ago"))),
    change.text ? h("p", { class: "why" }, change.text) : null,
  );
}

// --- pods ---------------------------------------------------------------------------------------

const COLUMNS = [
  { name: "State" },
  { name: "Pod", head: true },
  { name: "Addresses", code: true },
  { name: "Interface", code: true },
  { name: "Since" },
];

export function showPods(answer) {
  const note = answer.pods ? [count(answer.pods.length, "pod"), ...answer.pools.map(pool)].join(" · ") : "";
  at("pods-note").textContent = note;
  show("pods-body", answer, () => {
    if (answer.problem) return empty(`Pods are not known: ${answer.problem}`);
    if (!answer.pods.length) return empty("No pod of this network runs on this node.");
    return table("Pods of this node", COLUMNS, answer.pods.map(podRow));
  });
}

const pool = ({ name, size, in_use }) => (size > 1e6 ? `${name}: ${number(in_use)} in use` : `${name}: ${number(in_use)} of ${number(size)} in use`);

function podState(pod) {
  if (pod.no_host_route?.length) return { level: "bad", shape: "down", word: "no host route" };
  if (pod.orphaned?.length) return { level: "warn", shape: "warn", word: "orphaned" };
  return { level: "ok", shape: "up", word: "connected" };
}

function podRow(pod) {
  const name = pod.pod ? `${pod.namespace}/${pod.pod}` : pod.container_id.slice(0, 13);
  return row(COLUMNS, [
    mark(podState(pod)),
    name,
    pod.addresses.map((text) => h("span", { class: "line" }, text)),
    pod.interface ?? pod.kind,
    pod.since ? ticking(new Date(pod.since * 1000).toISOString()) : "–",
  ]);
}
