"""Properties: prefixes, decision, RIB against a naive model, and hostile lines."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bgp.event import Change, EndOfRib, Updated
from bgp.nlri import Prefix, PrefixError
from bgp.path import DEFAULT_LOCAL_PREFERENCE, Attributes, Origin
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from bgp.policy import AcceptRule, ImportPolicy
from bgp.rib import Rib
from bgp.speaker.events import EventError, parse

PEERS = {
    PeerId(name): PeerSettings(
        name=PeerId(name),
        address=IPv4Address(f"10.0.{number}.2"),
        remote_asn=remote_asn,
        local_asn=65201,
    )
    for number, (name, remote_asn) in enumerate(
        (("a", 65101), ("b", 65101), ("c", 65102), ("internal", 65201)), 1
    )
}
POLICY = ImportPolicy(cluster=(AcceptRule(prefix=Prefix.parse("10.244.0.0/16"), le=26),))
NETWORKS = [Prefix.parse(f"10.244.{i}.0/24") for i in range(4)] + [Prefix.parse("10.9.0.0/24")]

addresses = st.builds(IPv4Address, st.integers(0x0A000001, 0x0A0000FF))


def attributes_of(**values: Any) -> Attributes:
    """Return them; `builds` would add the parts of the tuple to the arguments of the class."""
    return Attributes(**values)


attributes = st.builds(
    attributes_of,
    next_hop=addresses,
    as_path=st.lists(st.sampled_from([65101, 65102, 65201, 65300]), max_size=3).map(tuple),
    as_sets=st.just(()) | st.just(((1, 2),)),
    origin=st.sampled_from(Origin),
    med=st.none() | st.integers(0, 2),
    local_preference=st.none() | st.sampled_from([50, 100, 200]),
    communities=st.just(()) | st.just(((65535, 0),)),
)
names = st.sampled_from(sorted(PEERS))


@given(st.integers(0, 2**128 - 1), st.integers(0, 128), st.booleans())
def test_prefix_text_and_back(number: int, length: int, is_ipv4: bool) -> None:
    address = IPv4Address(number >> 96) if is_ipv4 else IPv6Address(number)
    network = ip_network((address, min(length, 32) if is_ipv4 else length), strict=False)
    prefix = Prefix.from_network(network)

    assert Prefix.parse(str(prefix)) == prefix
    assert Prefix.parse(str(network)) == prefix
    assert prefix.to_network() == network


@given(st.text(max_size=50))
@example("\u0661.1.1.1/8")
def test_prefix_is_read_or_refused(text: str) -> None:
    try:
        prefix = Prefix.parse(text)
    except PrefixError:
        return
    assert prefix.to_network() == ip_network(text)


def naive_best(paths: dict[PeerId, Attributes]) -> set[PeerId]:
    """RFC 4271 section 9.1.2.2, written as one elimination after the other."""

    def preference(peer: PeerId) -> int:
        if (65535, 0) in paths[peer].communities:
            return 0
        sent = paths[peer].local_preference
        return sent if PEERS[peer].is_internal and sent is not None else DEFAULT_LOCAL_PREFERENCE

    left = set(paths)
    for key in (
        lambda p: -preference(p),
        lambda p: paths[p].path_length,
        lambda p: paths[p].origin,
    ):
        left = {p for p in left if all(key(p) <= key(q) for q in left)}
    left = {
        p
        for p in left
        if not any(
            paths[q].neighboring_asn == paths[p].neighboring_asn
            and (paths[q].med or 0) < (paths[p].med or 0)
            for q in left
        )
    }
    return {p for p in left if not PEERS[p].is_internal} or left


@given(st.dictionaries(names, attributes), st.randoms(use_true_random=False))
def test_decision_depends_on_the_set_only(paths: dict[PeerId, Attributes], order: Any) -> None:
    policy = ImportPolicy(cluster=POLICY.cluster)
    results = []
    for _ in range(3):
        table = Rib(policy, PEERS)
        shuffled = list(paths.items())
        order.shuffle(shuffled)
        for peer, given_attributes in shuffled:
            table.apply(Updated(peer=peer, changes=[Change(given_attributes, NETWORKS[:1])]))
        results.append(table.best(NETWORKS[0]))

    accepted = {p: a for p, a in paths.items() if 65201 not in a.as_path}
    assert results[0] == results[1] == results[2]
    assert {path.peer for path in results[0]} == naive_best(accepted)
    assert list(results[0]) == sorted(results[0], key=lambda path: path.peer)


class RibAgainstModel(RuleBasedStateMachine):
    """A dict of (peer, prefix) -> (attributes, stale) does what the Rib does, slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.rib = Rib(POLICY, PEERS)
        self.model: dict[tuple[PeerId, Prefix], tuple[Attributes, bool]] = {}
        self.seen: dict[Prefix, Any] = {}

    @rule(peer=names, prefixes=st.sets(st.sampled_from(NETWORKS)), given_attributes=attributes)
    def announce(self, peer: PeerId, prefixes: set[Prefix], given_attributes: Attributes) -> None:
        change = Change(given_attributes, tuple(prefixes))
        self.rib.apply(Updated(peer=peer, changes=[change]))
        for prefix in prefixes:
            self.model[peer, prefix] = (given_attributes, False)

    @rule(peer=names, prefixes=st.sets(st.sampled_from(NETWORKS)))
    def withdraw(self, peer: PeerId, prefixes: set[Prefix]) -> None:
        self.rib.apply(Updated(peer=peer, changes=[Change(None, (), tuple(prefixes))]))
        for prefix in prefixes:
            self.model.pop((peer, prefix), None)

    @rule(peer=names, drop_older=st.booleans())
    def mark_stale(self, peer: PeerId, drop_older: bool) -> None:
        self.rib.mark_stale(peer, drop_older=drop_older)
        for key, (given_attributes, stale) in list(self.model.items()):
            if key[0] == peer:
                refused = not self.accepts(key[1], given_attributes)
                if refused or (drop_older and stale):
                    del self.model[key]
                else:
                    self.model[key] = (given_attributes, True)

    @rule(peer=names, family=st.sampled_from([4, 6]))
    def end_of_rib(self, peer: PeerId, family: int) -> None:
        self.rib.apply(EndOfRib(peer=peer, family=family))
        self.remove(lambda key, entry: key[0] == peer and family == 4 and entry[1])

    @rule(peer=names)
    def drop(self, peer: PeerId) -> None:
        self.rib.drop(peer)
        self.remove(lambda key, entry: key[0] == peer)

    def remove(self, doomed: Any) -> None:
        self.model = {k: e for k, e in self.model.items() if not doomed(k, e)}

    @staticmethod
    def accepts(prefix: Prefix, given_attributes: Attributes) -> bool:
        return POLICY.evaluate(prefix, given_attributes, 65201).accepted

    @invariant()
    def same(self) -> None:
        changed = self.rib.take_changed()
        for prefix in NETWORKS:
            accepted = {
                peer: entry
                for (peer, p), entry in self.model.items()
                if p == prefix and self.accepts(prefix, entry[0])
            }
            best = self.rib.best(prefix)
            winners = naive_best({peer: entry[0] for peer, entry in accepted.items()})
            assert {(p.peer, p.attributes, p.stale) for p in best} == {
                (peer, *accepted[peer]) for peer in winners
            }
            now = [(path.peer, path.attributes) for path in best]
            assert now == self.seen.get(prefix, []) or prefix in changed
            self.seen[prefix] = now
        for peer in PEERS:
            mine = [entry for (p, _), entry in self.model.items() if p == peer]
            counts = self.rib.counts(peer, 4)
            assert counts.received == len(mine)
            assert counts.stale == sum(stale for _, stale in mine)


