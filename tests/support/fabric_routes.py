"""Routes that a fabric under kube-proxy needs and the dual-tor one has not."""

from __future__ import annotations

from typing import Final

from tests.support.kube_proxy import FAMILIES
from tests.support.services import Shop

TO_TOR: Final = {4: ("10.0.10.2", "10.0.10.4"), 6: ("fd00:0:10::2", "fd00:0:10::4")}
"""By ToR its address toward the client."""
_TO_CLIENT: Final = {4: ("10.0.10.3", "10.0.10.5"), 6: ("fd00:0:10::3", "fd00:0:10::5")}
_LINKS: Final = {4: ("10.0.1.0/24", "10.0.2.0/24"), 6: ("fd00:0:1::/48", "fd00:0:2::/48")}
"""By ToR the networks of its links to nodes."""


def teach_routes(lab: Shop) -> None:
    """Give nodes a default route, and every router the way to the addresses of links."""
    for family in FAMILIES:
        # A process of the node needs some route before kube-proxy's DNAT.
        for host in lab.hosts:
            peers = [a for a in host.session_addresses if a.version == family]
            hops = [word for peer in peers for word in ("nexthop", "via", str(peer))]
            host.node.run(["ip", f"-{family}", "route", "add", "default", *hops])
        # What is masqueraded comes from a link to one ToR; the other has to know the way back.
        for index, network in enumerate(_LINKS[family]):
            other = lab.fabric.tors[1 - index].node
            other.run(["ip", "route", "add", network, "via", _TO_CLIENT[family][1 - index]])
            lab.client.run(["ip", "route", "add", network, "via", TO_TOR[family][index]])
