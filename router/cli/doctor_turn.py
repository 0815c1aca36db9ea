"""Give each ToR a packet for a pod of ours: does it know the way back? SHELL.

A ToR that rejects our prefixes tells nobody; but it says that they are unreachable when it is
asked to forward there. The packet goes past our own routes, straight to the ToR's hardware address.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final

from router.kernel.segments import Outgoing, ask
from router.model.echo import Address, Fate, fate, request

Json = Mapping[str, Any]
_WAIT_S: Final = 1.2
_HOPS: Final = 2
"""Back at our door it is worth one hop, so that it goes nowhere else."""
_PAUSE_S: Final = 1.0
"""Before those that refused are asked again: a route may be on its way, and Linux gives one error a
second."""
_COMMAND_S: Final = 5.0

Question = tuple[str, str]
"""Peer and prefix."""


def refused(peers: Sequence[Json], unseen: list[str]) -> Mapping[str, Sequence[tuple[str, str]]]:
    """Return peer -> our prefixes that it has no way to, each with what it said."""
    asked = [(peer, turn) for peer in peers for turn in peer.get("turns", ())]
    try:
        found, _ = _ask(asked)
        again = [(p, t) for p, t in asked if (p["name"], t["prefix"]) in found]
        if again:
            time.sleep(_PAUSE_S)
        _, knows = _ask(again)
    except OSError as error:
        unseen.append(f"whether ToRs know the way to our pods: {error.strerror}")
        return {}
    by_peer: dict[str, list[tuple[str, str]]] = {}
    for (peer, prefix), said in found.items():
        # A route may have been on its way. Silence the second time is none: errors are rationed.
        if (peer, prefix) in knows:
            continue
        by_peer.setdefault(peer, []).append((prefix, said))
    return by_peer


def _ask(asked: Sequence[tuple[Json, Json]]) -> tuple[dict[Question, str], set[Question]]:
    """Return what was refused, with the words, and what came back."""
    waiting: dict[int, tuple[Question, Address]] = {}
    send = []
    for peer, turn in asked:
        hardware = _hardware_address(peer["address"], peer["link"])
        if hardware is None:
            continue
        identifier = secrets.randbits(16)
        target = ip_address(turn["target"])
        packet = request(ip_address(turn["source"]), target, identifier, _HOPS)
        send.append(Outgoing(packet, peer["link"], hardware))
        waiting[identifier] = (peer["name"], turn["prefix"]), target
    said: dict[Question, str] = {}
    knows: set[Question] = set()

    def take(packet: bytes) -> bool:
        for identifier, (question, target) in tuple(waiting.items()):
            answer = fate(packet, identifier, target)
            if answer is not None:
                del waiting[identifier]
                if answer[0] is Fate.REFUSED:
                    said[question] = answer[1]
                else:
                    knows.add(question)
        return not waiting

    if send:
        ask(send, take, _WAIT_S)
    return said, knows


def _hardware_address(address: str, link: str) -> bytes | None:
    from router.kernel.inventory import hardware_address

    try:
        return hardware_address(address.partition("%")[0], link)
    except OSError:
        return None
