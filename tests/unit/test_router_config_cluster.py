"""The same document for many nodes: blocks, labels, gateways, Secrets, facts of the Node."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from bgp.nlri import Prefix
from bgp.secret import Secret
from router.config.document import ConfigError
from router.config.load import load_settings
from router.config.settings import AgentSettings
from router.config.surroundings import MissingSecretError, Surroundings
from router.model.link import Address
from router.model.node import NodeView, SecretRef

CONFIG = """
local_asn: 65200
local_asn_label: example.com/asn
cluster:
  pod_prefixes: [10.244.0.0/16, "fd00:244::/32"]
peers:
  - {gateway: all, remote_asn: 65101}
nodes:
  - select: {matchLabels: {rack: r1}}
    readiness: {min_sessions: 2}
    peers: [{name: route-server, address: 10.9.9.9, remote_asn: 65000}]
  - select:
      matchExpressions: [{key: rack, operator: In, values: [r2, r3]}]
    local_asn: 65002
    graceful_restart_s: 60
"""
GATEWAYS = (ip_address("10.0.0.1"), ip_address("fd00::1"))
VIEW = NodeView(
    name="node1",
    uid="u",
    pod_cidrs=(Prefix.parse("10.244.1.0/24"), Prefix.parse("fd00:244:1::/64")),
    addresses=(ip_address("10.0.0.11"), ip_address("fd00::11")),
    labels={"rack": "r1", "kubernetes.io/hostname": "node1"},
)


def no_password(path: str) -> Secret:
    raise FileNotFoundError(2, "No such file or directory", path)


def node(**labels: str) -> NodeView:
    return NodeView(
        name=VIEW.name,
        uid=VIEW.uid,
        pod_cidrs=VIEW.pod_cidrs,
        addresses=VIEW.addresses,
        labels={key.replace("__", "/").replace("_", "."): text for key, text in labels.items()},
    )


def load(
    text: str = CONFIG,
    *,
    view: NodeView | None = VIEW,
    gateways: tuple[Address, ...] = GATEWAYS,
    secrets: dict[SecretRef, Secret] | None = None,
) -> AgentSettings:
    def read_secret(ref: SecretRef) -> Secret:
        if secrets is None or ref not in secrets:
            raise MissingSecretError(f"there is no Secret {ref.name}")
        return secrets[ref]

    return load_settings(
        text,
        source="ConfigMap",
        surroundings=Surroundings(
            host_name="host",
            read_password=no_password,
            read_secret=read_secret,
            node=view,
            gateways=gateways,
        ),
    )


def problems(text: str, view: NodeView | None = VIEW) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, view=view)
    return str(caught.value).splitlines()


def test_the_node_gives_what_the_document_does_not() -> None:
    settings = load()
    assert settings.node == "node1"
    assert settings.pod_cidrs == VIEW.pod_cidrs
    assert settings.node_addresses == VIEW.addresses
    assert settings.router_id == ip_address("10.0.0.11")


def test_a_node_without_pod_cidrs_yet_has_settings() -> None:
    bare = NodeView(name="node1", uid="u", addresses=VIEW.addresses)
    assert load(view=bare).pod_cidrs == ()


def test_the_documents_own_values_go_first() -> None:
    text = CONFIG + "pod_cidrs: [10.244.9.0/24]\nnode_addresses: [10.1.1.1]\n"
    settings = load(text)
    assert settings.pod_cidrs == (Prefix.parse("10.244.9.0/24"),)
    assert settings.node_addresses == (ip_address("10.1.1.1"),)


def test_another_nodes_name_is_refused() -> None:
    assert "node: node2 is not this node" in problems("node: node2\n" + CONFIG)[0]


def test_the_asn_comes_from_the_label_else_from_the_document() -> None:
    assert load().local_asn == 65200
    assert load(view=node(example_com__asn="65007")).local_asn == 65007
    assert load(view=node(example_com__asn="65007", rack="r2")).local_asn == 65002


def test_a_bad_or_missing_label_says_where_it_is_asked_for() -> None:
    (bad,) = problems(CONFIG, node(example_com__asn="many"))
    assert "line 3: local_asn_label: label example.com/asn of the node: 'many'" in bad
    (missing,) = problems(CONFIG.replace("local_asn: 65200\n", ""))
    assert "the node has no label example.com/asn, and no local_asn is given" in missing


def test_blocks_select_by_label_and_add_peers() -> None:
    r1 = load()
    assert r1.readiness.min_sessions == 2
    assert [peer.name for peer in r1.peers] == [
        "route-server",
        "gateway-10.0.0.1",
        "gateway-fd00::1",
    ]
    r2 = load(view=node(rack="r2"))
    assert (r2.local_asn, r2.graceful_restart_s, r2.readiness.min_sessions) == (65002, 60, 1)
    assert {peer.local_asn for peer in r2.peers} == {65002}
    assert {peer.graceful_restart_s for peer in r2.peers} == {60}
    assert len(load(view=node(rack="r9")).peers) == 2


def test_without_an_api_blocks_see_the_host_name() -> None:
    text = (
        "local_asn: 1\nrouter_id: 10.0.0.1\n"
        "nodes: [{select: {matchLabels: {kubernetes.io/hostname: host}}, local_asn: 2}]\n"
    )
    assert load(text, view=None).local_asn == 2


@pytest.mark.parametrize(
    ("expression", "labels", "selected"),
    [
        ("{key: a, operator: Exists}", {"a": ""}, True),
        ("{key: a, operator: Exists}", {}, False),
        ("{key: a, operator: DoesNotExist}", {"a": "x"}, False),
        ("{key: a, operator: DoesNotExist}", {}, True),
        ("{key: a, operator: NotIn, values: [x]}", {"a": "x"}, False),
        ("{key: a, operator: NotIn, values: [x]}", {}, True),
        ("{key: a, operator: In, values: [x, y]}", {"a": "y"}, True),
        ("{key: a, operator: In, values: [x, y]}", {}, False),
    ],
)
def test_match_expressions(expression: str, labels: dict[str, str], selected: bool) -> None:
    text = CONFIG + f"  - select: {{matchExpressions: [{expression}]}}\n    deferral_s: 7\n"
    assert (load(text, view=node(**labels)).deferral_s == 7) is selected


def test_an_empty_selector_selects_every_node() -> None:
    assert load(CONFIG + "  - {select: {}, mtu: 1400}\n").mtu == 1400


def test_two_blocks_that_contradict_each_other_are_an_error() -> None:
    text = CONFIG + "  - {select: {}, readiness: {min_sessions: 1}}\n"
    assert problems(text) == [
        "ConfigMap: line 16: nodes[2].readiness: nodes[0] gives it too, and both select this node"
    ]
    assert load(text, view=node(rack="r2")).readiness.min_sessions == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            ("graceful_restart_s: 60", "graceful_restart_s: 5000"),
            "line 15: nodes[1].graceful_restart_s: '5000' must be a whole number",
            id="value",
        ),
        pytest.param(
            ("local_asn: 65002", "locl_asn: 65002"),
            "line 14: nodes[1].locl_asn: unknown key; did you mean 'local_asn'?",
            id="key",
        ),
        pytest.param(("operator: In", "operator: Is"), "'Is' must be one of In, NotIn", id="op"),
        pytest.param((", values: [r2, r3]", ""), "In takes at least one", id="no-values"),
        pytest.param(
            ("graceful_restart_s: 60", "peers: [{address: 10.1.1.300, remote_asn: 1}]"),
            "nodes[1].peers[0].address: '10.1.1.300' is not an IP address",
            id="peer",
        ),
    ],
)
def test_an_error_in_another_racks_block_is_an_error(
    change: tuple[str, str], expected: str
) -> None:
    assert change[0] in CONFIG
    found = problems(CONFIG.replace(*change))
    assert any(expected in problem for problem in found), found
    assert all("nodes[1]" in problem for problem in found), found


def test_what_another_rack_as_a_whole_lacks_is_not_judged_here() -> None:
    text = """
