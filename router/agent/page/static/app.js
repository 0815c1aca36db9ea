// Asks, and hands what comes to those who show it.

import { at, h, icon, show } from "./dom.js";
import { showFabric } from "./fabric.js";
import { headline, silence } from "./headline.js";
import { showFacts, showFindings, showHistory, showPods } from "./node.js";
import { showPeers } from "./peers.js";
import { Poll } from "./poll.js";
import { routesOf, startRoutes, takeRoutes } from "./routes.js";
import { duration, tickAll, trust } from "./words.js";

let overview = null;
let seen_at = 0;
let trouble = null;

function takeOverview(answer) {
  overview = answer;
  seen_at = Date.now();
  trouble = null;
  trust(answer.at);
  draw();
}

function fail(error, again_s) {
  trouble = { text: error.message, until: Date.now() + again_s * 1000 };
  drawSeen();
  drawHeadline();
}

function draw() {
  at("node").textContent = overview.status.node;
  drawHeadline();
  drawSeen();
  showFacts(overview);
  showFindings(overview);
  showPeers(overview);
  showFabric(overview, routesOf());
  showHistory(overview);
}

function drawHeadline() {
  const line = trouble ? silence(trouble.text) : headline(overview);
  const stale = trouble && overview ? "What you see below is from when it last did." : "";
  const box = at("headline");
  box.className = `headline ${line.level}`;
  const more = [line.more, stale].filter(Boolean).join(". ");
  show(box, { ...line, more }, () => [
    h("p", { class: "first" }, icon(line.shape), h("span", null, line.text)),
    more ? h("p", { class: "second" }, more) : null,
  ].filter(Boolean));
  const node = overview?.status.node;
  document.title = [line.level === "ok" ? "ok" : "!", node, "podroute"].filter(Boolean).join(" · ");
  document.body.classList.toggle("stale", Boolean(trouble));
}

function drawSeen() {
  const ago = duration((Date.now() - seen_at) / 1000);
  at("again").hidden = !trouble;
  if (trouble) {
    const left = Math.max(0, Math.ceil((trouble.until - Date.now()) / 1000));
    const last = seen_at ? `Last seen ${ago} ago` : "Never seen";
    at("seen").textContent = `${last}; asking again ${left ? `in ${left} s` : "now"}`;
    if (seen_at) at("findings-note").textContent = `as of ${ago} ago`;
  } else if (seen_at) {
    at("seen").textContent = `Seen ${ago} ago`;
  }
}

const polls = [
  new Poll("/v1/overview", 3, takeOverview, fail),
  new Poll("/v1/routes", 6, (answer) => {
    takeRoutes(answer);
    if (overview) showFabric(overview, answer.routes);
  }),
  new Poll("/v1/pods", 5, showPods),
];

function begin() {
  startRoutes();
  at("again").addEventListener("click", () => polls.forEach((poll) => poll.now()));
  polls.forEach((poll) => poll.now());
  setInterval(() => {
    tickAll();
    drawSeen();
  }, 1000);
}

// The page is seen first and filled then.
if (document.hidden) begin();
else requestAnimationFrame(() => setTimeout(begin));
