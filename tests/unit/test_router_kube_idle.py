"""At rest the API server hears next to nothing of us; in a quarrel, little."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from containerlab.fakeapi import objects
from router.kube.claims import ClaimsReader
from router.kube.clock import Clock
from router.kube.convert import node_view
from router.kube.errors import RefusedError
from router.kube.event import EventWriter, Note
from router.kube.node_status import NodeStatusWriter
from router.kube.pace import Pace
from router.kube.secret import SecretReader
from router.model.node import Claims, NodeView, SecretRef
from router.reconcile.node_status import CONDITION, StatusSettings
from router.reconcile.readiness import ReadinessSettings, Signs, first_verdict, judge
from tests.support.scripted_api import ScriptedApi
from tests.support.virtual_time import run_virtually

AT = "2026-01-02T03:04:05Z"
HOUR_S = 3600.0
REF = SecretRef("bgp", "tor")
SECRET_PATH = "/api/v1/namespaces/podroute/secrets/bgp"
STARTING = first_verdict(now=0.0, resumed=False)
READY = judge(STARTING, Signs(peers=1, established=1), ReadinessSettings(), 1.0)


def node(*conditions: dict[str, str], version: str = "1") -> NodeView:
    made = objects.node("node1")
    made["metadata"] |= {"uid": "u", "resourceVersion": version}
    made["status"]["conditions"] += conditions
    return node_view(made)


def saying_ready() -> NodeView:
    return node(
        {
            "type": CONDITION,
            "status": "False",
            "reason": str(READY.reason),
            "message": READY.text,
            "lastTransitionTime": AT,
        }
    )


def clock() -> Clock:
    loop = asyncio.get_running_loop()
    return Clock(monotonic=loop.time, fraction=random.Random(1).random)


def writer(api: ScriptedApi) -> NodeStatusWriter:
    made = NodeStatusWriter(
        api=api, name="node1", pace=Pace(), clock=clock(), wall=lambda: AT, told=lambda: None
    )
    made.connect(True)
    return made


def reader(api: ScriptedApi) -> SecretReader:
    return SecretReader(
        api=api, namespace="podroute", pace=Pace(), clock=clock(), changed=lambda: None
    )


async def run(*parts: Callable[[], Awaitable[None]], while_s: float) -> None:
    """Run parts for some virtual time."""
    tasks = [asyncio.ensure_future(part()) for part in parts]
    await asyncio.sleep(while_s)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_an_hour_at_rest() -> None:
    async def main() -> None:
        api = ScriptedApi(others={SECRET_PATH: objects.secret("bgp", {"tor": "word"})})
        status, secrets = writer(api), reader(api)
        status.see(saying_ready())
        status.want(READY, StatusSettings())
        secrets.want(frozenset({REF}))
        await run(status.follow, secrets.follow, while_s=HOUR_S)
        assert len(api.asked) <= HOUR_S / 240 + 1
        assert api.asked_for("patch") == []
        assert secrets.problems == {}

    run_virtually(main())


def test_whoever_fights_us_over_the_condition_costs_little() -> None:
    async def main() -> None:
        api = ScriptedApi()
        status = writer(api)
        status.want(READY, StatusSettings(taint=False))
        foreign = {"type": CONDITION, "status": "True", "reason": "Other"}

        async def fight() -> None:
            version = 0
            while True:
                version += 1
                status.see(saying_ready() if version % 2 else node(foreign, version=str(version)))
                await asyncio.sleep(0.1)

        await run(status.follow, fight, while_s=600)
        assert 10 < len(api.asked_for("patch")) <= 6 + 600 / 10 + 1

    run_virtually(main())


def test_a_write_is_not_repeated_while_its_echo_is_on_the_way() -> None:
    async def main() -> None:
        api = ScriptedApi()
        status = writer(api)
        status.see(node())
        status.want(READY, StatusSettings(taint=False))
        await run(status.follow, while_s=9)
        assert len(api.asked_for("patch")) == 1

    run_virtually(main())


def test_a_new_verdict_is_written_at_once_although_the_last_write_is_young() -> None:
    async def main() -> None:
        api = ScriptedApi()
        status = writer(api)
        status.see(node())
        status.want(STARTING, StatusSettings(taint=False))
        task = asyncio.ensure_future(status.follow())
        await asyncio.sleep(0.5)
        status.want(READY, StatusSettings(taint=False))
        await asyncio.sleep(0.5)
        assert len(api.asked_for("patch")) == 2
        task.cancel()

    run_virtually(main())


def test_a_refused_write_backs_off_however_often_we_are_woken() -> None:
    async def main() -> None:
        api = ScriptedApi(fault=RefusedError(403, "Forbidden", "no", None))
        status = writer(api)
        status.want(READY, StatusSettings())

        async def wake() -> None:
            while True:
                status.see(node())
                await asyncio.sleep(0.05)

        await run(status.follow, wake, while_s=600)
        assert len(api.asked_for("patch")) <= 30
        assert "403" in status.problem

    run_virtually(main())


def test_a_missing_secret_is_asked_for_ever_more_rarely() -> None:
    async def main() -> None:
        api = ScriptedApi(fault=RefusedError(404, "NotFound", "no", None))
        secrets = reader(api)
        secrets.want(frozenset({REF}))
        await run(secrets.follow, while_s=HOUR_S)
        assert len(api.asked) <= HOUR_S / 30 + 10
        assert secrets.problems == {REF: "there is no Secret bgp in podroute"}

    run_virtually(main())


def test_events_are_few_whatever_happens() -> None:
    async def main() -> None:
        api = ScriptedApi()
        events = EventWriter(api=api, pace=Pace(), clock=clock(), wall=lambda: AT)
        events.see(node())

        async def tell() -> None:
            count = 0
            while True:
                count += 1
                events.tell(Note("Flap", f"the {count}th time", warning=True))
                await asyncio.sleep(1)

        await run(events.follow, tell, while_s=HOUR_S)
        assert len(api.asked_for("post")) <= 5 + HOUR_S / 60 + 1
        assert events.dropped > 1000

    run_virtually(main())


def test_whoever_asks_for_all_nodes_all_the_time_gets_them_once_a_minute() -> None:
    async def main() -> None:
        api = ScriptedApi(others={"/api/v1/nodes": {"metadata": {}, "items": []}})
        found: list[Claims] = []
        reading = ClaimsReader(
            api=api, pace=Pace(), clock=clock(), changed=found.append, told=lambda: None
        )

        async def ask() -> None:
            for number in range(1, int(HOUR_S)):
                reading.want(number)
                await asyncio.sleep(1)

        await run(reading.follow, ask, while_s=HOUR_S)
        assert 50 <= len(api.asked_for("list")) <= 64
        assert found[-1].number > HOUR_S - 120, "the newest question is answered"

    run_virtually(main())
