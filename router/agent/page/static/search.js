// Searching routes: words anywhere, and an address by what covers it. Pure.

// --- addresses as bits --------------------------------------------------------------------------

export function bitsOf(text) {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) {
    const parts = text.split(".").map(Number);
    return parts.some((p) => p > 255) ? null : parts.map((p) => p.toString(2).padStart(8, "0")).join("");
  }
  if (!/^[0-9a-f:]+$/i.test(text) || !text.includes(":")) return null;
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const groups = halves.map((half) => (half ? half.split(":") : []));
  const missing = 8 - groups[0].length - (groups[1]?.length ?? 0);
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const all = halves.length === 1 ? groups[0] : [...groups[0], ...Array(missing).fill("0"), ...groups[1]];
  if (all.some((g) => !/^[0-9a-f]{1,4}$/i.test(g))) return null;
  return all.map((g) => parseInt(g, 16).toString(2).padStart(16, "0")).join("");
}

function prefixBits(prefix) {
  const [address, length] = prefix.split("/");
  const bits = bitsOf(address);
  return bits === null ? null : bits.slice(0, length === undefined ? bits.length : Number(length));
}

// --- the index ----------------------------------------------------------------------------------

export function index(routes, stateOf) {
  return routes.map((route) => {
    const words = [route.prefix, ...route.next_hops, route.why_not ?? ""];
    for (const path of route.paths) {
      words.push(path.peer, path.next_hop, `as${path.as_path.join(" as")}`, path.as_path.join(" "), ...path.communities, ...path.large_communities);
    }
    for (const each of route.rejected) words.push(each.peer, each.next_hop, each.reason);
    return { route, text: words.join("\n").toLowerCase(), state: stateOf(route), isV6: route.prefix.includes(":"), bits: null, row: null };
  });
}

export function search(entries, query, only) {
  let found = entries;
  if (only === "4" || only === "6") found = found.filter((e) => e.isV6 === (only === "6"));
  else if (only) found = found.filter((e) => (only === "rejected" ? e.route.rejected.length : e.state.key === only));
  const text = query.trim().toLowerCase();
  if (!text) return found;
  const bits = bitsOf(text);
  if (bits !== null) return covering(found, bits, text);
  const words = text.split(/\s+/).filter(Boolean);
  return found.filter((e) => words.every((word) => e.text.includes(word)));
}

// What the kernel would look at, the longest prefix first; then whoever has the address otherwise,
// such as a next hop.
function covering(entries, bits, text) {
  const isV6 = bits.length === 128;
  const covers = entries.filter((e) => {
    if (e.isV6 !== isV6) return false;
    e.bits ??= prefixBits(e.route.prefix);
    return e.bits !== null && bits.startsWith(e.bits);
  });
  covers.sort((a, b) => b.bits.length - a.bits.length);
  const seen = new Set(covers);
  return [...covers, ...entries.filter((e) => !seen.has(e) && e.text.includes(text))];
}
