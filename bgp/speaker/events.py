"""events: lines of ExaBGP's JSON API -> facts. PURE (body follows)."""

from __future__ import annotations

from collections.abc import Mapping

from bgp.errors import BgpError
from bgp.event import Event
from bgp.nlri import IPAddress
from bgp.peer import PeerId


class EventError(BgpError):
    """A line that is not what ExaBGP 5.0.15 writes; `line` is its beginning."""


def parse(line: bytes, peers: Mapping[IPAddress, PeerId]) -> tuple[Event, ...]:
    """Read one line. Unknown peers get their address as id. Raises EventError, nothing else."""
    raise NotImplementedError
