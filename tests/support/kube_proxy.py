"""What kube-proxy writes on a node, for tests: the rules of its three modes, in both families.

kube-proxy is not here. The shape of the rules is its own (chains, marks, the order of things, as
https://kubernetes.io/docs/reference/networking/virtual-ips/ and its own output describe them): what
podroute must live with. What decides there is the same as here: ready endpoints, else those that
terminate and still serve (KEP-1669); with policy Local those of this node, for outside clients.

Mode IPVS is not IPVS: many test kernels have no ip_vs. It is what IPVS mode does to everybody else:
every address of a Service stands on a link ``kube-ipvs0`` of the node, so that it is local, unused
ports of it end in INPUT, and masquerading is done by a few iptables rules. The forwarding itself is
DNAT in PREROUTING and OUTPUT, where IPVS would take packets in LOCAL_IN and LOCAL_OUT.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from enum import StrEnum

from tests.support.kube_proxy_iptables import IptablesRules
from tests.support.kube_proxy_nftables import NftablesRules
from tests.support.service_port import Place, ServicePort

FAMILIES = (4, 6)


class Mode(StrEnum):
    """kube-proxy's `--proxy-mode`."""

    IPTABLES = "iptables"
    NFTABLES = "nftables"
    IPVS = "ipvs"
    """See above: not the kernel's IPVS."""


class KubeProxy:
    """The rules of one node; `sync` makes them say this and nothing else."""

    def __init__(self, place: Place, mode: Mode, pod_cidrs: Sequence[str]) -> None:
        """Write nothing yet. `pod_cidrs` are the cluster's (`--cluster-cidr`), one per family."""
        networks: dict[int, str] = {ipaddress.ip_network(each).version: each for each in pod_cidrs}
        rules = NftablesRules if mode is Mode.NFTABLES else IptablesRules
        self.mode = mode
        self._place = place
        self._rules = [rules(place, family, networks.get(family, "")) for family in FAMILIES]

    def sync(self, ports: Iterable[ServicePort]) -> None:
        """Make the node serve these ports of Services."""
        found = tuple(ports)
        if self.mode is Mode.IPVS:
            self._hold({ip for port in found for ip in (*port.vips, port.cluster_ip) if ip})
        for rules in self._rules:
            rules.sync([port for port in found if port.family == rules.family])

    def clear(self) -> None:
        """Take everything away."""
        for rules in self._rules:
            rules.clear()
        if self.mode is Mode.IPVS:
            self._place.run(["ip", "link", "delete", "kube-ipvs0"], check=False)

    def _hold(self, addresses: set[str]) -> None:
        """Put the addresses on kube-ipvs0, a dummy where the kernel has one."""
        script = """
ip link show kube-ipvs0 >/dev/null 2>&1 || ip link add kube-ipvs0 type dummy 2>/dev/null ||
    ip link add kube-ipvs0 type ifb
ip link set kube-ipvs0 up
ip address flush dev kube-ipvs0
for each in "$@"; do
    case $each in
    *:*) ip address add "$each/128" dev kube-ipvs0 nodad ;;
    *) ip address add "$each/32" dev kube-ipvs0 ;;
    esac
done
"""
        self._place.run(["sh", "-ec", script, "sh", *sorted(addresses)])
