"""What a peer is told, and when it has it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, ip_address

from bgp.ending import Ending
from bgp.ends import Ends
from bgp.event import Sent
from bgp.export import PLAIN, Export
from bgp.nlri import Prefix
from bgp.path import Attributes
from bgp.peer_id import PeerId
from bgp.speaker import commands
from bgp.speaker.adjribout import AdjRibOut

PEER = PeerId("tor1")
TOR, NODE = ip_address("10.0.1.2"), ip_address("10.0.1.3")
ONE, TWO = Prefix.parse("10.244.1.0/24"), Prefix.parse("10.244.9.0/24")
MARKED = Export(communities=((65535, 0),))


class TestCommands:
    def test_announce_and_withdraw(self) -> None:
        assert commands.announce(TOR, NODE, {TWO: PLAIN, ONE: PLAIN}) == (
            b"neighbor 10.0.1.2 announce attributes next-hop 10.0.1.3"
            b" nlri 10.244.1.0/24 10.244.9.0/24\n"
        )
        assert commands.withdraw(TOR, NODE, [ONE]) == (
            b"neighbor 10.0.1.2 withdraw attributes next-hop 10.0.1.3 nlri 10.244.1.0/24\n"
        )
        assert commands.announce(TOR, NODE, {}) == b""

    def test_attributes_are_written_out_and_prefixes_that_share_them_stand_together(self) -> None:
        full = Export(
            communities=((65535, 0), (65001, 7)),
            large_communities=((65001, 1, 2),),
            med=50,
            as_path=(65201, 65201),
            local_preference=0,
        )

        assert commands.announce(TOR, NODE, {TWO: full, ONE: PLAIN}).splitlines() == [
            b"neighbor 10.0.1.2 announce attributes next-hop 10.0.1.3 nlri 10.244.1.0/24",
            b"neighbor 10.0.1.2 announce attributes next-hop 10.0.1.3 as-path [ 65201 65201 ]"
            b" med 50 local-preference 0 community [ 65001:7 65535:0 ]"
            b" large-community [ 65001:1:2 ] nlri 10.244.9.0/24",
        ]

    def test_long_lists_are_cut(self) -> None:
        many = {Prefix(4, (11 << 24) + (i << 8), 24): PLAIN for i in range(1000)}

        lines = commands.announce(TOR, NODE, many).splitlines()

        assert [line.count(b"/24") for line in lines] == [400, 400, 200]
        assert max(map(len, lines)) < 16384

    def test_end_of_rib(self) -> None:
        assert commands.end_of_rib(TOR, 6) == b"neighbor 10.0.1.2 announce eor ipv6 unicast\n"


V4, BOTH = frozenset({4}), frozenset({4, 6})


def attributes(export: Export = PLAIN) -> Attributes:
    """Return what an UPDATE with this has, of an external session."""
    return Attributes(
        next_hop=NODE,
        as_path=export.as_path or (65201,),
        med=export.med,
        communities=export.communities,
        large_communities=export.large_communities,
    )


def sent(
    *announced: Prefix,
    withdrawn: tuple[Prefix, ...] = (),
    end: int | None = None,
    export: Export = PLAIN,
) -> Sent:
    return Sent(
        peer=PEER,
        announced=announced,
        withdrawn=withdrawn,
        end_of_rib=end,
        attributes=attributes(export) if announced else None,
    )


class TestAdjRibOut:
    def want(self, out: AdjRibOut, *prefixes: Prefix, export: Export = PLAIN) -> bytes:
        return out.want({TOR: (frozenset({4}), dict.fromkeys(prefixes, export))})

    def established(self, *prefixes: Prefix) -> AdjRibOut:
        """Return one whose peer has these prefixes and End-of-RIB."""
        out = AdjRibOut()
        self.want(out, *prefixes)
        out.session_up(TOR, NODE, V4)
        out.confirm(TOR, sent(*prefixes))
        out.confirm(TOR, sent(end=4))
        assert out.is_settled(TOR)
        return out

    def test_says_nothing_to_a_peer_that_is_down(self) -> None:
        out = AdjRibOut()

        assert self.want(out, ONE) == b""
        assert out.is_settled()

    def test_new_session_gets_everything_and_end_of_rib_last(self) -> None:
        out = AdjRibOut()
        self.want(out, ONE)

        assert out.session_up(TOR, NODE, V4) == commands.announce(
            TOR, NODE, {ONE: PLAIN}
        ) + commands.end_of_rib(TOR, 4)
        assert not out.is_settled()
        out.confirm(TOR, sent(ONE))
        assert not out.is_settled(TOR)
        out.confirm(TOR, sent(end=4))
        assert out.is_settled()

    def test_changes_are_differences(self) -> None:
        out = self.established(ONE)

        assert self.want(out, ONE) == b""
        assert self.want(out, TWO) == commands.withdraw(TOR, NODE, [ONE]) + commands.announce(
            TOR, NODE, {TWO: PLAIN}
        )
        assert not out.is_settled()
        out.confirm(TOR, sent(TWO, withdrawn=(ONE,)))
        assert out.is_settled()

    def test_other_attributes_are_a_difference_and_are_awaited(self) -> None:
        out = self.established(ONE)

        assert self.want(out, ONE, export=MARKED) == commands.announce(TOR, NODE, {ONE: MARKED})
        assert not out.is_settled()
        out.confirm(TOR, sent(ONE))
        assert not out.is_settled(), "the community is not there yet"
        out.confirm(TOR, sent(ONE, export=MARKED))
        assert out.is_settled()
        assert self.want(out, ONE) == commands.announce(TOR, NODE, {ONE: PLAIN})

    def test_second_thoughts_wait_until_the_first_have_been_written(self) -> None:
        out = self.established(ONE)
        self.want(out, ONE, export=MARKED)

        assert self.want(out, ONE) == b""
        assert not out.is_settled()
        assert out.confirm(TOR, sent(ONE, export=MARKED)) == commands.announce(
            TOR, NODE, {ONE: PLAIN}
        )
        out.confirm(TOR, sent(ONE))
        assert out.is_settled()

    def test_withdrawal_waits_for_nothing_and_what_follows_it_does(self) -> None:
        out = self.established(ONE)
        self.want(out, ONE, export=MARKED)

        assert self.want(out) == commands.withdraw(TOR, NODE, [ONE])
        assert self.want(out, ONE) == b""
        assert out.confirm(TOR, sent(ONE, export=MARKED)) == b""
        assert out.confirm(TOR, sent(withdrawn=(ONE,))) == commands.announce(
            TOR, NODE, {ONE: PLAIN}
        )

    def test_what_exabgp_would_repeat_is_withdrawn(self) -> None:
        out = AdjRibOut()
        self.want(out, ONE)
        out.session_up(TOR, NODE, V4)
        out.session_down(TOR)

        assert self.want(out, TWO) == b""
        said = out.session_up(TOR, NODE, V4)

        assert said.startswith(commands.withdraw(TOR, NODE, [ONE]))
        assert commands.announce(TOR, NODE, {TWO: PLAIN}) in said

    def test_what_exabgp_repeats_with_old_attributes_is_corrected_before_end_of_rib(self) -> None:
        out = self.established(ONE, TWO)
        out.session_down(TOR)
        self.want(out, ONE, TWO, export=MARKED)

        assert out.session_up(TOR, NODE, V4) == commands.announce(
            TOR, NODE, {ONE: PLAIN, TWO: PLAIN}
        )
        assert out.confirm(TOR, sent(ONE)) == commands.announce(TOR, NODE, {ONE: MARKED})
        assert out.confirm(TOR, sent(TWO)) == commands.announce(
            TOR, NODE, {TWO: MARKED}
        ) + commands.end_of_rib(TOR, 4)

    def test_removed_peer_is_withdrawn_from(self) -> None:
        out = self.established(ONE)

        assert out.want({}) == commands.withdraw(TOR, NODE, [ONE])
        assert not out.is_settled(TOR)
        out.confirm(TOR, sent(withdrawn=(ONE,)))
        assert out.is_settled(TOR)
        out.forget(TOR)
        assert out.is_settled(TOR)
        assert out.confirm(TOR, sent(ONE)) == b""

    def test_death_of_the_speaker_forgets_what_was_said(self) -> None:
        out = AdjRibOut()
        self.want(out, ONE)
        out.session_up(TOR, NODE, V4)
        out.reset()

        assert out.session_up(TOR, NODE, V4).startswith(commands.announce(TOR, NODE, {ONE: PLAIN}))


def test_peers_by_interface_are_named_by_both_ends() -> None:
    one = Ends(IPv6Address("fe80::1"), IPv6Address("fe80::a"))
    two = Ends(IPv6Address("fe80::1"), IPv6Address("fe80::b"))
    out = AdjRibOut()
    both = frozenset({4, 6})
    out.want({one: (both, {ONE: PLAIN}), two: (both, {ONE: PLAIN})})

    assert out.session_up(one, one.local, BOTH).splitlines() == [
        b"neighbor fe80::1 local-ip fe80::a announce attributes next-hop fe80::a"
        b" nlri 10.244.1.0/24",
        b"neighbor fe80::1 local-ip fe80::a announce eor ipv4 unicast",
        b"neighbor fe80::1 local-ip fe80::a announce eor ipv6 unicast",
    ]
    six = Prefix.parse("fd00:244:1::/64")
    assert out.want({one: (both, {ONE: PLAIN, six: PLAIN}), two: (both, {ONE: PLAIN})}) == (
        b"neighbor fe80::1 local-ip fe80::a announce attributes next-hop fe80::a"
        b" nlri fd00:244:1::/64\n"
    )
    assert commands.withdraw(one, one.local, [six, ONE]).count(b"nlri") == 2
    out.confirm(one, Sent(peer=PeerId("tor1"), announced=(ONE,)))
    assert b"local-ip fe80::b" in out.session_up(two, two.local, BOTH)
    assert not out.is_settled(two)
    assert commands.reset(two) == b"neighbor fe80::1 local-ip fe80::b teardown 4\n"
    assert (
        commands.notify(two, Ending(code=3, subcode=1))
        == b"neighbor fe80::1 local-ip fe80::b notify 3 1\n"
    )


SIX, HOP6 = Prefix.parse("fd00:244:1::/64"), ip_address("fd00:0:1::3")
OTHER = Export(next_hop=HOP6)


def test_the_other_family_of_a_session_has_a_next_hop_of_its_own() -> None:
    out = AdjRibOut()
    out.want({TOR: (BOTH, {ONE: PLAIN, SIX: OTHER})})
    assert out.session_up(TOR, NODE, BOTH).splitlines() == [
        b"neighbor 10.0.1.2 announce attributes next-hop 10.0.1.3 nlri 10.244.1.0/24",
        b"neighbor 10.0.1.2 announce attributes next-hop fd00:0:1::3 nlri fd00:244:1::/64",
        b"neighbor 10.0.1.2 announce eor ipv4 unicast",
        b"neighbor 10.0.1.2 announce eor ipv6 unicast",
    ]
    for event in (sent(ONE), replace(sent(SIX), attributes=attributes().changed(next_hop=HOP6))):
        out.confirm(TOR, event)
    for family in BOTH:
        out.confirm(TOR, sent(end=family))
    assert out.is_settled(TOR)
    moved = ip_address("fd00:0:1::9")
    assert out.want({TOR: (BOTH, {ONE: PLAIN, SIX: Export(next_hop=moved)})}) == (
        b"neighbor 10.0.1.2 announce attributes next-hop fd00:0:1::9 nlri fd00:244:1::/64\n"
    )


def test_nothing_is_said_of_a_family_that_the_peer_did_not_offer() -> None:
    out = AdjRibOut()
    out.want({TOR: (BOTH, {ONE: PLAIN, SIX: OTHER})})
    assert out.session_up(TOR, NODE, V4).splitlines() == [
        b"neighbor 10.0.1.2 announce attributes next-hop 10.0.1.3 nlri 10.244.1.0/24",
        b"neighbor 10.0.1.2 announce eor ipv4 unicast",
    ]
    out.confirm(TOR, sent(ONE))
    out.confirm(TOR, sent(end=4))
    assert out.is_settled(TOR)
    assert out.want({TOR: (BOTH, {ONE: PLAIN})}) == b""
    # Nor of one that a former session carried, and ExaBGP still holds.
    out.session_up(TOR, NODE, BOTH)
    out.want({TOR: (BOTH, {ONE: PLAIN, SIX: OTHER})})
    out.session_down(TOR)
    out.want({TOR: (BOTH, {ONE: PLAIN})})
    assert b"fd00" not in out.session_up(TOR, NODE, V4)
    out.confirm(TOR, sent(ONE))
    out.confirm(TOR, sent(end=4))
    assert out.is_settled(TOR)
