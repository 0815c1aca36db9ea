"""`podroute support-bundle` on a node of a fabric whose session has a TCP MD5 password."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from containerlab.demo.fabric import wait_for
from containerlab.situations.peers import NODE1, TOR1
from containerlab.situations.scene import CONF_DIR, CONFIG, Scene, tell

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.needs("nft", "ping")]
WORD = "c0rrect-h0rse-battery"
OUT = "/run/bundle.tar.gz"


def test_everything_is_in_it_but_the_password() -> None:
    with Scene.up() as scene:
        host = scene.hosts[0]
        host.node.run(["sh", "-c", f"umask 077; echo {WORD} > /run/word"])
        tell(scene.tors[0], TOR1, f"neighbor {NODE1} password {WORD}")
        scene.write_config(host, peers=scene.peers(password_file="/run/word"))

        def probe() -> str:
            peers = json.loads(host.podroute("peers", "-o", "json"))["peers"]
            return "; ".join(p["name"] for p in peers if p["state"] != "established")

        wait_for(probe, deadline_s=60, what="the session with its password")
        words = ("--config", CONFIG, "--conf-dir", CONF_DIR, "--log", host.agent.log_path)
        assert host.podroute("support-bundle", "-O", OUT, *words).strip() == OUT
        raw = Path(f"/proc/{host.node.pid}/root{OUT}").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        files = {}
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            files[member.name.removeprefix("podroute/")] = file.read().decode()
    assert all(WORD not in text for text in files.values())
    unread = files.pop("not-read.txt").splitlines()
    assert {line.partition(":")[0] for line in unread} <= {
        "configuration/in-force.yaml",  # remembered of ConfigMaps and objects alone
        "journal.txt",
        "state/drain.json",
        "state/sysctls.json",
    }
    learned = [json.loads(line) for line in files["kernel/routes-ipv4-proto-74.jsonl"].splitlines()]
    assert "10.244.2.0/24" in {route["dst"] for route in learned}
    assert "10.244.1." in files["kernel/routes-ipv4-proto-73.jsonl"]
    links = [json.loads(line)["ifname"] for line in files["kernel/links.jsonl"].splitlines()]
    assert {"lo", "eth1", "eth2"} <= set(links)
    assert "10.0.1." in files["kernel/neighbors-ipv4.jsonl"]
    assert json.loads(files["doctor.json"])["findings"] == []
    assert json.loads(files["routes-summary.json"])["installed"] > 0
    assert "podroute_routes_installed" in files["metrics.txt"]
    assert "session established" in files["logs/0-router.log"]
