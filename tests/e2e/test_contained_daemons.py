"""CNI server and route agent in containers, with exactly the privileges they ship with."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from containerlab.demo.daemon import descendants
from containerlab.demo.fabric import TOPOLOGY
from containerlab.demo.pod import Pod, Runtime
from containerlab.netlab import Lab
from containerlab.runtime.cgroups import cgroups
from tests.support.contained import NUMBERS, PODROUTE, PROC_SYS, ContainedDaemon
from tests.support.containerd import Containerd
from tests.support.runtime_node import CNI_BIN, ROOT, RuntimeNode, RuntimePod
from tests.support.wait import NotYetError, wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.needs("containerd", "ctr", "runc", "busybox"),
    pytest.mark.timeout(180),
]

WRITTEN = (
    "net.ipv4.ip_forward",
    "net.ipv6.conf.all.forwarding",
    "net.ipv4.fib_multipath_hash_policy",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """node1 with contained daemons, node2 with plain ones, both behind two ToRs."""

    host: RuntimeNode
    other: RuntimeNode
    containerd: Containerd
    sandbox: RuntimePod
    """The host-network pod of the daemons."""
    server: ContainedDaemon
    agent: ContainedDaemon

    def peers(self) -> list[dict[str, object]]:
        """Return what `podroute peers` tells on node1."""
        told = self.host.node.run([PODROUTE, "peers", "-o", "json"], check=False)
        return json.loads(told.stdout)["peers"] if told.returncode == 0 else []

    def wait_established(self) -> None:
        """Wait until the agent has all its sessions."""

        def probe() -> bool:
            states = [peer["state"] for peer in self.peers()]
            if states != ["established"] * 4:
                raise NotYetError((states, self.agent.log()[-3000:]))
            return True

        wait_until(probe, deadline_s=30, what="all sessions of node1")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with cgroups() as parent, Lab.up(TOPOLOGY) as lab:
        host, other = (RuntimeNode(lab.nodes[name], parent) for name in ("node1", "node2"))
        for each in (host, other):
            each.write_conflist()
        for key in WRITTEN:
            host.node.run(["sysctl", "-qw", f"{key}=0"])
        other.agent.start()
        other.cni.start()
        containerd = Containerd(host)
        containerd.start()
        host.node.run(["mkdir", "-p", "/run/podroute"])
        sandbox = containerd.run_host_sandbox("podroute")
        site = Site(
            host=host,
            other=other,
            containerd=containerd,
            sandbox=sandbox,
            server=ContainedDaemon(containerd, "cni", is_agent=False),
            agent=ContainedDaemon(containerd, "router", is_agent=True),
        )
        site.server.start(sandbox)
        site.agent.start(sandbox)
        try:
            host.wait_ready()
        except AssertionError as error:
            logs = f"{site.server.log()[-2000:]}\n{site.agent.log()[-2000:]}"
            raise AssertionError(f"{error}\n{logs}") from error
        other.wait_ready()
        site.wait_established()
        yield site
        containerd.close()


def status(site: Site, pid: int) -> dict[str, str]:
    lines = site.host.node.run(["cat", f"/proc/{pid}/status"]).stdout.splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def namespace(site: Site, pid: int, kind: str) -> str:
    return site.host.node.run(["readlink", f"/proc/{pid}/ns/{kind}"]).stdout


@pytest.mark.parametrize("name", ["server", "agent"])
def test_it_has_only_what_it_ships_with(site: Site, name: str) -> None:
    daemon = site.server if name == "server" else site.agent
    told = status(site, daemon.pid)
    expected = sum(1 << NUMBERS[capability] for capability in daemon.capabilities)
    for kind in ("CapEff", "CapPrm", "CapBnd"):
        assert int(told[kind], 16) == expected, kind
    assert (told["Seccomp"], told["NoNewPrivs"]) == ("2", "1")
    for kind, is_shared in {"net": True, "mnt": False, "pid": False, "ipc": False}.items():
        shares = namespace(site, daemon.pid, kind) == namespace(site, 1, kind)
        assert shares is is_shared, kind


@pytest.mark.parametrize("name", ["cni", "router"])
def test_the_daemonset_asks_for_just_that(site: Site, name: str) -> None:
    manifest = yaml.safe_load((ROOT / "deploy/kustomize/base/daemonset.yaml").read_text())
    pod = manifest["spec"]["template"]["spec"]
    shipped = next(each for each in pod["containers"] if each["name"] == name)
    context = shipped["securityContext"]
    daemon = site.server if name == "cni" else site.agent
    assert context["capabilities"]["drop"] == ["ALL"]
    assert sorted(context["capabilities"]["add"]) == sorted(daemon.capabilities)
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert not context.get("privileged")
    assert pod["hostNetwork"] is True
    assert not pod.get("hostPID")
    assert shipped["args"][:2] == ["--proc-sys", PROC_SYS]
    mounted = {mount["mountPath"] for mount in shipped["volumeMounts"]}
    assert {"/run/podroute", f"{PROC_SYS}/net"} <= mounted


def test_the_agent_wrote_the_nodes_sysctls(site: Site) -> None:
    for key in WRITTEN:
        assert site.host.node.run(["sysctl", "-n", key]).stdout == "1\n", key


def outside_pid(site: Site, pid: int) -> int:
    """Return our number of a process that the node calls *pid*."""
    wanted = namespace(site, pid, "pid").strip()
    for process in descendants(site.host.node.pid):
        if str(Path(f"/proc/{process}/ns/pid").readlink()) == wanted:
            return process
    raise AssertionError(f"no process of {wanted}")


def test_the_speaker_has_nothing(site: Site) -> None:
    tree = descendants(outside_pid(site, site.agent.pid))
    assert tree
    for pid in tree:
        told = Path(f"/proc/{pid}/status").read_text()
        # Without SETPCAP its bounding set stays the agent's; no_new_privs makes it void.
        assert len(re.findall(r"^Cap(?:Inh|Prm|Eff|Amb):\t0+$", told, re.MULTILINE)) == 4
        assert "\nNoNewPrivs:\t1\n" in told
        assert re.search(r"^Uid:(\t61179){4}$", told, re.MULTILINE)
        assert re.search(r"^Groups:\s*$", told, re.MULTILINE)
    config = site.host.node.run(["stat", "-c", "%a %u %g", "/run/podroute/speaker/exabgp.conf"])
    assert config.stdout == "440 0 61179\n"


@pytest.fixture
def far(site: Site) -> Iterator[Pod]:
    """A pod on node2."""
    runtime = Runtime(site.other.node)
    pod = runtime.make_pod("far")
    yield pod
    runtime.remove_pod(pod)


def wait_reached(site: Site, pod: RuntimePod, far: Pod) -> None:
    """Wait until the fabric carries packets between the two."""
    for family in (4, 6):
        argv = ["ping", "-c", "1", "-W", "1", far.address(family)]
        wait_until(
            lambda argv=argv: "1 received" in site.host.in_pod(pod, *argv, check=False),
            deadline_s=20,
            what=f"{pod.name} reaches {far.address(family)}",
        )


def test_its_pods_reach_the_pods_of_another_node(site: Site, far: Pod) -> None:
    pod = site.containerd.run_sandbox("near")
    assert site.host.addresses_in(pod) == pod.addresses
    wait_reached(site, pod, far)
    for family in (4, 6):
        argv = ["ip", "netns", "exec", far.name, "ping", "-c", "1", "-W", "2", pod.address(family)]
        site.other.node.run(argv)
    site.containerd.stop_sandbox(pod)
    assert site.host.leftovers(pod.addresses) == []
    site.containerd.remove_sandbox(pod)


def test_a_sandbox_with_ipv6_disabled_gets_its_address(site: Site) -> None:
    """/proc/sys/net is writable at another place only, and shows the sandbox's all the same."""
    node = site.host.node
    node.run(["ip", "netns", "add", "six"])
    disable = "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"
    node.run(["ip", "netns", "exec", "six", "sh", "-c", disable])
    environment = {
        "CNI_CONTAINERID": "six",
        "CNI_NETNS": "/run/netns/six",
        "CNI_IFNAME": "eth0",
        "CNI_PATH": CNI_BIN,
    }
    request = json.dumps({"cniVersion": "1.0.0", "name": "podroute", "type": "podroute"})
    for command in ("ADD", "DEL"):
        done = node.run(
            [f"{CNI_BIN}/podroute"],
            input=request,
            env={**environment, "CNI_COMMAND": command},
            check=False,
        )
        assert done.returncode == 0, done.stdout
        shown = node.run(["ip", "-n", "six", "-6", "addr", "show", "scope", "global"]).stdout
        assert ("fd00:244:1::" in shown) is (command == "ADD")
    node.run(["ip", "netns", "delete", "six"])


