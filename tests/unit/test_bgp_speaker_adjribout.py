"""What a peer is told, and when it has it."""

from __future__ import annotations

from ipaddress import ip_address

from bgp.event import Sent
from bgp.nlri import Prefix
from bgp.peer import PeerId
from bgp.speaker import commands
from bgp.speaker.adjribout import AdjRibOut

PEER = PeerId("tor1")
TOR, NODE = ip_address("10.0.1.2"), ip_address("10.0.1.3")
ONE, TWO = Prefix.parse("10.244.1.0/24"), Prefix.parse("10.244.9.0/24")


class TestCommands:
    def test_announce_and_withdraw(self) -> None:
        assert commands.announce(TOR, NODE, [TWO, ONE]) == (
            b"neighbor 10.0.1.2 announce attributes next-hop 10.0.1.3"
            b" nlri 10.244.1.0/24 10.244.9.0/24\n"
        )
        assert commands.withdraw(TOR, NODE, [ONE]) == (
            b"neighbor 10.0.1.2 withdraw attributes next-hop 10.0.1.3 nlri 10.244.1.0/24\n"
        )
        assert commands.announce(TOR, NODE, []) == b""

    def test_long_lists_are_cut(self) -> None:
        many = [Prefix(4, (11 << 24) + (i << 8), 24) for i in range(1000)]

        lines = commands.announce(TOR, NODE, many).splitlines()

        assert [line.count(b"/24") for line in lines] == [400, 400, 200]
        assert max(map(len, lines)) < 16384

    def test_end_of_rib(self) -> None:
        assert commands.end_of_rib(TOR, 6) == b"neighbor 10.0.1.2 announce eor ipv6 unicast\n"


def sent(*announced: Prefix, withdrawn: tuple[Prefix, ...] = (), end: int | None = None) -> Sent:
    return Sent(peer=PEER, announced=announced, withdrawn=withdrawn, end_of_rib=end)


class TestAdjRibOut:
    def want(self, out: AdjRibOut, *prefixes: Prefix) -> bytes:
        return out.want({TOR: (frozenset({4}), frozenset(prefixes))})

    def test_says_nothing_to_a_peer_that_is_down(self) -> None:
        out = AdjRibOut()

        assert self.want(out, ONE) == b""
        assert out.is_settled()

    def test_new_session_gets_everything_and_end_of_rib_last(self) -> None:
        out = AdjRibOut()
        self.want(out, ONE)

        assert out.session_up(TOR, NODE) == commands.announce(
            TOR, NODE, [ONE]
        ) + commands.end_of_rib(TOR, 4)
        assert not out.is_settled()
        out.confirm(TOR, sent(ONE))
        assert not out.is_settled(TOR)
        out.confirm(TOR, sent(end=4))
        assert out.is_settled()

    def test_changes_are_differences(self) -> None:
        out = AdjRibOut()
        self.want(out, ONE)
        out.session_up(TOR, NODE)

        assert self.want(out, ONE) == b""
        assert self.want(out, TWO) == commands.withdraw(TOR, NODE, [ONE]) + commands.announce(
            TOR, NODE, [TWO]
        )
        out.confirm(TOR, sent(ONE))
        out.confirm(TOR, sent(end=4))
        out.confirm(TOR, sent(TWO, withdrawn=(ONE,)))
        assert out.is_settled()

    def test_what_exabgp_would_repeat_is_withdrawn(self) -> None:
        out = AdjRibOut()
        self.want(out, ONE)
        out.session_up(TOR, NODE)
        out.session_down(TOR)

        assert self.want(out, TWO) == b""
        said = out.session_up(TOR, NODE)

        assert said.startswith(commands.withdraw(TOR, NODE, [ONE]))
        assert commands.announce(TOR, NODE, [TWO]) in said

    def test_removed_peer_is_withdrawn_from(self) -> None:
        out = AdjRibOut()
        self.want(out, ONE)
        out.session_up(TOR, NODE)
        out.confirm(TOR, sent(ONE))

        assert out.want({}) == commands.withdraw(TOR, NODE, [ONE])
        assert not out.is_settled(TOR)
        out.confirm(TOR, sent(withdrawn=(ONE,)))
        assert out.is_settled(TOR)
        out.forget(TOR)
        assert out.is_settled(TOR)
        out.confirm(TOR, sent(ONE))

    def test_death_of_the_speaker_forgets_what_was_said(self) -> None:
        out = AdjRibOut()
        self.want(out, ONE)
        out.session_up(TOR, NODE)
        out.reset()

        assert out.session_up(TOR, NODE).startswith(commands.announce(TOR, NODE, [ONE]))
