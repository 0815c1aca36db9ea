"""What the wire says of a peer without a session, and what the doctor makes of it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from bgp.segment import ACK, FIN, RST, SYN, Segment
from cni.capabilities import lacking
from router.reconcile.diagnosis_of_peers import diagnose_peers
from router.reconcile.finding import Seen
from router.reconcile.hearing import Heard, hear

PEER: dict[str, Any] = {
    "name": "tor1",
    "address": "10.0.1.2",
    "port": 179,
    "state": "connect",
    "link": "eth1",
    "is_connected": True,
    "may_be_far": False,
    "is_silent": True,
    "last_attempt": None,
    "last_down": None,
    "has_password": False,
    "ttl_security_hops": None,
}


def segment(
    flags: int, *, ttl: int = 1, digest: bytes | None = None, payload: bytes = b""
) -> Segment:
    return Segment(
        source=ip_address("10.0.1.2"), target=ip_address("10.0.1.3"), source_port=179,
        target_port=40_000, hop_limit=ttl, flags=flags, digest=digest, payload=payload,
        header=bytes(20), length=20 + len(payload),
    )  # fmt: skip


def finding(heard: Heard, **changes: Any) -> str:
    peer = PEER | changes
    (found,) = diagnose_peers(Seen(agent={"peers": [peer]}, heard={"tor1": heard}))
    assert found.fix
    return found.name


SIGNED = segment(SYN, digest=b"d" * 16)


@pytest.mark.parametrize(
    ("segments", "changes", "name"),
    [
        ([], {}, "peer-silent"),
        ([SIGNED], {}, "peer-md5"),
        ([segment(SYN)], {"has_password": True}, "peer-md5"),
        ([segment(SYN)], {}, "peer-silent"),
        ([segment(SYN, ttl=255)], {}, "peer-ttl"),
        ([segment(SYN, ttl=255)], {"may_be_far": True}, "peer-silent"),
        ([segment(SYN, ttl=255)], {"ttl_security_hops": 1}, "peer-silent"),
        ([segment(SYN, ttl=1)], {"ttl_security_hops": 1}, "peer-ttl"),
        ([segment(SYN, ttl=254)], {"ttl_security_hops": 2}, "peer-silent"),
        ([segment(RST | ACK)], {}, "peer-not-listening"),
        # A kernel's RST has no signature and a TTL of its own.
        ([segment(RST | ACK, ttl=64)], {"has_password": True}, "peer-not-listening"),
        ([segment(RST | ACK, ttl=64)], {"ttl_security_hops": 1}, "peer-not-listening"),
        ([segment(SYN | ACK), segment(FIN | ACK)], {}, "peer-unknown-there"),
        ([segment(SYN | ACK), segment(RST)], {}, "peer-unknown-there"),
        ([segment(SYN | ACK), segment(ACK, payload=b"O"), segment(FIN | ACK)], {}, "peer-silent"),
        # A listening socket answers with the kernel's TTL, whatever the program then sets.
        ([segment(SYN | ACK, ttl=64)], {"ttl_security_hops": 1}, "peer-silent"),
        # The words of a NOTIFICATION are better than what can be guessed from the wire.
        ([SIGNED], {"last_attempt": "bad peer AS (2/2), received"}, "peer-asn"),
    ],
)
def test_the_cause(segments: list[Segment], changes: dict[str, Any], name: str) -> None:
    assert finding(hear(segments), **changes) == name


@pytest.mark.parametrize(
    ("ours", "name"), [(True, "peer-silent"), (False, "peer-md5"), (None, "peer-silent")]
)
def test_a_signature_is_wrong_only_if_the_agent_says_so(ours: bool | None, name: str) -> None:
    heard = hear([SIGNED], signed_by_us=ours)
    assert finding(heard, has_password=True) == name


@pytest.mark.parametrize(
    ("segments", "has_password", "is_enough"),
    [
        ([], False, False),
        ([segment(SYN)], False, False),
        ([segment(SYN)], True, True),
        ([SIGNED], True, True),
        ([segment(SYN, ttl=255)], False, True),
        ([segment(RST)], False, True),
    ],
)
def test_listening_ends_early(segments: list[Segment], has_password: bool, is_enough: bool) -> None:
    enough = hear(segments).is_conclusive(
        has_password=has_password, ttl_security_hops=None, may_be_far=False
    )
    assert enough == is_enough


def test_capabilities_that_are_lacking() -> None:
    status = "Name:\tpodroute\nCapPrm:\t0000000000000000\nCapEff:\t0000000000001000\n"
    assert lacking(status, ("NET_ADMIN", "SYS_ADMIN")) == ("SYS_ADMIN",)
    assert lacking("", ("NET_ADMIN",)) == ()
