"""Settings out of the API and files: waits and says so, follows changes, keeps what is in force."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from bgp.nlri import Prefix
from bgp.secret import Secret
from router.agent.source import SettingsSource
from router.config.file import DocumentFile
from router.kube.view import ClusterView
from router.model.config_object import ConfigObject
from router.model.node import ConfigMapView, NodeView, Observed, Presence, SecretRef

TEXT = """
local_asn: 65001
cluster: {pod_prefixes: [10.244.0.0/16]}
peers:
  - {name: tor, address: 10.0.0.1, remote_asn: 65101}
  - {name: with-password, address: 10.0.0.2, remote_asn: 65101,
     password_secret: {name: bgp, key: tor}}
"""
FILE_TEXT = """
local_asn: 65001
router_id: 10.0.0.11
node_addresses: [10.0.0.11]
cluster: {{pod_prefixes: [10.244.0.0/16]}}
pod_cidrs: [10.244.1.0/24]
peers:
  - {{name: tor, address: 10.0.0.1, remote_asn: 65101, password_file: {password}}}
"""
REF = SecretRef("bgp", "tor")
NODE = NodeView(name="node1", uid="u", addresses=(ip_address("10.0.0.11"),))
NO_OBJECTS: Observed[tuple[ConfigObject, ...]] = Observed(presence=Presence.PRESENT, value=())
CIDR = Prefix.parse("10.244.1.0/24")


@dataclass
class FakeDoor:
    view: ClusterView = field(default_factory=lambda: ClusterView(objects=NO_OBJECTS))
    wanted: list[frozenset[SecretRef]] = field(default_factory=list)

    def take(self) -> ClusterView:
        return self.view

    def want_secrets(self, refs: frozenset[SecretRef]) -> None:
        self.wanted.append(refs)

    def sees(self, **changes: object) -> None:
        self.view = replace(self.view, **changes)  # type: ignore[arg-type]

    def sees_node(self, node: NodeView) -> None:
        self.sees(node=Observed(presence=Presence.PRESENT, value=node))

    def sees_text(self, text: str, key: str = "config.yaml") -> None:
        found = ConfigMapView(name="podroute", data={key: text})
        self.sees(config_map=Observed(presence=Presence.PRESENT, value=found))


@pytest.fixture
def door() -> FakeDoor:
    return FakeDoor()


@pytest.fixture
def config(door: FakeDoor) -> SettingsSource:
    return SettingsSource(document=None, cluster=door, host_name="host")


def test_it_waits_for_each_part_and_says_for_which(door: FakeDoor, config: SettingsSource) -> None:
    door.sees(problem="connection refused")
    assert config.take(()) is None
    assert config.waiting == "the Node object has not been read yet (connection refused)"
    door.sees(node=Observed(presence=Presence.ABSENT), problem="")
    assert config.take(()) is None
    assert config.waiting == "the API server has no Node object of this name yet"
    door.sees_node(NODE)
    assert config.take(()) is None
    assert config.waiting == "the ConfigMap with the configuration has not been read yet"
    door.sees(config_map=Observed(presence=Presence.ABSENT))
    assert config.take(()) is None
    assert config.waiting == (
        "there is no ConfigMap with the configuration and no PodNetwork for this node yet"
    )
    door.sees_text(TEXT, key="other")
    assert config.take(()) is None
    assert config.waiting == (
        "ConfigMap podroute has no key config.yaml, and there is no PodNetwork for this node"
    )
    door.sees_text(TEXT)
    assert config.take(()) is not None
    assert config.waiting == config.problem == ""


def test_each_change_that_matters_is_seen_once(door: FakeDoor, config: SettingsSource) -> None:
    door.sees_node(NODE)
    door.sees_text(TEXT)
    assert config.take(()) is not None
    assert config.take(()) is None
    door.sees_node(replace(NODE, annotations={"a": "b"}, resource_version="9"))
    assert config.take(()) is None
    door.sees_node(replace(NODE, pod_cidrs=(CIDR,)))
    settings = config.take(())
    assert settings is not None
    assert settings.pod_cidrs == (CIDR,)
    moved = replace(NODE, pod_cidrs=(CIDR,), addresses=(ip_address("10.0.0.12"),))
    door.sees_node(moved)
    settings = config.take(())
    assert settings is not None
    assert settings.node_addresses == moved.addresses
    door.sees_text(TEXT + "# a comment changes nothing\n")
    assert config.take(()) is None


def test_an_error_changes_nothing_and_is_told(door: FakeDoor, config: SettingsSource) -> None:
    door.sees_node(NODE)
    door.sees_text(TEXT)
    assert config.take(()) is not None
    door.sees_text(TEXT.replace("65001", "nothing"))
    assert config.take(()) is None
    assert "ConfigMap podroute: line 2: local_asn" in config.problem
    door.sees_text(TEXT)
    assert config.take(()) is None
    assert config.problem == ""


def test_secrets_are_asked_for_and_their_peers_follow(
    door: FakeDoor, config: SettingsSource
) -> None:
    door.sees_node(NODE)
    door.sees_text(TEXT)
    settings = config.take(())
    assert settings is not None
    assert [peer.name for peer in settings.enabled_peers] == ["tor"]
    assert door.wanted == [frozenset({REF})]
    door.sees(secrets={REF: Secret("word")})
    settings = config.take(())
    assert settings is not None
    assert [peer.password for peer in settings.peers] == [None, Secret("word")]
    door.sees(secrets={REF: Secret("other")})
    assert config.take(()) is not None


def test_gateways_are_followed(door: FakeDoor, config: SettingsSource) -> None:
    door.sees_node(NODE)
    door.sees_text("local_asn: 1\npeers: [{gateway: all, remote_asn: 2}]\n")
    first = config.take((ip_address("10.0.0.1"),))
    assert first is not None
    second = config.take((ip_address("10.0.0.1"), ip_address("10.0.1.1")))
    assert second is not None
    assert [len(found.peers) for found in (first, second)] == [1, 2]


def test_a_deleted_config_map_stays_in_force(door: FakeDoor, config: SettingsSource) -> None:
    door.sees_node(NODE)
    door.sees_text(TEXT)
    assert config.take(()) is not None
    door.sees(config_map=replace(door.view.config_map, presence=Presence.ABSENT))
    assert config.take(()) is None
    assert config.problem == ""


def test_a_deleted_node_stays_as_it_was_and_says_so(door: FakeDoor, config: SettingsSource) -> None:
    door.sees_node(replace(NODE, pod_cidrs=(CIDR,)))
    door.sees_text(TEXT)
    settings = config.take(())
    assert settings is not None
    assert settings.announce_pod_cidrs
    door.sees(node=replace(door.view.node, presence=Presence.ABSENT))
    settings = config.take(())
    assert settings is not None
    assert settings.announce_pod_cidrs
    assert settings.pod_cidrs == (CIDR,)
    assert any("deleted" in note for note in settings.notes)
    door.sees(node=replace(door.view.node, presence=Presence.UNKNOWN))
    settings = config.take(())
    assert settings is not None
    assert not any("deleted" in note for note in settings.notes)


def test_why_a_secret_is_missing_is_told_as_it_changes(
    door: FakeDoor, config: SettingsSource
) -> None:
    door.sees_node(NODE)
    door.sees_text(TEXT)
    settings = config.take(())
    assert settings is not None
    assert "not read yet" in settings.peers[1].disabled
    door.sees(secret_problems={REF: "there is no Secret bgp in podroute"})
    settings = config.take(())
    assert settings is not None
    assert "there is no Secret bgp" in settings.peers[1].disabled


def test_the_document_may_be_a_file(door: FakeDoor, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    config = SettingsSource(document=DocumentFile(path), cluster=door, host_name="host")
    door.sees_node(NODE)
    assert config.take(()) is None
    assert "No such file" in config.problem
    path.write_text(TEXT)
    assert config.take(()) is not None
    assert config.problem == ""


def test_an_empty_password_file_has_a_reason_of_its_own(tmp_path: Path) -> None:
    """A file that was not there, and is empty now, is told of as such."""
    document, password = tmp_path / "config.yaml", tmp_path / "password"
    document.write_text(FILE_TEXT.format(password=password))
    source = SettingsSource(document=DocumentFile(document), cluster=None, host_name="node1")
    first = source.take(())
    assert first is not None
    assert "No such file" in first.peers[0].disabled
    password.write_text("")
    second = source.take(())
    assert "the password is empty" in source.problem
    assert second is not None
    assert "the password is empty" in second.peers[0].disabled
    password.write_text("word")
    third = source.take(())
    assert third is not None
    assert (third.peers[0].disabled, third.peers[0].password) == ("", Secret("word"))
    assert source.problem == ""


def test_an_emptied_password_file_ends_no_session(tmp_path: Path) -> None:
    """Nor does it keep the rest from being followed (invariant 10)."""
    document, password = tmp_path / "config.yaml", tmp_path / "password"
    document.write_text(FILE_TEXT.format(password=password) + "  - {gateway: all, remote_asn: 2}\n")
    password.write_text("word")
    source = SettingsSource(document=DocumentFile(document), cluster=None, host_name="node1")
    assert source.take((ip_address("10.0.1.1"),)) is not None
    password.write_text("")
    assert source.take((ip_address("10.0.1.1"),)) is None
    assert "the password is empty" in source.problem
    later = source.take((ip_address("10.0.1.1"), ip_address("10.0.2.1")))
    assert later is not None
    assert [(peer.disabled, peer.password) for peer in later.peers] == [
        ("", Secret("word")),
        ("", None),
        ("", None),
    ]