@pytest.mark.parametrize("timeout_s", [10, 0], ids=["stopped", "killed"])
def test_a_new_server_container_goes_on_where_the_last_one_ended(
    site: Site, timeout_s: int
) -> None:
    stays, goes = (site.containerd.run_sandbox(f"{name}-{timeout_s}") for name in ("stays", "goes"))
    site.server.stop(timeout_s)
    site.containerd.stop_sandbox(goes)
    assert len(site.host.spooled()) >= 1
    site.server.start(site.sandbox)
    site.host.wait_ready()
    wait_until(lambda: site.host.spooled() == [], deadline_s=5, what="an empty spool")
    assert site.host.leftovers(goes.addresses)[1:] == [str(each) for each in stays.addresses]
    site.host.in_pod(stays, "ping", "-c", "1", "-W", "2", "10.255.1.1")
    site.containerd.stop_sandbox(stays)
    assert site.host.leftovers([*stays.addresses, *goes.addresses]) == []
    for pod in (stays, goes):
        site.containerd.remove_sandbox(pod)


@pytest.mark.parametrize("timeout_s", [10, 0], ids=["stopped", "killed"])
def test_a_new_agent_container_loses_no_packet(site: Site, far: Pod, timeout_s: int) -> None:
    pod = site.containerd.run_sandbox(f"flow-{timeout_s}")
    wait_reached(site, pod, far)
    argv = ["nsenter", "-t", str(pod.pid), "-n", "ping", "-i", "0.02", far.address(4)]
    ping = site.host.node.popen(argv, stdout=subprocess.PIPE)
    site.agent.stop(timeout_s)
    assert site.peers() == []
    site.agent.start(site.sandbox)
    site.wait_established()
    ping.send_signal(signal.SIGINT)
    told, _ = ping.communicate(timeout=5)
    assert " 0% packet loss" in told, told[-300:]
    site.containerd.stop_sandbox(pod)
    site.containerd.remove_sandbox(pod)


def test_leaving_withdraws_everything(site: Site) -> None:
    """The last test: the agent is gone after it."""
    done = site.host.node.run([PODROUTE, "stop", "--withdraw"], timeout_s=30)
    assert "every established peer has it" in done.stdout
    wait_until(
        lambda: not site.other.node.run(["ip", "route", "show", "10.244.1.0/24"]).stdout,
        deadline_s=5,
        what="node2 has no route to node1's pods",
    )
