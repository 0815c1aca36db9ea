"""The schema of PodNetwork: the top of the document, for the nodes that it selects. PURE."""

from __future__ import annotations

from typing import Final

from bgp.filter import Action
from bgp.peer import Receive
from bgp.peer_rules import MAX_RESTART_TIME_S
from router.config import crd_words, openapi
from router.config.crd_words import MAX_U32
from router.config.openapi import Schema, boolean, column, listed, mapping, number, rule, string
from router.model.fib import Nexthops
from router.reconcile.drain import MAX_PREPEND, MAX_WAIT_S

_FILTERS: Final = 32
_TERMS: Final = 64
_OF_PATHS: Final = ("communities", "large_communities", "origin_asn", "contains_asn")


def _match(*, is_import: bool) -> Schema:
    fields = {
        "prefixes": crd_words.accept_rules("Any one of these."),
        "peers": crd_words.names("Names of peers."),
    }
    if is_import:
        length = {
            "ge": number("Shortest.", high=1000),
            "le": number("Longest.", high=1000),
        }
        fields |= {
            "communities": crd_words.communities("Any one of these."),
            "large_communities": crd_words.large_communities("Any one of these."),
            "origin_asn": crd_words.asns("The AS where the path begins."),
            "contains_asn": crd_words.asns("An AS anywhere in the path."),
            "as_path_length": mapping(length, "Length of the path."),
            "next_hop": crd_words.prefixes_or_addresses("Where the next hop lies."),
        }
    return mapping(fields, "What a path must have; all that is given, of each list any one.")


def _set(*, is_import: bool) -> Schema:
    fields = {
        "add_communities": crd_words.communities("Added."),
        "remove_communities": crd_words.communities("Taken away."),
        "add_large_communities": crd_words.large_communities("Added."),
        "remove_large_communities": crd_words.large_communities("Taken away."),
    }
    if is_import:
        fields["local_preference"] = number("Local preference.", high=MAX_U32)
    else:
        fields |= {"med": number("MED.", high=MAX_U32), "prepend": crd_words.prepend()}
    return mapping(fields, "What is changed of a path that matches.")


def _filters(*, is_import: bool) -> Schema:
    term = mapping(
        {
            "match": _match(is_import=is_import),
            "action": openapi.words("What becomes of a path that matches.", *Action),
            "reason": string("Why it is rejected.", longest=200, shortest=1),
            "set": _set(is_import=is_import),
        },
        rules=[
            rule(
                "has(self.set) || (has(self.action) && self.action != 'next')",
                "a term without action (accept, reject) and without set does nothing",
            )
        ],
    )
    return {
        "type": "object",
        "maxProperties": _FILTERS,
        "additionalProperties": listed(term, most=_TERMS),
        "description": "Filters by name, each a list of terms.",
    }


def _import() -> Schema:
    return mapping(
        {
            "also_accept": crd_words.accept_rules("Prefixes to accept besides."),
            "accept_default": boolean("Accept a default route."),
            "filters": _filters(is_import=True),
            "filter": string("The one for peers that name none.", shortest=1),
            "multipath": number("How many equal paths are used together.", low=1, high=256),
            "multipath_as_path": openapi.words("What equal means.", "relaxed", "strict"),
        },
        "What is accepted from peers.",
    )


def _export() -> Schema:
    return mapping(
        {
            "filters": _filters(is_import=False),
            "filter": string("The one for peers that name none.", shortest=1),
        },
        "What peers are told.",
    )


def _cluster() -> Schema:
    return mapping(
        {
            "pod_prefixes": crd_words.prefixes("All nodes' pod CIDRs lie inside."),
            "node_prefixes": crd_words.prefixes("All nodes' addresses lie inside."),
            "service_prefixes": crd_words.prefixes("kube-proxy's; never accepted."),
        },
        "Ranges of the cluster.",
    )


