"""commands: lines for ExaBGP's API. PURE.

Every word comes from a number or an address object, so nothing can be injected. Announcements
name their peer and carry an explicit next hop: `self` means the router id, or an exception,
whenever ExaBGP does not know its own address (after a reload with `local-address auto`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bgp.ending import Ending
from bgp.ends import Remote
from bgp.export import Export, words
from bgp.nlri import BITS, IPAddress, Prefix

HEARTBEAT = b"version\n"
"""Answered by one short line, without touching any peer: ExaBGP's cheapest command."""

MAX_PREFIXES_PER_LINE = 400
"""ExaBGP reads a command in pieces of 16 KiB and refuses one above 1 MiB."""


def announce(peer: Remote, next_hop: IPAddress, exports: Mapping[Prefix, Export]) -> bytes:
    """Announce the prefixes to the peer, with this next hop unless another is said."""
    shared: dict[Export, list[Prefix]] = {}
    for prefix in sorted(exports):
        shared.setdefault(exports[prefix], []).append(prefix)
    head = f"neighbor {peer} announce attributes next-hop"
    return b"".join(
        _attributes(f"{head} {export.next_hop or next_hop}{_rest(export)}", prefixes)
        for export, prefixes in shared.items()
    )


def withdraw(peer: Remote, next_hop: IPAddress, prefixes: Iterable[Prefix]) -> bytes:
    """Withdraw the prefixes from the peer; harmless for what was never announced."""
    head = f"neighbor {peer} withdraw attributes next-hop {next_hop}"
    return _attributes(head, sorted(prefixes))


def end_of_rib(peer: Remote, family: int) -> bytes:
    """Send End-of-RIB after everything announced so far (RFC 4724 section 2)."""
    return f"neighbor {peer} announce eor ipv{family} unicast\n".encode()


def reset(peer: Remote) -> bytes:
    """End the session and dial again; with graceful restart without a NOTIFICATION."""
    return f"neighbor {peer} teardown 4\n".encode()


def notify(peer: Remote, ending: Ending) -> bytes:
    """End the session with a NOTIFICATION; only our launcher's ExaBGP knows the command."""
    said = f"notify {ending.code} {ending.subcode} {ending.data.hex()}".rstrip()
    return f"neighbor {peer} {said}\n".encode()


def _rest(export: Export) -> str:
    """Write the attributes beside the next hop; with a space before each."""
    parts = []
    if export.as_path:
        parts.append(f" as-path [ {' '.join(map(str, export.as_path))} ]")
    if export.med is not None:
        parts.append(f" med {export.med}")
    if export.local_preference is not None:
        parts.append(f" local-preference {export.local_preference}")
    if export.communities:
        parts.append(f" community [ {' '.join(words(export.communities))} ]")
    if export.large_communities:
        parts.append(f" large-community [ {' '.join(words(export.large_communities))} ]")
    return "".join(parts)


def _attributes(head: str, prefixes: Sequence[Prefix]) -> bytes:
    return b"".join(
        f"{head} nlri {' '.join(chunk)}\n".encode()
        # ExaBGP takes all prefixes of a line to be of the family of the last one.
        for family in BITS
        for chunk in _chunks([str(prefix) for prefix in prefixes if prefix.family == family])
    )


def _chunks(words: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(words), MAX_PREFIXES_PER_LINE):
        yield words[start : start + MAX_PREFIXES_PER_LINE]
