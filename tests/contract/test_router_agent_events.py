"""Events of what an operator must act on, from the agent to the API server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from containerlab.fakeapi.server import FakeApi
from router.agent.cluster_telling import ClusterTelling
from router.reconcile.readiness import State
from tests.support.agent import Bench
from tests.support.kube_agent import Start, connected
from tests.support.wait import NotYetError, wait_until

FULL = {"pools": [{"name": "10.244.1.0/24", "size": 254, "in_use": 254}]}


@pytest.fixture
def telling(start: Start) -> Iterator[ClusterTelling]:
    cluster = start()
    connected(cluster)
    made = ClusterTelling(cluster, lambda: FULL)
    yield made
    made.close()


def events(api: FakeApi) -> list[Mapping[str, Any]]:
    found = api.service.store.listed(
        next(r for r in api.service.resources if r.kind == "Event" and r.group), ""
    )[1]
    return [event for event in found if str(event.get("note", ""))]


def wait_event(api: FakeApi, reason: str) -> Mapping[str, Any]:
    def probe() -> Mapping[str, Any]:
        every = events(api)
        for event in every:
            if event["reason"] == reason:
                return event
        raise NotYetError([event["reason"] for event in every])

    return wait_until(probe, deadline_s=30, what=f"an Event {reason}")


def test_a_configuration_that_is_rejected_before_there_was_one(
    api: FakeApi, telling: ClusterTelling
) -> None:
    for _ in range(3):
        telling.waits("node1", "line 3: local_asn: must be a number")
    event = wait_event(api, "PodrouteConfigurationRejected")
    assert event["type"] == "Warning"
    assert "line 3: local_asn" in event["note"]
    assert event["regarding"]["name"] == "node1"
    assert len([e for e in events(api) if e["reason"] == event["reason"]]) == 1


def test_a_pool_without_addresses(api: FakeApi, telling: ClusterTelling) -> None:
    bench = Bench()
    bench.establish("tor1", "tor2")

    def probe() -> object:
        telling.tell(bench.agent, State.READY)
        return [event for event in events(api) if event["reason"] == "PodroutePoolExhausted"]

    wait_until(probe, deadline_s=30, what="an Event about the pool")
    assert "10.244.1.0/24" in wait_event(api, "PodroutePoolExhausted")["note"]
