"""What is wrong with each peer, from its session's state and what was heard of it. PURE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from router.reconcile.finding import Finding, Seen
from router.reconcile.hearing import Heard, wrong_ttl

Json = Mapping[str, Any]


def diagnose_peers(seen: Seen) -> Iterator[Finding]:
    """Give what is wrong, peer by peer."""
    facts = seen.agent or {}
    # Why these have no session is said of their link already.
    cut = {link["name"] for link in facts.get("links", ()) if not (link["up"] and link["carrier"])}
    for peer in facts.get("peers", ()):
        if peer["state"] in _TRYING and peer.get("link") in cut:
            continue
        yield from _peer(peer, seen.heard.get(peer["name"], Heard()))
        if peer["state"] == "established":
            yield from _not_used(peer, seen.refused_there.get(peer["name"], ()))
            yield from _in_session(peer)
        if (size := seen.small_mtu.get(peer["name"])) is not None:
            yield Finding(
                "tor-mtu-smaller",
                f"{peer['name']} takes no packets as large as we send",
                f"{peer['address']} answers small pings, and none of {size} bytes",
                f"raise the MTU of the ToR's port to {size}, or lower that of {peer['link']}",
            )


def _peer(peer: Json, heard: Heard) -> Iterator[Finding]:
    name = peer["name"]
    if peer["state"] == "shutdown":
        return
    if peer["state"] in ("held", "disabled", "waiting"):
        yield Finding(f"peer-{peer['state']}", f"{name} is kept down", peer["reason"], _AS_SAID)
        return
    if peer["state"] != "established":
        yield _down(peer, heard)
        return
    ours, theirs = peer["graceful_restart_s"]["local"], peer["graceful_restart_s"]["remote"]
    if ours and theirs is None:
        yield Finding(
            "no-graceful-restart",
            f"{name} drops our routes whenever our speaker or agent restarts",
            "its OPEN has no graceful restart capability (RFC 4724)",
            "switch it on there (FRR: bgp graceful-restart; BIRD: graceful restart on)",
        )


def _not_used(peer: Json, refused: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Say which of our prefixes the peer does not use although we announce them to it."""
    name = peer["name"]
    seen = {
        prefix: f"it tells us of our own {prefix} by way of {path}, and has it from us directly"
        for prefix, path in peer["passed_over"]
    }
    for prefix, said in refused:
        seen.setdefault(prefix, f'it says "{said}" to a packet for {prefix} that we gave it')
    for prefix, evidence in seen.items():
        yield Finding(
            "announcement-refused",
            f"{name} does not use what we announce to it: a filter there rejects it, most likely",
            evidence,
            f"let {prefix} in from this node there (FRR: show bgp neighbors, filtered-routes), or"
            " take it out of what is announced",
        )


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


_TRYING: Final = frozenset({"idle", "connect", "active", "open_sent"})
_AS_SAID: Final = "as the text says; then `podroute peers` shows it coming up"


def _down(peer: Json, heard: Heard) -> Finding:
    name, why = peer["name"], peer["last_attempt"] or peer["last_down"] or ""
    if not peer["is_connected"] and not peer["may_be_far"]:
        return Finding(
            "peer-not-connected",
            f"{name} is on no connected network, and the session may not cross a router",
            f"{peer['address']} is on the network of no link; multihop_ttl is not set",
            "correct the address or the link's, or set multihop_ttl",
        )
    found = _refused(peer) or _heard(peer, heard)
    if found is not None:
        return found
    if not peer["is_silent"]:
        return Finding(
            "peer-down", f"{name} has no session", why or f"state {peer['state']}", _LOOK
        )
    # First what this node is configured for: the likelier cause.
    checks = []
    if peer["has_password"]:
        checks.append("is the MD5 password the same (the ToR's log names it)")
    if peer["ttl_security_hops"] is not None:
        checks.append(f"does it send with TTL 255 (ttl_security {peer['ttl_security_hops']})")
    checks.append(f"does it listen at {peer['address']} port {peer['port']}, and know this node")
    checks.append("is a filter between")
    if not peer["has_password"]:
        checks.append("does it want an MD5 password (here is none)")
    return Finding("peer-silent", f"{name} does not answer", why or "no answer", "; ".join(checks))


def _refused(peer: Json) -> Finding | None:
    """Return what the peer's NOTIFICATION, or ours, says."""
    told = [peer["last_attempt"] or ""]
    if peer["is_silent"]:
        # What it said before it fell silent is the better word, unless it only went away then.
        told.append(peer["last_down"] or "")
    for words, kind, fix in _REFUSALS:
        for text in told:
            if words in text:
                return Finding(f"peer-{kind}", f"{peer['name']} has no session: {words}", text, fix)
    return None


def _heard(peer: Json, heard: Heard) -> Finding | None:
    """Return what the wire says of a peer that has no session."""
    name, has_password = peer["name"], peer["has_password"]
    if heard.signed and (not has_password or heard.signed_by_us is False):
        said = (
            "signs with another TCP MD5 password than ours"
            if has_password
            else ("signs its segments with a TCP MD5 password, and here is none")
        )
        return Finding("peer-md5", f"{name} {said}", _MD5_SEEN, _MD5_FIX)
    if heard.signed is False and has_password:
        text = f"{name} uses no TCP MD5 password, and here is one"
        return Finding("peer-md5", text, "its segments arrive without a signature", _MD5_FIX)
    hops = peer["ttl_security_hops"]
    if ttl := wrong_ttl(heard, hops, may_be_far=peer["may_be_far"]):
        text = f"{name} and this node do not agree on GTSM (TTL security, RFC 5082)"
        fix = f"set ttl_security: 1 on {name} here, or take it out there"
        if hops is not None:
            fix = f"switch it on there (FRR: ttl-security hops {hops}), or take ttl_security out"
        return Finding("peer-ttl", text, ttl, fix)
    where = f"{peer['address']} port {peer['port']}"
    if heard.refuses:
        text = f"nothing listens at {where}"
        fix = f"is BGP running on {name}, and at this address and port"
        return Finding("peer-not-listening", f"{name}: {text}", "it answers with RST", fix)
    if heard.hangs_up:
        return Finding(
            "peer-unknown-there",
            f"{name} accepts the connection and closes it before its OPEN",
            f"SYN and ACK from {where}, then the end",
            "configure this node's address as a peer on the ToR",
        )
    return None


_MD5_SEEN: Final = "its SYN carries a signature (option 19, RFC 2385)"
_MD5_FIX: Final = "give both ends the same password: `password_file` or `password_secret` here"
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
