// The picture of the fabric: from left to right this node, its ToRs, what is behind them.

import { at, empty, narrow, s, show } from "./dom.js";
import { graph } from "./graph.js";
import { count, list } from "./words.js";

const NODE = { width: 176 };
const ROUTER = { width: 240, head: 44, row: 22 };
const SYSTEM = { width: 146, height: 58, gap: 12 };
const GAP = { ports: 84, columns: 52, rows: 14, edge: 8 };
const HEAD = 62;
const PORT = 26;

export function showFabric(overview, routes) {
  const model = graph(overview, routes, narrow.matches ? 4 : 7);
  show("picture", model, () =>
    model.routers.length ? draw(model) : empty("No peer, so no fabric: this node stands alone."),
  );
  const systems = model.columns.flat().length;
  at("fabric-note").textContent = model.routers.length
    ? `${count(model.routers.length, "router")} on ${count(model.links.length, "link")}` + (systems ? "" : "; nothing learned behind them")
    : "";
}

function draw(model) {
  const routers = stack(model.routers, (r) => ROUTER.head + r.sessions.length * ROUTER.row + 8, GAP.rows);
  const columns = model.columns.map((c) => stack(c, () => SYSTEM.height, SYSTEM.gap));
  const node = { height: HEAD + model.links.length * PORT + 8 };
  const height = Math.max(node.height, routers.height, ...columns.map((c) => c.height)) + 2 * GAP.edge;
  const x = { node: GAP.edge, routers: GAP.edge + NODE.width + GAP.ports };
  const first = x.routers + ROUTER.width + GAP.columns;
  const width = columns.length
    ? first + columns.length * SYSTEM.width + (columns.length - 1) * GAP.columns + GAP.edge
    : x.routers + ROUTER.width + GAP.edge;
  const middle = (h) => (height - h) / 2;

  const places = new Map();
  routers.items.forEach(({ item, y }) => {
    const top = y + middle(routers.height);
    const tall = ROUTER.head + item.sessions.length * ROUTER.row + 8;
    places.set(item.key, { x: x.routers, y: top, width: ROUTER.width, height: tall });
  });
  columns.forEach((column, depth) =>
    column.items.forEach(({ item, y }) =>
      places.set(item.key, { x: first + depth * (SYSTEM.width + GAP.columns), y: y + middle(column.height), width: SYSTEM.width, height: SYSTEM.height }),
    ),
  );
  const nodeTop = middle(node.height);
  const ports = new Map(model.links.map((link, i) => [link.name, nodeTop + HEAD + i * PORT + PORT / 2 - 2]));
  const text = inWords(model);
  const picture = s(
    "svg",
    { class: "fabric", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": text },
    model.edges.map((edge) => behindLine(places.get(edge.from), places.get(edge.to), edge.used)),
    routers.items.flatMap(({ item }) => sessionLines(item, places.get(item.key), ports, x.node + NODE.width, nodeTop + 24)),
    nodeBox(model, x.node, nodeTop, node.height, ports),
    routers.items.map(({ item }) => routerBox(item, places.get(item.key))),
    columns.flatMap((column) => column.items.map(({ item }) => systemBox(item, places.get(item.key)))),
  );
  // Never larger than drawn; smaller where there is less room.
  picture.style.maxWidth = `${width * 1.15}px`;
  return picture;
}

function stack(items, tall, gap) {
  let y = 0;
  const placed = items.map((item) => {
    const mine = { item, y };
    y += tall(item) + gap;
    return mine;
  });
  return { items: placed, height: Math.max(0, y - gap) };
}

function curve(x1, y1, x2, y2) {
  const bend = (x2 - x1) / 2;
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

function behindLine(from, to, used) {
  if (!from || !to) return null;
  const [y1, y2] = [from.y + from.height / 2, to.y + to.height / 2];
  const isSide = from.x === to.x;
  const d = isSide
    ? `M${from.x + from.width} ${y1}c26 0 26 ${y2 - y1} 0 ${y2 - y1}`
    : from.x < to.x
      ? curve(from.x + from.width, y1, to.x, y2)
      : curve(to.x + to.width, y2, from.x, y1);
  return s("path", { class: used ? "way used" : "way", d });
}

const sessionY = (place, index) => place.y + ROUTER.head + index * ROUTER.row + ROUTER.row / 2 - 2;

function sessionLines(router, place, ports, nodeRight, fallback) {
  return router.sessions.map((session, index) => {
    const y1 = ports.get(session.link) ?? fallback;
    const y2 = sessionY(place, index);
    const { level, shape } = session.state;
    const [mx, my] = [(nodeRight + place.x) / 2, (y1 + y2) / 2];
    return s(
      "g",
      { class: `session ${level} ${shape}` },
      s("path", { d: curve(nodeRight, y1, place.x, y2) }),
      shape === "up" ? null : s("circle", { class: "gap", cx: mx, cy: my, r: 8 }),
      shape === "up" ? null : s("use", { href: `#s-${shape}`, x: mx - 5, y: my - 5, width: 10, height: 10 }),
    );
  });
}

function nodeBox(model, x, y, height, ports) {
  return s(
    "g",
    null,
    s("rect", { class: "box this", x, y, width: NODE.width, height, rx: 6 }),
    label("name", x + 12, y + 22, clip(model.node, 19)),
    label("sub", x + 12, y + 40, `AS ${model.asn} · announces ${model.announced}`),
    model.links.map((link) => {
      const py = ports.get(link.name);
      return [
        s("rect", { class: link.carrier ? "port" : "port dark", x: x + NODE.width - 5, y: py - 5, width: 10, height: 10, rx: 1 }),
        label("link end", x + NODE.width - 12, py + 4, link.carrier ? link.name : `${link.name} no carrier`),
      ];
    }),
  );
}

function routerBox(router, place) {
  const more = router.own ? ` · ${count(router.own, "prefix", "prefixes")}` : "";
  return s(
    "g",
    null,
    s("rect", { class: "box", x: place.x, y: place.y, width: place.width, height: place.height, rx: 6 }),
    label("name", place.x + 12, place.y + 20, clip(router.name, 28)),
    label("sub", place.x + 12, place.y + 36, `AS ${router.asn}${more}`),
    router.sessions.map((session, index) => {
      const y = sessionY(place, index);
      const { level, shape, word } = session.state;
      return s(
        "g",
        { class: `row ${level}` },
        s("use", { href: `#s-${shape}`, x: place.x + 12, y: y - 5, width: 10, height: 10 }),
        label("address", place.x + 28, y + 4, clip(session.address, 19)),
        label("state end", place.x + place.width - 10, y + 4, clip(word, 15)),
      );
    }),
  );
}

function systemBox(system, place) {
  const some = system.some.join(", ");
  const total = system.prefixes ? count(system.prefixes, "prefix", "prefixes") : "transit only";
  return s(
    "g",
    null,
    s("title", null, `${system.title}: ${some || total}`),
    s("rect", { class: "box far", x: place.x, y: place.y, width: place.width, height: place.height, rx: 6 }),
    label("name", place.x + 10, place.y + 19, system.title),
    label("sub", place.x + 10, place.y + 35, total),
    system.some.length ? label("address", place.x + 10, place.y + 50, clip(system.some[0], 22)) : null,
  );
}

const label = (kind, x, y, text) => s("text", { class: kind, x, y }, text);
const clip = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function inWords(model) {
  const near = model.routers.map(
    (r) => `${r.name}, AS ${r.asn}: ${r.sessions.map((x) => `${x.address} ${x.state.word}`).join(", ")}`,
  );
  const far = model.columns.flat().map((b) => b.title);
  return `${model.node}, AS ${model.asn}, is linked to ${near.join("; ")}. Behind them: ${far.length ? list(far, 12) : "nothing that is known"}.`;
}
