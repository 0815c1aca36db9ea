from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerlab.netlab import HostError, Lab, LabError, NodeError, TopologyError
from tests.support.lab import PAIR, RootState, Traces, write_pair
from tests.support.wait import wait_until

pytestmark = [pytest.mark.netns, pytest.mark.needs("nft", "pgrep", "ping", "ps")]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab.up(write_pair(tmp_path)) as lab:
        yield lab


def reaches(lab: Lab, address: str) -> bool:
    return lab.nodes["a"].run(["ping", "-c1", "-W1", address], check=False).returncode == 0


def wait_started(sleeper: subprocess.Popen[str]) -> None:
    """Wait until nsenter has become the program, under the pid of the handle."""
    wait_until(
        lambda: Path(f"/proc/{sleeper.pid}/comm").read_text() == "sleep\n",
        deadline_s=5,
        what="the program runs under its own pid",
    )


def carrier(lab: Lab, node: str, interface: str) -> str:
    return lab.nodes[node].run(["cat", f"/sys/class/net/{interface}/carrier"]).stdout.strip()


def test_nodes_reach_each_other_and_the_root_namespaces_stay_as_they_were(tmp_path: Path) -> None:
    before = RootState.read()
    with Lab.up(write_pair(tmp_path)) as lab:
        assert reaches(lab, "10.9.0.1")
        assert reaches(lab, "fd00:9::1")
        assert RootState.read() == before
        traces = Traces.of(lab)
        lab.nodes["b"].popen(["sleep", "600"])
    assert traces.holders() == {}
    assert RootState.read() == before


