"""The schema of BGPNodeStatus: what the agent says of its node. PURE."""

from __future__ import annotations

from typing import Final

from router.config import openapi
from router.config.openapi import Schema, boolean, column, listed, mapping, number, string

_TIME: Final = {"type": "string", "format": "date-time"}
_LONGEST: Final = 1024


def _text(text: str = "") -> Schema:
    return string(text, longest=_LONGEST)


def _time(text: str) -> Schema:
    return {**_TIME, "description": text}


def _family() -> Schema:
    return mapping(
        {
            "family": openapi.words("Address family.", "ipv4", "ipv6"),
            "negotiated": boolean("Whether both sides offered it."),
            "received": number("Prefixes that the peer announces."),
            "accepted": number("Of these, taken by import guard and filters."),
            "rejected": number("Of these, not taken."),
            "announced": number("Prefixes that the peer was sent."),
        },
        required=("family",),
    )


def _notification(text: str) -> Schema:
    return mapping(
        {"text": _text("In words, with code and subcode."), "at": _time("When.")},
        text,
        required=("text",),
    )


def _session() -> Schema:
    restart = {
        "local": number("Restart time that we told, in seconds."),
        "remote": number("The peer's, if it has the capability."),
    }
    return mapping(
        {
            "name": string("Name of the peer."),
            "address": string("Its address; %LINK while it was not found there."),
            "interface": string("The link, for a peer by interface."),
            "local_asn": number("Our AS number toward it.", low=1),
            "remote_asn": openapi.number_or_text("Its AS number, or external until it says one."),
            "state": openapi.words(
                "State of the session, or why there is none.",
                "idle",
                "connect",
                "active",
                "open_sent",
                "established",
                "waiting",
                "shutdown",
                "disabled",
                "held",
            ),
            "reason": _text("Why there is no session, for waiting, shutdown, disabled and held."),
            "since": _time("When the state began."),
            "router_id": string("The peer's BGP identifier."),
            "hold_time_s": number("Negotiated hold time in seconds; without a session ours."),
            "keepalive_s": number("Seconds between keepalives."),
            "graceful_restart_s": mapping(restart, "Graceful restart (RFC 4724)."),
            "families": listed(_family(), "What is exchanged.", most=2, key="family"),
            "bfd": mapping(
                {
                    "state": string("State of its BFD session."),
                    "trusted": boolean("Whether its paths are used."),
                },
                "BFD, if it is configured.",
            ),
            "times_down": number("Sessions lost since the agent started."),
            "last_down": _text("Why the last session ended."),
            "last_down_at": _time("When."),
            "last_notification": mapping(
                {
                    "sent": _notification("The last NOTIFICATION that we sent."),
                    "received": _notification("The last one that the peer sent."),
                },
                "NOTIFICATION messages (RFC 4271 section 4.5).",
            ),
        },
        required=("name", "state"),
    )


def _condition() -> Schema:
    return mapping(
        {
            "type": string(
                "Ready, ConfigurationInForce, ReferencesFound, PodCIDRsUnique.", longest=316
            ),
            "status": openapi.words("Whether it holds.", "True", "False", "Unknown"),
            "reason": string("The reason as one word.", shortest=1),
            "message": string("The reason in words.", longest=32768),
            "lastTransitionTime": _time("When the status turned."),
            "observedGeneration": number(),
        },
        required=("type", "status", "reason", "message", "lastTransitionTime"),
    )


def _status() -> Schema:
    return mapping(
        {
            "node": string("Name of the node."),
            "updated": _time("When this was written. A node at rest writes nothing."),
            "agent_since": _time("When the agent started."),
            "router_id": string("Our BGP identifier."),
            "local_asn": number("Our AS number.", low=1),
            "readiness": mapping(
                {
                    "state": string("ready, not ready, or resuming after a restart."),
                    "reason": string("The reason as one word."),
                    "text": _text("The reason in words."),
                },
                "What the readiness probe, the Node's condition and taint say.",
            ),
            "drain": mapping(
                {
                    "phase": openapi.words(
                        "How far it is.", "none", "marking", "waiting", "withdrawing", "drained"
                    ),
                    "text": _text("In words."),
                    "since": _time("When it was ordered."),
                },
                "The drain of the node.",
            ),
            "peers": mapping(
                {
                    "configured": number("Sessions that there should be."),
                    "established": number("Sessions that there are."),
                },
                "Numbers of sessions.",
            ),
            "sessions": listed(_session(), "Every peer.", most=256, key="name"),
            "routes": mapping(
                {
                    "received": number("Prefixes of all peers."),
                    "accepted": number("Of these, taken."),
                    "installed": number("Learned prefixes in the kernel."),
                    "announced": number("Prefixes that this node announces."),
                },
                "Numbers of routes; written with the next change, or after five minutes.",
            ),
            "reasons": listed(_text(), "What is not well, as in podroute status.", most=64),
            "conditions": listed(_condition(), "Conditions.", most=16, key="type"),
        },
    )


def bgp_node_status() -> Schema:
    """Return the CustomResourceDefinition."""
    ready = '.status.conditions[?(@.type=="Ready")].status'
    in_force = '.status.conditions[?(@.type=="ConfigurationInForce")].status'
    return openapi.definition(
        "BGPNodeStatus",
        "bgpnodestatuses",
        {"status": _status()},
        [
            column("Ready", ready),
            column("Established", ".status.peers.established", "integer"),
            column("Peers", ".status.peers.configured", "integer"),
            column("Installed", ".status.routes.installed", "integer"),
            column("Announced", ".status.routes.announced", "integer"),
            column("Drain", ".status.drain.phase"),
            column("In force", in_force),
            column("Reason", ".status.readiness.text", wide=True),
        ],
        text="What podroute says of the BGP sessions and routes of one node, by its name."
        " Written by the agent on that node; deleted with the Node.",
        has_status=True,
    )
