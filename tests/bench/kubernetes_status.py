"""How often a node at rest writes its BGPNodeStatus, for `./dev bench kubernetes`.

Two numbers, of which the larger counts. A real agent with an established session, before the fake
API server with our CRDs, is left alone, and its writes are counted and taken for an hour's. And
since an hour is the unit: the agent's own writer is given what that agent said, with other numbers
of routes every second, for an hour of virtual time. No burst is part of either: what follows from
changes is bounded by one write in ten seconds (tests/unit/test_router_kube_status_object.py).
"""

from __future__ import annotations

import asyncio
import copy
import random
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from typing import Any, Final

from containerlab.demo.daemon import PODROUTE
from containerlab.demo.kubernetes_api import kubeconfig
from containerlab.fakeapi import objects
from containerlab.fakeapi.request import parse_request
from containerlab.fakeapi.resources import ApiError
from containerlab.fakeapi.server import FakeApi
from containerlab.measure.check import Check, at_most
from containerlab.runtime.namespace import call_in
from router.config.crd import definitions
from router.kube.clock import Clock
from router.kube.convert import node_view
from router.kube.pace import Pace
from router.kube.status_object import StatusObjectWriter
from router.reconcile.node_report import LEAST_S, Report, Said
from tests.support.bgp_updates_heard import Listener
from tests.support.memory_api import installed
from tests.support.netns import Namespace, join
from tests.support.virtual_time import run_virtually
from tests.support.wait import NotYetError, wait_until

HOUR_S: Final = 3600
MOST: Final = 12.0
_START_S: Final = 60.0
_SETTLED_S: Final = LEAST_S + 3.0


def status_writes(rest_s: float) -> Check:
    """Return the check; the agent is left alone for so long."""
    with ExitStack() as stack:
        api = _agent_at_rest(stack)
        status = api.get("bgpnodestatuses", "node1")["status"]
        before = _writes(api)
        time.sleep(rest_s)
        written = _writes(api) - before
        after = api.get("bgpnodestatuses", "node1")["status"]
    counted = written * HOUR_S / rest_s
    simulated = run_virtually(_hour_of_counters(status))
    faults = [] if _is_well(after) else [f"the node is not at rest: {after['peers']}"]
    if not simulated:
        faults.append("in the virtual hour nothing was written, though numbers changed")
    return Check(
        name="status_writes_per_node_hour",
        value=round(max(counted, simulated), 1),
        unit="writes/h",
        bound=at_most(MOST),
        samples={
            f"real agent, {rest_s:.0f} s": written,
            "virtual hour, other counters every second": simulated,
        },
        faults=tuple(faults),
    )


def _agent_at_rest(stack: ExitStack) -> FakeApi:
    """Start everything; return when the agent said that all is well, and nothing more since."""
    node, tor = (stack.enter_context(closing(Namespace(name))) for name in ("node", "tor"))
    join(tor, "node", node, "eth1")
    tor.run(["ip", "address", "add", "10.0.1.2/31", "dev", "node"])
    node.run(["ip", "address", "add", "10.0.1.3/31", "dev", "eth1"])
    listener = Listener(tor.pid, "10.0.1.2", 65101)
    stack.callback(listener.close)
    api = stack.enter_context(call_in(node.pid, FakeApi))
    for crd in definitions():
        api.put("customresourcedefinitions", crd)
    cidrs = ("10.244.1.0/24",)
    api.put("nodes", objects.node("node1", addresses=("10.0.1.3",), pod_cidrs=cidrs))
    spec = {"local_asn": 65201, "cluster": {"pod_prefixes": ["10.244.0.0/16"]}}
    api.put("podnetworks", {"metadata": {"name": "default"}, "spec": spec})
    peer = {"address": "10.0.1.2", "remote_asn": 65101}
    api.put("bgppeers", {"metadata": {"name": "tor1"}, "spec": peer})
    _start(node, api, stack)

    def settled() -> bool:
        try:
            status = api.get("bgpnodestatuses", "node1").get("status")
        except ApiError as error:
            raise NotYetError(error.message) from None
        patches = api.requests("patch", path="bgpnodestatuses")
        if not status or not _is_well(status):
            raise NotYetError(status)
        return time.monotonic() - patches[-1].at > _SETTLED_S

    wait_until(settled, deadline_s=_START_S, what="the agent is at rest")
    return api


def _start(node: Namespace, api: FakeApi, stack: ExitStack) -> None:
    node.run(["tee", "/run/kubeconfig"], input=kubeconfig(api.url, token="any"))
    words = (
        f"{PODROUTE} --state-dir /run/state router --kubernetes --kubeconfig /run/kubeconfig"
        " --node node1"
    )
    process = node.popen(["sh", "-c", f"exec {words} >/run/podroute.log 2>&1"])
    stack.callback(process.wait, 10)
    stack.callback(node.kill, process)


def _writes(api: FakeApi) -> int:
    return len(api.requests("create", "patch", "update", "delete", path="bgpnodestatuses"))


def _is_well(status: Mapping[str, Any]) -> bool:
    return {c["status"] for c in status["conditions"]} == {"True"} and (
        status["peers"]["established"] == status["peers"]["configured"] == 1
    )


async def _hour_of_counters(status: Mapping[str, Any]) -> int:
    """Return how often the writer writes in an hour in which only numbers change."""
    api = installed()
    asked = parse_request("POST", "/api/v1/nodes", api.service.resources)
    node = node_view(api.service.answer(asked, objects.node("node1"), "")[1])
    loop = asyncio.get_running_loop()
    writer = StatusObjectWriter(
        api=api,
        name="node1",
        pace=Pace(),
        clock=Clock(monotonic=loop.time, fraction=random.Random(1).random),
        wall=lambda: "2026-01-02T03:04:05Z",
        told=lambda: None,
    )
    writer.connect(True)
    writer.see(node)
    task = asyncio.create_task(writer.follow())
    writer.want(_report(status, 0))
    await asyncio.sleep(60)
    before = writer.writes
    for number in range(1, HOUR_S + 1):
        writer.want(_report(status, number))
        await asyncio.sleep(1)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return writer.writes - before


def _report(status: Mapping[str, Any], number: int) -> Report:
    """Return what the agent said, with other numbers of routes."""
    said = copy.deepcopy({k: v for k, v in status.items() if k not in ("updated", "conditions")})
    said["routes"] = dict.fromkeys(("received", "accepted", "installed", "announced"), number)
    for session in said["sessions"]:
        for family in session["families"]:
            family["received"] = family["accepted"] = number
    conditions = tuple(
        Said(c["type"], c["status"], c["reason"], c["message"]) for c in status["conditions"]
    )
    return Report(status=said, conditions=conditions)
