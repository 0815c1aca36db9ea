"""BgpFabric: one node with a speaker between two foreign routers, in namespaces of their own.

Router i (1, 2) has 10.0.i.2/31 and fd00:0:i::2/127, the node 10.0.i.3 and fd00:0:i::3; both
originate the same two prefixes, so the node has two ways to each.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from tests.support.bird import Bird
from tests.support.frr import Frr
from tests.support.gobgp import Gobgp
from tests.support.netns import Namespace, join
from tests.support.router import Neighbor, RouterConfig
from tests.support.speaker_host import SpeakerHost
from tests.support.wait import NotYetError, wait_until

Router: TypeAlias = Frr | Bird | Gobgp
KINDS: dict[str, type[Frr] | type[Bird] | type[Gobgp]] = {
    "frr": Frr,
    "bird": Bird,
    "gobgp": Gobgp,
}
NODE_ASN = 65201
OWN = ("10.244.1.0/24", "fd00:244:1::/64")
THEIRS = ("10.244.2.0/24", "fd00:244:2::/64")


MakeFabric: TypeAlias = "Callable[..., BgpFabric]"


class BgpFabric:
    """See above; `close` ends everything."""

    def __init__(
        self,
        make_namespace: Callable[[str], Namespace],
        kinds: tuple[str, ...],
        *,
        receive: str = "fast",
        **neighbor_options: Any,
    ) -> None:
        self.receive = receive
        self.node = make_namespace("node")
        self.routers: list[Router] = []
        self.namespaces: list[Namespace] = []
        for index, kind in enumerate(kinds, 1):
            namespace = make_namespace(f"tor{index}")
            join(namespace, "node", self.node, f"eth{index}")
            self._address(namespace, "node", index, 2)
            self._address(self.node, f"eth{index}", index, 3)
            config = RouterConfig(
                asn=65100 + index,
                router_id=f"10.255.0.{index}",
                neighbors=[
                    Neighbor(address=address, remote_asn=NODE_ASN, **neighbor_options)
                    for address in self.own_addresses(index)
                ],
                networks=THEIRS,
            )
            self.namespaces.append(namespace)
            self.routers.append(KINDS[kind](namespace, config))
        self.host: SpeakerHost | None = None

    def start(self, **peer_options: Any) -> SpeakerHost:
        """Start routers and speaker, announce OWN, and wait until all is exchanged."""
        for router in self.routers:
            router.start()
        host = self.start_host()
        host.configure(self.peers(**peer_options), list(OWN))
        host.wait_established(deadline_s=30)
        self.wait_exchanged()
        return host

    def start_host(self, **options: Any) -> SpeakerHost:
        """Start an agent; a former one must be gone."""
        self.host = SpeakerHost(self.node, **{"receive": self.receive, **options})
        return self.host

    def peers(self, **options: Any) -> list[dict[str, Any]]:
        """Return the speaker's peers, with extra settings for all of them."""
        return [
            {
                "name": f"tor{index}-v{family}",
                "address": address,
                "remote_asn": 65100 + index,
                **options,
            }
            for index in range(1, len(self.routers) + 1)
            for family, address in zip((4, 6), self.their_addresses(index), strict=True)
        ]

    def wait_exchanged(self) -> None:
        """Wait until every router has OWN and the speaker has THEIRS from every router."""
        assert self.host is not None
        self.host.wait(
            "routes of all routers",
            lambda state: all(
                len(state["routes"].get(prefix, ())) == len(self.routers) for prefix in THEIRS
            ),
        )
        self.host.wait("announcements sent", lambda state: state["settled"])
        for index, router in enumerate(self.routers, 1):
            for prefix, address in zip(OWN, self.own_addresses(index), strict=True):
                wait_received(router, address, {prefix: address})

    @staticmethod
    def own_addresses(index: int) -> tuple[str, str]:
        """Return the node's addresses towards a router."""
        return f"10.0.{index}.3", f"fd00:0:{index}::3"

    @staticmethod
    def their_addresses(index: int) -> tuple[str, str]:
        """Return a router's addresses towards the node."""
        return f"10.0.{index}.2", f"fd00:0:{index}::2"

    def signal_speaker(self, signum: int) -> None:
        """Send a signal to ExaBGP."""
        assert self.host is not None
        os.kill(self.outer_pid(self.host.state()["pid"]), signum)

    def kill_agent(self) -> None:
        """Kill the agent as nothing else would: without any chance to clean up."""
        assert self.host is not None
        os.kill(self.host.pid, signal.SIGKILL)
        self.host.abandon()

    def outer_pid(self, pid: int) -> int:
        """Translate a pid of the node's namespace into ours."""
        wanted = _namespace(Path(f"/proc/{self.node.pid}"))
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                text = status.read_text()
            except OSError:
                continue
            _, _, numbers = text.partition("NSpid:")
            inside = numbers.partition("\n")[0].split()[1:2] == [str(pid)]
            if inside and _namespace(status.parent) == wanted:
                return int(status.parent.name)
        raise ProcessLookupError(pid)

    def processes(self) -> list[str]:
        """Return the command lines of the speaker's processes that are alive."""
        shown = self.node.run(["ps", "-eo", "stat=,args="]).stdout.splitlines()
        return [
            line
            for line in shown
            if ("exabgp" in line or "relay.py" in line) and not line.startswith("Z")
        ]

    @staticmethod
    def _address(namespace: Namespace, ifname: str, index: int, host: int) -> None:
        add = ["ip", "address", "add", "dev", ifname]
        namespace.run([*add, f"10.0.{index}.{host}/31"])
        namespace.run([*add, f"fd00:0:{index}::{host}/127", "nodad"])


def wait_received(router: Router, address: str, expected: dict[str, str]) -> None:
    """Wait until what the router has from the neighbor is exactly this."""

    def probe() -> bool:
        seen = router.received(address)
        if seen != expected:
            raise NotYetError(seen)
        return True

    wait_until(probe, deadline_s=10, what=f"announced by {address}: {expected}")


def _namespace(process: Path) -> str:
    try:
        return str((process / "ns" / "pid").readlink())
    except OSError:
        return ""


def frr_of(fabric: BgpFabric, index: int = 1) -> Frr:
    """Return a router that is an FRR."""
    router = fabric.routers[index - 1]
    assert isinstance(router, Frr)
    return router
