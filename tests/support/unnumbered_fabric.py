"""UnnumberedFabric: one node between an FRR and a BIRD, links without addresses.

The ToRs' ends are called `node`, the node's `eth1` (FRR) and `eth2` (BIRD); both ToRs originate
the same two prefixes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.agent_host import AgentHost, Document
from tests.support.bgp_fabric import NODE_ASN, OWN, THEIRS
from tests.support.bird import Bird
from tests.support.frr import Frr
from tests.support.netns import Namespace, join
from tests.support.router import Neighbor, RouterConfig
from tests.support.wait import wait_until

PORT = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """What the ToRs demand of a session."""

    password: str = ""
    ttl_security: bool = False


class _UnnumberedFrr(Frr):
    guards = Guards()

    def _render(self) -> str:
        lines = [
            "log timestamp precision 3",
            f"router bgp {self._config.asn}",
            f" bgp router-id {self._config.router_id}",
            " no bgp ebgp-requires-policy",
            " no bgp default ipv4-unicast",
            " no bgp network import-check",
            " coalesce-time 10",
            f" neighbor {PORT} interface remote-as external",
            f" neighbor {PORT} capability extended-nexthop",
            f" neighbor {PORT} timers 3 9",
            f" neighbor {PORT} timers connect 1",
            f" neighbor {PORT} advertisement-interval 0",
            *(
                [f" neighbor {PORT} password {self.guards.password}"]
                if self.guards.password
                else []
            ),
            *([f" neighbor {PORT} ttl-security hops 1"] if self.guards.ttl_security else []),
        ]
        for neighbor in self._config.neighbors:
            if neighbor.bfd_interval_ms:
                lines.append(f" neighbor {PORT} bfd profile every-{neighbor.bfd_interval_ms}")
        for family, prefix in zip(("ipv4", "ipv6"), self._config.networks, strict=True):
            lines += [f" address-family {family} unicast", f"  network {prefix}"]
            lines += [f"  neighbor {PORT} activate", " exit-address-family"]
        return "\n".join(lines) + "\n"


class _UnnumberedBird(Bird):
    extended = True
    guards = Guards()

    def _render(self) -> str:
        four, six = self._config.networks
        extended = "on" if self.extended else "off"
        return "\n".join(
            (
                f"router id {self._config.router_id};",
                "protocol device { scan time 1; }",
                f'protocol radv {{ interface "{PORT}" {{ max ra interval 5; min ra interval 3;'
                " default lifetime 0; }; }",
                "protocol kernel { ipv4 { export where source = RTS_BGP; }; }",
                "protocol kernel { ipv6 { export where source = RTS_BGP; }; }",
                f"protocol static {{ ipv4; route {four} blackhole; }}",
                f"protocol static {{ ipv6; route {six} blackhole; }}",
                f"protocol bgp n0 {{ local as {self._config.asn};"
                f' neighbor range fe80::/10 as {NODE_ASN}; interface "{PORT}"; dynamic name "dyn";',
                f'  password "{self.guards.password}";' if self.guards.password else "",
                "  ttl security yes;" if self.guards.ttl_security else "",
                f"  hold time 9; ipv4 {{ import all; export all; extended next hop {extended}; }};",
                "  ipv6 { import all; export all; }; }",
            )
        )


class UnnumberedFabric:
    """See above; `close` ends the agent."""

    def __init__(
        self,
        make_namespace: Callable[[str], Namespace],
        *,
        bfd_interval_ms: int | None = None,
        guards: Guards | None = None,
    ) -> None:
        """Join the namespaces; nothing runs yet."""
        self.node = make_namespace("node")
        self.tors = [make_namespace("tor1"), make_namespace("tor2")]
        self.bfd_interval_ms = bfd_interval_ms
        for number, tor in enumerate(self.tors, 1):
            for namespace in (self.node, tor):
                namespace.write_sysctl("net.ipv6.conf.default.accept_dad", 0)
                namespace.write_sysctl("net.ipv6.conf.all.forwarding", 1)
            join(self.node, f"eth{number}", tor, PORT)
        self.frr = _UnnumberedFrr(self.tors[0], self._config(1))
        self.bird = _UnnumberedBird(self.tors[1], self._config(2))
        self.frr.guards = self.bird.guards = guards or Guards()
        self.agent: AgentHost | None = None

    def _config(self, number: int) -> RouterConfig:
        interval_ms = self.bfd_interval_ms
        return RouterConfig(
            asn=65100 + number,
            router_id=f"10.255.0.{number}",
            neighbors=[Neighbor(address=PORT, remote_asn=NODE_ASN, bfd_interval_ms=interval_ms)],
            networks=THEIRS,
        )

    def start(self, **changes: Any) -> AgentHost:
        """Start the ToRs and the agent, with these changes to its configuration."""
        self.frr.start()
        self.bird.start()
        self.agent = AgentHost(self.node, {**self.document(), **changes})
        return self.agent

    def document(self, **peer_options: Any) -> Document:
        """Return a configuration with both ToRs by interface."""
        return {
            "node": "node1",
            "router_id": "10.255.1.1",
            "local_asn": NODE_ASN,
            "pod_cidrs": list(OWN),
            "cluster": {"pod_prefixes": ["10.244.0.0/16", "fd00:244::/32"]},
            "peers": [
                {
                    "name": f"tor{number}",
                    "interface": f"eth{number}",
                    "remote_asn": "external",
                    **peer_options,
                }
                for number in (1, 2)
            ],
        }

    def set_link_local(self, namespace: Namespace, interface: str, address: str) -> None:
        """Give an end another link-local address in place of the one it has."""
        self.node_address(namespace, interface)
        namespace.run(["ip", "address", "flush", "dev", interface, "scope", "link"])
        namespace.run(["ip", "address", "add", f"{address}/64", "dev", interface, "nodad"])

    def node_address(self, namespace: Namespace, interface: str) -> str:
        """Return the link-local address of an end, once it has one."""
        argv = ["ip", "-j", "-6", "address", "show", "dev", interface, "scope", "link"]

        def look() -> str:
            shown = json.loads(namespace.run(argv).stdout or "[]")
            found = [a["local"] for one in shown for a in one.get("addr_info", ())]
            return str(found[0]) if found else ""

        return wait_until(look, deadline_s=5, what=f"link-local address of {interface}")

    def legs(self, prefix: str) -> set[str]:
        """Return the interfaces over which the node's route to exactly this prefix goes."""
        family = "-6" if ":" in prefix else "-4"
        argv = ["ip", family, "-j", "route", "show", "exact", prefix, "proto", "74"]
        routes = json.loads(self.node.run(argv).stdout or "[]")
        return {hop["dev"] for route in routes for hop in route.get("nexthops", [route])}

    def wait_legs(self, *interfaces: str, deadline_s: float = 20) -> None:
        """Wait until the routes of both families go over these interfaces."""
        for prefix in THEIRS:
            wait_until(
                lambda prefix=prefix: self.legs(prefix) == set(interfaces),  # type: ignore[misc]
                deadline_s=deadline_s,
                what=f"{prefix} over {interfaces}, last {self.legs(prefix)}",
            )

    def close(self) -> None:
        """End the agent."""
        if self.agent is not None:
            self.agent.close()
        self.frr.stop()
        self.bird.stop()
