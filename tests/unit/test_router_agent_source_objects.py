"""Settings out of objects: two doors, errors that change nothing, restarts in the middle of one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from bgp.nlri import Prefix
from router.agent.source import SettingsSource
from router.config.file import DocumentFile, LastGood
from router.config.settings import AgentSettings
from router.kube.view import ClusterView
from router.model.config_object import NETWORK, PEER, ConfigObject
from router.model.node import ConfigMapView, NodeView, Observed, Presence, SecretRef
from router.model.unnumbered import Discovered

NODE = NodeView(name="node1", uid="u", pod_cidrs=(Prefix.parse("10.244.1.0/24"),))
TEXT = "local_asn: 65001\ncluster: {pod_prefixes: [10.244.0.0/16]}\n"


def made(kind: str, name: str, /, **spec: Any) -> ConfigObject:
    return ConfigObject(kind=kind, name=name, spec=spec)


NETWORK1 = made(NETWORK, "default", local_asn=65201, cluster={"pod_prefixes": ["10.244.0.0/16"]})
TOR1 = made(PEER, "tor1", address="10.0.1.2", remote_asn=65101)
BAD = made(PEER, "bad", address="10.0.2.2", remote_asn=65101, hold_time_s=1)
BY_LINK = made(PEER, "eth1", interface="eth1", remote_asn="external")


@dataclass
class Door:
    view: ClusterView = field(
        default_factory=lambda: ClusterView(
            node=Observed(presence=Presence.PRESENT, value=NODE),
            config_map=Observed(presence=Presence.ABSENT),
        )
    )

    def take(self) -> ClusterView:
        return self.view

    def want_secrets(self, refs: frozenset[SecretRef]) -> None:
        pass

    def has(self, *objects: ConfigObject) -> None:
        self.view = replace(self.view, objects=Observed(presence=Presence.PRESENT, value=objects))

    def has_text(self, text: str | None) -> None:
        data = {} if text is None else {"config.yaml": text}
        found = ConfigMapView(name="podroute", data=data)
        self.view = replace(self.view, config_map=Observed(presence=Presence.PRESENT, value=found))


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "configuration.json"


def source(door: Door, state: Path, document: DocumentFile | None = None) -> SettingsSource:
    return SettingsSource(
        document=document, cluster=door, host_name="host", last_good=LastGood(state)
    )


def names(settings: AgentSettings | None) -> list[str] | None:
    return None if settings is None else [peer.name for peer in settings.peers]


def test_objects_are_waited_for_and_followed(door: Door, state: Path) -> None:
    config = source(door, state)
    assert config.take(()) is None
    assert "not known yet whether there are configuration objects" in config.waiting
    door.has()
    assert config.take(()) is None
    assert "no PodNetwork for this node" in config.waiting
    door.has(TOR1)
    assert config.take(()) is None
    assert config.waiting == "no PodNetwork selects this node"
    door.has(NETWORK1, TOR1)
    assert names(config.take(())) == ["tor1"]
    assert config.waiting == config.problem == ""
    assert config.take(()) is None
    door.has(NETWORK1)
    assert names(config.take(())) == []


def test_a_bad_object_changes_nothing_and_is_told(door: Door, state: Path) -> None:
    config = source(door, state)
    door.has(NETWORK1, TOR1)
    assert names(config.take(())) == ["tor1"]
    door.has(BAD, NETWORK1)
    assert config.take(()) is None
    assert config.problem.startswith("BGPPeer bad: spec.hold_time_s: ")
    door.has(NETWORK1)
    assert names(config.take(())) == []
    assert config.problem == ""


def test_an_agent_that_starts_beside_a_bad_object_goes_on_as_before(
    door: Door, state: Path
) -> None:
    door.has(NETWORK1, TOR1)
    assert source(door, state).take(()) is not None
    door.has(BAD, NETWORK1, TOR1)
    after = source(door, state)
    assert names(after.take(())) == ["tor1"]
    assert "BGPPeer bad" in after.problem
    assert after.take(()) is None
    door.has(NETWORK1)
    assert names(after.take(())) == []
    assert after.problem == ""


def test_a_new_node_waits_for_good_objects(door: Door, state: Path) -> None:
    config = source(door, state)
    door.has(BAD, NETWORK1)
    assert config.take(()) is None
    assert "BGPPeer bad" in config.problem
    door.has(NETWORK1, TOR1)
    assert names(config.take(())) == ["tor1"]


def test_links_are_followed_while_there_is_an_error(door: Door, state: Path) -> None:
    door.has(NETWORK1, BY_LINK)
    assert source(door, state).take(()) is not None
    door.has(BAD, NETWORK1, BY_LINK)
    config = source(door, state)
    first = config.take(())
    assert first is not None
    assert [one.interface for one in first.waiting] == ["eth1"]
    found = Discovered(
        "eth1",
        router=ip_address("fe80::1"),  # type: ignore[arg-type]
        own=ip_address("fe80::2"),  # type: ignore[arg-type]
    )
    assert names(config.take((), (found,))) == ["eth1"]
    assert "BGPPeer bad" in config.problem


def test_two_doors_at_once_change_nothing(door: Door, state: Path) -> None:
    config = source(door, state)
    door.has()
    door.has_text(TEXT)
    settings = config.take(())
    assert settings is not None
    assert settings.local_asn == 65001
    door.has(NETWORK1, TOR1)
    assert config.take(()) is None
    assert "ConfigMap podroute and PodNetwork default, BGPPeer tor1 both" in config.problem
    # The same after a restart: what was in force stays.
    restarted = source(door, state).take(())
    assert restarted is not None
    assert restarted.local_asn == 65001
    door.has_text(None)
    assert names(config.take(())) == ["tor1"]


def test_a_file_and_objects_at_once_are_an_error_too(
    door: Door, state: Path, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(TEXT)
    config = source(door, state, DocumentFile(path))
    door.has(NETWORK1)
    assert config.take(()) is None
    assert f"{path} and PodNetwork default both" in config.problem
    door.has(made(NETWORK, "default", **{**NETWORK1.spec, "select": {"matchLabels": {"a": "b"}}}))
    assert config.take(()) is not None


def test_a_config_map_that_was_deleted_makes_way_for_objects(door: Door, state: Path) -> None:
    config = source(door, state)
    door.has()
    door.has_text(TEXT)
    assert config.take(()) is not None
    gone = door.view.config_map.value
    door.view = replace(door.view, config_map=Observed(presence=Presence.ABSENT, value=gone))
    assert config.take(()) is None
    assert config.problem == ""
    door.has(NETWORK1, TOR1)
    assert names(config.take(())) == ["tor1"]


def test_objects_that_are_all_gone_leave_what_is_in_force(door: Door, state: Path) -> None:
    config = source(door, state)
    door.has(NETWORK1, TOR1)
    assert config.take(()) is not None
    door.has()
    assert config.take(()) is None
    assert "no PodNetwork" in config.waiting
    # So it does over a restart: a running agent and a new one must not differ.
    after = source(door, state)
    assert names(after.take(())) == ["tor1"]
    assert "no PodNetwork" in after.waiting
    assert after.take(()) is None
    door.has_text(None)
    assert names(source(door, state).take(())) == ["tor1"]


def test_a_disk_that_cannot_be_written_is_told_and_stops_nothing(
    door: Door, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    config = source(door, tmp_path / "file" / "configuration.json")
    door.has(NETWORK1)
    assert config.take(()) is not None
    assert "cannot remember the configuration" in config.memory_problem
