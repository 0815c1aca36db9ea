"""A watch in virtual time: resumes, lists again only after 410, and storms never."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Mapping
from typing import Any

import pytest

from router.kube.clock import Clock
from router.kube.convert import WatchEvent
from router.kube.errors import MalformedError, RefusedError
from router.kube.pace import Backoff, Budget, Pace
from router.kube.watch import Course, Target, Watch
from tests.support.scripted_api import ScriptedApi, down
from tests.support.virtual_time import run_virtually

PACE = Pace()
TARGET = Target(collection="/api/v1/nodes", name="node1")


def found(version: int = 7) -> dict[str, Any]:
    return {"metadata": {"name": "node1", "resourceVersion": str(version)}}


class Watched:
    """One watch and what came of it."""

    def __init__(self, api: ScriptedApi, seed: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self.states: list[Mapping[str, Any] | None] = []
        clock = Clock(monotonic=loop.time, fraction=random.Random(seed).random)
        self.watch = Watch(
            api=api,
            target=TARGET,
            pace=PACE,
            clock=clock,
            changed=self.states.append,
            told=lambda: None,
        )
        self.task = loop.create_task(self.watch.follow())

    async def stop(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


def test_one_list_then_watches_from_the_newest_version() -> None:
    async def main() -> None:
        api = ScriptedApi(found=found())
        watched = Watched(api)
        await asyncio.sleep(5)
        assert watched.watch.health.connected
        api.send("MODIFIED", found(11))
        api.send("BOOKMARK", {"metadata": {"resourceVersion": "99"}})
        await asyncio.sleep(3600)
        assert watched.states == [found(), found(11)]
        assert len(api.asked_for("list")) == 1
        watches = api.asked_for("watch")
        assert [asked.query["resourceVersion"] for asked in watches[:2]] == ["10", "99"]
        # An hour of nothing: the watches of the hour and nothing else.
        assert len(watches) <= 3600 / (PACE.watch_s * 0.8) + 1
        await watched.stop()

    run_virtually(main())


def test_deletion_and_absence_are_told() -> None:
    async def main() -> None:
        api = ScriptedApi()
        watched = Watched(api)
        await asyncio.sleep(1)
        api.send("ADDED", found(11))
        api.send("DELETED", found(12))
        api.send("ADDED", {"metadata": {"name": "node2", "resourceVersion": "13"}})
        await asyncio.sleep(1)
        assert watched.states == [None, found(11), None]
        await watched.stop()

    run_virtually(main())


def test_after_410_one_consistent_list() -> None:
    async def main() -> None:
        api = ScriptedApi(found=found())
        watched = Watched(api)
        await asyncio.sleep(20)
        api.expired = True
        api.cut(down())
        await asyncio.sleep(60)
        first, second = api.asked_for("list")
        assert first.query["resourceVersion"] == "0"
        assert "resourceVersion" not in second.query
        assert watched.watch.health.connected
        await watched.stop()

    run_virtually(main())


def test_an_outage_lists_nothing_and_changes_nothing() -> None:
    async def main() -> None:
        api = ScriptedApi(found=found())
        watched = Watched(api)
        await asyncio.sleep(60)
        api.fault = down()
        api.cut(down())
        await asyncio.sleep(3600)
        assert not watched.watch.health.connected
        assert "refused" in watched.watch.health.problem
        assert watched.states == [found()]
        api.fault = None
        await asyncio.sleep(PACE.longest_s + 1)
        assert watched.watch.health.connected
        assert len(api.asked_for("list")) == 1
        await watched.stop()

    run_virtually(main())


@pytest.mark.parametrize("compacted", [False, True], ids=["resumed", "compacted"])
def test_twenty_watchers_make_no_storm(compacted: bool) -> None:
    watchers, outage_s = 20, 600.0

    async def main() -> None:
        api = ScriptedApi(found=found())
        all_of_them = [Watched(api, seed) for seed in range(watchers)]
        await asyncio.sleep(30)
        assert len(api.asked) == 2 * watchers, "a list and a watch each"
        api.fault = down()
        api.cut(down())
        begin = asyncio.get_running_loop().time()
        await asyncio.sleep(outage_s)
        during = [asked.at - begin for asked in api.asked if asked.at >= begin]
        # Doubling up to a minute, never less than half of it: about 5 + 600/45 tries each.
        assert len(during) <= watchers * (6 + outage_s / (PACE.longest_s / 2))
        late = [at for at in during if at > 120]
        assert _most_within(late, 1.0) <= watchers / 3, "they have spread out"
        assert {asked.verb for asked in api.asked if asked.at >= begin} == {"watch"}
        api.fault, api.expired = None, False
        back = begin + outage_s
        if compacted:
            for watched in all_of_them:
                watched.watch._course.failed(RefusedError(410, "Expired", "", None))
        await asyncio.sleep(PACE.longest_s * 1.5)
        assert all(watched.watch.health.connected for watched in all_of_them)
        after = [asked for asked in api.asked if asked.at >= back]
        lists = [asked.at for asked in after if asked.verb == "list"]
        assert len(lists) == (watchers if compacted else 0)
        assert len(after) - len(lists) == watchers
        assert _most_within([asked.at for asked in after if asked.verb == "watch"], 1.0) <= 6
        for watched in all_of_them:
            await watched.stop()

    run_virtually(main())


def _most_within(times: list[float], window_s: float) -> int:
    ordered = sorted(times)
    return max(
        (sum(begin <= at < begin + window_s for at in ordered) for begin in ordered), default=0
    )


def test_a_server_that_ends_every_watch_at_once_does_not_make_us_spin() -> None:
    async def main() -> None:
        api = ScriptedApi(found=found(), ends_at_once=True)
        watched = Watched(api)
        await asyncio.sleep(600)
        assert len(api.asked) <= 30
        await watched.stop()

    run_virtually(main())


def test_retry_after_is_a_lower_bound() -> None:
    async def main() -> None:
        api = ScriptedApi(fault=RefusedError(429, "TooManyRequests", "wait", 40.0))
        watched = Watched(api)
        await asyncio.sleep(200)
        times = [asked.at for asked in api.asked]
        assert len(times) > 2
        assert all(b - a >= 40 for a, b in itertools.pairwise(times))
        await watched.stop()

    run_virtually(main())


def test_rubbish_in_a_watch_backs_off_and_goes_on() -> None:
    async def main() -> None:
        api = ScriptedApi(found=found())
        watched = Watched(api)
        await asyncio.sleep(20)
        api.send("NONSENSE", found(11))
        await asyncio.sleep(20)
        assert watched.watch.health.connected
        assert len(api.asked_for("list")) == 1
        await watched.stop()

    run_virtually(main())


def test_an_error_event_is_the_servers_refusal() -> None:
    course = Course("node1", version="5")
    status = {"code": 410, "reason": "Expired", "message": "too old"}
    with pytest.raises(RefusedError) as caught:
        course.saw(WatchEvent("ERROR", status))
    course.failed(caught.value)
    assert (course.version, course.expired) == ("", True)


def test_a_version_the_server_does_not_know_is_given_up() -> None:
    course = Course("node1", version="500")
    course.failed(RefusedError(504, "Timeout", "Too large resource version", None))
    assert (course.version, course.expired) == ("", False)
    course = Course("node1", version="500")
    course.failed(RefusedError(503, "", "", None))
    assert course.version == "500"


def test_a_list_without_a_version_is_malformed() -> None:
    with pytest.raises(MalformedError):
        Course("node1").listed({"items": []})


def test_backoff_doubles_up_to_a_bound_within_its_jitter() -> None:
    pace = Pace(first_s=1, longest_s=8, least_s=0.5)
    for fraction in (0.0, 0.5, 1.0):
        backoff = Backoff(pace)
        delays = [backoff.delay_s(fraction) for _ in range(6)]
        assert delays == pytest.approx([w / 2 + fraction * w / 2 for w in (1, 2, 4, 8, 8, 8)])
        backoff.succeed()
        assert backoff.delay_s(fraction) <= 1
    assert Backoff(pace, failures=5000).delay_s(1.0) == 8
    # A mad Retry-After does not silence us.
    assert Backoff(pace).delay_s(0.0, 1e9) == 16


def test_a_budget_refills() -> None:
    budget = Budget(burst=2, refill_s=10)
    assert [budget.take(0.0), budget.take(0.0), budget.take(0.0)] == [True, True, False]
    assert budget.wait_s(0.0) == 10
    assert not budget.take(9.0)
    assert budget.take(10.0)
    assert [budget.take(100.0) for _ in range(3)] == [True, True, False]
