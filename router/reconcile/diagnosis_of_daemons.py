"""What is wrong with our daemons and their work. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from router.reconcile.finding import Finding, Seen

Json = Mapping[str, Any]
_HUNG: Final = "no sign of life"
"""Of `bgp.speaker.process`, about an ExaBGP that it killed."""


def diagnose_daemons(seen: Seen) -> Iterator[Finding]:
    """Give what keeps our daemons from working, and what they have lived through lately."""
    for where, what in seen.full_disks.items():
        yield Finding(
            "disk-full",
            f"our daemons cannot write to {where}",
            what,
            f"make room there (df -h {where}; df -i {where})",
        )
    yield from _capabilities(seen)
    if seen.agent is None:
        yield Finding(
            "agent-away",
            "the route agent does not answer: nothing is learned or announced anew, and peers drop"
            " this node's routes after graceful_restart_s",
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


def _capabilities(seen: Seen) -> Iterator[Finding]:
    for who, lacks in (
        ("the route agent", (seen.agent or {}).get("lacking", ())),
        ("the CNI server", seen.cni_lacks),
    ):
        if lacks:
            names = ", ".join(f"CAP_{each}" for each in lacks)
            yield Finding(
                "capability-missing",
                f"{who} runs without {names}: the kernel refuses what needs it",
                f"CapEff of its process lacks {names}",
                "give it back: securityContext.capabilities of the container, or"
                " CapabilityBoundingSet of the unit; then start it again",
            )


def _lately(facts: Json) -> Iterator[Finding]:
    api = facts.get("api")
    if api is not None and not api["connected"]:
        yield Finding(
            "api-away",
            "the API server does not answer: changes of Node and configuration do not arrive",
            api["problem"] or "not connected",
            "is it up and reachable from here (--api, PODROUTE_API), certificate and rights right",
        )
    lately = facts.get("lately") or {}
    ended = lately.get("speaker_ended")
    if ended is not None:
        hung = _HUNG in ended["reason"]
        yield Finding(
            "speaker-hung" if hung else "speaker-ended",
            f"the BGP speaker (ExaBGP) {'hung' if hung else 'ended by itself'} and was started"
            " again: sessions go down each time",
            f"{ended['times']} times within ten minutes, last {ended['ago_s']:.0f} s ago:"
            f" {ended['reason']}",
            "is the node short of processor time or memory (cgroup limits, OOM in dmesg); is it"
            " stopped by a debugger or a freezer",
        )
    taken = lately.get("routes_taken")
    if taken is not None:
        yield Finding(
            "routes-removed",
            "another program removes or replaces our routes; they are put back each time",
            f"{taken['times']} within ten minutes, last {taken['prefix']} {taken['ago_s']:.0f} s"
            f" ago, by {taken['by']}",
            "keep it off protocol 74 and 75 (systemd-networkd: ManageForeignRoutes=no; BIRD and FRR"
            " leave them by themselves); `ip -ts monitor route` shows it at work",
        )


def diagnose_work(seen: Seen) -> Iterator[Finding]:
    """Give what the agent cannot do, and what was done to its routes."""
    facts = seen.agent or {}
    yield from _lately(facts)
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
