"""Everything through which the agent touches the world, as it needs it. Types only.

The real ones are in `router.kernel` and `bgp.speaker`; tests put models in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bgp.event import Event
from bgp.peer_id import PeerId
from bgp.speaker_config import SpeakerConfig
from cni.node_facts import NodeFacts
from router.agent.bfd_link import BfdShell, NoBfd
from router.agent.cleared_file import ClearedMemory, NoClearedMemory
from router.agent.draining import DrainShell, NoDrainStore
from router.agent.forwarding import FibShell
from router.agent.lately import Lately
from router.agent.placing import NoRules, PlaceShell
from router.agent.rejecting import NoRejections, RejectionShell
from router.agent.service_file import NoServiceMemory, ServiceMemory
from router.kernel.monitor import Noticed
from router.model.link import Address, Links
from router.model.unnumbered import Port, Routers


class LinkShell(Protocol):
    """Observes links; `router.kernel.link.LinkTable` is the real one."""

    def observe(self) -> Links:
        """Return all links."""

    def advertised(self) -> tuple[str, ...]:
        """Return the links with a default route from a router advertisement."""

    def gateways(self) -> tuple[Address, ...]:
        """Return the gateways of the default routes that are not ours."""


class AdvertisementShell(Protocol):
    """Finds routers; `router.kernel.router_advertisement.RouterAdvertisements` is the real one."""

    def want(self, ports: Mapping[str, Port]) -> None:
        """Send and listen on these links and no others."""

    @property
    def heard(self) -> Mapping[str, Routers]:
        """Return per link who was heard."""


class NoAdvertisements:
    """Nothing is sent and heard."""

    heard: Mapping[str, Routers] = {}

    def want(self, ports: Mapping[str, Port]) -> None:
        """Do nothing."""


class MonitorShell(Protocol):
    """Notices changes; `router.kernel.monitor.Monitor` is the real one."""

    def take(self) -> Noticed:
        """Return what was noticed since the last call."""


class SysctlShell(Protocol):
    """Reads and writes sysctls; `router.kernel.sysctl.Sysctls` is the real one."""

    def read(self, keys: tuple[str, ...]) -> dict[str, str]:
        """Return the values of those keys that exist."""

    def write(self, key: str, value: str) -> None:
        """Write one value."""


class SpeakerShell(Protocol):
    """Speaks BGP; `bgp.speaker.process.Speaker` is the real one."""

    def configure(self, config: SpeakerConfig) -> None:
        """Make the speaker do what `config` says."""

    def poll(self, now: float) -> tuple[Event, ...]:
        """Return what happened since the last call."""

    def reset(self, peer: PeerId) -> None:
        """End the peer's session and dial anew at once."""

    @property
    def is_settled(self) -> bool:
        """Whether every established peer has acknowledged exactly what it shall have."""

    @property
    def due_at(self) -> float:
        """Monotonic time at which `poll` wants to be called even if nobody wakes."""

    @property
    def deaf_at(self) -> str:
        """Where it should listen for passive peers and cannot."""

    @property
    def pid(self) -> int | None:
        """Process id, if it runs."""

    @property
    def restarts(self) -> int:
        """How often it had to be started again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shells:
    """Everything through which the agent touches the world."""

    fib: FibShell
    links: LinkShell
    monitor: MonitorShell
    sysctls: SysctlShell
    speaker: SpeakerShell
    publish: Callable[[NodeFacts], None]
    """Writes node.json when the facts differ from those it holds."""
    bfd: BfdShell = field(default_factory=NoBfd)
    advertisements: AdvertisementShell = field(default_factory=NoAdvertisements)
    drain: DrainShell = field(default_factory=NoDrainStore)
    place: PlaceShell = field(default_factory=NoRules)
    cleared: ClearedMemory = field(default_factory=NoClearedMemory)
    services: ServiceMemory = field(default_factory=NoServiceMemory)
    rejections: RejectionShell = field(default_factory=NoRejections)
    lately: Lately = field(default_factory=Lately)
    """What of them went wrong and is over."""
