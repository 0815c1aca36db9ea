"""Configuration objects are followed where they are installed, and cost nothing where not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from containerlab.fakeapi.request import parse_request
from containerlab.fakeapi.resources import ApiError
from router.kube.client import Call
from router.kube.clock import Clock
from router.kube.errors import RefusedError
from router.kube.objects import COLLECTION, ObjectFollower
from router.kube.pace import Pace
from router.model.config_object import ConfigObject
from tests.support.memory_api import MemoryApi, install
from tests.support.virtual_time import run_virtually, running

HOUR_S = 3600.0
Seen = list[tuple[ConfigObject, ...]]
PEER = {"address": "10.0.1.2", "remote_asn": 65101}


class Watched(MemoryApi):
    """Watches too: every object at once, then what changes, looked for once a second."""

    @contextlib.asynccontextmanager
    async def stream(self, call: Call, timeout_s: float) -> AsyncIterator[AsyncIterator[bytes]]:
        self.asked.append((asyncio.get_running_loop().time(), "WATCH", call.path))
        if self.fault is not None:
            raise self.fault
        query = dict(call.query)
        yield self._lines(call.path, query["resourceVersion"], float(query["timeoutSeconds"]))

    async def _lines(self, path: str, version: str, length_s: float) -> AsyncIterator[bytes]:
        try:
            resource = parse_request("GET", path, self.service.resources).resource
        except ApiError as error:
            raise RefusedError(404, "NotFound", "gone", None) from error
        now = int(version)
        for _ in range(int(length_s)):
            await asyncio.sleep(1)
            now, changes = self.service.store.since(resource, now)
            for change in changes:
                kind = "DELETED" if change.after is None else "ADDED"
                found = change.after or change.before
                yield json.dumps({"type": kind, "object": found}).encode() + b"\n"


def follower(api: MemoryApi, seen: Seen) -> ObjectFollower:
    loop = asyncio.get_running_loop()
    return ObjectFollower(
        api=api,
        pace=Pace(),
        clock=Clock(monotonic=loop.time, fraction=random.Random(3).random),
        changed=seen.append,
        told=lambda: None,
        noted=lambda _: None,
    )


def write(api: MemoryApi, method: str, path: str, body: Any = None) -> None:
    asked = parse_request(method, f"{COLLECTION}/{path}", api.service.resources)
    api.service.answer(asked, body, "application/merge-patch+json")


def peer(name: str, **spec: Any) -> dict[str, Any]:
    return {"kind": "BGPPeer", "metadata": {"name": name}, "spec": {**PEER, **spec}}


def play(
    story: Callable[[Watched, ObjectFollower, Seen], Awaitable[None]], *, is_installed: bool = True
) -> None:
    """Run a story beside a follower; it is told what the follower has seen."""

    async def main() -> None:
        api = Watched()
        if is_installed:
            install(api)
        seen: Seen = []
        made = follower(api, seen)
        async with running(made.follow()):
            await story(api, made, seen)

    run_virtually(main())


def names(found: tuple[ConfigObject, ...]) -> list[str]:
    return [str(each) for each in found]


def test_objects_that_come_together_are_taken_together() -> None:
    async def story(api: Watched, made: ObjectFollower, seen: Seen) -> None:
        await asyncio.sleep(5)
        assert seen == [()]
        spec = {"local_asn": 1}
        write(api, "POST", "podnetworks", {"metadata": {"name": "n"}, "spec": spec})
        for number in range(40):
            write(api, "POST", "bgppeers", peer(f"p{number:02}"))
        await asyncio.sleep(5)
        assert len(seen) == 2
        assert len(seen[-1]) == 41
        write(api, "PATCH", "bgppeers/p00", {"spec": {"hold_time_s": 30}})
        write(api, "DELETE", "bgppeers/p01")
        await asyncio.sleep(5)
        assert len(seen) == 3
        assert names(seen[-1])[:3] == ["BGPPeer p00", "BGPPeer p02", "BGPPeer p03"]
        assert seen[-1][0].spec["hold_time_s"] == 30
        # A write that changes no spec is nobody's news.
        write(api, "PATCH", "bgppeers/p00", {"metadata": {"labels": {"a": "b"}}})
        await asyncio.sleep(5)
        assert len(seen) == 3

    play(story)


def test_without_the_resources_there_are_no_objects_and_hardly_a_request() -> None:
    async def story(api: Watched, made: ObjectFollower, seen: Seen) -> None:
        await asyncio.sleep(HOUR_S)
        assert 1 <= len(api.asked) <= 2
        assert set(seen) == {()}
        assert made.problem == ""
        install(api)
        write(api, "POST", "bgppeers", peer("tor1"))
        await asyncio.sleep(HOUR_S)
        assert names(seen[-1]) == ["BGPPeer tor1"]

    play(story, is_installed=False)


def test_a_missing_right_is_told_and_is_no_object() -> None:
    async def story(api: Watched, made: ObjectFollower, seen: Seen) -> None:
        api.fault = RefusedError(403, "Forbidden", "may not list", None)
        await asyncio.sleep(HOUR_S)
        assert len(api.asked) <= 7
        assert seen[0] == ()
        assert "may not list" in made.problem
        api.fault = None
        write(api, "POST", "bgppeers", peer("tor1"))
        await asyncio.sleep(1000)
        assert names(seen[-1]) == ["BGPPeer tor1"]
        assert made.problem == ""

    play(story)


def test_an_api_server_that_is_away_changes_nothing() -> None:
    async def story(api: Watched, made: ObjectFollower, seen: Seen) -> None:
        write(api, "POST", "bgppeers", peer("tor1"))
        await asyncio.sleep(5)
        assert names(seen[-1]) == ["BGPPeer tor1"]
        before = len(seen)
        api.fault = RefusedError(503, "ServiceUnavailable", "no", None)
        await asyncio.sleep(HOUR_S)
        assert len(seen) == before
        api.fault = None
        write(api, "DELETE", "bgppeers/tor1")
        await asyncio.sleep(120)
        assert seen[-1] == ()

    play(story)


def test_an_api_server_that_does_not_know_its_resources_yet_changes_nothing() -> None:
    """404 from one that has just started, until it has read its CRDs."""

    async def story(api: Watched, made: ObjectFollower, seen: Seen) -> None:
        write(api, "POST", "bgppeers", peer("tor1"))
        await asyncio.sleep(5)
        before = len(seen)
        api.fault = RefusedError(404, "NotFound", "not yet", None)
        # Until the watches have ended and been asked for again.
        while not [a for a in api.asked[-3:] if a[1] == "GET"]:
            await asyncio.sleep(1)
        await asyncio.sleep(10)
        api.fault = None
        await asyncio.sleep(120)
        assert {names(each)[0] for each in seen[before:]} <= {"BGPPeer tor1"}
        write(api, "DELETE", "bgppeers/tor1")
        await asyncio.sleep(30)
        assert seen[-1] == ()
        assert made.problem == ""
        # For good: then there are no objects, and hardly a request.
        api.fault = RefusedError(404, "NotFound", "gone", None)
        await asyncio.sleep(HOUR_S)
        api.asked.clear()
        await asyncio.sleep(HOUR_S)
        assert len(api.asked) <= 2

    play(story)
