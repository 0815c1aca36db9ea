"""UPDATEs that no router sends: damaged ones, and more than a stopped agent takes.

On our receive path only: with ExaBGP's own, what damage means is ExaBGP's (it announces a route
whose NEXT_HOP is missing, without one).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.bgp_wire import END_OF_RIB, IGP, announcement, as_path, body, nlri
from tests.support.netns import Namespace, join
from tests.support.raw_speaker import RawSpeaker, prefixes
from tests.support.speaker_host import SpeakerHost
from tests.support.wait import wait_until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.parametrize("receive", ["fast"], indirect=True),
]
TOR, NODE = "10.0.1.2", "10.0.1.3"


class Pair:
    def __init__(self, make_namespace: Callable[[str], Namespace], receive: str) -> None:
        self.tor, self.node = make_namespace("tor"), make_namespace("node")
        join(self.tor, "node", self.node, "tor")
        self.tor.run(["ip", "address", "add", f"{TOR}/31", "dev", "node"])
        self.node.run(["ip", "address", "add", f"{NODE}/31", "dev", "tor"])
        self.raw = RawSpeaker(self.tor, TOR, 65101)
        self.host = SpeakerHost(self.node, receive=receive)
        peer = {"name": "tor", "address": TOR, "remote_asn": 65101}
        self.host.configure([peer], ["10.244.1.0/24"])
        self.host.wait_established()

    def routes(self) -> set[str]:
        return set(self.host.state()["routes"])


@pytest.fixture
def pair(make_namespace: Callable[[str], Namespace], receive: str) -> Iterator[Pair]:
    made = Pair(make_namespace, receive)
    yield made
    made.host.close()
    made.raw.close()


def test_damaged_attributes_withdraw_and_keep_the_session(pair: Pair) -> None:
    pods = prefixes(4, 2)
    pair.raw.send_bodies(announcement(pods, TOR, 65101))
    pair.host.wait("both routes", lambda s: len(s["routes"]) == 2)
    without_next_hop = body(b"", IGP + as_path(65101), nlri(pods[:1]))
    pair.raw.send_bodies(without_next_hop, END_OF_RIB[4])
    pair.host.wait("one is withdrawn", lambda s: set(s["routes"]) == {str(pods[1])})
    assert pair.raw.state()["sessions"] == 1


def test_an_unreadable_message_ends_the_session_with_the_right_words(pair: Pair) -> None:
    pair.raw.send_bodies(announcement(prefixes(4, 1), TOR, 65101), b"\0\xff\0\0")
    state = pair.host.wait("down", lambda s: s["sessions"]["tor"]["times_down"] == 1)
    assert pair.raw.state()["notifications"] == ["3/1"]
    assert state["sessions"]["tor"]["last_down"].startswith("malformed attribute list (3/1), sent")
    pair.host.wait_established()


def test_a_stopped_agent_does_not_stop_keepalives(pair: Pair) -> None:
    pair.raw.prepare("much", count=400_000, distinct=True)
    speaker = pair.host.state()["pid"]
    pair.host.pause()
    try:
        pair.raw.send("much")
        before = pair.raw.state()["received"].get("4", 0)
        wait_until(
            lambda: pair.raw.state()["received"].get("4", 0) >= before + 4,
            deadline_s=30,
            what="KEEPALIVEs for longer than the hold time",
        )
        assert pair.raw.state()["unsent"] > 0, "TCP holds the rest back"
        status = pair.node.run(["cat", f"/proc/{speaker}/status"]).stdout
        assert int(status.split("VmRSS:")[1].split()[0]) < 64 * 1024
    finally:
        pair.host.resume()
    pair.host.wait(
        "all of it", lambda s: bool(s["sessions"]["tor"]["end_of_rib_received"]), deadline_s=60
    )
    assert pair.raw.state()["sessions"] == 1
