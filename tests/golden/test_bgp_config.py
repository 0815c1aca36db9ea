"""The generated configuration: bytes compared, then read by ExaBGP itself."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any

import pytest

from bgp.ending import Ending
from bgp.nlri import Prefix
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from bgp.secret import Secret
from bgp.speaker.render import render
from bgp.speaker_config import SpeakerConfig

GOLDEN = Path(__file__).with_name("bgp_config")
RELAY = ("/bin/sh", "-e", "/run/podroute/speaker/relay.py", "/run/podroute/speaker/api.sock")


def peer(name: str, address: str, **changes: Any) -> PeerSettings:
    values: dict[str, Any] = {"remote_asn": 65101, "local_asn": 65201}
    return PeerSettings(name=PeerId(name), address=ip_address(address), **{**values, **changes})


def config(*peers: PeerSettings) -> SpeakerConfig:
    networks = (Prefix.parse("10.244.1.0/24"), Prefix.parse("fd00:244:1::/64"))
    return SpeakerConfig(router_id=IPv4Address("10.255.1.1"), peers=peers, networks=networks)


CONFIGS = {
    "no_peer": config(),
    "dual_stack": config(
        peer("tor2-v6", "fd00:0:2::2", remote_asn=65102),
        peer("tor1-v4", "10.0.1.2"),
        peer("tor1-v6", "fd00:0:1::2"),
        peer("tor2-v4", "10.0.2.2", remote_asn=65102),
    ),
    "by_interface": config(
        *(
            peer(
                f"tor{number}",
                f"fe80::1%eth{number}",
                local_address=ip_address(f"fe80::a{number}"),
            )
            for number in (1, 2)
        )
    ),
    "guarded": replace(
        config(
            peer(
                "external",
                "10.0.1.2",
                remote_asn=None,
                ttl_security_hops=1,
                source_interface="eth1",
                families=frozenset({4, 6}),
                connect_retry_s=3,
            ),
            peer(
                "dials-us",
                "fd00:0:2::2",
                passive=True,
                local_address=ip_address("fd00:0:2::3"),
                port=1790,
                ttl_security_hops=2,
            ),
            peer("down", "10.0.3.2"),
        ),
        kept_down={PeerId("down"): Ending.removed()},
    ),
    "everything": config(
        peer(
            "reflector",
            "192.0.2.1",
            remote_asn=4200000001,
            local_asn=4200000001,
            local_address=ip_address("10.255.1.1"),
            hold_time_s=30,
            graceful_restart_s=0,
            password=Secret("a b;}#'\"\\$é"),
            port=1790,
            multihop_ttl=4,
        )
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_text_is_as_before(name: str, update_golden: bool) -> None:
    text = render(CONFIGS[name], RELAY)
    golden = GOLDEN / f"{name}.conf"
    if update_golden:
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)

    assert text == golden.read_text()


@pytest.mark.parametrize("name", CONFIGS)
def test_exabgp_takes_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / "exabgp.conf"
    path.write_text(render(CONFIGS[name], RELAY).replace("/run/podroute", str(tmp_path)))

    done = subprocess.run(
        [sys.executable, "-m", "exabgp", "validate", "-nr", path],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "exabgp_log_level": "INFO"},
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("neighbor ") == len(CONFIGS[name].running), done.stderr


def test_order_of_peers_does_not_matter() -> None:
    given = CONFIGS["dual_stack"]

    assert render(config(*reversed(given.peers)), RELAY) == render(given, RELAY)
