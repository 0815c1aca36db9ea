"""Random values for a RIB, and a slow model of what it must say of them."""

from __future__ import annotations

import random
from ipaddress import IPv4Address

from bgp.accept_rule import AcceptRule
from bgp.decision import RELAXED, Selection
from bgp.filter import Action, Filter, Match, Term
from bgp.filter import Change as Set
from bgp.nlri import Prefix
from bgp.path import Attributes, Origin
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from bgp.policy import ImportPolicy

GONE = (65535, 0)
MARKS = ((65101, 1), (65101, 2), GONE)
ASNS = (65101, 65102, 65201, 65300)
PREFIXES = tuple(
    Prefix.parse(text)
    for text in (
        *(f"10.244.{i}.0/24" for i in range(6)),
        *("10.244.9.0/26", "10.244.9.0/29", "10.9.0.0/24", "10.96.1.0/24", "0.0.0.0/0"),
    )
)
CLUSTER, WIDE = Prefix.parse("10.244.0.0/16"), Prefix.parse("10.0.0.0/8")
SERVICES = Prefix.parse("10.96.0.0/12")
OWN = Prefix.parse("10.244.5.0/24")
BASE = {
    PeerId(name): PeerSettings(
        name=PeerId(name), address=IPv4Address(address), remote_asn=asn, local_asn=65201
    )
    for name, address, asn in (
        ("a", "10.0.9.2", 65101),
        ("b", "10.0.2.2", 65101),
        ("c", "10.0.3.2", 65102),
        ("i", "10.0.1.2", 65201),
    )
}


class Chance(random.Random):
    """Random values of the domain."""

    def attributes(self) -> Attributes:
        return Attributes(
            next_hop=IPv4Address(0x0A000000 + self.randrange(1, 4)),
            as_path=tuple(self.choices(ASNS, weights=(5, 5, 1, 3), k=self.randrange(4))),
            as_sets=((65300, 65400),) if self.random() < 0.1 else (),
            origin=self.choice(list(Origin)),
            med=self.choice((None, None, 0, 1, 2)),
            local_preference=self.choice((None, None, 50, 200)),
            communities=tuple(self.sample(MARKS, self.randrange(3))),
        )

    def filter(self) -> Filter | None:
        if self.random() < 0.4:
            return None
        return Filter(name="f", terms=tuple(self.term() for _ in range(self.randrange(1, 4))))

    def term(self) -> Term:
        rule = AcceptRule(prefix=CLUSTER, le=self.choice((24, 26)))
        match = Match(
            prefixes=(rule,) if self.random() < 0.4 else (),
            communities=frozenset(self.sample(MARKS, self.randrange(2))),
            origin_asns=frozenset(self.sample(ASNS, self.randrange(2))),
            contains_asns=frozenset(self.sample(ASNS, self.randrange(2))),
            as_path_length=(1, 2) if self.random() < 0.2 else None,
            peers=frozenset(self.sample(("a", "b"), self.randrange(2))),
        )
        action = self.choice(list(Action))
        if action is Action.REJECT:
            return Term(match=match, action=action, reason="unwanted")
        change = Set(
            add_communities=tuple(self.sample(MARKS, self.randrange(2))),
            remove_communities=frozenset(self.sample(MARKS, self.randrange(2))),
            local_preference=self.choice((None, 90, 300)),
        )
        return Term(match=match, action=action, change=change)

    def policy(self) -> ImportPolicy:
        return ImportPolicy(
            cluster=(AcceptRule(prefix=self.choice((CLUSTER, CLUSTER, WIDE)), le=28),),
            own=(OWN,) if self.random() < 0.5 else (),
            services=(SERVICES,),
            accept_default=self.random() < 0.3,
        )

    def selection(self) -> Selection:
        if self.random() < 0.5:
            return RELAXED
        return Selection(strict=self.random() < 0.5, limit=self.choice((None, 1, 2)))


