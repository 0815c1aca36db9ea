"""From the text of a configuration file to settings, or all that is wrong with it. PURE.

Reading a file, a password, the host name or our Node is the caller's: see `Surroundings`.
The same text may come from a file or from a ConfigMap (design D9).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Final

from bgp.nlri import BITS, Prefix
from bgp.peer import PeerError, PeerSettings, Receive
from bgp.peer_rules import MAX_RESTART_TIME_S
from bgp.secret import Secret
from bgp.speaker_config import SpeakerConfig
from router.config import words
from router.config.advertisements import Announced, read_announced
from router.config.document import ConfigError, Section, read_document
from router.config.filters import accept_rules, read_filters, read_selection
from router.config.layers import Layers, note_problems, read_layers
from router.config.local_asn import read_local_asn
from router.config.peer_names import NO_PEERS, PeerNames, names_in
from router.config.peers import PeerDefaults, PeerReader
from router.config.router_id import hashed_router_id
from router.config.settings import AgentSettings
from router.config.surroundings import Surroundings, no_secrets
from router.model.fib import Nexthops
from router.model.link import Address
from router.model.place import MAIN, Place
from router.reconcile.drain import MAX_PREPEND, MAX_WAIT_S, DrainSettings, TaintMatch
from router.reconcile.node_status import StatusSettings
from router.reconcile.readiness import ReadinessSettings

DEFAULT_SPEAKER_UID: Final = 61179
"""Outside the ranges that Debian and systemd hand out by themselves."""
DEFAULT_PAGE: Final = ("127.0.0.1", 9180)
_RULE_PRIORITY: Final = 32000
"""Just before the main table's rule, 32766."""


def load_settings(
    text: str, *, source: str, surroundings: Surroundings, elsewhere: PeerNames = NO_PEERS
) -> AgentSettings:
    """Return the settings a document describes. Raises ConfigError naming every problem."""
    top = read_document(text, source)
    return settings_of(top, source=source, surroundings=surroundings, elsewhere=elsewhere)


def settings_of(
    top: Section, *, source: str, surroundings: Surroundings, elsewhere: PeerNames = NO_PEERS
) -> AgentSettings:
    """Return the settings of a document that is read already. Raises ConfigError.

    `elsewhere` are peers of other nodes that the document does not have.
    """
    peers = names_in(top).plus(elsewhere)
    mine, others = read_layers(top, surroundings.labels)
    settings = _settings(mine, surroundings, peers)
    for block in others:
        note_problems(top, block, lambda layers: _settings(layers, _elsewhere(surroundings), peers))
    if not top.problems:
        _check(top, settings)
    if top.problems:
        raise ConfigError(source, top.problems)
    return settings


def _elsewhere(surroundings: Surroundings) -> Surroundings:
    def no_password(_: str) -> Secret:
        return Secret("elsewhere")

    return replace(surroundings, is_here=False, read_password=no_password, read_secret=no_secrets)


def _settings(layers: Layers, surroundings: Surroundings, names: PeerNames) -> AgentSettings:
    top = layers.top
    top.expect("nodes")
    cluster = top.section("cluster")
    imports = layers.of("import").section("import")
    exported = layers.of("export").section("export")
    speaker = top.section("speaker")
    readiness = layers.of("readiness").section("readiness")
    drain = layers.of("drain").section("drain")
    fib = layers.of("fib").section("fib")
    metrics = layers.of("metrics").section("metrics")
    page = layers.of("page").section("page")
    addresses = layers.of("node_addresses").values("node_addresses", words.address)
    addresses = addresses or surroundings.addresses
    local_asn = read_local_asn(
        layers.of("local_asn", "local_asn_label"), surroundings, default=None
    )
    restart_s = _integer(layers, "graceful_restart_s", (0, MAX_RESTART_TIME_S), 120)
    reader = PeerReader(
        defaults=PeerDefaults(
            local_asn=local_asn,
            graceful_restart_s=restart_s,
            import_filters=read_filters(imports, names, is_import=True),
            export_filters=read_filters(exported, names, is_import=False),
        ),
        surroundings=surroundings,
    )
    layers.of("peers")
    peers = reader.read(layers.all)
    known = [*peers, *(one.peer for one in reader.waiting)]
    name = _node_name(top, surroundings)
    service_prefixes = cluster.values("service_prefixes", words.prefix)
    pod_cidrs = layers.of("pod_cidrs").values("pod_cidrs", words.prefix)
    pod_cidrs = pod_cidrs or surroundings.pod_cidrs
    announced = read_announced(
        layers,
        surroundings.labels,
        names,
        pod_cidrs=pod_cidrs,
        node_addresses=addresses,
        service_prefixes=service_prefixes,
    )
    # Of the Node object, where there is one: a name may come back on another machine.
    identity = surroundings.node.uid if surroundings.node is not None else name
    settings = AgentSettings(
        node=name,
        router_id=_router_id(layers, addresses, identity),
        local_asn=local_asn,
        node_addresses=addresses,
        pod_cidrs=pod_cidrs,
        announce_pod_cidrs=announced.pod_cidrs,
        announce_node_addresses=announced.node_addresses,
        services=announced.services,
        extra_prefixes=announced.prefixes,
        advertisements=announced.advertisements,
        pod_prefixes=cluster.values("pod_prefixes", words.prefix),
        node_prefixes=cluster.values("node_prefixes", words.prefix),
        service_prefixes=service_prefixes,
        also_accept=accept_rules(imports, "also_accept"),
        accept_default=imports.value("accept_default", words.boolean, False),
        selection=read_selection(imports),
        graceful_restart_s=restart_s,
        deferral_s=_integer(layers, "deferral_s", (1, 3600), restart_s or 120),
        mtu=_mtu(layers),
        peers=peers,
        speaker_uid=speaker.value("uid", words.integer(1, 2**31), DEFAULT_SPEAKER_UID),
        speaker_gid=speaker.value("gid", words.integer(1, 2**31), DEFAULT_SPEAKER_UID),
        speaker_receive=speaker.value("receive", words.choice(Receive), Receive.AUTO),
        readiness=_readiness(readiness),
        status=StatusSettings(
            condition=readiness.value("set_condition", words.boolean, True),
            taint=readiness.value("set_taint", words.boolean, True),
            report=readiness.value("write_status", words.boolean, True),
        ),
        waiting=tuple(reader.waiting),
        place=_place(fib),
        nexthops=fib.value("nexthops", words.choice(Nexthops), Nexthops.AUTO),
        drain=_drain(drain),
        metrics_listen=metrics.value("listen", words.listen, None),
        page_listen=page.value("listen", words.listen_or_none, DEFAULT_PAGE),
        notes=(*reader.notes, *_notes(announced, surroundings, known)),
    )
    for section in (cluster, imports, exported, speaker, readiness, drain, fib, metrics, page):
        section.finish()
    layers.finish()
    return settings


