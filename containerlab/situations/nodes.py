"""Situations on a node: what others do to its kernel, disk, addresses and daemons."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from containerlab.demo.fabric import Host, wait_for
from containerlab.demo.pod import PluginError
from containerlab.situations.scene import CONF_DIR, RUN_DIR, START, Scene, by_shell
from containerlab.situations.situation import Situation

_SMALL_POOLS = ("10.244.1.0/29", "fd00:244:1::/125")
_MORE_THAN_FIT = 12
_DELETER = "while :; do ip route del 10.244.2.0/24 proto 74; sleep 0.5; done 2>/dev/null"
_WITHOUT_NET_ADMIN = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")


def _shell(breaking: str, mending: str) -> Callable[[Scene], AbstractContextManager[None]]:
    """Return a situation made by a command on node1."""
    return lambda scene: by_shell(scene.hosts[0].node, breaking, mending)


def _duplicate(scene: Scene) -> AbstractContextManager[None]:
    """Give node2 node1's pod CIDRs beside its own."""
    one, two, _ = scene.hosts
    return scene.configured(two, pod_cidrs=[*two.config["pod_cidrs"], *one.config["pod_cidrs"]])


@contextmanager
def _exhausted(scene: Scene) -> Iterator[None]:
    """Give the node a few addresses only, and start pods until one is refused for want of them."""
    host = scene.hosts[0]
    with scene.configured(host, pod_cidrs=list(_SMALL_POOLS)), ExitStack() as pods:
        wait_for(lambda: _why_not_small(host), deadline_s=30, what="node.json with small pools")
        refused = ""
        for number in range(_MORE_THAN_FIT):
            try:
                pod = host.runtime.make_pod(f"full-{number}")
            except PluginError as error:
                refused = str(error)
                break
            pods.callback(host.runtime.remove_pod, pod)
        assert '"code": 102' in refused or '"code":102' in refused, refused
        yield


def _why_not_small(host: Host) -> str:
    facts = host.node.run(["cat", f"{RUN_DIR}/node.json"]).stdout
    return "" if _SMALL_POOLS[0] in facts else facts


@contextmanager
def _deleted(scene: Scene) -> Iterator[None]:
    """Have a program delete a learned route again and again."""
    host = scene.hosts[0]
    program = host.node.popen(["sh", "-c", _DELETER])
    try:
        yield
    finally:
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()
        scene.restart_agent(host)


@contextmanager
def _api_down(scene: Scene) -> Iterator[None]:
    with scene.cluster() as api:
        api.do("down")
        yield


@contextmanager
def _hung(scene: Scene) -> Iterator[None]:
    """Stop ExaBGP: its connections stand, and it says nothing any more."""
    host = scene.hosts[0]
    for pid in host.agent.speaker_pids():
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        scene.restart_agent(host)


@contextmanager
def _disk_full(scene: Scene) -> Iterator[None]:
    """Fill the disk that our state is on, and change what has to be written to it."""
    fill = f"cat /dev/zero > {RUN_DIR}/filler || true"
    node1 = scene.hosts[0]
    with by_shell(node1.node, fill, f"rm {RUN_DIR}/filler"), scene.configured(node1, mtu=1400):
        yield


@contextmanager
def _without_capability(scene: Scene) -> Iterator[None]:
    host = scene.hosts[0]
    scene.restart_agent(host, *START, under=_WITHOUT_NET_ADMIN)
    try:
        yield
    finally:
        scene.restart_agent(host)


SITUATIONS = (
    Situation(
        name="rp_filter",
        broken="rp_filter is strict on an uplink",
        apply=_shell(
            "echo 1 > /proc/sys/net/ipv4/conf/eth1/rp_filter",
            "echo 0 > /proc/sys/net/ipv4/conf/eth1/rp_filter",
        ),
        finding="rp-filter-strict",
        words=("eth1",),
    ),
    Situation(
        name="duplicate_cidr",
        broken="two nodes have the same pod CIDR",
        apply=_duplicate,
        host=1,
        finding="pod-cidr-duplicate",
        words=("10.244.1.0/24", "AS 65201"),
    ),
    Situation(
        name="exhausted_pool",
        broken="pods have taken every address of the node",
        apply=_exhausted,
        finding="pool-exhausted",
        words=("10.244.1.0/29",),
    ),
    Situation(
        name="conflist_shadowed",
        broken="another network configuration comes before podroute's",
        apply=_shell(f"echo {{}} > {CONF_DIR}/00-other.conf", f"rm {CONF_DIR}/00-other.conf"),
        finding="conflist-shadowed",
        words=("00-other.conf",),
    ),
    Situation(
        name="foreign_route_deletion",
        broken="a program deletes a learned route again and again",
        apply=_deleted,
        finding="routes-removed",
        words=("10.244.2.0/24",),
    ),
    Situation(
        name="api_down",
        broken="the API server does not answer an agent in cluster mode",
        apply=_api_down,
        finding="api-away",
        words=("API server",),
    ),
    Situation(
        name="exabgp_hung",
        broken="ExaBGP is stopped by a signal and hangs",
        apply=_hung,
        finding="speaker-hung",
        words=("ExaBGP", "no sign of life"),
    ),
    Situation(
        name="disk_full",
        broken="the file system of the run directory is full",
        apply=_disk_full,
        finding="disk-full",
        words=(RUN_DIR, "0 bytes"),
        fast=True,
    ),
    Situation(
        name="forward_drop",
        broken="a firewall drops what is forwarded, by policy",
        apply=_shell("iptables -P FORWARD DROP", "iptables -P FORWARD ACCEPT"),
        finding="forward-drop",
        words=("FORWARD",),
    ),
    Situation(
        name="missing_capability",
        broken="the agent runs without CAP_NET_ADMIN",
        apply=_without_capability,
        finding="capability-missing",
        words=("route agent", "CAP_NET_ADMIN"),
    ),
    Situation(
        name="node_address_changed",
        broken="the node's own address is replaced, the configuration has the former one",
        apply=_shell(
            "ip addr add 10.255.1.101/32 dev lo; ip addr del 10.255.1.1/32 dev lo",
            "ip addr add 10.255.1.1/32 dev lo; ip addr del 10.255.1.101/32 dev lo",
        ),
        finding="node-address-missing",
        words=("10.255.1.1 ",),
    ),
)
