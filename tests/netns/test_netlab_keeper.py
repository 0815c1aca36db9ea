from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerlab.netlab import KeeperError, Lab, keeper, registry
from tests.support.lab import PAIR, RootState, Traces, write_pair
from tests.support.wait import wait_until

pytestmark = [pytest.mark.netns, pytest.mark.needs("nft", "pgrep", "setpriv")]
ROOT = Path(__file__).resolve().parents[2]


def netlab(*words: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "containerlab.netlab", *map(str, words)],
        cwd=ROOT,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    path = write_pair(tmp_path / "kept")
    keeper.start(path)
    yield path
    if registry.address(path) in registry.kept_addresses():
        keeper.stop(path)


def test_up_leaves_a_lab_that_down_ends(tmp_path: Path) -> None:
    path = write_pair(tmp_path)
    before = RootState.read()
    up = netlab("up", path)
    assert (up.returncode, up.stderr) == (0, "")
    assert " is up after " in up.stdout
    with Lab.attach(path) as lab:
        traces = Traces.of(lab)
    assert len(traces.holders()) == 2, "attaching and letting go ends nothing"
    assert RootState.read() == before
    down = netlab("down", path)
    assert (down.returncode, down.stderr) == (0, "")
    assert traces.holders() == {}
    assert registry.address(path) not in registry.kept_addresses()
    assert RootState.read() == before


def test_exec_passes_streams_and_status(kept: Path) -> None:
    done = netlab("exec", kept, "b", "sh", "-c", "cat; echo err >&2; hostname; exit 7", given="in ")
    assert (done.stdout, done.stderr, done.returncode) == ("in second\n", "err\n", 7)
    assert netlab("exec", kept, "a", "--", "true").returncode == 0
    assert netlab("exec", kept, "a", "sh", "-c", "kill -9 $$").returncode == 137


def test_a_killed_exec_takes_its_program_along(kept: Path) -> None:
    argv = [sys.executable, "-m", "containerlab.netlab", "exec", str(kept), "a", "sleep", "600"]
    with Lab.attach(kept) as lab, subprocess.Popen(argv, cwd=ROOT) as command:
        count = ["pgrep", "-c", "-x", "sleep"]
        node = lab.nodes["a"]
        wait_until(lambda: node.run(count, check=False).stdout == "1\n", deadline_s=10, what="runs")
        command.kill()
        wait_until(lambda: node.run(count, check=False).stdout == "0\n", deadline_s=5, what="gone")


def test_starting_twice_says_so(kept: Path) -> None:
    with pytest.raises(KeeperError, match="lab kept is already up; `down kept` ends it"):
        keeper.start(kept)
    with Lab.attach(kept) as lab:
        assert lab.nodes["a"].run(["hostname"]).stdout == "a\n"


def test_a_killed_keeper_leaves_nothing_and_up_works_again(tmp_path: Path) -> None:
    path = write_pair(tmp_path)
    before = RootState.read()
    pid = keeper.start(path)
    with Lab.attach(path) as lab:
        traces = Traces.of(lab)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not traces.holders(), deadline_s=5, what="no process of the lab is left")
    assert RootState.read() == before
    keeper.start(path)
    keeper.stop(path)


def test_a_terminated_keeper_ends_its_lab(tmp_path: Path) -> None:
    path = write_pair(tmp_path)
    pid = keeper.start(path)
    with Lab.attach(path) as lab:
        traces = Traces.of(lab)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not traces.holders(), deadline_s=5, what="no process of the lab is left")


def test_an_attached_lab_can_be_worked_on(kept: Path) -> None:
    with Lab.attach(kept) as lab:
        program = lab.nodes["a"].popen(["sleep", "600"])
        lab.nodes["a"].interface("eth1").other.down()
    assert program.poll() is None, "letting go leaves programs running"
    with Lab.attach(kept) as again:
        state = again.nodes["a"].run(["cat", "/sys/class/net/eth1/carrier"]).stdout
        assert state == "0\n"
        again.nodes["b"].stop()
    program.kill()
    program.wait()
    with Lab.attach(kept) as rest:
        assert list(rest.nodes) == ["a"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["up", "dual-tro"], "no lab 'dual-tro' (did you mean 'dual-tor'?); there is: dual-tor"),
        (["down", "{down}"], "is not up"),
        (["exec", "{down}", "a", "true"], "is not up; up now: "),
        (["exec", "{down}", "a", "true"], "; start it: ./dev lab up {down}"),
        (["exec", "nolab", "a", "true"], "; ./dev lab up NAME starts one"),
        (["exec", "{kept}", "c", "true"], "no node 'c'; lab {kept} has: a, b"),
        (["exec", "{kept}", "a"], "exec {kept} a: a command is missing"),
    ],
)
def test_bad_input_gets_one_clear_message(
    kept: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    down = write_pair(tmp_path / "not-up")
    filled = [word.format(kept=kept, down=down) for word in words]
    done = netlab(*filled)
    assert done.returncode == 1
    assert message.format(kept=kept, down=down) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_up_reports_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    path = write_pair(tmp_path, PAIR.replace("hostname:", "hostnam:").replace("mtu", "mut"))
    done = netlab("up", path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{path}: node b: unknown key 'hostnam' (did you mean 'hostname'?)",
        f"{path}: links[0]: unknown key 'mut' (did you mean 'mtu'?)",
    ]
    assert registry.address(path) not in registry.kept_addresses()


def test_list_shows_fabrics_and_nodes(kept: Path) -> None:
    assert "dual-tor\t" in netlab("list").stdout
    with Lab.attach(kept) as lab:
        pids = {name: node.pid for name, node in lab.nodes.items()}
    assert netlab("list", kept).stdout == f"a\tpid {pids['a']}\nb\tpid {pids['b']}\n"
