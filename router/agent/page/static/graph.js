// The fabric as one node sees it: its links, the routers at their other ends, and what is behind
// them by AS path. Pure.

import { peerState } from "./words.js";

const MOST_BEHIND = 3;

// Sessions of one router stand together: the same router ID, once it has told one.
function routers(overview) {
  const found = new Map();
  for (const peer of overview.peers) {
    const key = peer.router_id ? `${peer.router_id} ${peer.remote_asn}` : peer.name;
    if (!found.has(key)) found.set(key, { key, asn: peer.remote_asn, sessions: [] });
    found.get(key).sessions.push({
      name: peer.name,
      address: peer.address,
      link: peer.link,
      state: peerState(peer),
    });
  }
  for (const router of found.values()) router.name = commonName(router.sessions.map((x) => x.name));
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
function behind(overview, routes, ofRouter) {
  const systems = new Map();
  const edges = new Map();
  const local = overview.status.local_asn;
  for (const route of routes) {
    for (const path of route.paths) {
      const start = ofRouter.get(path.peer);
      if (!start) continue;
      const hops = path.as_path.flat().filter((asn, i, all) => asn !== all[i - 1] && asn !== local);
      if (hops[0] === start.asn) hops.shift();
      let from = start.key;
      hops.forEach((asn, depth) => {
        if (!systems.has(asn)) systems.set(asn, { asn, depth, prefixes: new Set() });
        const system = systems.get(asn);
        system.depth = Math.min(system.depth, depth);
        const key = `${from}>${asn}`;
        const edge = edges.get(key) ?? { from, to: asn, used: false };
        edge.used ||= path.best && route.installed;
        edges.set(key, edge);
        from = asn;
      });
      const last = hops.at(-1);
      if (last !== undefined) systems.get(last).prefixes.add(route.prefix);
      else start.own.add(route.prefix);
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
  const { systems, edges } = behind(overview, routes, ofRouter);
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
    const to = place.get(edge.to);
    if (from === to) continue;
    const key = `${from}>${to}`;
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
