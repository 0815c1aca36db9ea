"""The server killed -9 before and after every operation it asks of the kernel.

Every netlink message, every socket and file operation of ADD, DEL and GC, of an ADD that fails, of
a start with links and a spool left over, of a planned end, and of the shim while it spools. After
each death a new server starts, and everything must be as if the call had never been made, or had
been made whole: no link without a pod, no address taken without an attachment, no DEL lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cni.shim.build import build
from tests.support.cni_node import RUN_DIR, Answer, CniNode, build_shim
from tests.support.death.sweep import CIDRS, KEEP, PROGRAM, Scenario, Sweep, Tally
from tests.support.death.switch import DeathSwitch, build_switch
from tests.support.netns import Namespace
from tests.support.wait import wait_until

pytestmark = pytest.mark.netns

MIN_POINTS = 60
MakeSweep = Callable[..., Sweep]
# A server that leaves at its start what another had half made.
FORGETFUL = (
    "import cni.server.app as app\n"
    "app._remove_unfinished = lambda service, dataplane: service.rebuild()\n" + PROGRAM
)
KEEP_ONLY = {
    "cniVersion": "1.1.0",
    "cni.dev/valid-attachments": [{"containerID": f"container-{KEEP}", "ifname": "eth0"}],
}
ALL_FREE = [f"10.244.1.{number}" for number in (1, 2, 8)]


@pytest.fixture
def sweep(make_namespace: Callable[[str], Namespace], tmp_path: Path) -> Iterator[MakeSweep]:
    with contextlib.ExitStack() as stack:
        made: list[str] = []

        def make(scenario: Scenario, program: str = PROGRAM) -> Sweep:
            made.append(scenario.name)
            namespace = make_namespace(f"node{len(made)}")
            node = stack.enter_context(contextlib.closing(CniNode(namespace, shim)))
            control = tmp_path / f"control{len(made)}"
            switch = stack.enter_context(
                contextlib.closing(DeathSwitch(library, control, str(control)))
            )
            node.facts(*CIDRS)
            node.program = program
            node.server_environment = switch.environment
            node.start()
            for name in (KEEP, "a", "b"):
                node.sandbox(name)
            node.add(KEEP)
            return Sweep(node, switch)

        shim = build_shim(tmp_path)
        shutil.copy(shim, shim.with_name("podroute-ipam"))
        library = build_switch(tmp_path)
        # Preloading needs a dynamic executable.
        build(tmp_path / "dynamic-shim", compiler="gcc", flags=("-O1",))
        yield make


def call(node: CniNode, command: str, *names: str) -> Answer:
    """Call for each of the pods; return the last answer."""
    answers = [node.call(command, name) for name in names]
    return answers[-1]


def answered_or_undone(node: CniNode, answer: Answer | None) -> set[str]:
    """Check what the runtime saw of an ADD; return the pods it has a right to."""
    assert answer is not None
    if answer.exit_code == 0:
        return {"a"}
    assert answer.body["code"] == 11, answer.stdout
    return set()


def deleted(node: CniNode, answer: Answer | None) -> set[str]:
    assert answer is not None
    assert (answer.exit_code, answer.stdout) == (0, "")
    return set()


def collected(node: CniNode, answer: Answer | None) -> set[str]:
    assert answer is not None
    assert answer.exit_code == 0 or answer.body["code"] == 11
    assert node.call("GC", "", config=KEEP_ONLY).exit_code == 0
    return set()


def block_addresses(node: CniNode) -> None:
    """Put foreign routes to every free address: an ADD fails at its last operation."""
    for address in ALL_FREE[1:]:
        node.namespace.run(["ip", "route", "add", f"{address}/32", "dev", "lo"])


def refused(node: CniNode, answer: Answer | None) -> set[str]:
    assert answer is not None
    assert answer.body["code"] in (11, 103), answer.stdout
    node.namespace.run(["ip", "route", "flush", "dev", "lo", "proto", "boot"])
    return set()


def leave_work_for_the_next_start(node: CniNode) -> None:
    """Leave an unfinished link, one whose removal had begun, rubbish, and a spooled DEL."""
    node.add("a")
    node.stop(signal.SIGKILL)
    node.delete("a")
    for name, group in (("podunfinished", 0x7072), ("podcondemned", 0x70720007)):
        argv = ["ip", "link", "add", name, "group", str(group), "type", "veth"]
        node.namespace.run([*argv, "peer", "name", f"{name[:8]}peer"])
    (node.root / RUN_DIR[1:] / "spool/rubbish").write_bytes(b"x")
    (node.root / "run/count").touch()


def start(node: CniNode) -> None:
    node.start(wait=False)
    assert node.server is not None
    with contextlib.suppress(AssertionError):
        node.wait_serving()


def started(node: CniNode, answer: Answer | None) -> set[str]:
    for left in ("podunfinpeer", "podcondepeer"):
        assert left not in node.links()
    return set()


def terminate(node: CniNode) -> None:
    assert node.server is not None
    # It may be dead already: what it does behind the ADD's answer counts, too.
    with contextlib.suppress(ProcessLookupError):
        os.kill(node.server_pid, signal.SIGTERM)
    node.server.wait(timeout=10)
    node.server = None


def spool_without_server(node: CniNode) -> Answer:
    """DEL through a shim that may die; the runtime calls again when it did."""
    argv = ["env", *(f"{key}={value}" for key, value in node.server_environment.items())]
    shim = node.shim.with_name("dynamic-shim")
    node.namespace.run(
        [*argv, str(shim)],
        check=False,
        env=node.environment("DEL", "a"),
        input='{"cniVersion":"1.0.0","name":"podroute","type":"podroute"}',
    )
    return node.call("DEL", "a")


def spooled(node: CniNode, answer: Answer | None) -> set[str]:
    """What a dead shim left half written goes when it is old enough."""
    deleted(node, answer)
    for name in node.spooled():
        if name.startswith("."):
            os.utime(node.root / RUN_DIR[1:] / "spool" / name, (0, 0))
    node.stop()
    node.start()
    return set()


def lease(node: CniNode, command: str) -> Answer:
    """Call podroute-ipam for pod a, as another plugin does."""
    config = {"cniVersion": "1.0.0", "name": "n", "type": "ptp", "ipam": {"type": "podroute-ipam"}}
    done = node.namespace.run(
        [node.shim.with_name("podroute-ipam")],
        check=False,
        env=node.environment(command, "a"),
        input=json.dumps(config),
    )
    return Answer(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def make_room(node: CniNode) -> None:
    """A lease needs a gateway, too: what leaks is counted among the leases."""
    node.facts("10.244.1.0/29", "fd00:244:1::/125")


def leases(node: CniNode) -> int:
    """Return how many containers have a lease, of an address of each family."""
    directory = node.root / RUN_DIR[1:] / "leases"
    found = [json.loads(path.read_bytes()) for path in directory.iterdir()]
    return sum(bool(record["container_id"]) for record in found)


def leased_or_undone(node: CniNode, answer: Answer | None) -> set[str]:
    """A lease or none, as answered; then given back."""
    assert answer is not None
    if answer.exit_code == 0:
        assert leases(node) == 1
        assert len(set(answer.addresses)) == 2
    else:
        assert answer.body["code"] == 11, answer.stdout
    return given_back(node, lease(node, "DEL"))


def given_back(node: CniNode, answer: Answer | None) -> set[str]:
    wait_until(lambda: not leases(node), deadline_s=12, what="no lease is left")
    return deleted(node, answer)


def stop_with_pod(node: CniNode) -> None:
    node.add("a")
    node.stop()


ADD = Scenario(
    name="ADD",
    prepare=lambda node: None,
    act=lambda node: call(node, "ADD", "a"),
    settle=answered_or_undone,
)
DEL = Scenario(
    name="DEL",
    prepare=lambda node: node.add("a"),
    act=lambda node: call(node, "DEL", "a"),
    settle=deleted,
)
GC = Scenario(
    name="GC",
    prepare=lambda node: call(node, "ADD", "a", "b"),
    act=lambda node: node.call("GC", "", config=KEEP_ONLY),
    settle=collected,
)
REFUSED_ADD = Scenario(
    name="refused ADD",
    prepare=block_addresses,
    act=lambda node: call(node, "ADD", "a"),
    settle=refused,
)
START = Scenario(
    name="start",
    prepare=leave_work_for_the_next_start,
    act=start,
    settle=started,
    counts_start=True,
)
STOP = Scenario(
    name="stop",
    prepare=lambda node: node.add("a"),
    act=terminate,
    settle=lambda node, answer: {"a"},
)
SPOOL = Scenario(name="spool", prepare=stop_with_pod, act=spool_without_server, settle=spooled)
LEASE = Scenario(
    name="lease",
    prepare=make_room,
    act=lambda node: lease(node, "ADD"),
    settle=leased_or_undone,
)
GIVE_BACK = Scenario(
    name="give back",
    prepare=lambda node: (make_room(node), lease(node, "ADD")),
    act=lambda node: lease(node, "DEL"),
    settle=given_back,
)
ALL = (ADD, DEL, GC, REFUSED_ADD, START, STOP, SPOOL, LEASE, GIVE_BACK)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_kill_point(sweep: MakeSweep, capsys: pytest.CaptureFixture[str]) -> None:
    total = Tally()
    for scenario in ALL:
        tally = sweep(scenario).run(scenario)
        with capsys.disabled():
            print(f"\n{scenario.name}: {tally}")
        total.add(tally)
    with capsys.disabled():
        print(f"in all: {total}")
    assert not total.faults, "\n".join(total.faults)
    assert len(total.points) >= MIN_POINTS


@pytest.mark.parametrize("scenario", [ADD, DEL, GC], ids=lambda scenario: scenario.name)
def test_some_kill_points(sweep: MakeSweep, scenario: Scenario) -> None:
    tally = sweep(scenario).run(scenario, stride=9)
    assert not tally.faults, "\n".join(tally.faults)
    assert tally.points


@pytest.mark.slow
def test_a_server_that_forgets_is_found_out(sweep: MakeSweep) -> None:
    """The sweep sees what it is for: half-made links that nobody removes."""
    tally = sweep(ADD, FORGETFUL).run(ADD, stride=6)
    assert tally.leaks
