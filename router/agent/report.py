"""What the agent says of itself in BGPNodeStatus, and how often it looks. PURE given its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bgp.peer import PeerSettings
from router.agent import drain_requests, view
from router.agent.core import RouteAgent
from router.agent.holds import Kind
from router.reconcile.duplicates import CONTESTED
from router.reconcile.node_report import Report, Said
from router.reconcile.readiness import State

Json = Mapping[str, Any]
LOOK_S: Final = 1.0
_SHARE: Final = 50
"""A look may take one part in so many of the time: with a full table it costs milliseconds."""
_FAMILIES: Final = {name: f"ipv{family}" for family, name in view.FAMILY_NAMES.items()}
_OF_SESSION: Final = (
    "name",
    "address",
    "interface",
    "local_asn",
    "remote_asn",
    "state",
    "reason",
    "since",
    "router_id",
    "hold_time_s",
    "keepalive_s",
    "graceful_restart_s",
    "times_down",
    "last_down",
    "last_down_at",
    "last_notification",
)


@dataclass(slots=True)
class Looking:
    """Decides when to look again."""

    monotonic: Callable[[], float]
    _next: float = 0.0

    def look(self, make: Callable[[], Report]) -> Report | None:
        """Return a report if it is time for one."""
        began = self.monotonic()
        if began < self._next:
            return None
        report = make()
        took = self.monotonic() - began
        self._next = began + max(LOOK_S, took * _SHARE)
        return report


def waiting_report(node: str, reason: str) -> Report:
    """Return the report of an agent that has no configuration to work by."""
    said = (
        Said("Ready", "False", "PodrouteNoConfiguration", reason),
        Said("ConfigurationInForce", "False", "NoConfiguration", reason),
    )
    return Report(status={"node": node, "reasons": [reason]}, conditions=said)


def node_report(agent: RouteAgent, now: float, at: float) -> Report:
    """Return what there is to say; `now` is monotonic, `at` wall time."""
    status = view.status(agent, now)
    shown = view.peers(agent, at)
    drain = drain_requests.view(agent)
    sessions = [_session(peer) for peer in shown["peers"]]
    families = [each for session in sessions for each in session["families"]]
    return Report(
        status={
            "node": agent.settings.node,
            "agent_since": status["since"],
            "router_id": status["router_id"],
            "local_asn": status["local_asn"],
            "readiness": {k: status["readiness"][k] for k in ("state", "reason", "text")},
            "drain": {
                "phase": drain["phase"],
                "text": drain["text"],
                "since": view.time_text(drain["since"]),
            },
            "peers": dict(status["peers"]),
            "sessions": sessions,
            "routes": {
                "received": sum(each["received"] for each in families),
                "accepted": sum(each["accepted"] for each in families),
                "installed": status["routes"]["installed"],
                "announced": len(agent.announcer.networks),
            },
            "reasons": list(status["reasons"]),
        },
        conditions=_conditions(agent),
    )


def _session(peer: Json) -> dict[str, Any]:
    bfd = peer["bfd"]
    return {
        **{key: peer[key] for key in _OF_SESSION},
        "bfd": {"state": bfd["state"], "trusted": bfd["trusted"]} if bfd else None,
        "families": [
            {
                "family": _FAMILIES[name],
                **{
                    key: counts[key]
                    for key in ("negotiated", "received", "accepted", "rejected", "announced")
                },
            }
            for name, counts in peer["families"].items()
        ],
    }


def _conditions(agent: RouteAgent) -> tuple[Said, ...]:
    verdict = agent.verdict
    is_ready = {State.READY: "True", State.NOT_READY: "False"}.get(verdict.state, "Unknown")
    wrong = agent.problems.get("configuration", "")
    missing = "; ".join([*_disabled(agent.settings.peers), *agent.settings.notes])
    return (
        Said("Ready", is_ready, verdict.reason.value, verdict.text),
        Said("ConfigurationInForce", "False", "NotInForce", wrong)
        if wrong
        else Said("ConfigurationInForce", "True", "InForce"),
        Said("ReferencesFound", "False", "Missing", missing)
        if missing
        else Said("ReferencesFound", "True", "Found"),
        _unique(agent),
    )


def _unique(agent: RouteAgent) -> Said:
    contested = [each for each in agent.duplicates.all if each.phase in CONTESTED]
    if not contested:
        return Said("PodCIDRsUnique", "True", "Unique")
    text = "; ".join(f"{each.cidr}: {each.describe()}" for each in contested)
    gravest = min(contested, key=lambda each: each.is_announced)
    return Said("PodCIDRsUnique", "False", gravest.phase.value.capitalize(), text)


def _disabled(peers: tuple[PeerSettings, ...]) -> list[str]:
    """Name the peers that wait for something outside, such as a Secret."""
    return [f"{peer.name} is {Kind.DISABLED}: {peer.disabled}" for peer in peers if peer.disabled]
