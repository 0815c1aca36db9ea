"""Pod CIDRs of ours that somebody else has, too: what is heard, asked, and held back.

Decided in `router.reconcile.duplicates`; this keeps the state between rounds and says what the
others need: which CIDRs are not announced and why, which list of Nodes is wanted, what is news.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Final

from bgp.nlri import Prefix
from bgp.rib import Rejection, Rib
from bgp.session import Session
from router.agent.circumstances import Circumstances
from router.agent.cleared_file import ClearedMemory
from router.config.settings import AgentSettings
from router.model.link import Links
from router.model.node import Claims
from router.reconcile.announce import Contested
from router.reconcile.duplicates import CONTESTED, Phase, Sight, Standing, first, look
from router.reconcile.foreign import Foreign, around, foreign

_log = logging.getLogger(__name__)
_SCAN_S: Final = 0.2
_SCAN_EACH_S: Final = 1e-4
"""Looking at one refused path takes less than a microsecond: at most a hundredth of the time."""


class Duplicates:
    """All methods belong to the loop's thread."""

    def __init__(self, circumstances: Circumstances, memory: ClearedMemory) -> None:
        """Know nothing yet."""
        self._has_api = circumstances.expects_pod_cidrs
        self._memory = memory
        self._known = memory.load()
        self._trusts_all = self._known is None and circumstances.resumed
        """The agent before us knew nothing of this, and announced what it had."""
        self._standings: dict[Prefix, Standing] = {}
        self._inside: dict[Prefix, tuple[tuple[Prefix, Rejection], ...]] = {}
        self._scan_at = 0.0
        self._is_stale = True
        self._news: list[Standing] = []
        self.asked = 0
        """Number of the newest list of Nodes that is wanted; 0: none was."""
        self.claims = Claims()
        """The newest list; set from outside."""

    def note(self) -> None:
        """Learn that a peer said something."""
        self._is_stale = True

    def step(
        self,
        settings: AgentSettings,
        rib: Rib,
        sessions: Iterable[Session],
        links: Links,
        now: float,
    ) -> None:
        """Look at every pod CIDR that is to be announced. Raises OSError."""
        wanted = settings.announced_cidrs
        up = tuple(sessions)
        self._scan(wanted, rib, now)
        asns = settings.asns
        self._standings = {
            cidr: self._standings.get(cidr)
            or first(cidr, now, is_known=self._trusts_all or cidr in (self._known or ()))
            for cidr in sorted(wanted)
        }
        self._trusts_all &= not wanted
        next_number = self.asked + 1
        for cidr, before in self._standings.items():
            mine = [session for session in up if cidr.family in session.families]
            sight = Sight(
                heard=foreign(self._refused(cidr, rib), asns=asns, is_ours=links.holds),
                is_up=bool(mine),
                is_settled=all(cidr.family in s.end_of_rib_received for s in mine),
                claims=self.claims,
                me=settings.node,
                next_number=next_number,
                has_api=self._has_api,
            )
            after = self._standings[cidr] = look(before, sight, now)
            if after.is_asking:
                self.asked = max(self.asked, after.asked)
            self._tell(before, after)
        self._save()

    def _refused(self, cidr: Prefix, rib: Rib) -> Iterator[tuple[Prefix, Rejection]]:
        for prefix in around(cidr):
            for refused in rib.rejections(prefix):
                yield prefix, refused
        yield from self._inside.get(cidr, ())

    def _scan(self, wanted: frozenset[Prefix], rib: Rib, now: float) -> None:
        """Look for refused paths inside, not more often than it is worth."""
        if wanted != self._inside.keys():
            self._is_stale, self._scan_at = True, now
        if not self._is_stale or now < self._scan_at:
            return
        self._inside = {
            cidr: tuple(each for each in rib.rejections_inside(cidr) if each[0] != cidr)
            for cidr in wanted
        }
        self._is_stale = False
        self._scan_at = now + max(_SCAN_S, rib.refused * _SCAN_EACH_S)

    def _tell(self, before: Standing, after: Standing) -> None:
        if (before.phase, before.other) == (after.phase, after.other):
            return
        level = logging.WARNING if after.phase in CONTESTED else logging.INFO
        _log.log(
            level,
            "pod CIDR",
            extra={
                "prefix": str(after.cidr),
                "state": after.phase.value,
                "reason": after.describe(),
            },
        )
        # Without the API nobody takes them.
        if self._has_api and (after.phase in CONTESTED or before.phase in CONTESTED):
            self._news.append(after)

    def _save(self) -> None:
        kept = frozenset(c for c, standing in self._standings.items() if standing.is_announced)
        if kept != self._known:
            # Written although empty: no file means an agent that knew nothing of this.
            self._memory.save(kept)
            self._known = kept

    @property
    def all(self) -> tuple[Standing, ...]:
        """Return every pod CIDR that is to be announced, sorted."""
        return tuple(self._standings.values())

    @property
    def contested(self) -> Contested:
        """Return what this changes about the announcement."""
        return Contested(
            withheld={
                s.cidr: "" if s.is_alone else s.describe() for s in self.all if not s.is_announced
            },
            halves=frozenset(half for s in self.all for half in s.halves),
        )

    @property
    def pending(self) -> frozenset[Prefix]:
        """Return what is only not known yet: no reason to keep pods from starting."""
        return frozenset(
            s.cidr for s in self.all if not s.is_announced and s.phase is not Phase.YIELDED
        )

    @property
    def complaints(self) -> tuple[str, ...]:
        """Return a line for each CIDR that is announced and not only ours."""
        return tuple(
            f"{s.cidr}: {s.describe()}" for s in self.all if s.is_announced and s.describe()
        )

    def take_news(self) -> tuple[Standing, ...]:
        """Return what has changed since the last call, for Events."""
        news, self._news = tuple(self._news), []
        return news


def heard_json(each: Foreign) -> dict[str, str | int | None]:
    """Return a path from elsewhere as plain JSON values."""
    return {"prefix": str(each.prefix), "peer": each.peer, "origin_asn": each.origin_asn}
