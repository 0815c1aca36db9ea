"""A kernel that cannot keep pods from sending with others' addresses: said plainly, everywhere.

The real server: its netfilter sockets refused (seccomp), or answered as without nf_tables.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cni_node import ROOT, SERVER, CniNode, first_packet_passes, pods_of
from tests.support.netns import Namespace

pytestmark = pytest.mark.netns

CIDRS = ("10.244.1.0/24", "fd00:244:1::/64")
WHAT = "anti-spoofing is not possible, this kernel has no nf_tables"
OFF = {"antiSpoofing": False}
NEWEST = {"cniVersion": "1.1.0"}


@pytest.fixture(params=["refuse_netfilter_sockets", "ask_for_what_no_kernel_has"])
def poor(
    request: pytest.FixtureRequest, make_namespace: Callable[[str], Namespace], shim: Path
) -> Iterator[CniNode]:
    with contextlib.closing(CniNode(make_namespace("node1"), shim)) as node:
        node.facts(*CIDRS)
        node.program = (
            f"from tests.support.poor_kernel import {request.param}\n{request.param}()\n{SERVER}"
        )
        node.start()
        for name in ("a", "b"):
            node.sandbox(name)
        yield node


def test_what_is_asked_for_and_impossible_is_refused(poor: CniNode) -> None:
    assert "anti-spoofing not possible WARNING" in poor.log()
    body = poor.call("ADD", "a").body
    assert (body["code"], WHAT in body["msg"]) == (103, True)
    assert '"antiSpoofing": false' in body["msg"]
    assert poor.links() == []
    assert poor.pod_routes() == []
    body = poor.call("STATUS", "", config=NEWEST).body
    assert (body["code"], WHAT in body["msg"]) == (50, True)
    shown = pods_of(poor)
    assert WHAT in shown["filter_problem"]
    assert [pool["in_use"] for pool in shown["pools"]] == [0, 0]
    # Nothing was half done, so nothing is in the way of a runtime that gives up.
    poor.delete("a")
    script = f'cd {ROOT} && exec "$0" -m router pods'
    assert WHAT in poor.namespace.run(["sh", "-c", script, sys.executable]).stdout
    assert poor.log().count("anti-spoofing not possible") == 1


def test_without_it_everything_else_works(poor: CniNode) -> None:
    first = poor.add("a", config=OFF)
    second = poor.add("b", config=OFF)
    for name, answer in (("a", first), ("b", second)):
        for address in answer.addresses:
            first_packet_passes(poor, name, address)
    assert poor.call("STATUS", "", config=OFF | NEWEST).exit_code == 0
    check = {**OFF, "prevResult": first.body}
    assert poor.call("CHECK", "a", config=check).exit_code == 0
    poor.stop()
    poor.start()
    for address in first.addresses:
        first_packet_passes(poor, "a", address)
    poor.delete("a", config=OFF)
    assert [pod["container_id"] for pod in pods_of(poor)["pods"]] == ["container-b"]
    tables = poor.namespace.run(["nft", "list", "tables"]).stdout
    assert "podroute" not in tables


def test_the_filter_is_one_and_the_kernel_has_nf_tables(poor: CniNode) -> None:
    """The control: the same server without the poverty keeps its promise."""
    poor.stop()
    poor.program = SERVER
    poor.start()
    poor.add("a")
    assert pods_of(poor)["filter_problem"] == ""
    listed = poor.namespace.run(["nft", "list", "set", "inet", "podroute", "sources4"])
    assert "10.244.1." in listed.stdout
