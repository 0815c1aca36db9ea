"""How soon a peer is dialled again that refuses, and one that says nothing at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.netns import Namespace, join
from tests.support.speaker_host import SpeakerHost

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(60)]
SILENT = "table ip t { chain c { type filter hook input priority 0; ip daddr 10.0.1.4 drop; }; }"


@pytest.mark.parametrize("receive", ["stock"], indirect=True)
def test_pauses_are_bounded_and_silence_is_given_up(
    make_namespace: Callable[[str], Namespace], receive: str
) -> None:
    tor, node = make_namespace("tor"), make_namespace("node")
    join(tor, "node", node, "tor")
    for address in ("10.0.1.2/29", "10.0.1.3/29", "10.0.1.4/29"):
        tor.run(["ip", "address", "add", address, "dev", "node"])
    node.run(["ip", "address", "add", "10.0.1.5/29", "dev", "tor"])
    tor.run(["nft", "-f", "-"], input=SILENT)
    host = SpeakerHost(node, receive=receive)
    try:
        # Nobody listens at the first two.
        names = {"soon": ("10.0.1.2", 1), "late": ("10.0.1.3", 60), "silent": ("10.0.1.4", 1)}
        host.configure(
            [
                {"name": name, "address": address, "remote_asn": 65101, "connect_retry_s": pause}
                for name, (address, pause) in names.items()
            ],
            [],
        )
        host.wait(
            "ten attempts",
            lambda s: (
                sum(e["event"] == "SessionDown" and e["peer"] == "soon" for e in s["events"]) >= 10
            ),
            deadline_s=20,
        )
        attempts = {name: len(host.events("SessionDown", peer=name)) for name in names}
        assert attempts["late"] <= 6, attempts
        assert 1 <= attempts["silent"] <= 2, attempts
    finally:
        host.close()
