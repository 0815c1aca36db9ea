"""The agent's end of the BFD daemon's socket, with the real daemon."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bgp.bfd.session import Spec
from router.agent.bfd_link import BfdLink
from tests.support.bfd import BfdHost
from tests.support.netns import Namespace, join
from tests.support.wait import wait_until

pytestmark = pytest.mark.netns


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace]) -> Namespace:
    node, tor = make_namespace("node"), make_namespace("tor")
    join(node, "eth1", tor, "node")
    node.run(["ip", "address", "add", "10.0.1.3/31", "dev", "eth1"])
    return node


@pytest.fixture
def link(node: Namespace) -> Iterator[BfdLink]:
    path = Path(f"/proc/{node.pid}/root/run/podroute/bfd/control.sock")
    made = BfdLink(path, lambda: None)
    yield made
    made.close(leaving=False)


def names(link: BfdLink) -> set[str]:
    return set(link.report.sessions) if link.report is not None else set()


def wait_names(link: BfdLink, expected: set[str]) -> None:
    wait_until(lambda: names(link) == expected, deadline_s=5, what=f"sessions {expected}")


def spec(host: BfdHost) -> Spec:
    return host.spec("10.0.1.2", "10.0.1.3", "eth1", 100, name="tor1")


def test_what_was_wanted_before_the_daemon_came_is_there(node: Namespace, link: BfdLink) -> None:
    wait_until(lambda: "no answer" in link.problem, deadline_s=2, what="no answer")
    link.want([Spec("tor1", "10.0.1.2", "10.0.1.3", 2, 100_000, 3)])
    with BfdHost(node):
        wait_names(link, {"tor1"})
        assert link.problem == ""


def test_the_daemons_death_changes_nothing_and_the_link_comes_back(
    node: Namespace, link: BfdLink
) -> None:
    with BfdHost(node) as host:
        link.want([spec(host)])
        wait_names(link, {"tor1"})
        before = link.report
        assert before is not None
        os.kill(host.daemon_pid, signal.SIGKILL)
        wait_until(
            lambda: link.report is not None and link.report.pid != before.pid,
            deadline_s=5,
            what="a report of the next daemon",
        )
        assert names(link) == {"tor1"}
        link.want([])
        wait_names(link, set())
        host.kill_all()
        wait_until(lambda: link.problem, deadline_s=5, what="the daemon is missed")
        assert link.report is not None


@pytest.mark.parametrize("leaving", [True, False])
def test_sessions_stay_at_the_end_unless_we_leave_for_good(node: Namespace, leaving: bool) -> None:
    path = Path(f"/proc/{node.pid}/root/run/podroute/bfd/control.sock")
    with BfdHost(node) as host:
        link = BfdLink(path, lambda: None)
        link.want([spec(host)])
        wait_names(link, {"tor1"})
        link.close(leaving=leaving)
        host.wait("the end", lambda found: set(found) == (set() if leaving else {"tor1"}), 2)
