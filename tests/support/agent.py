"""A route agent between a model of the kernel and a scripted speaker, on a clock of its own.

The models refuse what the real ones refuse. What needs the real kernel or a real speaker is
tested with them, elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_interface

from bgp.event import Event, SpeakerStarted
from bgp.nlri import Prefix
from bgp.peer_id import PeerId
from bgp.secret import Secret
from bgp.speaker_config import SpeakerConfig
from cni.node_facts import NodeFacts
from router.agent.circumstances import Circumstances
from router.agent.cleared_file import ClearedMemory, NoClearedMemory
from router.agent.core import RouteAgent
from router.agent.draining import DrainShell, NoDrainStore
from router.agent.shells import Shells
from router.config.load import load_settings
from router.config.settings import AgentSettings
from router.config.surroundings import Surroundings
from router.kernel.monitor import Noticed
from router.model.fib import Fib, Form
from router.model.link import Address, Link, Links
from router.model.unnumbered import Discovered, Port, Routers
from router.reconcile.learned import Metrics
from tests.support.bgp_events import establishing
from tests.support.fib_model import FibModel
from tests.support.rejection_model import RejectionModel

CONFIG = """
node: node1
local_asn: 65201
node_addresses: [10.255.1.1]
pod_cidrs: [10.244.1.0/24]
announce: {node_addresses: true}
cluster: {pod_prefixes: [10.244.0.0/16], node_prefixes: [10.255.0.0/16]}
deferral_s: 120
peers:
  - {name: tor1, address: 10.0.1.2, remote_asn: 65101}
  - {name: tor2, address: 10.0.2.2, remote_asn: 65102}
"""


class ModelKernel:
    """A FIB, links and sysctls that tests may change behind the agent's back."""

    def __init__(self) -> None:
        self.fib = Fib()
        self.foreign: set[Prefix] = set()
        self.bad_gateways: set[str] = set()
        self.broken = False
        self.applied: list[str] = []
        self.noticed = Noticed(links=False, fib=False)
        self.sysctls = {"net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0"}
        self.links = Links.of(
            (
                _link(1, "lo", "10.255.1.1/32"),
                _link(2, "eth1", "10.0.1.3/31"),
                _link(3, "eth2", "10.0.2.3/31", mtu=9000),
            )
        )

    def set_carrier(self, name: str, carrier: bool) -> None:
        """Change a link's carrier, with what the kernel does to nexthop objects on it."""
        changed = [
            Link(
                index=link.index,
                name=link.name,
                up=True,
                carrier=carrier if link.name == name else link.carrier,
                mtu=link.mtu,
                addresses=link.addresses,
            )
            for link in self.links.all
        ]
        self.links = Links.of(changed)
        if not carrier:
            index = next(link.index for link in changed if link.name == name)
            self.drop_hops_on(index)
        self.noticed = Noticed(links=True, fib=False)

    def drop_hops_on(self, ifindex: int) -> None:
        fib = self.fib
        fib.nexthops = {i: hop for i, hop in fib.nexthops.items() if hop.ifindex != ifindex}
        groups = {
            g: tuple(m for m in members if m in fib.nexthops) for g, members in fib.groups.items()
        }
        fib.groups = {g: members for g, members in groups.items() if members}
        fib.routes = {p: r for p, r in fib.routes.items() if not r.group or r.group in fib.groups}


class LinkModel:
    def __init__(self, kernel: ModelKernel) -> None:
        self._kernel = kernel

    def observe(self) -> Links:
        return self._kernel.links

    def advertised(self) -> tuple[str, ...]:
        return ()

    def gateways(self) -> tuple[Address, ...]:
        return ()


class MonitorModel:
    def __init__(self, kernel: ModelKernel) -> None:
        self._kernel = kernel

    def take(self) -> Noticed:
        noticed, self._kernel.noticed = self._kernel.noticed, Noticed(links=False, fib=False)
        return noticed


class AdvertisementModel:
    """Hears what the test says is heard, on ports that were asked for."""

    def __init__(self) -> None:
        self.ports: Mapping[str, Port] = {}
        self.routers: dict[str, str] = {}
        """Interface -> the router's link-local address."""

    def want(self, ports: Mapping[str, Port]) -> None:
        self.ports = dict(ports)

    @property
    def heard(self) -> Mapping[str, Routers]:
        return {
            name: Routers(IPv6Address(self.routers[name]) if name in self.routers else None)
            for name in self.ports
        }


