"""How often BGPNodeStatus is written, and what happens when it cannot be. Virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from containerlab.fakeapi import objects
from containerlab.fakeapi.request import parse_request
from containerlab.fakeapi.resources import ApiError
from router.kube.clock import Clock
from router.kube.convert import node_view
from router.kube.errors import KubeError, RefusedError, UnreachableError
from router.kube.pace import Pace
from router.kube.status_object import STATUSES, StatusObjectWriter
from router.model.node import NodeView
from router.reconcile.node_report import Report, Said
from tests.support.memory_api import MemoryApi, install, installed
from tests.support.virtual_time import run_virtually, running

HOUR_S = 3600.0


def node(api: MemoryApi) -> NodeView:
    asked = parse_request("POST", "/api/v1/nodes", api.service.resources)
    return node_view(api.service.answer(asked, objects.node("node1"), "")[1])


def report(flaps: int = 0, received: int = 0) -> Report:
    session = {"name": "tor1", "state": "established", "times_down": flaps}
    return Report(
        status={"node": "node1", "sessions": [session], "routes": {"received": received}},
        conditions=(Said("Ready", "True", "PodrouteReady", "well"),),
    )


def writer(api: MemoryApi) -> StatusObjectWriter:
    loop = asyncio.get_running_loop()
    made = StatusObjectWriter(
        api=api,
        name="node1",
        pace=Pace(),
        clock=Clock(monotonic=loop.time, fraction=random.Random(7).random),
        wall=lambda: datetime.fromtimestamp(loop.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        told=lambda: None,
    )
    made.connect(True)
    return made


def play(
    story: Callable[[MemoryApi, StatusObjectWriter], Awaitable[None]], api: MemoryApi | None = None
) -> None:
    """Run a story beside a writer, by default where the resource is installed."""

    async def main() -> None:
        where = installed() if api is None else api
        made = writer(where)
        async with running(made.follow()):
            await story(where, made)

    run_virtually(main())


def test_fifty_changes_in_a_second_are_at_most_two_writes_in_ten() -> None:
    async def story(api: MemoryApi, made: StatusObjectWriter) -> None:
        made.see(node(api))
        made.want(report())
        await asyncio.sleep(30)
        api.asked.clear()
        began = asyncio.get_running_loop().time()
        for flaps in range(1, 51):
            made.want(report(flaps))
            await asyncio.sleep(0.02)
        await asyncio.sleep(30)
        assert [each - began <= 10 for each in api.writes()].count(True) <= 2
        assert len(api.writes()) == 2
        assert api.found()["status"]["sessions"][0]["times_down"] == 50

    play(story)


def test_changes_without_end_are_one_write_in_ten_seconds() -> None:
    async def story(api: MemoryApi, made: StatusObjectWriter) -> None:
        made.see(node(api))
        for flaps in range(2000):
            made.want(report(flaps))
            await asyncio.sleep(0.3)
        writes = api.writes()[1:]  # the first made the object
        pauses = [b - a for a, b in pairwise(writes)]
        assert min(pauses) >= 9.99
        assert 55 <= len(writes) <= 61

    play(story)


def test_an_hour_of_counters_is_at_most_twelve_writes_and_an_hour_of_nothing_none() -> None:
    async def story(api: MemoryApi, made: StatusObjectWriter) -> None:
        made.see(node(api))
        made.want(report())
        await asyncio.sleep(30)
        api.asked.clear()
        for received in range(int(HOUR_S)):
            made.want(report(received=received))
            await asyncio.sleep(1)
        assert 9 <= len(api.asked) <= 12
        await asyncio.sleep(400)
        api.asked.clear()
        await asyncio.sleep(HOUR_S)
        assert api.asked == []

    play(story)


def test_the_object_is_owned_by_the_node_that_there_is_now() -> None:
    async def story(api: MemoryApi, made: StatusObjectWriter) -> None:
        first = node(api)
        made.see(first)
        made.want(report())
        await asyncio.sleep(5)
        (owner,) = api.found()["metadata"]["ownerReferences"]
        assert owner == {"apiVersion": "v1", "kind": "Node", "name": "node1", "uid": first.uid}
        made.see(None)
        asked = parse_request("DELETE", "/api/v1/nodes/node1", api.service.resources)
        api.service.answer(asked, None, "")
        with pytest.raises(ApiError):
            api.found()
        second = node(api)
        made.see(second)
        await asyncio.sleep(30)
        assert api.found()["metadata"]["ownerReferences"][0]["uid"] == second.uid
        assert api.found()["status"]["node"] == "node1"

    play(story)


def test_an_object_that_an_older_node_left_is_taken_over() -> None:
    async def story(api: MemoryApi, made: StatusObjectWriter) -> None:
        old = {"metadata": {"name": "node1", "ownerReferences": [{"uid": "gone"}]}}
        asked = parse_request("POST", STATUSES, api.service.resources)
        api.service.answer(asked, {**old, "kind": "BGPNodeStatus"}, "")
        made.see(now := node(api))
        made.want(report())
        await asyncio.sleep(5)
        (owner,) = api.found()["metadata"]["ownerReferences"]
        assert owner["uid"] == now.uid

    play(story)


def test_a_restarted_agent_keeps_the_times_of_conditions() -> None:
    async def main() -> None:
        api = installed()
        seen = node(api)

        async def live(flaps: int) -> None:
            made = writer(api)
            async with running(made.follow()):
                made.see(seen)
                made.want(report(flaps))
                await asyncio.sleep(50)

        await live(0)
        before = api.found()["status"]
        await live(1)
        after = api.found()["status"]
        assert after["updated"] > before["updated"]
        assert after["conditions"] == before["conditions"]

    run_virtually(main())


def test_without_the_resource_it_is_asked_for_twice_an_hour_and_nobody_is_bothered() -> None:
    async def story(api: MemoryApi, made: StatusObjectWriter) -> None:
        made.see(node(api))
        for flaps in range(int(HOUR_S)):
            made.want(report(flaps))
            await asyncio.sleep(1)
        assert 2 <= len(api.asked) <= 6
        assert made.problem == ""
        install(api)
        await asyncio.sleep(HOUR_S)
        assert api.found()["status"]["node"] == "node1"

    play(story, MemoryApi())


@pytest.mark.parametrize(
    ("fault", "most"),
    [
        pytest.param(RefusedError(403, "Forbidden", "no", None), 7, id="forbidden"),
        pytest.param(RefusedError(500, "InternalError", "no", None), 100, id="500"),
        pytest.param(UnreachableError("no"), 100, id="unreachable"),
    ],
)
def test_a_refused_write_is_told_and_tried_less_and_less(fault: KubeError, most: int) -> None:
    async def story(api: MemoryApi, made: StatusObjectWriter) -> None:
        made.see(node(api))
        api.fault = fault
        for flaps in range(int(HOUR_S)):
            made.want(report(flaps))
            await asyncio.sleep(1)
        assert len(api.asked) <= most
        assert "BGPNodeStatus node1" in made.problem
        api.fault = None
        await asyncio.sleep(1000)
        assert made.problem == ""
        assert api.found()["status"]["sessions"][0]["times_down"] == HOUR_S - 1

    play(story)


def test_an_object_that_somebody_deleted_comes_back_with_the_next_write() -> None:
    async def story(api: MemoryApi, made: StatusObjectWriter) -> None:
        made.see(node(api))
        made.want(report())
        await asyncio.sleep(30)
        asked = parse_request("DELETE", f"{STATUSES}/node1", api.service.resources)
        api.service.answer(asked, None, "")
        made.want(report(1))
        await asyncio.sleep(30)
        assert api.found()["status"]["sessions"][0]["times_down"] == 1

    play(story)


def test_nothing_is_asked_while_the_watch_is_lost_or_nobody_wants_it() -> None:
    async def story(api: MemoryApi, made: StatusObjectWriter) -> None:
        made.see(node(api))
        made.connect(False)
        made.want(report())
        await asyncio.sleep(60)
        assert api.asked == []
        made.want(None)
        made.connect(True)
        await asyncio.sleep(60)
        assert api.asked == []
        made.want(report(1))
        await asyncio.sleep(5)
        assert api.found()["status"]["node"] == "node1"

    play(story)
