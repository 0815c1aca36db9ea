"""The rules of kube-proxy's nftables mode, as `nft -f` reads them (see `kube_proxy`).

What is dropped for want of an endpoint on this node has a map of its own here, looked at for
packets from outside only, as in iptables mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.support.service_port import Endpoint, Place, ServicePort

_CHAINS = """
chain filter-prerouting {{ type filter hook prerouting priority -110; }}
chain filter-input {{ type filter hook input priority -110;
    ct state new jump service-endpoints-check
    ct state new jump local-endpoints-check; }}
chain filter-forward {{ type filter hook forward priority -110;
    ct state new jump service-endpoints-check
    ct state new jump local-endpoints-check
    ct state new jump cluster-ips-check; }}
chain filter-output {{ type filter hook output priority -110;
    ct state new jump service-endpoints-check; }}
chain filter-output-post-dnat {{ type filter hook output priority -90;
    ct state new jump cluster-ips-check; }}
chain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}
chain nat-output {{ type nat hook output priority -100; jump services; }}
chain nat-postrouting {{ type nat hook postrouting priority srcnat; jump masquerading; }}
chain services {{ {ip} daddr . meta l4proto . th dport vmap @service-ips; }}
chain service-endpoints-check {{ {ip} daddr . meta l4proto . th dport vmap @no-endpoint-services; }}
chain local-endpoints-check {{
    {ip} daddr . meta l4proto . th dport vmap @no-local-endpoint-services; }}
chain cluster-ips-check {{ {ip} daddr @cluster-ips reject; }}
chain mark-for-masquerade {{ meta mark set meta mark | 0x4000; }}
chain masquerading {{
    meta mark & 0x4000 == 0 return
    meta mark set meta mark ^ 0x4000
    masquerade fully-random; }}
chain reject-chain {{ reject; }}
"""


class NftablesRules:
    """One family's: table `kube-proxy` of `ip` or `ip6`."""

    def __init__(self, place: Place, family: int, pod_cidr: str) -> None:
        """Write nothing yet."""
        self.family = family
        self._place = place
        self._pod_cidr = pod_cidr
        self._ip = "ip" if family == 4 else "ip6"

    def sync(self, ports: Sequence[ServicePort]) -> None:
        """Make the table anew, in one transaction."""
        key = f"type ipv{self.family}_addr . inet_proto . inet_service : verdict;"
        lines = [
            f"add table {self._ip} kube-proxy",
            f"delete table {self._ip} kube-proxy",
            f"table {self._ip} kube-proxy {{",
            f"set cluster-ips {{ type ipv{self.family}_addr;"
            f" {_elements(port.cluster_ip for port in ports if port.cluster_ip)} }}",
            f"map service-ips {{ {key} {_elements(each for p in ports for each in _served(p))} }}",
            f"map no-endpoint-services {{ {key}"
            f" {_elements(each for port in ports for each in _refused(port))} }}",
            f"map no-local-endpoint-services {{ {key}"
            f" {_elements(each for port in ports for each in _dropped(port))} }}",
            _CHAINS.format(ip=self._ip),
            *(line for port in ports for line in self._of(port)),
            "}",
        ]
        self._place.run(["nft", "-f", "-"], input="\n".join(lines) + "\n")

    def clear(self) -> None:
        """Take everything away."""
        self._place.run(["nft", "delete", "table", self._ip, "kube-proxy"], check=False)

    def _of(self, port: ServicePort) -> Iterable[str]:
        """Yield the chains of a port."""
        ip, pods = self._ip, self._pod_cidr
        for endpoint in dict.fromkeys((*port.everywhere, *port.local)):
            yield f"chain {_name(port, endpoint)} {{"
            yield f"{ip} saddr {endpoint.address} jump mark-for-masquerade"
            yield f"meta l4proto {port.protocol} dnat to {endpoint.target}; }}"
        if not port.everywhere:
            return
        yield f"chain service-{port.tag} {{"
        if port.cluster_ip and pods:
            to = f"{ip} daddr {port.cluster_ip} {port.protocol} dport {port.port}"
            yield f"{to} {ip} saddr != {pods} jump mark-for-masquerade"
        yield f"{_balance(port, port.everywhere)}; }}"
        yield f"chain external-{port.tag} {{"
        if port.is_local:
            if pods:
                yield f"{ip} saddr {pods} goto service-{port.tag}"
            yield "fib saddr type local jump mark-for-masquerade"
            yield f"fib saddr type local goto service-{port.tag}"
            yield f"{_balance(port, port.local)}; }}" if port.local else "}"
        else:
            yield "jump mark-for-masquerade"
            yield f"goto service-{port.tag}; }}"


def _name(port: ServicePort, endpoint: Endpoint) -> str:
    return f"endpoint-{port.tag}-{port.endpoints.index(endpoint)}"


def _balance(port: ServicePort, endpoints: Sequence[Endpoint]) -> str:
    goto = ", ".join(f"{i} : goto {_name(port, e)}" for i, e in enumerate(endpoints))
    return f"numgen random mod {len(endpoints)} vmap {{ {goto} }}"


def _elements(elements: Iterable[str]) -> str:
    found = ", ".join(elements)
    return f"elements = {{ {found} }}" if found else ""


def _at(port: ServicePort, address: str) -> str:
    return f"{address} . {port.protocol} . {port.port}"


def _served(port: ServicePort) -> Iterable[str]:
    if port.everywhere and port.cluster_ip:
        yield f"{_at(port, port.cluster_ip)} : goto service-{port.tag}"
    if port.everywhere:
        yield from (f"{_at(port, vip)} : goto external-{port.tag}" for vip in port.vips)


def _refused(port: ServicePort) -> Iterable[str]:
    if not port.everywhere:
        ips = (*port.vips, port.cluster_ip)
        yield from (f"{_at(port, ip)} : goto reject-chain" for ip in ips if ip)


def _dropped(port: ServicePort) -> Iterable[str]:
    """Yield what clients outside do not get here; the node's own are served by other nodes."""
    if port.everywhere and not port.outside:
        yield from (f"{_at(port, vip)} : drop" for vip in port.vips)