class SysctlModel:
    def __init__(self, kernel: ModelKernel) -> None:
        self._kernel = kernel

    def read(self, keys: tuple[str, ...]) -> dict[str, str]:
        return {key: self._kernel.sysctls[key] for key in keys if key in self._kernel.sysctls}

    def write(self, key: str, value: str) -> None:
        self._kernel.sysctls[key] = value


class ScriptedSpeaker:
    """Tells what the test says happened; remembers what it was told to do."""

    def __init__(self, kernel: ModelKernel) -> None:
        self._kernel = kernel
        self.configured: list[SpeakerConfig] = []
        self.unreachables_then: list[set[Prefix]] = []
        self.events: list[Event] = []
        self.settled = True
        self.resets: list[PeerId] = []
        self.deaf_at = ""
        self.pid: int | None = 7
        self.restarts = 0

    def configure(self, config: SpeakerConfig) -> None:
        self.configured.append(config)
        self.unreachables_then.append(set(self._kernel.fib.unreachables))

    def poll(self, now: float) -> tuple[Event, ...]:
        events, self.events = tuple(self.events), []
        return events

    def reset(self, peer: PeerId) -> None:
        self.resets.append(peer)

    @property
    def is_settled(self) -> bool:
        return self.settled

    @property
    def due_at(self) -> float:
        return float("inf")


class Bench:
    """The agent with everything around it."""

    def __init__(
        self,
        kernel: ModelKernel | None = None,
        config: str = CONFIG,
        drain: DrainShell | None = None,
        *,
        cluster: bool = False,
        cleared: ClearedMemory | None = None,
        resumed: bool = False,
        form: Form = Form.OBJECTS,
    ) -> None:
        self.now = 1000.0
        self.kernel = kernel or ModelKernel()
        self.speaker = ScriptedSpeaker(self.kernel)
        self.published: list[NodeFacts] = []
        self.advertisements = AdvertisementModel()
        self.rejections = RejectionModel()
        self.config = config
        self.agent = RouteAgent(
            settings_of(config),
            Shells(
                fib=FibModel(self.kernel),
                links=LinkModel(self.kernel),
                monitor=MonitorModel(self.kernel),
                sysctls=SysctlModel(self.kernel),
                speaker=self.speaker,
                publish=self.published.append,
                advertisements=self.advertisements,
                drain=drain or NoDrainStore(),
                cleared=cleared or NoClearedMemory(),
                rejections=self.rejections,
            ),
            Circumstances(
                metrics=Metrics(learned=120, default=4_000_000),
                expects_pod_cidrs=cluster,
                resumed=resumed,
                form=form,
            ),
            monotonic=lambda: self.now,
            wall=lambda: self.now,
        )

    def reconfigure(self, config: str) -> None:
        self.config = config
        self.agent.reconfigure(settings_of(config, self.agent.discovered))

    def rediscover(self) -> None:
        """Do what the loop does when something changed on the links of peers by interface."""
        self.agent.step()
        self.reconfigure(self.config)
        self.agent.step()

    def step(self, *events: Event, after_s: float = 0.0) -> None:
        self.now += after_s
        self.speaker.events += events
        self.agent.step()

    def establish(self, *names: str, restart_time_s: int | None = None) -> None:
        """Bring sessions up, as a speaker that has just started tells it."""
        self.step(SpeakerStarted(pid=7))
        for name in names:
            self.step(*establishing(name, restart_time_s))

    def routes(self) -> dict[str, set[str]]:
        """Return prefix -> gateways of the model kernel."""
        fib = self.kernel.fib
        return {
            str(prefix): {str(hop.address) for hop in fib.hops_of(route)}
            for prefix, route in fib.routes.items()
        }


def settings_of(config: str, discovered: tuple[Discovered, ...] = ()) -> AgentSettings:
    return load_settings(
        config,
        source="test",
        surroundings=Surroundings(
            host_name="host", read_password=lambda _: Secret("x"), discovered=discovered
        ),
    )


def _link(index: int, name: str, address: str, mtu: int = 1500) -> Link:
    addresses = (ip_interface(address),)
    return Link(index=index, name=name, up=True, carrier=True, mtu=mtu, addresses=addresses)
