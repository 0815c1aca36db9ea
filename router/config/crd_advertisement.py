"""The schema of BGPAdvertisement: one entry of `advertisements`. PURE."""

from __future__ import annotations

from bgp.nlri import BITS
from router.config import crd_words, openapi
from router.config.crd_words import MAX_U32
from router.config.openapi import Schema, boolean, column, mapping, number, rule
from router.config.services import Empty, Topology


def _aggregate() -> Schema:
    return mapping(
        {
            **{
                f"ipv{family}": number("Length of aggregates.", low=1, high=bits - 1)
                for family, bits in BITS.items()
            },
            "keep_single": boolean("Announce each address by itself besides."),
        },
        "Announce addresses together, inside service_prefixes of PodNetwork.",
        rules=[
            rule(
                "!has(self.keep_single) || has(self.ipv4) || has(self.ipv6)",
                "keep_single needs ipv4 or ipv6",
            )
        ],
    )


def _services() -> Schema:
    return mapping(
        {
            "load_balancer": boolean("status.loadBalancer.ingress, whoever assigned it."),
            "external": boolean("spec.externalIPs."),
            "cluster": boolean("spec.clusterIPs."),
            "selector": openapi.texts("Labels a Service must have, all of them.", longest=63),
            "aggregate": _aggregate(),
            "without_endpoints": openapi.words("What becomes of such addresses.", *Empty),
            "topology": openapi.words("What hints of endpoints mean.", *Topology),
            "heed_exclude_label": boolean(
                "Whether node.kubernetes.io/exclude-from-external-load-balancers counts."
            ),
        },
        "Addresses of Services, by the nodes that can serve them.",
    )


def bgp_advertisement() -> Schema:
    """Return the CustomResourceDefinition."""
    spec = mapping(
        {
            "select": crd_words.select(),
            "pod_cidrs": boolean("The node's pod CIDRs."),
            "node_addresses": boolean("The node's addresses as /32 and /128, while on a link."),
            "services": _services(),
            "prefixes": crd_words.prefixes("Others, each while a link is connected to it."),
            "peers": crd_words.names("Peers that get it, by name; none is every peer."),
            "communities": crd_words.communities("Communities (RFC 1997)."),
            "large_communities": crd_words.large_communities("Large communities (RFC 8092)."),
            "local_preference": number("For internal peers.", high=MAX_U32),
            "med": number("MED.", high=MAX_U32),
            "prepend": crd_words.prepend(),
        },
        rules=[
            rule(
                "(has(self.pod_cidrs) && self.pod_cidrs) ||"
                " (has(self.node_addresses) && self.node_addresses) ||"
                " has(self.services) || (has(self.prefixes) && size(self.prefixes) > 0)",
                "give pod_cidrs, node_addresses, services or prefixes",
            )
        ],
    )
    return openapi.definition(
        "BGPAdvertisement",
        "bgpadvertisements",
        {"spec": spec},
        [
            column("Pods", ".spec.pod_cidrs", "boolean"),
            column("Nodes", ".spec.node_addresses", "boolean"),
            column("Load balancers", ".spec.services.load_balancer", "boolean"),
            column("Prefixes", ".spec.prefixes"),
            column("Peers", ".spec.peers", wide=True),
            column("Communities", ".spec.communities", wide=True),
        ],
        text="What the selected nodes announce, to whom and how. Without one a node announces its"
        " pod CIDRs to every peer.",
        required=("spec",),
    )
