"""events: lines of ExaBGP 5.0.15's JSON API -> facts. PURE.

A line is untrusted: parts of it were written by a peer. Anything unexpected is an EventError
for that line, never another exception.

Next hops: an IPv6 next hop may come as a pair, global and link-local (RFC 2545 section 3);
ExaBGP then lists every prefix twice, under each half, and does not say which is which. A peer
with a global address is given the global half: that is the address its interface surely answers
to. What a peer by interface announces goes via that peer on that interface, whatever it says.

Source of the format: exabgp/reactor/api/response/json.py and the json() of the attributes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, ip_address
from typing import Any

from bgp.ends import beside, told_name
from bgp.errors import BgpError
from bgp.event import (
    Alive,
    Change,
    Connected,
    Direction,
    EndOfRib,
    Event,
    Notified,
    Opened,
    PeerEvent,
    Refreshed,
    Sent,
    SessionDown,
    SessionUp,
    SpeakerStopped,
    Updated,
)
from bgp.nlri import IPV4, IPV6, IPAddress, Prefix, PrefixError
from bgp.path import Attributes, Origin
from bgp.peer_id import PeerId

FAMILIES = {"ipv4 unicast": IPV4, "ipv6 unicast": IPV6}
MAX_TEXT = 255
_DIRECTIONS = {"send": Direction.SENT, "receive": Direction.RECEIVED}
_ORIGINS = {"igp": Origin.IGP, "egp": Origin.EGP, "incomplete": Origin.INCOMPLETE}
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError)

_NOWHERE: Mapping[PeerId, IPAddress] = {}
Json = Any  # as it was decoded; each use checks what it takes


class EventError(BgpError):
    """A line that is not what ExaBGP 5.0.15 writes; `line` is its beginning."""

    def __init__(self, line: bytes, reason: str) -> None:
        super().__init__(line[:MAX_TEXT], reason[:MAX_TEXT])
        self.line = line[:MAX_TEXT]
        self.reason = reason[:MAX_TEXT]

    def __str__(self) -> str:
        return f"cannot read the speaker's line {self.line!r}: {self.reason}"


def parse(
    line: bytes, peers: Mapping[str, PeerId], via: Mapping[PeerId, IPAddress] = _NOWHERE
) -> tuple[Event, ...]:
    """Read one line. `peers` maps a peer's name (`ends.name_of`) to its id; others get the name.

    `via` has the next hop of all that a peer by interface announces.
    Kinds of messages that nobody needs give no event. Raises EventError, nothing else.
    """
    if line.startswith(b"exabgp "):
        return (Alive(),)
    try:
        # With `peer-as auto` ExaBGP writes Python's None there; what a peer wrote comes later.
        message = json.loads(line.replace(b'"peer": None', b'"peer": null', 1))
        kind = message["type"]
        if kind == "notification" and message.get("notification") == "shutdown":
            return (SpeakerStopped(),)
        reader = _READERS.get(kind)
        if reader is None:
            return ()
        neighbor = message["neighbor"]
        address, local = neighbor["address"]["peer"], neighbor["address"].get("local")
        known = peers.get(address) or peers.get(f"{address} {local}")
        peer = known or PeerId(told_name(address, local))
        neighbor["via"] = via.get(peer)
        return tuple(reader(neighbor, peer))
    except PrefixError as error:
        raise EventError(line, str(error)) from error
    except _MALFORMED as error:
        raise EventError(line, f"{type(error).__name__}: {error}") from error


def _state(neighbor: Json, peer: PeerId) -> Iterator[PeerEvent]:
    state = neighbor["state"]
    if state == "connected":
        yield Connected(peer=peer)
    elif state == "up":
        yield SessionUp(peer=peer, local_address=_local(neighbor))
    elif state == "down":
        yield SessionDown(peer=peer, reason=_text(neighbor["reason"]))
    else:
        raise ValueError(f"state {state!r}")


def _open(neighbor: Json, peer: PeerId) -> Iterator[PeerEvent]:
    message = neighbor["open"]
    capabilities = {c["name"]: c for c in message["capabilities"].values() if "name" in c}
    families = capabilities.get("multiprotocol", {"families": ["ipv4/unicast"]})["families"]
    restart = capabilities.get("graceful restart")
    yield Opened(
        peer=peer,
        direction=_DIRECTIONS[neighbor["direction"]],
        asn=_number(capabilities.get("asn4", {"asn4": message["asn"]})["asn4"]),
        hold_time_s=_number(message["hold_time"]),
        router_id=str(IPv4Address(message["router_id"])),
        families=_families(families),
        restart_time_s=None if restart is None else _number(restart["time"]),
        restarting=restart is not None and "forwarding" in restart["restart-flags"],
        restart_families=_restart_families(restart),
        preserved_families=_restart_families(restart, "restart"),
        capabilities=frozenset(_text(name) for name in capabilities),
    )


def _restart_families(restart: Json, flag: str = "") -> frozenset[int]:
    # ExaBGP's names are misleading: "restart" beside a family is the F bit, "forwarding" in
    # restart-flags is the R bit (bgp/message/open/capability/graceful.py).
    if restart is None:
        return frozenset()
    flags = restart["address-family-flags"]
    return _families([name for name in flags if not flag or flag in flags[name]])


def _notification(neighbor: Json, peer: PeerId) -> Iterator[PeerEvent]:
    message = neighbor["notification"]
    yield Notified(
        peer=peer,
        direction=_DIRECTIONS[neighbor["direction"]],
        code=_number(message["code"]),
        subcode=_number(message["subcode"]),
        text=_shutdown_text(_text(message["message"])),
    )


def _update(neighbor: Json, peer: PeerId) -> Iterator[PeerEvent]:
    received = _DIRECTIONS[neighbor["direction"]] is Direction.RECEIVED
    message = neighbor["message"]
    if "eor" in message:
        family = FAMILIES.get(f"{message['eor']['afi']} {message['eor']['safi']}")
        if family is None:
            return
        if received:
            yield EndOfRib(peer=peer, family=family)
        else:
            yield Sent(peer=peer, end_of_rib=family)
        return
    update = message["update"]
    withdrawn = _withdrawn(update.get("withdraw", {}))
    announced = _announced(update, neighbor["address"]["peer"], neighbor["via"])
    if announced:
        withdrawn = tuple(prefix for prefix in withdrawn if prefix not in announced)
    if received:
        yield Updated(peer=peer, changes=_changes(announced, withdrawn))
    else:
        yield Sent(
            peer=peer,
            announced=tuple(announced),
            withdrawn=withdrawn,
            # What goes out in one UPDATE differs in the next hop at most.
            attributes=next(iter(announced.values()), None),
        )


def _changes(
    announced: Mapping[Prefix, Attributes], withdrawn: tuple[Prefix, ...]
) -> tuple[Change, ...]:
    shared: dict[Attributes, list[Prefix]] = {}
    for prefix, attributes in announced.items():
        shared.setdefault(attributes, []).append(prefix)
    changes = [Change(attributes, tuple(prefixes)) for attributes, prefixes in shared.items()]
    if withdrawn:
        changes.append(Change(None, (), withdrawn))
    return tuple(changes)


def _refresh(neighbor: Json, peer: PeerId) -> Iterator[PeerEvent]:
    message = neighbor["route-refresh"]
    family = FAMILIES.get(f"{message['afi']} {message['safi']}")
    if family is not None and _DIRECTIONS[neighbor["direction"]] is Direction.RECEIVED:
        yield Refreshed(peer=peer, family=family)


_READERS: dict[Json, Callable[[Json, PeerId], Iterator[PeerEvent]]] = {
    "state": _state,
    "open": _open,
    "notification": _notification,
    "update": _update,
    "refresh": _refresh,
}


def _withdrawn(families: Json) -> tuple[Prefix, ...]:
    return tuple(
        Prefix.parse_masked(entry["nlri"])
        for name, entries in families.items()
        if name in FAMILIES
        for entry in entries
    )


def _announced(update: Json, peer_address: str, via: IPAddress | None) -> dict[Prefix, Attributes]:
    announced: dict[Prefix, Attributes] = {}
    attributes = update.get("attribute", {})
    for name, by_next_hop in update.get("announce", {}).items():
        if name not in FAMILIES:
            continue
        hops = [(ip_address(text), entries) for text, entries in by_next_hop.items()]
        if len(hops) > 1:
            hops.sort(key=lambda hop: _suits(hop[0], peer_address))
        for next_hop, entries in hops:
            # The best suited half comes last and wins.
            shared = _attributes(attributes, via or beside(next_hop, ip_address(peer_address)))
            for entry in entries:
                announced[Prefix.parse_masked(entry["nlri"])] = shared
    return announced


def _suits(next_hop: IPAddress, peer_address: str) -> int:
    if next_hop.is_unspecified:
        return 0
    return 2 if next_hop.is_link_local == ip_address(peer_address).is_link_local else 1


def _attributes(given: Json, next_hop: IPAddress) -> Attributes:
    path: list[int] = []
    sets: list[tuple[int, ...]] = []
    for _, segment in sorted(given.get("as-path", {}).items(), key=lambda item: int(item[0])):
        numbers = [_number(asn) for asn in segment["value"]]
        if segment["element"] == "as-set":
            sets.append(tuple(sorted(numbers)))
        else:
            path.extend(numbers)
    return Attributes(
        next_hop=next_hop,
        as_path=tuple(path),
        as_sets=tuple(sets),
        origin=_ORIGINS[given.get("origin", "incomplete")],
        med=_optional(given.get("med")),
        local_preference=_optional(given.get("local-preference")),
        communities=tuple(_pair(value) for value in given.get("community", ())),
        large_communities=tuple(_triple(value) for value in given.get("large-community", ())),
    )


def _pair(value: Json) -> tuple[int, int]:
    first, second = value
    return _number(first), _number(second)


def _triple(value: Json) -> tuple[int, int, int]:
    first, second, third = value
    return _number(first), _number(second), _number(third)


def _families(names: Json) -> frozenset[int]:
    known = (FAMILIES.get(str(name).strip().replace("/", " ")) for name in names)
    return frozenset(family for family in known if family is not None)


def _local(neighbor: Json) -> IPAddress | None:
    text = neighbor["address"]["local"]
    return None if text == "None" else ip_address(text)


def _optional(value: Json) -> int | None:
    return None if value is None else _number(value)


def _number(value: Json) -> int:
    if type(value) is not int or not 0 <= value < 2**32:
        raise ValueError(f"not a 32-bit number: {value!r}")
    return value


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise ValueError(f"not text: {value!r}")
    return "".join(c if c.isprintable() else "?" for c in value)[:MAX_TEXT]


def _shutdown_text(text: str) -> str:
    # ExaBGP wraps the text of RFC 9003 in its own words; other codes have raw data, hex or "?".
    before, marker, quoted = text.partition('Shutdown Communication: "')
    if marker and not before:
        return quoted.removesuffix('"')
    return "" if text.startswith("0x") or not text.strip("? ") else text
