"""commands: lines for ExaBGP's API. PURE.

Every word comes from a number or an address object, so nothing can be injected. Announcements
name their peer and carry an explicit next hop: `self` means the router id, or an exception,
whenever ExaBGP does not know its own address (after a reload with `local-address auto`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bgp.nlri import IPAddress, Prefix

HEARTBEAT = b"version\n"
"""Answered by one short line, without touching any peer: ExaBGP's cheapest command."""

MAX_PREFIXES_PER_LINE = 400
"""ExaBGP reads a command in pieces of 16 KiB and refuses one above 1 MiB."""


def announce(peer: IPAddress, next_hop: IPAddress, prefixes: Iterable[Prefix]) -> bytes:
    """Announce the prefixes, which share one next hop, to the peer."""
    return _attributes("announce", peer, next_hop, sorted(prefixes))


def withdraw(peer: IPAddress, next_hop: IPAddress, prefixes: Iterable[Prefix]) -> bytes:
    """Withdraw the prefixes from the peer; harmless for what was never announced."""
    return _attributes("withdraw", peer, next_hop, sorted(prefixes))


def end_of_rib(peer: IPAddress, family: int) -> bytes:
    """Send End-of-RIB after everything announced so far (RFC 4724 section 2)."""
    return f"neighbor {peer} announce eor ipv{family} unicast\n".encode()


def reset(peer: IPAddress) -> bytes:
    """End the session and dial again; with graceful restart without a NOTIFICATION."""
    return f"neighbor {peer} teardown 4\n".encode()


def notify(peer: IPAddress, code: int, subcode: int) -> bytes:
    """End the session with a NOTIFICATION; only our launcher's ExaBGP knows the command."""
    return f"neighbor {peer} notify {code} {subcode}\n".encode()


def _attributes(
    verb: str, peer: IPAddress, next_hop: IPAddress, prefixes: Sequence[Prefix]
) -> bytes:
    return b"".join(
        f"neighbor {peer} {verb} attributes next-hop {next_hop} nlri {' '.join(chunk)}\n".encode()
        for chunk in _chunks([str(prefix) for prefix in prefixes])
    )


def _chunks(words: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(words), MAX_PREFIXES_PER_LINE):
        yield words[start : start + MAX_PREFIXES_PER_LINE]
