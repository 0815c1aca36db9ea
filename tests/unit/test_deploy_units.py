"""The units of systemd: the rights of the containers, and nothing that systemd would refuse."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from router.agent.app import LEFT_FOR_GOOD

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
CAPABILITIES = {
    "cni": {"NET_ADMIN", "SYS_ADMIN"},
    "router": {"NET_ADMIN", "NET_RAW", "SETUID", "SETGID", "KILL"},
    "bfd": {"SYS_NICE", "IPC_LOCK"},
}
"""Those of the manifest (test_deploy_manifests.py)."""
UNITS = {
    "podroute-cni.service": "cni",
    "podroute-router.service": "router",
    "podroute-bfd.service": "bfd",
}


def settings(unit: str) -> dict[str, str]:
    lines = (DEPLOY / "systemd" / unit).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


@pytest.mark.parametrize(("unit", "container"), UNITS.items())
def test_units_grant_what_the_manifest_grants(unit: str, container: str) -> None:
    told = settings(unit)
    granted = {each.removeprefix("CAP_") for each in told["CapabilityBoundingSet"].split()}
    assert granted == CAPABILITIES[container]
    assert told["NoNewPrivileges"] == "yes"
    assert (told["ProtectSystem"], told["ReadWritePaths"]) == ("strict", "/run/podroute")
    assert told["Restart"] == "always"
    if container == "router":
        assert told["RestartPreventExitStatus"] == str(LEFT_FOR_GOOD)
        assert told["StateDirectory"] == "podroute"


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_accepts_the_unit(unit: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here")
    path = DEPLOY / "systemd" / unit
    said = subprocess.run(
        ["systemd-analyze", "verify", path], capture_output=True, text=True, check=False
    ).stderr
    wrong = [
        line
        for line in said.splitlines()
        if path.name in line and "/opt/podroute/bin/podroute is not executable" not in line
    ]
    assert wrong == []
    exposed = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=55", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert exposed.returncode == 0, exposed.stdout[-300:]
