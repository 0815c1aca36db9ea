"""From the text of a configuration file to settings, or all that is wrong with it. PURE.

Reading a file, a password or the host name is the caller's: they come in as arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Final

from bgp.nlri import BITS, Prefix
from bgp.peer import PeerError, PeerId, PeerSettings, SpeakerConfig
from bgp.policy import AcceptRule, PolicyError
from bgp.secret import Secret, SecretError
from router.config import words
from router.config.document import ConfigError, Section, read_document
from router.config.settings import AgentSettings
from router.model.link import Address

DEFAULT_SPEAKER_UID: Final = 61179
"""Outside the ranges that Debian and systemd hand out by themselves."""
_MAX_RESTART_S: Final = 4095
_NOWHERE: Final = IPv4Address(0)

ReadPassword = Callable[[str], Secret]
"""Path to secret; raises OSError or SecretError, whose texts never hold the password."""


def load_settings(
    text: str, *, source: str, host_name: str, read_password: ReadPassword
) -> AgentSettings:
    """Return the settings a document describes. Raises ConfigError naming every problem."""
    top = read_document(text, source)
    settings = _settings(top, host_name, read_password)
    if not top.problems:
        _check(top, settings)
    if top.problems:
        raise ConfigError(source, top.problems)
    return settings


def _settings(top: Section, host_name: str, read_password: ReadPassword) -> AgentSettings:
    announce = top.section("announce")
    cluster = top.section("cluster")
    imports = top.section("import")
    speaker = top.section("speaker")
    addresses = top.values("node_addresses", words.address)
    local_asn = top.required("local_asn", words.asn, 1)
    restart_s = top.value("graceful_restart_s", words.integer(0, _MAX_RESTART_S), 120)
    settings = AgentSettings(
        node=top.value("node", words.node_name, host_name),
        router_id=_router_id(top, addresses),
        local_asn=local_asn,
        node_addresses=addresses,
        pod_cidrs=top.values("pod_cidrs", words.prefix),
        announce_pod_cidrs=announce.value("pod_cidrs", words.boolean, True),
        announce_node_addresses=announce.value("node_addresses", words.boolean, False),
        pod_prefixes=cluster.values("pod_prefixes", words.prefix),
        node_prefixes=cluster.values("node_prefixes", words.prefix),
        service_prefixes=cluster.values("service_prefixes", words.prefix),
        also_accept=_accept_rules(imports),
        accept_default=imports.value("accept_default", words.boolean, False),
        graceful_restart_s=restart_s,
        deferral_s=top.value("deferral_s", words.integer(1, 3600), restart_s or 120),
        mtu=_mtu(top),
        peers=_peers(top, local_asn, restart_s, read_password),
        speaker_uid=speaker.value("uid", words.integer(1, 2**31), DEFAULT_SPEAKER_UID),
        speaker_gid=speaker.value("gid", words.integer(1, 2**31), DEFAULT_SPEAKER_UID),
    )
    for section in (announce, cluster, imports, speaker, top):
        section.finish()
    return settings


def _router_id(top: Section, addresses: tuple[Address, ...]) -> IPv4Address:
    first = next((a for a in addresses if isinstance(a, IPv4Address)), None)
    if first is None and not top.has("router_id"):
        top.problem("is required when node_addresses has no IPv4 address", None, "router_id")
    return top.value("router_id", words.ipv4, first or _NOWHERE)


def _mtu(top: Section) -> int | None:
    def read(text: str) -> int | None:
        return None if text == "auto" else words.integer(1280, 65535)(text)

    return top.value("mtu", read, None)


def _accept_rules(imports: Section) -> tuple[AcceptRule, ...]:
    rules: list[AcceptRule] = []
    for item in imports.sections("also_accept"):
        prefix = item.required("prefix", words.prefix, None)
        low = item.value("ge", words.integer(0, 128), None)
        high = item.value("le", words.integer(0, 128), None)
        item.finish()
        if prefix is not None:
            try:
                rules.append(AcceptRule(prefix=prefix, ge=low, le=high))
            except PolicyError as error:
                item.problem(str(error))
    return tuple(rules)


def _peers(
    top: Section, local_asn: int, restart_s: int, read_password: ReadPassword
) -> tuple[PeerSettings, ...]:
    found: list[PeerSettings] = []
    for item in top.sections("peers"):
        address = item.required("address", words.address, None)
        remote_asn = item.required("remote_asn", words.asn, None)
        before = len(top.problems)
        values = {
            "local_asn": item.value("local_asn", words.asn, local_asn),
            "local_address": item.value("local_address", words.address, None),
            "hold_time_s": item.value("hold_time_s", words.integer(3, 65535), 9),
            "port": item.value("port", words.integer(1, 65535), 179),
            "multihop_ttl": item.value("multihop_ttl", words.integer(1, 255), None),
            "password": _password(item, read_password),
        }
        name = item.value("name", words.word, str(address))
        item.finish()
        if address is None or remote_asn is None or len(top.problems) > before:
            continue
        try:
            found.append(
                PeerSettings(
                    name=PeerId(name),
                    address=address,
                    remote_asn=remote_asn,
                    graceful_restart_s=restart_s,
                    **values,  # type: ignore[arg-type]  # each was read for its own field
                )
            )
        except PeerError as error:
            item.problem(error.reason, item.node_of(error.field), error.field)
    return tuple(found)


def _password(item: Section, read_password: ReadPassword) -> Secret | None:
    path = item.value("password_file", words.path, None)
    if path is None:
        return None
    try:
        return read_password(path)
    except (OSError, SecretError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        item.problem(f"cannot be used: {reason}", item.node_of("password_file"), "password_file")
        return None


def _check(top: Section, settings: AgentSettings) -> None:
    """Note contradictions between fields that are each fine."""
    ranges = settings.pod_prefixes
    for cidr in settings.pod_cidrs:
        if not any(prefix.covers(cidr) for prefix in ranges):
            top.problem(
                f"{cidr} lies outside cluster.pod_prefixes, so no other node would accept it",
                top.node_of("pod_cidrs"),
                "pod_cidrs",
            )
        if BITS[cidr.family] - cidr.length < 1:
            top.problem(f"{cidr} has no room for pods", top.node_of("pod_cidrs"), "pod_cidrs")
    for address in settings.node_addresses:
        host = Prefix.from_address(address)
        if settings.announce_node_addresses and not any(
            prefix.covers(host) for prefix in settings.node_prefixes
        ):
            top.problem(
                f"{address} lies outside cluster.node_prefixes, so no other node would accept it",
                top.node_of("node_addresses"),
                "node_addresses",
            )
    try:
        SpeakerConfig(router_id=settings.router_id, peers=settings.peers)
    except PeerError as error:
        top.problem(str(error), top.node_of("peers"), "peers")