def _notes(
    announced: Announced, surroundings: Surroundings, peers: Sequence[PeerSettings]
) -> list[str]:
    notes = []
    if announced.services.is_wanted and surroundings.node is None:
        notes.append(
            "announce.services waits for an API server: there is none to read Services from"
        )
    made = announced.advertisements
    names = [peer.name for peer in peers]
    if made and names and not any(each.is_for(name) for each in made for name in names):
        notes.append(
            f"no advertisement is for a peer of this node ({', '.join(names)}):"
            " nothing is announced"
        )
    return notes


def _node_name(top: Section, surroundings: Surroundings) -> str:
    name = top.value("node", words.node_name, surroundings.name)
    if surroundings.node is not None and name != surroundings.name:
        top.problem(
            f"{name} is not this node: the API has it as {surroundings.name}",
            top.node_of("node"),
            "node",
        )
    return name


def _integer(layers: Layers, key: str, bounds: tuple[int, int], default: int) -> int:
    return layers.of(key).value(key, words.integer(*bounds), default)


def _readiness(section: Section) -> ReadinessSettings:
    usual = ReadinessSettings()
    return ReadinessSettings(
        min_sessions=section.value("min_sessions", words.integer(0, 64), usual.min_sessions),
        not_ready_after_s=section.value(
            "not_ready_after_s", words.integer(0, 3600), usual.not_ready_after_s
        ),
        fail_open=section.value("fail_open", words.boolean, usual.fail_open),
    )


def _drain(section: Section) -> DrainSettings:
    usual = DrainSettings()
    return DrainSettings(
        pod_adds=section.value("pod_adds", words.boolean, usual.pod_adds),
        keep_node_addresses=section.value(
            "keep_node_addresses", words.boolean, usual.keep_node_addresses
        ),
        annotation=section.value("annotation", words.boolean, usual.annotation),
        taints=section.values("taints", TaintMatch.parse),
        shutdown=section.value("shutdown", words.boolean, usual.shutdown),
        prepend=section.value("prepend", words.integer(0, MAX_PREPEND), usual.prepend),
        wait_s=section.value("wait_s", words.integer(0, int(MAX_WAIT_S)), usual.wait_s),
    )


def _router_id(layers: Layers, addresses: tuple[Address, ...], identity: str) -> IPv4Address:
    """Return the one given, else the first IPv4 node address, else a hash of the identity."""
    section = layers.of("router_id")
    first = next((a for a in addresses if isinstance(a, IPv4Address)), None)
    return section.value("router_id", words.ipv4, first or hashed_router_id(identity))


def _mtu(layers: Layers) -> int | None:
    def read(text: str) -> int | None:
        return None if text == "auto" else words.integer(1280, 65535)(text)

    return layers.of("mtu").value("mtu", read, None)


def _place(section: Section) -> Place:
    """Read `fib: {table, rule_priority}`."""
    table = section.value("table", words.integer(1, 252), None)
    priority = section.value("rule_priority", words.integer(1, 32765), _RULE_PRIORITY)
    if table is None:
        if section.has("rule_priority"):
            section.problem("needs a table", section.node_of("rule_priority"), "rule_priority")
        return MAIN
    return Place(table, priority)


def _check(top: Section, settings: AgentSettings) -> None:
    """Note contradictions between fields that are each fine."""
    ranges = settings.pod_prefixes
    for cidr in settings.pod_cidrs:
        if not any(prefix.covers(cidr) for prefix in ranges):
            top.problem(
                f"{cidr} lies outside cluster.pod_prefixes, so no other node would accept it",
                top.node_of("pod_cidrs") or top.node_of("cluster"),
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
                top.node_of("node_addresses") or top.node_of("cluster"),
                "node_addresses",
            )
    try:
        SpeakerConfig(router_id=settings.router_id, peers=settings.peers)
    except PeerError as error:
        top.problem(str(error), top.node_of("peers"), "peers")
