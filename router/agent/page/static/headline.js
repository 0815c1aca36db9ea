// The one line on top: what is wrong first, else that nothing is. Pure.

import { count, isOfSessions, list, number } from "./words.js";

const LEVELS = { ok: { level: "ok", shape: "up" }, warn: { level: "warn", shape: "warn" }, bad: { level: "bad", shape: "down" }, off: { level: "off", shape: "off" } };

function sessions(overview) {
  const { configured, established } = overview.status.peers;
  if (!configured) return { bad: true, text: "No peer is configured" };
  if (established === configured) {
    return { bad: false, text: configured === 1 ? "The session is established" : `All ${configured} sessions established` };
  }
  const down = overview.peers.filter((p) => !["established", "shutdown"].includes(p.state)).map((p) => p.name);
  const verb = configured - established === 1 ? "is" : "are";
  const what = established ? `${configured - established} of ${configured} sessions ${verb} not established` : `None of ${count(configured, "session")} is established`;
  return { bad: true, text: `${what}: ${list(down)}` };
}

function findings(seen) {
  if (seen.findings === null) return seen.problem ? "findings not known" : "looking for findings";
  return count(seen.findings.length, "finding");
}

export function headline(overview) {
  const { status } = overview;
  const on = sessions(overview);
  const { installed, refused } = status.routes;
  const routes = `${count(installed, "route")} installed` + (refused ? `, ${number(refused)} refused` : "");
  const found = overview.findings.findings?.length ?? 0;
  const texts = [on.text, routes, findings(overview.findings)];
  let level = "ok";
  if (status.drain.phase !== "none") {
    texts.unshift(status.drain.phase === "drained" ? "This node is drained" : "This node is being drained");
    level = "warn";
  }
  if (status.reasons.length || found) level = "warn";
  if (on.bad || status.failing.length) level = "bad";
  if (on.bad && status.peers.configured === 0) level = "warn";
  const { readiness } = status;
  const isDrained = status.drain.phase !== "none";
  if (readiness.state !== "ready" && !isDrained) {
    texts.push(`node ${readiness.state}`);
    if (level === "ok") level = "warn";
  }
  const reason = status.reasons.find((r) => !isOfSessions(r));
  const more = isDrained ? status.drain.text : (reason ?? (readiness.state === "ready" ? "" : readiness.text));
  return { ...LEVELS[level], text: texts.join(" · "), more };
}

export function silence(problem) {
  return { ...LEVELS.bad, text: "The agent does not answer", more: problem };
}