cluster: {pod_prefixes: [10.244.0.0/16, "fd00:244::/32"]}
nodes:
  - {select: {matchLabels: {rack: r1}}, local_asn: 65001}
  - {select: {matchLabels: {rack: r2}}, mtu: 9000, local_asn_label: example.com/asn}
  - select: {matchLabels: {rack: r3}}
    peers: [{address: 10.9.9.9, remote_asn: 1, password_file: /only/there}]
"""
    assert load(text).local_asn == 65001


def test_gateways_become_peers_of_their_family() -> None:
    one, two = load(view=node()).peers
    assert (one.families, two.families) == (frozenset({4}), frozenset({6}))
    assert load(view=node(), gateways=()).peers == ()
    assert "no default gateway" in load(view=node(), gateways=()).notes[0]


def test_a_link_local_gateway_is_left_out_and_named() -> None:
    settings = load(view=node(), gateways=(ip_address("fe80::1"), GATEWAYS[0]))
    assert [str(peer.address) for peer in settings.peers] == ["10.0.0.1"]
    assert "fe80::1" in settings.notes[0]


def test_a_peer_with_an_address_of_its_own_says_more_than_all() -> None:
    text = CONFIG.replace(
        "peers:\n", "peers:\n  - {name: tor, address: 10.0.0.1, remote_asn: 65102}\n", 1
    )
    found = {str(peer.address): peer.remote_asn for peer in load(text, view=node()).peers}
    assert found == {"10.0.0.1": 65102, "fd00::1": 65101}


def test_a_peer_has_an_address_or_a_gateway() -> None:
    text = CONFIG.replace("gateway: all", "gateway: all, address: 10.0.0.1")
    assert "give an address or a gateway, not both" in problems(text)[0]
    text = CONFIG.replace("gateway: all", "gateway: first")
    assert "'first' must be all" in problems(text)[0]


SECRET = CONFIG.replace(
    "remote_asn: 65101}", "remote_asn: 65101, password_secret: {name: bgp, key: tor}}"
)


def test_a_password_comes_from_a_secret() -> None:
    settings = load(SECRET, secrets={SecretRef("bgp", "tor"): Secret("word")})
    assert [peer.password for peer in settings.peers] == [None, Secret("word"), Secret("word")]


def test_a_missing_secret_disables_its_peers_and_no_others() -> None:
    settings = load(SECRET)
    assert [(peer.name, peer.disabled) for peer in settings.peers] == [
        ("route-server", ""),
        ("gateway-10.0.0.1", "its password is not there: there is no Secret bgp"),
        ("gateway-fd00::1", "its password is not there: there is no Secret bgp"),
    ]
    assert [peer.name for peer in settings.enabled_peers] == ["route-server"]


def test_one_password_is_enough() -> None:
    text = SECRET.replace("password_secret", "password_file: /x, password_secret")
    assert any("give one password, not two" in problem for problem in problems(text))


def test_a_file_cannot_name_secrets_without_an_api() -> None:
    text = (
        "local_asn: 1\nrouter_id: 10.0.0.1\n"
        "peers: [{address: 10.1.1.1, remote_asn: 2, password_secret: {name: a, key: b}}]\n"
    )
    surroundings = Surroundings(host_name="host", read_password=no_password)
    settings = load_settings(text, source="file", surroundings=surroundings)
    assert settings.enabled_peers == ()
    assert "no API server" in settings.peers[0].disabled


def test_readiness_is_configurable() -> None:
    text = CONFIG + (
        "readiness: {min_sessions: 3, not_ready_after_s: 5, fail_open: true, set_taint: false}\n"
    )
    settings = load(text, view=node())
    assert (settings.readiness.min_sessions, settings.readiness.not_ready_after_s) == (3, 5)
    assert settings.readiness.fail_open
    assert (settings.status.condition, settings.status.taint) == (True, False)