class Model:
    """What was sent, and how it is to be judged."""

    def __init__(self, policy: ImportPolicy) -> None:
        self.peers = dict(BASE)
        self.policy = policy
        self.selection = RELAXED
        self.sent: dict[tuple[PeerId, Prefix], Attributes] = {}
        self.stale: set[tuple[PeerId, Prefix]] = set()
        self.held: frozenset[PeerId] = frozenset()

    def judge(self, peer: PeerId, prefix: Prefix) -> tuple[str, Attributes, int | None]:
        """Return the reason, what is kept, and the preference that a filter gave."""
        raw = self.sent[peer, prefix]
        if not self._may(prefix) or 65201 in raw.as_path:
            return "guard", raw, None
        communities, preference = raw.communities, None
        wanted = self.peers[peer].import_filter
        for term in wanted.terms if wanted is not None else ():
            if not self._fits(term.match, peer, prefix, raw):
                continue
            if term.action is Action.REJECT:
                return term.reason, raw, None
            change = term.change
            communities = tuple(c for c in communities if c not in change.remove_communities)
            communities += tuple(c for c in change.add_communities if c not in communities)
            preference = change.local_preference or preference
            if term.action is Action.ACCEPT:
                break
        return "", raw.changed(communities=communities), preference

    def _may(self, prefix: Prefix) -> bool:
        if prefix.length == 0:
            return self.policy.accept_default
        (rule,) = self.policy.cluster
        low, high = rule.bounds
        inside = rule.prefix.covers(prefix) and low <= prefix.length <= high
        denied = (*self.policy.own, *self.policy.services)
        return inside and not any(each.overlaps(prefix) for each in denied)

    @staticmethod
    def _fits(match: Match, peer: PeerId, prefix: Prefix, raw: Attributes) -> bool:
        everywhere = {*raw.as_path, *(asn for members in raw.as_sets for asn in members)}
        tests = [
            (match.peers, peer in match.peers),
            (match.communities, bool(set(raw.communities) & match.communities)),
            (match.origin_asns, bool(raw.as_path) and raw.as_path[-1] in match.origin_asns),
            (match.contains_asns, bool(everywhere & match.contains_asns)),
            (match.as_path_length, 1 <= len(raw.as_path) + len(raw.as_sets) <= 2),
            (
                match.prefixes,
                any(
                    r.prefix.covers(prefix) and prefix.length <= (r.le or 0) for r in match.prefixes
                )
                and prefix.length >= CLUSTER.length,
            ),
        ]
        return all(holds for given_, holds in tests if given_)

    def best(self, prefix: Prefix) -> list[tuple[PeerId, Attributes]]:
        """Eliminate, one rule after the other."""
        left: dict[PeerId, Attributes] = {}
        rank: dict[PeerId, tuple[int, int, int]] = {}
        for peer in sorted(self.peers):
            if (peer, prefix) not in self.sent or peer in self.held:
                continue
            reason, kept, preference = self.judge(peer, prefix)
            if reason:
                continue
            own = kept.local_preference if self.peers[peer].is_internal else None
            weight = 100 if own is None else own
            weight = weight if preference is None else preference
            weight = 0 if GONE in kept.communities else weight
            left[peer] = kept
            rank[peer] = (-weight, len(kept.as_path) + len(kept.as_sets), kept.origin)
        names = [p for p in left if rank[p] == min(rank.values())]
        names = [
            p
            for p in names
            if not any(
                left[q].as_path[:1] == left[p].as_path[:1]
                and (left[q].med or 0) < (left[p].med or 0)
                for q in names
            )
        ]
        names = [p for p in names if not self.peers[p].is_internal] or names
        return [(p, left[p]) for p in self._narrowed(names, left)]

    def _narrowed(self, names: list[PeerId], left: dict[PeerId, Attributes]) -> list[PeerId]:
        by_address = sorted(names, key=lambda p: int(self.peers[p].address))
        if self.selection.strict:
            by_address = [
                p
                for p in by_address
                if (left[p].as_path, left[p].as_sets)
                == (left[by_address[0]].as_path, left[by_address[0]].as_sets)
            ]
        return sorted(by_address[: self.selection.limit])
