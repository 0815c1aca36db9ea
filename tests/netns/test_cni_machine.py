"""Random ADD, DEL, CHECK, GC and kills on the real kernel, against a model that is a dictionary."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.support.cni_node import Answer, CniNode, build_shim, first_packet_passes
from tests.support.death.sweep import look
from tests.support.netns import Namespace
from tests.support.wait import wait_until

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.needs("gcc")]

STEPS = 500
EXAMPLES = 10
POOL = ("10.244.1.0/29", "fd00:244:1::/125")
ADDRESSES = 6
KEYS = [(sandbox, ifname) for sandbox in ("a", "b", "c", "d") for ifname in ("eth0", "net1")]


Step = TypeVar("Step", bound=Callable[..., None])


def noted(step: Step) -> Step:
    """Keep what a step finds: a race may not come again when hypothesis runs the example again."""

    @functools.wraps(step)
    def wrapper(machine: Cni, *arguments: Any, **named: Any) -> None:
        try:
            step(machine, *arguments, **named)
        except AssertionError:
            machine.faults.append(f"{machine.steps[-8:]} {named}\n{traceback.format_exc()[-3000:]}")
            raise

    return cast(Step, wrapper)


class Cni(RuleBasedStateMachine):
    """``pods`` is what the runtime knows: (sandbox, ifname) to the result it got."""

    shim: ClassVar[Path]
    steps: ClassVar[list[str]] = []
    faults: ClassVar[list[str]] = []

    def __init__(self) -> None:
        super().__init__()
        self.cleanup = contextlib.ExitStack()
        self.pods: dict[tuple[str, str], Any] = {}
        namespace = self.cleanup.enter_context(contextlib.closing(Namespace("node1")))
        self.node = self.cleanup.enter_context(contextlib.closing(CniNode(namespace, self.shim)))

    @initialize()
    def start_node(self) -> None:
        self.node.facts(*POOL)
        self.node.start()
        for name in ("a", "b", "c", "d"):
            self.node.sandbox(name)

    def teardown(self) -> None:
        self.cleanup.close()

    def call(self, command: str, key: tuple[str, str], **config: Any) -> Answer:
        self.steps.append(command)
        sandbox, ifname = key
        return self.node.call(command, sandbox, config=config, CNI_IFNAME=ifname)

    @property
    def serving(self) -> bool:
        return self.node.server is not None

    @precondition(lambda self: self.serving)
    @rule(key=st.sampled_from(KEYS))
    @noted
    def add(self, key: tuple[str, str]) -> None:
        answer = self.call("ADD", key)
        if key in self.pods:
            assert answer.body["code"] == 100
        elif len(self.pods) == ADDRESSES:
            assert answer.body["code"] == 102
        else:
            assert answer.exit_code == 0, answer.stdout + self.node.log()
            self.pods[key] = answer.body
            if key[1] == "eth0":
                first_packet_passes(self.node, key[0], answer.addresses[0])

    @rule(key=st.sampled_from(KEYS), netns=st.sampled_from(["/run/netns/{}", "", "/nowhere"]))
    @noted
    def delete(self, key: tuple[str, str], netns: str) -> None:
        self.steps.append("DEL")
        sandbox, ifname = key
        path = netns.format(sandbox)
        self.node.delete(sandbox, CNI_IFNAME=ifname, CNI_NETNS=path)
        self.pods.pop(key, None)

    @precondition(lambda self: self.serving)
    @rule(key=st.sampled_from(KEYS))
    @noted
    def check(self, key: tuple[str, str]) -> None:
        answer = self.call("CHECK", key, prevResult=self.pods.get(key, {"ips": []}))
        if key in self.pods:
            assert (answer.exit_code, answer.stdout) == (0, "")
        else:
            assert answer.body["code"] == 3

    @precondition(lambda self: self.serving)
    @rule(keep=st.sets(st.sampled_from(KEYS)))
    @noted
    def collect(self, keep: set[tuple[str, str]]) -> None:
        valid = [{"containerID": f"container-{name}", "ifname": ifname} for name, ifname in keep]
        config = {"cniVersion": "1.1.0", "cni.dev/valid-attachments": valid}
        answer = self.call("GC", ("a", "eth0"), **config)
        assert (answer.exit_code, answer.stdout) == (0, "")
        self.pods = {key: result for key, result in self.pods.items() if key in keep}

    @precondition(lambda self: self.serving)
    @rule(signum=st.sampled_from([signal.SIGKILL, signal.SIGTERM]))
    @noted
    def stop(self, signum: signal.Signals) -> None:
        self.steps.append(signum.name)
        self.node.stop(signum)

    @precondition(lambda self: not self.serving)
    @rule()
    @noted
    def start(self) -> None:
        self.steps.append("start")
        self.node.start()

    @precondition(lambda self: self.serving)
    @rule(key=st.sampled_from(KEYS), command=st.sampled_from(["ADD", "DEL"]))
    @noted
    def kill_in_the_middle(self, key: tuple[str, str], command: str) -> None:
        """The outcome is the caller's to see; what it saw must be true afterwards."""
        process = self.node.namespace.popen(
            ["sh", "-c", 'printf %s "$1" | "$0"', self.node.shim, CONFIG],
            env=self.node.environment(command, key[0], CNI_IFNAME=key[1]),
            stdout=-1,
        )
        self.steps.append(f"kill in {command}")
        os.kill(self.node.server_pid, signal.SIGKILL)
        assert self.node.server is not None
        self.node.server.wait(timeout=10)
        self.node.start()
        output, _ = process.communicate(timeout=40)
        answer = Answer(exit_code=process.returncode, stdout=output, stderr="")
        if command == "DEL":
            assert (answer.exit_code, answer.stdout) == (0, "")
            self.pods.pop(key, None)
        elif answer.exit_code == 0:
            assert key not in self.pods
            self.pods[key] = answer.body
        elif answer.body["code"] == 11:
            # Its shim has kept a DEL: of this very attachment, also if there was one before.
            self.pods.pop(key, None)
        else:
            assert answer.body["code"] in (100, 102), answer.stdout

    @invariant()
    @noted
    def the_kernel_has_what_the_runtime_knows(self) -> None:
        if not self.serving:
            return
        node = self.node

        def agrees() -> bool:
            return not node.spooled() and len(node.links()) == len(self.pods)

        wait_until(agrees, deadline_s=12, what=f"{len(self.pods)} links, an empty spool")
        state = look(node, ())
        given = {ip["address"] for result in self.pods.values() for ip in result["ips"]}
        assert len(given) == 2 * len(self.pods)
        assert {address.partition("/")[0] for address in given} == set(state["routes"])
        assert len(state["neighbors"]) == len(given)
        assert state["elements"] == len(given)


CONFIG = '{"cniVersion":"1.0.0","name":"podroute","type":"podroute"}'


@pytest.fixture
def machine(tmp_path: Path) -> type[Cni]:
    Cni.shim = build_shim(tmp_path)
    Cni.steps.clear()
    Cni.faults.clear()
    return Cni


@pytest.mark.timeout(900)
def test_500_random_steps(machine: type[Cni], capsys: pytest.CaptureFixture[str]) -> None:
    limits = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS // EXAMPLES + 10,
        deadline=None,
        # A step costs a tenth of a second: a failure is shown as it came.
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    try:
        run_state_machine_as_test(machine, settings=limits)
    except Exception as error:
        raise AssertionError("\n".join(machine.faults)) from error
    kinds = {kind: machine.steps.count(kind) for kind in sorted(set(machine.steps))}
    with capsys.disabled():
        print(f"\n{len(machine.steps)} steps on the kernel: {kinds}")
    assert len(machine.steps) >= STEPS
