"""One port of a Service and its endpoints, as kube-proxy on a node sees it (see `kube_proxy`)."""

from __future__ import annotations

import hashlib
import ipaddress
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Place(Protocol):
    """A node: a namespace of tests or a node of a lab."""

    def run(
        self, argv: Sequence[str | Path], *, check: bool = True, input: str | None = None
    ) -> subprocess.CompletedProcess[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address behind a Service."""

    address: str
    port: int
    is_local: bool = False
    """It runs on the node that the rules are for."""
    is_ready: bool = True
    """False: it terminates and still serves."""

    @property
    def target(self) -> str:
        """Return address and port as iptables and nft write them."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else self._target4

    @property
    def _target4(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """One port of a Service in one family."""

    name: str
    """As kube-proxy writes it: `namespace/service:port`."""
    vips: tuple[str, ...] = ()
    """Addresses for clients outside: load balancer and external IPs."""
    cluster_ip: str = ""
    port: int = 80
    protocol: str = "tcp"
    endpoints: tuple[Endpoint, ...] = ()
    is_local: bool = False
    """externalTrafficPolicy Local."""

    @property
    def family(self) -> int:
        """Return 4 or 6."""
        return ipaddress.ip_address((*self.vips, self.cluster_ip)[0]).version

    @property
    def tag(self) -> str:
        """Return what the names of its chains end with."""
        return hashlib.sha256(f"{self.name}{self.protocol}".encode()).hexdigest()[:16].upper()

    @property
    def everywhere(self) -> tuple[Endpoint, ...]:
        """Return the endpoints in use."""
        return _usable(self.endpoints)

    @property
    def local(self) -> tuple[Endpoint, ...]:
        """Return those of this node that are in use for policy Local."""
        return _usable(tuple(e for e in self.endpoints if e.is_local))

    @property
    def outside(self) -> tuple[Endpoint, ...]:
        """Return those that clients outside get."""
        return self.local if self.is_local else self.everywhere


def _usable(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    return tuple(e for e in endpoints if e.is_ready) or endpoints
