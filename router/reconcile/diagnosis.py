"""From what `podroute doctor` has looked at to findings: what is wrong, and what to do. PURE.

Only what is certain: a finding on a healthy node costs more trust than a silent doctor. What could
not be looked at is said by the one who looked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from router.reconcile.sysctl import FORWARDING_IPV4, FORWARDING_IPV6

Json = Mapping[str, Any]
_STRICT: Final = 1


class Finding(NamedTuple):
    """One thing that is wrong; `name` is for scripts and never changes its meaning."""

    name: str
    text: str
    evidence: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was looked at; None or empty where there was nothing to see."""

    agent: Json | None
    """The agent's facts (`router.agent.facts`)."""
    agent_problem: str = ""
    cni_problem: str = ""
    """Why the CNI server does not answer; "" if it does."""
    node_facts: bool = True
    """Whether node.json is there."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    dropping: Sequence[str] = ()
    """Chains that drop forwarded packets by policy, with nothing for our pods in their tables."""
    before_ours: Sequence[str] = ()
    """Network configurations that runtimes take in place of ours."""
    full_pools: Sequence[tuple[str, int]] = ()
    """Pools of pod addresses of which none is free, with how many there are."""
    small_mtu: Mapping[str, int] = field(default_factory=dict)
    """Peer -> packet size in bytes that it does not answer, though it answers small ones."""


def diagnose(seen: Seen) -> tuple[Finding, ...]:
    """Return all findings: the node first, then peer by peer."""
    return (*_daemons(seen), *_node(seen), *_agent(seen.agent or {}), *_peers(seen))


def _daemons(seen: Seen) -> Iterator[Finding]:
    if seen.agent is None:
        yield Finding(
            "agent-away",
            "the route agent does not answer: nothing is learned or announced anew",
            seen.agent_problem,
            "systemctl status podroute-router, or the log of its container",
        )
    if seen.cni_problem:
        yield Finding(
            "cni-away",
            "the CNI server does not answer: new pods wait",
            seen.cni_problem,
            "systemctl status podroute-cni, or the log of its container",
        )
    if not seen.node_facts:
        yield Finding(
            "node-facts-missing",
            "the CNI server knows no pod CIDR of this node, so every ADD is told to try again",
            "there is no node.json in the run directory",
            "start the route agent, with the same --run-dir as the CNI server",
        )


def _node(seen: Seen) -> Iterator[Finding]:
    facts = seen.agent or {}
    for key, version in ((FORWARDING_IPV4, 4), (FORWARDING_IPV6, 6)):
        if seen.sysctls.get(key) == "0" and version in facts.get("families", (4, 6)):
            yield Finding(
                "forwarding-off",
                f"this node does not forward IPv{version} for its pods",
                f"{key} = 0",
                f"the agent sets it: see its log for what refuses; or sysctl -w {key}=1",
            )
    everywhere = _number(seen.sysctls.get("net/ipv4/conf/all/rp_filter"))
    for link in facts.get("uplinks", ()):
        key = f"net/ipv4/conf/{link}/rp_filter"
        if max(everywhere, _number(seen.sysctls.get(key))) == _STRICT:
            yield Finding(
                "rp-filter-strict",
                f"{link} drops what comes back over another ToR than it went out by",
                f"the larger of net/ipv4/conf/all/rp_filter and {key} is 1",
                f"sysctl -w {key}=2, and find who sets it",
            )
    for chain in seen.dropping:
        yield Finding(
            "forward-drop",
            "a firewall drops packets from and to pods that no rule of its accepts",
            f"{chain} has policy drop, and no rule that accepts the pod CIDRs",
            "accept the cluster's pod CIDRs there, both ways, or set the policy to accept",
        )
    for pool, size in seen.full_pools:
        yield Finding(
            "pool-exhausted",
            "no new pod gets an address",
            f"all {size} usable addresses of {pool} are in use",
            "`podroute pods` shows by what: delete pods, or give the node another pod CIDR",
        )
    if seen.before_ours:
        yield Finding(
            "conflist-shadowed",
            "runtimes use another network plugin than podroute",
            f"{seen.before_ours[0]} comes before podroute's configuration by name",
            f"remove or rename {seen.before_ours[0]}",
        )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0


def _agent(facts: Json) -> Iterator[Finding]:
    for prefix, reason in facts.get("refused", ()):
        yield Finding(
            "route-refused",
            f"the kernel does not take the learned route to {prefix}",
            reason,
            f"ip route show {prefix}: whose route is there? (its proto names it)",
        )
    for part, text in facts.get("problems", ()):
        yield Finding(
            "part-failing",
            f"the agent cannot do part of its work: {part}",
            text,
            "as the text says",
        )
    for each in facts.get("duplicates", ()):
        yield Finding(
            "pod-cidr-duplicate",
            f"another router announces this node's {each['prefix']}",
            f"{each['peer']} passes it on from AS {each['origin_asn']}",
            "give each node a pod CIDR of its own",
        )


def _peers(seen: Seen) -> Iterator[Finding]:
    for peer in (seen.agent or {}).get("peers", ()):
        yield from _peer(peer)
        if (size := seen.small_mtu.get(peer["name"])) is not None:
            yield Finding(
                "tor-mtu-smaller",
                f"{peer['name']} takes no packets as large as we send",
                f"{peer['address']} answers small pings, and none of {size} bytes",
                f"raise the MTU of the ToR's port to {size}, or lower that of {peer['link']}",
            )


def _peer(peer: Json) -> Iterator[Finding]:
    name = peer["name"]
    if peer["state"] == "shutdown":
        return
    if peer["state"] in ("held", "disabled", "waiting"):
        yield Finding(f"peer-{peer['state']}", f"{name} is kept down", peer["reason"], _AS_SAID)
        return
    if peer["state"] != "established":
        yield _down(peer)
        return
    ours, theirs = peer["graceful_restart_s"]["local"], peer["graceful_restart_s"]["remote"]
    if ours and theirs is None:
        yield Finding(
            "no-graceful-restart",
            f"{name} drops our routes whenever our speaker or agent restarts",
            "its OPEN has no graceful restart capability (RFC 4724)",
            "switch it on there (FRR: bgp graceful-restart; BIRD: graceful restart on)",
        )
    yield from _in_session(peer)


def _in_session(peer: Json) -> Iterator[Finding]:
    """Say what is wrong although the session is established."""
    name = peer["name"]
    bfd = peer["bfd"]
    if bfd is not None and bfd["state"] != "up":
        yield Finding(
            "bfd-down",
            f"BFD does not watch the path to {name}"
            + ("" if bfd["trusted"] else ", and its paths are not used"),
            bfd["problem"] or bfd["last_down"] or f"BFD is {bfd['state']}, BGP is established",
            "is `podroute bfd` running here, and has the ToR a BFD session for this node",
        )
    for text in peer["looped"]:
        yield Finding(
            "as-loop",
            f"{name} passes on other nodes' prefixes, which carry our own AS",
            text,
            "an AS for each node, allow_own_asn: 1 for the peer, or as-override on the ToR",
        )
    for family in peer["not_offered"]:
        yield Finding(
            "family-not-offered",
            f"{name} exchanges no IPv{family} routes with us",
            f"its OPEN does not offer ipv{family} unicast, our configuration does",
            "activate the family for us there, or take it out of `families` here",
        )


_AS_SAID: Final = "as the text says; then `podroute peers` shows it coming up"


def _down(peer: Json) -> Finding:
    name, why = peer["name"], peer["last_attempt"] or peer["last_down"] or ""
    if not peer["is_connected"] and not peer["may_be_far"]:
        return Finding(
            "peer-not-connected",
            f"{name} is on no connected network, and the session may not cross a router",
            f"{peer['address']} is on the network of no link; multihop_ttl is not set",
            "correct the address or the link's, or set multihop_ttl",
        )
    told = [peer["last_attempt"] or ""]
    if peer["is_silent"]:
        # What it said before it fell silent is the better word, unless it only went away then.
        told.append(peer["last_down"] or "")
    for words, kind, fix in _REFUSALS:
        for text in told:
            if words in text:
                return Finding(f"peer-{kind}", f"{name} has no session: {words}", text, fix)
    if not peer["is_silent"]:
        return Finding(
            "peer-down", f"{name} has no session", why or f"state {peer['state']}", _LOOK
        )
    # First what this node is configured for: the likelier cause.
    checks = []
    if peer["has_password"]:
        checks.append("is the MD5 password the same (the ToR's log names it, the wire does not)")
    if peer["ttl_security_hops"] is not None:
        checks.append(f"does it send with TTL 255 (ttl_security {peer['ttl_security_hops']})")
    checks.append(f"does it listen at {peer['address']} port {peer['port']}, and know this node")
    checks.append("is a filter between")
    if not peer["has_password"]:
        checks.append("does it want an MD5 password (here is none)")
    return Finding("peer-silent", f"{name} does not answer", why or "no answer", "; ".join(checks))


_LOOK: Final = "`podroute peers` and the ToR's log"
_REFUSALS: Final = (
    ("bad peer AS", "asn", "compare local_asn and remote_asn here with the ToR's configuration"),
    ("bad BGP identifier", "router-id", "give each node and router a router_id of its own"),
    ("unacceptable hold time", "hold-time", "set hold_time_s to what the ToR allows"),
    ("unsupported capability", "capability", "take the family or feature out of the peer here"),
    ("maximum number of prefixes", "limit", "raise the ToR's limit, or announce less"),
    ("administrative shutdown", "shut-there", "the ToR's operator has shut it down: ask there"),
    ("peer de-configured", "unknown-there", "configure this node as a peer on the ToR"),
    ("connection rejected", "rejected", "configure this node's address as a peer on the ToR"),
)
"""Words of `bgp.notification`, what the finding is called, and what to do."""
