"""The rules of kube-proxy's iptables mode, as iptables-restore reads them (see `kube_proxy`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.support.service_port import Endpoint, Place, ServicePort

_MARK = "0x4000/0x4000"
_NAT = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ")
_FILTER = ("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD", "KUBE-NODEPORTS")
_JUMPS = (
    ("nat", "PREROUTING -j KUBE-SERVICES"),
    ("nat", "OUTPUT -j KUBE-SERVICES"),
    ("nat", "POSTROUTING -j KUBE-POSTROUTING"),
    ("filter", "INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES"),
    ("filter", "FORWARD -j KUBE-FORWARD"),
    ("filter", "FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES"),
    ("filter", "FORWARD -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES"),
    ("filter", "OUTPUT -m conntrack --ctstate NEW -j KUBE-SERVICES"),
)


class IptablesRules:
    """One family's."""

    def __init__(self, place: Place, family: int, pod_cidr: str) -> None:
        """Write nothing yet."""
        self.family = family
        self._place = place
        self._pod_cidr = pod_cidr
        self._command = "iptables" if family == 4 else "ip6tables"
        self._is_there = False
        self._chains: set[str] = set()
        """Per Service and endpoint, in table nat."""

    def sync(self, ports: Sequence[ServicePort]) -> None:
        """Make the rules serve these."""
        rules = [rule for port in ports for rule in self._of(port)]
        # Jumped to or added to: one for endpoints of this node may be empty.
        named = {word for rule in rules for word in rule.split() if word.startswith("KUBE-")}
        chains = named - {*_NAT}
        lines = [
            "*nat",
            *(f":{chain} - [0:0]" for chain in (*_NAT, *sorted(chains | self._chains))),
            *self._jumps("nat"),
            "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
            f"-A KUBE-POSTROUTING -m mark ! --mark {_MARK} -j RETURN",
            "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
            "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
            *rules,
            "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
            *(f"-X {chain}" for chain in sorted(self._chains - chains)),
            "COMMIT",
            "*filter",
            *(f":{chain} - [0:0]" for chain in _FILTER),
            *self._jumps("filter"),
            "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
            f"-A KUBE-FORWARD -m mark --mark {_MARK} -j ACCEPT",
            "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            *(rule for port in ports for rule in _refusals(port)),
            "COMMIT",
        ]
        self._restore(lines)
        self._is_there, self._chains = True, chains

    def clear(self) -> None:
        """Take everything away."""
        if not self._is_there:
            return
        lines = []
        for table, chains in (("nat", (*_NAT, *sorted(self._chains))), ("filter", _FILTER)):
            # Named like this, each is emptied before any is removed.
            lines += [f"*{table}", *(f":{chain} - [0:0]" for chain in chains)]
            lines += [f"-D {rule}" for where, rule in _JUMPS if where == table]
            lines += [*(f"-X {chain}" for chain in chains), "COMMIT"]
        self._restore(lines)
        self._is_there, self._chains = False, set()

    def _jumps(self, table: str) -> list[str]:
        """Return the rules in chains of the kernel's, where they are not yet."""
        return [f"-A {rule}" for where, rule in _JUMPS if where == table and not self._is_there]

    def _restore(self, lines: Sequence[str]) -> None:
        argv = [f"{self._command}-restore", "--noflush", "--wait"]
        self._place.run(argv, input="\n".join(lines) + "\n")

    def _of(self, port: ServicePort) -> Iterable[str]:
        """Yield the rules of a port in table nat."""
        service, external, local = (f"{kind}-{port.tag}" for kind in _KINDS)
        comment = f'-m comment --comment "{port.name}"'
        if port.everywhere and port.cluster_ip:
            to = _to(port, port.cluster_ip)
            yield f"-A KUBE-SERVICES {comment} {to} -j {service}"
            if self._pod_cidr:
                yield f"-A {service} ! -s {self._pod_cidr} {to} -j KUBE-MARK-MASQ"
        if port.everywhere:
            yield from _balance(service, port.everywhere, port)
        yield from _deliveries(port)
        if not port.everywhere:
            return
        for vip in port.vips:
            yield f"-A KUBE-SERVICES {comment} {_to(port, vip)} -j {external}"
        if port.is_local:
            if self._pod_cidr:
                yield f"-A {external} -s {self._pod_cidr} -j {service}"
            yield f"-A {external} -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ"
            yield f"-A {external} -m addrtype --src-type LOCAL -j {service}"
            yield f"-A {external} -j {local}"
            yield from _balance(local, port.local, port)
        else:
            yield f"-A {external} -j KUBE-MARK-MASQ"
            yield f"-A {external} -j {service}"


_KINDS = ("KUBE-SVC", "KUBE-EXT", "KUBE-SVL")


def _to(port: ServicePort, address: str) -> str:
    return f"-d {address} -p {port.protocol} -m {port.protocol} --dport {port.port}"


def _sep(port: ServicePort, endpoint: Endpoint) -> str:
    index = port.endpoints.index(endpoint)
    return f"KUBE-SEP-{port.tag[:12]}{index:04}"


def _deliveries(port: ServicePort) -> Iterable[str]:
    """Yield the rules of each endpoint; what comes from itself is masqueraded."""
    for endpoint in dict.fromkeys((*port.everywhere, *port.local)):
        name = _sep(port, endpoint)
        yield f"-A {name} -s {endpoint.address} -j KUBE-MARK-MASQ"
        yield (
            f"-A {name} -p {port.protocol} -m {port.protocol}"
            f" -j DNAT --to-destination {endpoint.target}"
        )


def _balance(chain: str, endpoints: Sequence[Endpoint], port: ServicePort) -> Iterable[str]:
    """Yield one rule per endpoint, each taken with the same probability."""
    for index, endpoint in enumerate(endpoints):
        left = len(endpoints) - index
        chance = f" -m statistic --mode random --probability {1 / left:.10f}" if left > 1 else ""
        yield f"-A {chain}{chance} -j {_sep(port, endpoint)}"


def _refusals(port: ServicePort) -> Iterable[str]:
    """Yield what is said, in table filter, about addresses that nobody serves here."""
    if not port.everywhere:
        for chain, ips in (("SERVICES", [port.cluster_ip]), ("EXTERNAL-SERVICES", port.vips)):
            yield from (f"-A KUBE-{chain} {_to(port, ip)} -j REJECT" for ip in ips if ip)
    elif not port.outside:
        yield from (f"-A KUBE-EXTERNAL-SERVICES {_to(port, ip)} -j DROP" for ip in port.vips)
