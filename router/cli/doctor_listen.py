"""Listen to peers that have no session: what they send says why. SHELL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from bgp.segment import Segment, SegmentError
from router.cli.client import AgentUnreachableError, LocalClient
from router.kernel.segments import listen
from router.reconcile.hearing import Heard, hear

Json = Mapping[str, Any]
_LISTEN_S: Final = 6.0
"""A TCP SYN without an answer is sent again after 1 and 3 seconds, and peers dial at their pace."""
_ENOUGH: Final = 50
_DOWN: Final = frozenset({"idle", "connect", "active", "open_sent"})


def listen_to_silent(
    run_dir: Path, peers: Sequence[Json], unseen: list[str]
) -> Mapping[str, Heard]:
    """Return what peers without a session send, until each has said enough or time is over."""
    wanted = {
        ip_address(p["address"].partition("%")[0]): p
        for p in peers
        if p["state"] in _DOWN and p["has_carrier"]
    }
    if not wanted:
        return {}
    came: dict[str, list[tuple[Segment, bytes]]] = {p["name"]: [] for p in wanted.values()}

    def take(packet: bytes) -> bool:
        try:
            segment = Segment.parse(packet)
        except SegmentError:
            return False
        peer = wanted.get(segment.source)
        if peer is None or peer["port"] not in (segment.source_port, segment.target_port):
            return False
        if len(came[peer["name"]]) < _ENOUGH:
            came[peer["name"]].append((segment, packet))
        return all(_is_enough(each, came[each["name"]]) for each in wanted.values())

    try:
        listen({p["port"] for p in wanted.values()}, take, _LISTEN_S)
    except OSError as error:
        unseen.append(f"what silent peers send: {error.strerror}")
        return {}
    return {
        peer["name"]: hear(
            [segment for segment, _ in came[peer["name"]]],
            signed_by_us=_signed_by_us(run_dir, peer, came[peer["name"]]),
        )
        for peer in wanted.values()
    }


def _is_enough(peer: Json, came: Sequence[tuple[Segment, bytes]]) -> bool:
    return hear([segment for segment, _ in came]).is_conclusive(
        has_password=peer["has_password"],
        ttl_security_hops=peer["ttl_security_hops"],
        may_be_far=peer["may_be_far"],
    )


def _signed_by_us(run_dir: Path, peer: Json, came: Sequence[tuple[Segment, bytes]]) -> bool | None:
    """Ask the agent, which has the password, about the last signature; None if it cannot tell."""
    signed = [packet for segment, packet in came if segment.digest is not None]
    if not peer["has_password"] or not signed:
        return None
    body = {"peer": peer["name"], "packet": signed[-1].hex()}
    try:
        return bool(LocalClient(run_dir).post("/v1/doctor/signature", body)["signed_by_us"])
    except AgentUnreachableError:
        return None