def test_a_node_is_built_as_the_file_says(lab: Lab) -> None:
    a, b = lab.nodes["a"], lab.nodes["b"]
    assert a.run(["hostname"]).stdout == "a\n"
    assert b.run(["cat", "/etc/hostname"]).stdout == "second\n"
    assert a.run(["cat", "/etc/lab/file"]).stdout == "from outside\n"
    assert a.run(["sh", "-c", "echo x > /etc/lab/file"], check=False).returncode != 0
    assert a.run(["sh", "-c", "echo $COLOUR"]).stdout == "blue\n"
    assert a.run(["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout == "1\n"
    assert a.run(["ls", "/sys/class/net"]).stdout.split() == ["eth1", "lo"]
    assert a.run(["cat", "/sys/class/net/eth1/mtu"]).stdout == "1500\n"
    assert a.run(["ls", "/run"]).stdout.split() == ["lock"]
    assert a.run(["cat", "/proc/1/comm"]).stdout.startswith("python")


def test_what_a_node_writes_stays_in_the_node(lab: Lab) -> None:
    for folder in ("/etc", "/var", "/opt", "/run"):
        lab.nodes["a"].run(["touch", f"{folder}/netlab-test"])
        assert not Path(folder, "netlab-test").exists()
        assert lab.nodes["b"].run(["test", "-e", f"{folder}/netlab-test"], check=False).returncode


def test_nothing_of_our_environment_reaches_a_node(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETLAB_LEAK", "1")
    names = {line.partition("=")[0] for line in lab.nodes["a"].run(["env"]).stdout.splitlines()}
    assert names == {"COLOUR", "HOME", "LANG", "PATH"}


def test_named_network_namespaces_of_a_node_are_its_own(lab: Lab) -> None:
    """As a CNI runtime makes them: `ip netns add`, the mount seen by all programs of the node."""
    lab.nodes["a"].run(["ip", "netns", "add", "pod"])
    lab.nodes["a"].run(["ip", "-n", "pod", "link", "set", "lo", "up"])
    assert lab.nodes["b"].run(["ip", "netns"]).stdout == ""
    assert not Path("/run/netns/pod").exists()


def test_the_handle_of_a_program_is_the_program(lab: Lab) -> None:
    a = lab.nodes["a"]
    sleeper = a.popen(["sleep", "600"])
    wait_started(sleeper)
    assert a.run(["pgrep", "-c", "-x", "sleep"]).stdout == "1\n"
    sleeper.terminate()
    assert sleeper.wait(timeout=5) == -15
    assert a.run(["pgrep", "-c", "-x", "sleep"], check=False).stdout == "0\n"
    missing = a.popen(["no-such-program"], stderr=subprocess.DEVNULL)
    assert missing.wait(timeout=5) == 127


def test_run_passes_input_and_reports_failure(lab: Lab) -> None:
    a = lab.nodes["a"]
    assert a.run(["cat"], input="text").stdout == "text"
    with pytest.raises(NodeError, match=r"node a: sh -c .*: exit 3:\nsaid this"):
        a.run(["sh", "-c", "echo said this >&2; exit 3"])
    with pytest.raises(NodeError, match=r"node a: sleep 600: not done after 0\.2 s"):
        a.run(["sleep", "600"], timeout_s=0.2)
    assert a.run(["pgrep", "-c", "-x", "sleep"], check=False).stdout == "0\n"


def test_the_init_reaps_orphans(lab: Lab) -> None:
    a = lab.nodes["a"]
    a.run(["sh", "-c", "(sleep 0.05 &) ; (exec sleep 0.05 &) ; exit 0"])
    wait_until(
        lambda: a.run(["ps", "-e", "-o", "pid=,stat=,comm="]).stdout.count("\n") == 2,
        deadline_s=5,
        what="only the init and ps themselves, no zombie",
    )


def test_a_link_goes_down_and_up(lab: Lab) -> None:
    end = lab.nodes["a"].interface("eth1")
    assert (end.other.node.name, end.other.name, end.other.other) == ("b", "eth7", end)
    end.down()
    assert carrier(lab, "b", "eth7") == "0"
    end.up()
    assert carrier(lab, "b", "eth7") == "1"
    assert reaches(lab, "10.9.0.1")


def test_a_silent_drop_keeps_the_carrier_and_heals(lab: Lab) -> None:
    end = lab.nodes["b"].interface("eth7")
    end.drop()
    end.drop()
    assert not reaches(lab, "10.9.0.1")
    assert not reaches(lab, "fd00:9::1")
    assert (carrier(lab, "a", "eth1"), carrier(lab, "b", "eth7")) == ("1", "1")
    end.heal()
    end.heal()
    assert reaches(lab, "10.9.0.1")
    assert reaches(lab, "fd00:9::1")


def test_an_unknown_interface_is_named(lab: Lab) -> None:
    with pytest.raises(LabError, match=r"node a has no link 'eth9' \(it has eth1\)"):
        lab.nodes["a"].interface("eth9")


def test_a_stopped_node_takes_its_links_along(lab: Lab) -> None:
    a, b = lab.nodes["a"], lab.nodes["b"]
    program = a.popen(["sleep", "600"])
    wait_started(program)
    a.stop()
    assert not a.is_running
    assert program.poll() == -9
    wait_until(
        lambda: "eth7" not in b.run(["ls", "/sys/class/net"]).stdout,
        deadline_s=5,
        what="the other end of the link is gone",
    )
    with pytest.raises(NodeError, match="node a: is not running"):
        a.run(["true"])
    a.stop()


SWITCHED = """
name: switched
topology:
  defaults: {kind: linux, network-mode: none, image: alpine}
  nodes:
    sw: {kind: bridge}
    a: {exec: ["ip addr add 10.9.0.1/24 dev eth1"]}
    b: {exec: ["ip addr add 10.9.0.2/24 dev eth1"]}
    c: {exec: ["ip addr add 10.9.0.3/24 dev eth1"]}
  links:
    - {endpoints: ["sw:to-a", "a:eth1"], mtu: 1500}
    - {endpoints: ["sw:to-b", "b:eth1"], mtu: 1500}
    - {endpoints: ["c:eth1", "sw:to-c"], mtu: 1500}
"""


def test_a_bridge_joins_its_links(tmp_path: Path) -> None:
    before = RootState.read()
    with Lab.up(write_pair(tmp_path, SWITCHED)) as lab:
        assert reaches(lab, "10.9.0.2")
        assert reaches(lab, "10.9.0.3")
        lab.nodes["sw"].interface("to-b").down()
        assert carrier(lab, "b", "eth1") == "0"
        assert not reaches(lab, "10.9.0.2")
        assert reaches(lab, "10.9.0.3")
        assert RootState.read() == before
        traces = Traces.of(lab)
    assert traces.holders() == {}


def test_two_labs_at_once_do_not_meet(tmp_path: Path) -> None:
    with Lab.up(write_pair(tmp_path / "1")) as one, Lab.up(write_pair(tmp_path / "2")) as two:
        one.nodes["b"].interface("eth7").down()
        assert not reaches(one, "10.9.0.1")
        assert reaches(two, "10.9.0.1")
        one.down()
        assert reaches(two, "10.9.0.1")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        pytest.param(('"b:eth7"]', '"b:eth7"'), TopologyError, "not valid YAML", id="file"),
        pytest.param(("file:", "other:"), HostError, "other does not exist", id="bind source"),
        pytest.param(
            ("/etc/lab/file", "/netlab/file"),
            NodeError,
            "node a: bind target /netlab/file does not exist",
            id="bind target",
        ),
        pytest.param(
            ("ip_forward", "no_such_key"),
            NodeError,
            "node a: sysctl net.ipv4.no_such_key=1: No such file",
            id="sysctl",
        ),
        pytest.param(("dev eth7", "dev eth8"), NodeError, 'Cannot find device "eth8"', id="exec"),
    ],
)
def test_a_lab_that_cannot_come_up_leaves_nothing(
    tmp_path: Path, change: tuple[str, str], error: type[LabError], message: str
) -> None:
    before = RootState.read()
    with pytest.raises(error) as caught:
        Lab.up(write_pair(tmp_path, PAIR.replace(*change)))
    assert message in str(caught.value)
    assert RootState.read() == before
    init = str(ROOT / "containerlab/netlab/init.py")
    ours = subprocess.run(
        ["pgrep", "-P", str(_own_pid()), "-f", init], check=False, capture_output=True, text=True
    )
    assert ours.stdout == ""


def _own_pid() -> int:
    return int(Path("/proc/self/stat").read_text().split()[0])


KILLED = """
import subprocess, sys, time
from containerlab.netlab import Lab
lab = Lab.up(sys.argv[1])
a, b = lab.nodes.values()
children = [a.popen(["sleep", "600"]), b.popen(["sh", "-c", "sleep 600 & wait"])]
a.run(["ip", "netns", "add", "pod"])
print(*(node.pid for node in lab.nodes.values()), flush=True)
time.sleep(600)
"""


def test_a_killed_runner_leaves_nothing(tmp_path: Path) -> None:
    before = RootState.read()
    runner = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(write_pair(tmp_path))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with runner:
        try:
            assert runner.stdout
            traces = Traces.of_pids([int(word) for word in runner.stdout.readline().split()])
            # Two inits, two programs, and the child of the second, which is started last.
            wait_until(lambda: len(traces.holders()) >= 5, deadline_s=5, what="all programs run")
            assert RootState.read() == before
        finally:
            runner.kill()  # without it, a failure above would wait for the runner to end
        runner.wait()
        wait_until(lambda: not traces.holders(), deadline_s=5, what="no process of the lab is left")
    assert RootState.read() == before