def _readiness() -> Schema:
    return mapping(
        {
            "min_sessions": number("Established sessions needed.", high=64),
            "not_ready_after_s": number("Seconds until a ready node is not.", high=3600),
            "fail_open": boolean("Sessions and announcements only inform."),
            "set_condition": boolean("Give NetworkUnavailable on the Node."),
            "set_taint": boolean("Give podroute.dev/not-ready on the Node."),
            "write_status": boolean("Write BGPNodeStatus."),
        },
        "What makes a node ready, and where it is told.",
    )


def _fields() -> dict[str, Schema]:
    return {
        "select": crd_words.select(),
        "cluster": _cluster(),
        "local_asn": crd_words.asn("Our AS number."),
        "local_asn_label": crd_words.label_key(
            "Label of the Node that has our AS number; without the label local_asn."
        ),
        "import": _import(),
        "export": _export(),
        "graceful_restart_s": number(
            "Seconds that peers keep our routes while the speaker is away.",
            high=MAX_RESTART_TIME_S,
        ),
        "deferral_s": number("Seconds that old routes wait for End-of-RIB.", low=1, high=3600),
        "mtu": openapi.number_or_text("MTU of pod links in bytes, or auto.", pattern="^auto$")
        | {"minimum": 1280, "maximum": 65535},
        "fib": mapping(
            {
                "table": number("Routing table of learned routes.", low=1, high=252),
                "rule_priority": number("Priority of our rules.", low=1, high=32765),
                "nexthops": openapi.words("Nexthop objects, or plain routes.", *Nexthops),
            },
            "How learned routes stand in the kernel.",
            rules=[
                rule("!has(self.rule_priority) || has(self.table)", "rule_priority needs a table")
            ],
        ),
        "drain": mapping(
            {
                "pod_adds": boolean("Start pods on a drained node."),
                "keep_node_addresses": boolean("Leave node addresses announced."),
                "annotation": boolean("Annotations of the Node drain it."),
                "taints": listed(
                    string(longest=381, shortest=1),
                    "Taints of the Node that drain it: KEY, KEY=VALUE, KEY:EFFECT.",
                    most=16,
                ),
                "shutdown": boolean("Kubelet's graceful shutdown drains the node."),
                "prepend": number("Prepends of orders that do not say.", high=MAX_PREPEND),
                "wait_s": number("Seconds of orders that do not say.", high=int(MAX_WAIT_S)),
            },
            "What drains the node, and what a drain does.",
        ),
        "readiness": _readiness(),
        "metrics": mapping(
            {
                "listen": openapi.number_or_text(
                    "HOST:PORT, or PORT on 127.0.0.1.", pattern="^.{1,64}$"
                )
            },
            "Where metrics are served besides the local socket.",
        ),
        "page": mapping(
            {
                "listen": openapi.number_or_text(
                    "HOST:PORT, PORT on 127.0.0.1, or none.", pattern="^.{1,64}$"
                )
            },
            "Where the status page is served.",
        ),
        "speaker": mapping(
            {
                "uid": number("User of the speaker.", low=1, high=2**31),
                "gid": number("Group of the speaker.", low=1, high=2**31),
                "receive": openapi.words("Who reads UPDATEs.", *Receive),
            },
            "The BGP speaker; a change needs a restart.",
        ),
    }


def pod_network() -> Schema:
    """Return the CustomResourceDefinition."""
    spec = mapping(
        _fields(),
        rules=[
            rule(
                "has(self.local_asn) || has(self.local_asn_label)",
                "give local_asn or local_asn_label",
            )
        ],
    )
    return openapi.definition(
        "PodNetwork",
        "podnetworks",
        {"spec": spec},
        [
            column("Pods", ".spec.cluster.pod_prefixes"),
            column("Nodes", ".spec.cluster.node_prefixes"),
            column("AS", ".spec.local_asn"),
            column("AS label", ".spec.local_asn_label"),
        ],
        text="Ranges and defaults for the nodes that it selects, one for each node; the fields are"
        " those of podroute's configuration file.",
        required=("spec",),
    )
