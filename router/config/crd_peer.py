"""The schema of BGPPeer: one entry of `peers`, for the nodes that it selects. PURE."""

from __future__ import annotations

from bgp.bfd.settings import MAX_INTERVAL_MS, MAX_MULTIPLIER, MIN_INTERVAL_MS
from bgp.ending import MAX_TEXT_BYTES
from bgp.limits import LimitAction
from bgp.peer_rules import MAX_CONNECT_RETRY_S, MAX_OWN_ASNS
from router.config import crd_words, openapi
from router.config.openapi import Schema, boolean, column, listed, mapping, number, rule, string

_INTERFACE = "^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,14}$"


def _limits() -> Schema:
    return mapping(
        {
            "ipv4": number("Prefixes, accepted or not.", low=1, high=10_000_000),
            "ipv6": number("The same of IPv6.", low=1, high=10_000_000),
            "action": openapi.words("What happens above.", *LimitAction),
            "retry_after_s": number("Seconds until it is tried again.", low=1, high=86400),
        },
        "How much the peer may announce; 200000 prefixes each by default.",
    )


def _bfd() -> Schema:
    return mapping(
        {
            "interval_ms": number("Interval.", low=MIN_INTERVAL_MS, high=MAX_INTERVAL_MS),
            "multiplier": number("Packets lost until it is down.", low=1, high=MAX_MULTIPLIER),
            "required": boolean("Use no path before BFD was up."),
        },
        "Watch the path by BFD; {} takes 300 ms times 3.",
    )


def _secret() -> Schema:
    return mapping(
        {
            "name": string("Name of the Secret, in podroute's namespace.", shortest=1),
            "key": string("Key of it.", shortest=1, pattern="^[A-Za-z0-9._-]+$"),
        },
        "Secret with the TCP MD5 password.",
        required=("name", "key"),
    )


def _fields() -> dict[str, Schema]:
    return {
        "select": crd_words.select(),
        "name": string(
            "How it is called in output; by default the object's name.",
            longest=63,
            shortest=1,
            pattern="^[A-Za-z0-9][A-Za-z0-9_.:%-]*$",
        ),
        "address": crd_words.address("Its address; this, gateway or interface."),
        "gateway": openapi.words("all: every default gateway of the node.", "all"),
        "interface": string(
            "The router at the other end of this link (unnumbered, RFC 8950).",
            longest=15,
            shortest=1,
            pattern=_INTERFACE,
        ),
        "remote_asn": crd_words.asn(
            "Its AS number, external (any but ours) or internal (ours).", "external", "internal"
        ),
        "local_asn": crd_words.asn("Our AS number toward it; by default that of PodNetwork."),
        "local_asn_label": crd_words.label_key(
            "Label of the Node that has our AS number toward it; without the label local_asn."
        ),
        "families": listed(
            openapi.words("Address family.", "ipv4", "ipv6"), "Families on the session.", most=2
        ),
        "local_address": crd_words.address("Source address of the session."),
        "source_interface": string(
            "The interface that it has to leave by.", longest=15, shortest=1, pattern=_INTERFACE
        ),
        "port": number("TCP port.", low=1, high=65535),
        "passive": boolean("Wait for the peer at local_address."),
        "multihop_ttl": number("TTL, for a peer that is not on the link.", low=1, high=255),
        # true, false or a number: structural schemas know of no such type.
        "ttl_security": {
            "x-kubernetes-preserve-unknown-fields": True,
            "description": "GTSM (RFC 5082): true on the link, or the number of hops.",
        },
        "hold_time_s": number("Proposed hold time in seconds.", low=3, high=65535),
        "keepalive_s": number("A third of hold_time_s; leave it out.", low=1, high=65535),
        "connect_retry_s": number(
            "Longest pause before it is dialled again.", low=1, high=MAX_CONNECT_RETRY_S
        ),
        "allow_own_asn": number("How often our AS may be in a path.", high=MAX_OWN_ASNS),
        "max_prefixes": _limits(),
        "shutdown": boolean("Keep the session down."),
        "shutdown_text": string("What the peer is told then.", longest=MAX_TEXT_BYTES),
        "password_secret": _secret(),
        "bfd": _bfd(),
        "import_filter": string("A filter of PodNetwork's import; none for no filter.", shortest=1),
        "export_filter": string("A filter of PodNetwork's export; none for no filter.", shortest=1),
    }


def bgp_peer() -> Schema:
    """Return the CustomResourceDefinition."""
    spec = mapping(
        _fields(),
        required=("remote_asn",),
        rules=[
            rule(
                "(has(self.address) ? 1 : 0) + (has(self.gateway) ? 1 : 0) +"
                " (has(self.interface) ? 1 : 0) == 1",
                "give one of address, gateway and interface",
            ),
            rule(
                "!has(self.interface) || (!has(self.local_address) && !has(self.multihop_ttl) &&"
                " !has(self.source_interface))",
                "local_address, multihop_ttl and source_interface are not for a peer by interface",
            ),
            rule(
                "!has(self.passive) || !self.passive || has(self.local_address)",
                "passive needs local_address, the address to listen at",
            ),
        ],
    )
    return openapi.definition(
        "BGPPeer",
        "bgppeers",
        {"spec": spec},
        [
            column("Address", ".spec.address"),
            column("Interface", ".spec.interface"),
            column("Gateway", ".spec.gateway"),
            column("AS", ".spec.remote_asn"),
            column("Shutdown", ".spec.shutdown", "boolean"),
            column("Password", ".spec.password_secret.name", wide=True),
        ],
        text="A BGP peer of the nodes that it selects; the fields are those of peers in"
        " podroute's configuration file.",
        required=("spec",),
        rules=[
            rule(
                "size(self.metadata.name) <= 63 || has(self.spec.name)",
                "the name of a peer has 63 characters at most: give spec.name",
            )
        ],
    )