TestRibAgainstModel = RibAgainstModel.TestCase
TestRibAgainstModel.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


SAMPLE = {
    "exabgp": "5.0.0",
    "type": "update",
    "neighbor": {
        "address": {"local": "10.0.1.3", "peer": "10.0.1.2"},
        "direction": "receive",
        "message": {
            "update": {
                "attribute": {
                    "origin": "igp",
                    "as-path": {"0": {"element": "as-sequence", "value": [65101]}},
                    "community": [[1, 2]],
                },
                "announce": {"ipv4 unicast": {"10.0.1.2": [{"nlri": "10.244.2.0/24"}]}},
                "withdraw": {"ipv6 unicast": [{"nlri": "fd00::/64"}]},
            }
        },
        "open": {
            "asn": 65101,
            "hold_time": 9,
            "router_id": "10.0.0.1",
            "capabilities": {
                "1": {"name": "multiprotocol", "families": ["ipv4/unicast"]},
                "64": {
                    "name": "graceful restart",
                    "time": 120,
                    "address-family-flags": {"ipv4/unicast": ["restart"]},
                    "restart-flags": [],
                },
            },
        },
        "notification": {"code": 6, "subcode": 2, "message": "x"},
        "route-refresh": {"afi": "ipv4", "safi": "unicast"},
        "state": "down",
        "reason": "x",
    },
}
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
junk = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path] + [place for key, item in inner for place in places(item, (*path, key))]


@given(
    st.sampled_from(["update", "open", "notification", "refresh", "state"]),
    st.sampled_from(places(SAMPLE)[1:]),
    junk,
)
@settings(max_examples=1000, deadline=None)
def test_damaged_line_is_read_or_refused(kind: str, place: tuple[Any, ...], value: Any) -> None:
    message = json.loads(json.dumps({**SAMPLE, "type": kind}))
    target = message
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value

    _read(json.dumps(message).encode())


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    _read(raw)


@given(st.integers(0, 1000), st.integers(0, 255))
@settings(max_examples=300)
def test_flipped_byte_is_read_or_refused(position: int, value: int) -> None:
    raw = bytearray(json.dumps(SAMPLE).encode())
    raw[position % len(raw)] = value
    _read(bytes(raw))


def _read(raw: bytes) -> None:
    try:
        events = parse(raw, {"10.0.1.2": PeerId("a")})
    except EventError:
        return
    assert isinstance(events, tuple)
