"""Peers that leave: what each is told, once, and what waits for it."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest

from bgp.ending import Ending, is_shutdown_text
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from bgp.speaker import commands
from bgp.speaker.partings import Partings
from bgp.speaker_config import SpeakerConfig

TOR, OTHER = ip_address("10.0.1.2"), ip_address("10.0.2.2")


def config(**kept_down: Ending) -> SpeakerConfig:
    peers = [
        PeerSettings(name=PeerId("tor"), address=TOR, remote_asn=65101, local_asn=65201),
    ]
    return SpeakerConfig(
        router_id=IPv4Address("10.255.1.1"),
        peers=tuple(peers),
        kept_down={PeerId(name): ending for name, ending in kept_down.items()},
    )


def test_each_is_told_once_and_waited_for() -> None:
    partings = Partings()
    partings.take({TOR, OTHER}, config(tor=Ending.shutdown("bye")))
    assert partings.are_over

    told = partings.tell({TOR}.__contains__)

    assert told == b"neighbor 10.0.1.2 notify 6 2 03627965\n"
    assert not partings.are_over
    assert partings.tell({TOR}.__contains__) == b""
    assert partings.tell({TOR, OTHER}.__contains__) == b"neighbor 10.0.2.2 notify 6 3\n"
    partings.ended(TOR)
    partings.ended(OTHER)
    assert partings.are_over
    # A session that comes up all the same before the reload is told again.
    assert partings.tell({TOR}.__contains__) == told


def test_one_that_stays_after_all_is_not_waited_for() -> None:
    partings = Partings()
    partings.take({TOR}, config(tor=Ending.shutdown("")))
    partings.tell({TOR}.__contains__)
    partings.take((), config())
    assert partings.are_over
    assert partings.tell({TOR}.__contains__) == b""


def test_nobody_leaves_a_speaker_that_is_gone() -> None:
    partings = Partings()
    partings.take({TOR}, config())
    partings.tell({TOR}.__contains__)
    partings.clear()
    assert partings.are_over


@pytest.mark.parametrize(
    ("ending", "line"),
    [
        (Ending.max_prefixes(4, 100), "notify 6 1 00010100000064"),
        (Ending.max_prefixes(6, 65536), "notify 6 1 00020100010000"),
        (Ending.shutdown(""), "notify 6 2"),
        (Ending.shutdown("é"), "notify 6 2 02c3a9"),
        (Ending.bad_peer_as(), "notify 2 2"),
    ],
)
def test_what_the_speaker_is_told(ending: Ending, line: str) -> None:
    assert commands.notify(TOR, ending) == f"neighbor 10.0.1.2 {line}\n".encode()


def test_words_and_texts() -> None:
    assert str(Ending.max_prefixes(4, 1)) == "maximum number of prefixes reached (6/1)"
    assert is_shutdown_text("é" * 127)
    assert not is_shutdown_text("é" * 128)
    assert not is_shutdown_text("two\nlines")


def test_who_is_kept_down_is_not_running() -> None:
    assert config().running == config().peers
    assert config(tor=Ending.removed()).running == ()
