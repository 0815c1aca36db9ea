// The fabric as one node sees it: its links, the routers at their other ends, and what is behind
// them by AS path. Pure.

import { peerState } from "./words.js";

const MOST_BEHIND = 3;

// A session's link, and when that has no carrier and so no addresses, the one it had.
const lastLinks = new Map();
function linkOf(peer) {
  if (peer.link) lastLinks.set(peer.name, peer.link);
  return lastLinks.get(peer.name) ?? null;
}

// Sessions of one router stand together: the same router ID, once it has told one.
function routers(overview) {
  const found = new Map();
  for (const peer of overview.peers) {
    const key = peer.router_id ? `${peer.router_id} ${peer.remote_asn}` : peer.name;
    if (!found.has(key)) found.set(key, { key, asn: peer.remote_asn, sessions: [] });
    found.get(key).sessions.push({
      name: peer.name,
      address: peer.address,
      link: linkOf(peer),
      state: peerState(peer),
    });
  }
  for (const router of found.values()) {
    router.name = commonName(router.sessions.map((x) => x.name));
    const link = router.sessions.find((x) => x.link)?.link ?? null;
    for (const session of router.sessions) session.link ??= link;
  }
  return [...found.values()];
}

function commonName(names) {
  if (names.length === 1) return names[0];
  let end = 0;
  while (end < names[0].length && names.every((n) => n[end] === names[0][end])) end += 1;
  // "tor1-v4" and "tor1-v6" are tor1.
  return names[0].slice(0, end).replace(/[-_. ]+v?$/, "") || names[0];
}

// Who stands behind whom, from every accepted path: prepending counts once, an AS stands as near
// as the shortest path has it.
function behind(overview, routes, ofRouter, ofAsn) {
  const systems = new Map();
  const edges = new Map();
  const join = (from, to, used) => {
    const key = `${from}>${to}`;
    const edge = edges.get(key) ?? { from, to, used: false };
    edge.used ||= used;
    edges.set(key, edge);
  };
  const local = overview.status.local_asn;
  for (const route of routes) {
    for (const path of route.paths) {
      const start = ofRouter.get(path.peer);
      if (!start) continue;
      const hops = path.as_path.flat().filter((asn, i, all) => asn !== all[i - 1] && asn !== local);
      if (hops[0] === start.asn) hops.shift();
      let from = start.key;
      hops.forEach((asn, depth) => {
        const near = ofAsn.get(asn); // another router of ours, seen from behind
        if (near) {
          join(from, near.key, path.best && route.installed);
          from = near.key;
          return;
        }
        if (!systems.has(asn)) systems.set(asn, { asn, depth, prefixes: new Set() });
        const system = systems.get(asn);
        system.depth = Math.min(system.depth, depth);
        join(from, asn, path.best && route.installed);
        from = asn;
      });
      const last = hops.at(-1);
      const router = last === undefined ? start : ofAsn.get(last);
      if (router) router.own.add(route.prefix);
      else systems.get(last).prefixes.add(route.prefix);
    }
  }
  return { systems: [...systems.values()], edges: [...edges.values()] };
}

// At most `most` boxes stand in a column.
export function graph(overview, routes, most = 7) {
  const groups = routers(overview);
  const ofRouter = new Map();
  for (const group of groups) {
    group.own = new Set();
    for (const session of group.sessions) ofRouter.set(session.name, group);
  }
  // By AS number where that names one router; inside our own AS it does not.
  const ofAsn = new Map(groups.map((group) => [group.asn, group]));
  ofAsn.delete(overview.status.local_asn);
  const { systems, edges } = behind(overview, routes, ofRouter, ofAsn);
  const columns = [];
  for (const system of systems.sort((a, b) => a.asn - b.asn)) {
    const depth = Math.min(system.depth, MOST_BEHIND - 1);
    (columns[depth] ??= []).push(system);
  }
  const place = new Map();
  const shown = Array.from(columns, (column, depth) => fold(column ?? [], depth, place, most));
  const kept = new Map();
  for (const edge of edges) {
    const from = typeof edge.from === "number" ? place.get(edge.from) : edge.from;
    const to = typeof edge.to === "number" ? place.get(edge.to) : edge.to;
    if (from === to) continue;
    const key = [from, to].sort().join(">"); // seen from both ends it is one way
    const known = kept.get(key);
    kept.set(key, { from, to, used: edge.used || (known?.used ?? false) });
  }
  return {
    node: overview.status.node,
    asn: overview.status.local_asn,
    announced: overview.status.announcing.length,
    links: [...new Set([...overview.status.uplinks, ...overview.peers.map((p) => p.link)])].filter(Boolean).map((name) => ({
      name,
      carrier: overview.peers.find((p) => p.link === name)?.link_carrier ?? true,
    })),
    routers: groups.map((g) => ({ ...g, own: g.own.size })),
    columns: shown,
    edges: [...kept.values()],
  };
}

// A column shows those with the most prefixes, and one box for all others.
function fold(column, depth, place, most) {
  const sorted = [...column].sort((a, b) => b.prefixes.size - a.prefixes.size || a.asn - b.asn);
  const fits = sorted.length <= most ? sorted : sorted.slice(0, most - 1);
  const rest = sorted.slice(fits.length);
  const boxes = fits
    .sort((a, b) => a.asn - b.asn)
    .map((system) => {
      const prefixes = [...system.prefixes];
      place.set(system.asn, `as${system.asn}`);
      return { key: `as${system.asn}`, title: `AS ${system.asn}`, prefixes: prefixes.length, some: prefixes.slice(0, 2) };
    });
  if (rest.length) {
    const key = `rest${depth}`;
    for (const system of rest) place.set(system.asn, key);
    const total = rest.reduce((sum, system) => sum + system.prefixes.size, 0);
    boxes.push({ key, title: `${rest.length} more AS`, prefixes: total, some: [] });
  }
  return boxes;
}
