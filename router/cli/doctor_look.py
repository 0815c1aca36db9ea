"""Look at what `podroute doctor` judges. SHELL: reads, pings and asks; changes nothing."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from router.agent.cni_door import ask_server
from router.cli.client import AgentUnreachableError, LocalClient
from router.cli.doctor_listen import listen_to_silent
from router.cli.doctor_turn import refused
from router.cli.plugin_files import shadowing
from router.kernel.errors import KernelError
from router.kernel.sysctl import Sysctls
from router.reconcile.finding import Seen
from router.reconcile.firewall import dropping
from router.reconcile.sysctl import keys

Json = Mapping[str, Any]
_TIMEOUT_S: Final = 10.0
_HEADERS: Final = {4: 28, 6: 48}
"""IP and ICMP, without options, in bytes."""
_SMALL_BYTES: Final = 56
_ROOM_BYTES: Final = 16 * 1024
"""What node.json and a lease take, several times."""


class Places(NamedTuple):
    """Where things are on this node."""

    run_dir: Path
    state_dir: Path
    proc_sys: Path
    conf_dir: Path


def look(places: Places) -> tuple[Seen, list[str]]:
    """Return what was seen, and in words what could not be looked at."""
    unseen: list[str] = []
    run_dir = places.run_dir
    agent, agent_problem = _agent(run_dir)
    cni, cni_problem = _cni(run_dir)
    seen = Seen(
        agent=agent,
        agent_problem=agent_problem,
        cni_problem=cni_problem,
        cni_lacks=cni.get("lacking") or (),
        full_disks=_disks(places),
        full_pools=[(p["name"], p["size"]) for p in cni["pools"] if p["in_use"] >= p["size"]],
        node_facts=(run_dir / "node.json").exists(),
        sysctls=_sysctls(places.proc_sys, (agent or {}).get("uplinks", ()), unseen),
        dropping=_firewall(agent or {}, unseen),
        before_ours=_conflists(places.conf_dir, unseen),
        refused_there=refused((agent or {}).get("peers", ()), unseen),
        heard=listen_to_silent(run_dir, (agent or {}).get("peers", ()), unseen),
        small_mtu=_mtu((agent or {}).get("peers", ()), unseen),
    )
    return seen, unseen


def _agent(run_dir: Path) -> tuple[Json | None, str]:
    try:
        return LocalClient(run_dir).get("/v1/doctor"), ""
    except AgentUnreachableError as error:
        return None, str(error).partition("\n")[0]


def _cni(run_dir: Path) -> tuple[Json, str]:
    """Return the server's overview, and why it does not answer; "" if it does."""
    try:
        return ask_server(run_dir), ""
    except OSError as error:
        return {"pools": ()}, str(error)


def _disks(places: Places) -> dict[str, str]:
    """Return the directories we write to that have no room, by what they lack."""
    found = {}
    for directory in (places.run_dir, places.state_dir):
        try:
            there = os.statvfs(directory)
        except OSError:
            continue  # the state directory is made when there is a drain to remember
        if there.f_blocks and there.f_bfree * there.f_frsize < _ROOM_BYTES:
            size = there.f_blocks * there.f_frsize
            left = there.f_bfree * there.f_frsize
            found[str(directory)] = f"{left} bytes of {size} are free at {directory}"
        elif there.f_files and not there.f_ffree:
            found[str(directory)] = f"none of {there.f_files} inodes is free at {directory}"
    return found


def _sysctls(root: Path, uplinks: Sequence[str], unseen: list[str]) -> Mapping[str, str]:
    try:
        return Sysctls(root, Path("/nowhere")).read(keys(uplinks, ()))
    except KernelError as error:
        unseen.append(f"sysctls: {error}")
        return {}


def _firewall(agent: Json, unseen: list[str]) -> Sequence[str]:
    """Only what nf_tables shows: a filter of iptables-legacy has tables of its own."""
    if Path("/proc/net/ip_tables_names").exists() and "filter" in _read(
        Path("/proc/net/ip_tables_names")
    ):
        unseen.append("the tables of iptables-legacy (iptables-legacy -S FORWARD)")
    answer = _output(["nft", "-j", "list", "ruleset"])
    if answer is None:
        unseen.append("firewall: nft is not here, or may not read")
        return ()
    pods = [*agent.get("pod_cidrs", ()), *agent.get("pod_prefixes", ())]
    return dropping(json.loads(answer)["nftables"], [ipaddress.ip_network(p) for p in pods])


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _conflists(conf_dir: Path, unseen: list[str]) -> Sequence[str]:
    try:
        return shadowing(conf_dir)
    except OSError as error:
        unseen.append(f"network configurations: {error}")
        return ()


def _mtu(peers: Sequence[Json], unseen: list[str]) -> dict[str, int]:
    """Ping each connected peer with a packet as large as its link takes, not to be fragmented."""
    asked = [p for p in peers if p["state"] == "established" and p["link_mtu"] is not None]
    if asked and shutil.which("ping") is None:
        unseen.append("MTU toward the peers: there is no ping")
        return {}
    found = {}
    for peer in asked:
        version = ipaddress.ip_address(peer["address"]).version
        large = peer["link_mtu"] - _HEADERS[version]
        if not _answers(peer["address"], large) and _answers(peer["address"], _SMALL_BYTES):
            found[peer["name"]] = peer["link_mtu"]
    return found


def _answers(address: str, payload_bytes: int) -> bool:
    size = str(payload_bytes)
    words = ["ping", "-n", "-q", "-c2", "-i0.2", "-W1", "-Mdo", "-s", size, address]
    return _output(words) is not None


def _output(words: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
