"""Fixtures of the interop tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.agent_host import AgentHost, Document, StartAgent
from tests.support.bgp_fabric import BgpFabric, MakeFabric
from tests.support.netns import Namespace


@pytest.fixture(params=["stock", "fast"])
def receive(request: pytest.FixtureRequest) -> str:
    """Who reads UPDATEs: every test holds for both."""
    return str(request.param)


@pytest.fixture
def make_fabric(make_namespace: Callable[[str], Namespace], receive: str) -> Iterator[MakeFabric]:
    made: list[BgpFabric] = []

    def make(*kinds: str, **neighbor_options: object) -> BgpFabric:
        made.append(BgpFabric(make_namespace, kinds, receive=receive, **neighbor_options))
        return made[-1]

    yield make
    for fabric in made:
        if fabric.host is not None:
            fabric.host.close()
        for router in fabric.routers:
            router.stop()


@pytest.fixture
def start_agent() -> Iterator[StartAgent]:
    """Start the routers of a fabric and the agent on its node."""
    made: list[AgentHost] = []

    def start(fabric: BgpFabric, config: Document) -> AgentHost:
        for router in fabric.routers:
            router.start()
        made.append(AgentHost(fabric.node, config))
        return made[-1]

    yield start
    for agent in made:
        agent.close()
