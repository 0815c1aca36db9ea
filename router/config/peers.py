"""The peers of a document. PURE.

A peer is given by its address; as `gateway: all`, one peer for each default gateway of the node, so
that one ConfigMap serves racks with different ToR addresses; or as `interface: eth1`, whoever is at
the other end of that link, known by its router advertisements.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Any, Final

from bgp.bfd.settings import MAX_INTERVAL_MS, MAX_MULTIPLIER, MIN_INTERVAL_MS, BfdProfile
from bgp.peer import PeerError, PeerSettings
from bgp.peer_id import PeerId
from bgp.peer_rules import MAX_OWN_ASNS
from bgp.secret import Secret, SecretError
from router.config import words
from router.config.document import Section
from router.config.filters import Filters
from router.config.local_asn import read_local_asn
from router.config.peer_words import max_prefixes, remote_asn, shutdown, times, ttl_security
from router.config.settings import WaitingPeer
from router.config.surroundings import MissingSecretError, Surroundings
from router.model.link import Address
from router.model.node import SecretRef
from router.model.unnumbered import Discovered

_ANY_LINK_LOCAL: Final = IPv6Address("fe80::")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerDefaults:
    """What a peer takes from above when it says nothing itself."""

    local_asn: int
    graceful_restart_s: int
    import_filters: Filters = field(default_factory=Filters)
    export_filters: Filters = field(default_factory=Filters)


@dataclass(slots=True, kw_only=True)
class PeerReader:
    """Reads the `peers` of the top and of each block."""

    defaults: PeerDefaults
    surroundings: Surroundings
    _interfaces: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    """Peers that are left out for now, and why."""
    waiting: list[WaitingPeer] = field(default_factory=list)
    """Peers by interface that were not found yet."""

    def read(self, sections: Iterable[Section]) -> tuple[PeerSettings, ...]:
        """Return all peers; what is wrong is noted in the sections."""
        given: list[PeerSettings] = []
        by_gateway: list[PeerSettings] = []
        for section in sections:
            for item in section.sections("peers"):
                if item.has("gateway"):
                    by_gateway += self._gateways(item)
                elif item.has("interface"):
                    given += self._interface(item)
                else:
                    given += self._one(item)
        # A peer with an address of its own says more than "all".
        taken = {peer.address for peer in given}
        return (*given, *(peer for peer in by_gateway if peer.address not in taken))

    def _one(self, item: Section) -> list[PeerSettings]:
        address = item.required("address", words.address, None)
        name = item.value("name", words.word, str(address))
        return self._peers(item, {} if address is None else {name: address})

    def _interface(self, item: Section) -> list[PeerSettings]:
        interface = item.required("interface", words.interface, None)
        for key in ("address", "local_address", "multihop_ttl"):
            if item.has(key):
                item.problem("not for a peer by interface", item.node_of(key), key)
        name = item.value("name", words.word, interface or "")
        if interface is None:
            return self._peers(item, {})
        if interface in self._interfaces:
            item.problem(f"{interface} has a peer already", item.node_of("interface"), "interface")
        self._interfaces.add(interface)
        ends = {one.interface: one for one in self.surroundings.discovered}
        found = ends.get(interface, Discovered(interface, why_not="the link was not looked at yet"))
        if found.note:
            self.notes.append(f"{interface}: {found.note}")
        # Until both ends are known, made-up ones let the rest be checked.
        router, own = found.router or _ANY_LINK_LOCAL, found.own or _ANY_LINK_LOCAL
        address = IPv6Address(f"{router}%{interface}")
        made = self._peers(item, {name: address}, local_address=own)
        if not found.why_not:
            return made
        for peer in made:
            self.waiting.append(WaitingPeer(peer, found.why_not))
            if peer.is_enabled:
                self.notes.append(f"{peer.name} waits on {interface}: {found.why_not}")
        return []

    def _gateways(self, item: Section) -> list[PeerSettings]:
        item.value("gateway", _all, None)
        if item.has("address"):
            item.problem("give an address or a gateway, not both", item.node_of("address"))
        prefix = item.value("name", words.word, "gateway")
        found: dict[str, Address] = {}
        for gateway in self.surroundings.gateways:
            if gateway.is_link_local:
                self.notes.append(f"gateway {gateway}: link-local, so give its interface as a peer")
            else:
                found[f"{prefix}-{gateway}"] = gateway
        if not found:
            self.notes.append(f"{item.path}: the node has no default gateway to peer with")
        return self._peers(item, found)

    def _peers(
        self, item: Section, addresses: dict[str, Address], *, local_address: Address | None = None
    ) -> list[PeerSettings]:
        before = len(item.problems)
        local_asn = read_local_asn(item, self.surroundings, self.defaults.local_asn)
        values: dict[str, Any] = {
            "remote_asn": item.required("remote_asn", remote_asn(local_asn), 1),
            "local_asn": local_asn,
            "families": frozenset(item.values("families", words.family)),
            "local_address": item.value("local_address", words.address, local_address),
            "source_interface": item.value("source_interface", words.word, None),
            "port": item.value("port", words.integer(1, 65535), 179),
            "passive": item.value("passive", words.boolean, False),
            "multihop_ttl": item.value("multihop_ttl", words.integer(1, 255), None),
            "ttl_security_hops": item.value("ttl_security", ttl_security, None),
            "allow_own_asn": item.value("allow_own_asn", words.integer(0, MAX_OWN_ASNS), 0),
            "max_prefixes": max_prefixes(item),
            "shutdown": shutdown(item),
            "graceful_restart_s": self.defaults.graceful_restart_s,
            "import_filter": item.value(
                "import_filter",
                self.defaults.import_filters.named,
                self.defaults.import_filters.usual,
            ),
            "export_filter": item.value(
                "export_filter",
                self.defaults.export_filters.named,
                self.defaults.export_filters.usual,
            ),
            "bfd": _bfd(item),
            **times(item),
        }
        try:
            values["password"] = self._password(item)
        except MissingSecretError as error:
            # Never without its password: that would be a session the ToR refuses, or worse.
            values["disabled"] = f"its password is not there: {error}"
        item.finish()
        if len(item.problems) > before:
            return []
        found: list[PeerSettings] = []
        for name, address in addresses.items():
            try:
                found.append(PeerSettings(name=PeerId(name), address=address, **values))
            except PeerError as error:
                item.problem(error.reason, item.node_of(error.field), error.field)
        return found

    def _password(self, item: Section) -> Secret | None:
        path = item.value("password_file", words.path, None)
        if item.has("password_secret"):
            if path is not None:
                item.problem("give one password, not two", item.node_of("password_secret"))
            section = item.section("password_secret")
            name = section.required("name", words.object_name, None)
            key = section.required("key", words.secret_key, None)
            section.finish()
            if name is None or key is None:
                return None
            return self.surroundings.read_secret(SecretRef(name, key))
        if path is None:
            return None
        try:
            return self.surroundings.read_password(path)
        except OSError as error:
            raise MissingSecretError(f"{path}: {error.strerror}") from None
        except SecretError as error:
            item.problem(f"cannot be used: {error}", item.node_of("password_file"), "password_file")
            return None


def _bfd(item: Section) -> BfdProfile | None:
    """Read `bfd: {interval_ms, multiplier, required}`; `bfd: {}` takes the usual profile."""
    if not item.has("bfd"):
        return None
    section = item.section("bfd")
    usual = BfdProfile()
    profile = BfdProfile(
        interval_ms=section.value(
            "interval_ms", words.integer(MIN_INTERVAL_MS, MAX_INTERVAL_MS), usual.interval_ms
        ),
        multiplier=section.value("multiplier", words.integer(1, MAX_MULTIPLIER), usual.multiplier),
        required=section.value("required", words.boolean, usual.required),
    )
    section.finish()
    return profile


def _all(text: str) -> str:
    if text != "all":
        raise ValueError(f"{text!r} must be all: every default gateway of the node")
    return text
