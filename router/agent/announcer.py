"""What this node announces, from what works, what is drained and what was announced before."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import NamedTuple

from bgp.announcing import exports
from bgp.ending import Ending
from bgp.nlri import Prefix
from bgp.peer_id import PeerId
from bgp.speaker_config import SpeakerConfig
from router.agent.announced import AnnouncedSince
from router.agent.draining import Draining
from router.agent.shells import SpeakerShell
from router.config.settings import AgentSettings
from router.model.link import Links
from router.reconcile.announce import (
    Announcement,
    Contested,
    NextHops,
    announcement,
    next_hops,
)
from router.reconcile.drain import kept


class Guards(NamedTuple):
    """What stands in the kernel against loops (invariant 6)."""

    unreachables: Set[Prefix]
    """Own CIDRs with their `unreachable` route."""
    rejected: Set[Prefix] = frozenset()
    """Aggregates of Services whose unused addresses are rejected."""


class _Leaving:
    """Prefixes with a guard in the kernel whose withdrawal is not acknowledged yet."""

    def __init__(self) -> None:
        self.prefixes: frozenset[Prefix] = frozenset()

    def note(self, guarded: Set[Prefix], announced: Set[Prefix]) -> None:
        """Take what was announced with a guard, and what is announced now."""
        self.prefixes = (self.prefixes | guarded) - announced


class Announcer:
    """Tells the speaker, and knows what must not be taken away yet (invariants 6 and 7)."""

    def __init__(self, speaker: SpeakerShell, draining: Draining) -> None:
        """Tell nothing yet."""
        self._speaker = speaker
        self._draining = draining
        self.current = Announcement((), ())
        """What works, and what does not and why."""
        self.next_hops = NextHops({}, {})
        self.config: SpeakerConfig | None = None
        """What the speaker was given last."""
        self.expected: Mapping[PeerId, frozenset[Prefix]] = {}
        """What each peer shall have of it, after the export filters."""
        self.since = AnnouncedSince()
        self.withdrawing = False
        """The agent ends for good."""
        self._networks: frozenset[Prefix] = frozenset()
        """The same as `networks`."""
        self._works: tuple[object, ...] = ()
        """What `current` was decided by; thousands of Services' addresses are sorted once. The
        newest objects, so that next time most are found to be the same without a look inside."""
        self._cidrs = _Leaving()
        self._aggregates = _Leaving()
        self._is_told = False

    @property
    def networks(self) -> tuple[Prefix, ...]:
        """What the speaker is to announce now."""
        return self.config.networks if self.config is not None else ()

    def needed(self, unreachables: set[Prefix]) -> frozenset[Prefix]:
        """Return those own CIDRs whose `unreachable` route has to stay, wanted or not."""
        return self._needed(self._cidrs, unreachables)

    def needed_aggregates(self, rejected: Set[Prefix]) -> frozenset[Prefix]:
        """Return those aggregates whose unused addresses must be rejected, wanted or not."""
        return self._needed(self._aggregates, rejected)

    def _needed(self, leaving: _Leaving, guarded: Set[Prefix]) -> frozenset[Prefix]:
        if leaving.prefixes and self._speaker.is_settled:
            leaving.prefixes = frozenset()
        return leaving.prefixes | (guarded & self._networks)

    def announce(  # noqa: PLR0913 - all that is seen, by name
        self,
        settings: AgentSettings,
        own: frozenset[Prefix],
        *,
        guards: Guards,
        links: Links | None,
        services: Set[Prefix] | None,
        contested: Contested,
        kept_down: Mapping[PeerId, Ending],
    ) -> None:
        """Make the speaker announce what works. Raises OSError or BgpError.

        `links` are None before the first look, `services` before the API has told of them: a
        speaker that starts before anything works would send End-of-RIB first (RFC 4724).
        """
        self._is_told = False
        seen = links or Links.of(())
        unreachables = frozenset(guards.unreachables)
        works = settings, own, unreachables, links, services, contested
        is_new, self._works = works != self._works, works
        if is_new:
            self.current = announcement(
                pod_cidrs=sorted(own),
                node_addresses=settings.node_addresses if settings.announce_node_addresses else (),
                unreachables=unreachables,
                links=seen,
                services=services or frozenset(),
                contested=contested,
                extra=settings.extra_prefixes,
            )
        self.next_hops = next_hops(settings.peers, settings.node_addresses, seen)
        drain = self._draining.state
        config = SpeakerConfig(
            router_id=settings.router_id,
            peers=settings.peers,
            networks=self._allowed(settings),
            advertisements=settings.advertisements,
            going_away=drain.is_marked,
            prepend=drain.prepend,
            next_hops=self.next_hops.found,
            kept_down=kept_down,
        )
        if self.config is None and (links is None or services is None):
            return
        if config != self.config:
            before, after = self._networks, frozenset(config.networks)
            self._speaker.configure(config)
            self.config, self._networks = config, after
            self.expected = {p.name: frozenset(exports(config, p)) for p in config.peers}
            self._cidrs.note(guards.unreachables & before, after)
            self._aggregates.note(guards.rejected & before, after)
        self._is_told = True

    def _allowed(self, settings: AgentSettings) -> tuple[Prefix, ...]:
        if self.withdrawing:
            return ()
        drain = self._draining.state
        if not drain.is_withdrawn:
            return self.current.networks
        stays = kept(settings.drain, settings.node_addresses, drain.order)
        return tuple(prefix for prefix in self.current.networks if prefix in stays)

    def is_acknowledged(self) -> bool:
        """Tell whether every established peer has, and has acknowledged, what it shall have."""
        return self._is_told and self._speaker.is_settled
