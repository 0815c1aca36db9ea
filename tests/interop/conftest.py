"""Fixtures of the interop tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.bgp_fabric import BgpFabric, MakeFabric
from tests.support.netns import Namespace


@pytest.fixture
def make_fabric(make_namespace: Callable[[str], Namespace]) -> Iterator[MakeFabric]:
    made: list[BgpFabric] = []

    def make(*kinds: str, **neighbor_options: object) -> BgpFabric:
        made.append(BgpFabric(make_namespace, kinds, **neighbor_options))
        return made[-1]

    yield make
    for fabric in made:
        if fabric.host is not None:
            fabric.host.close()
        for router in fabric.routers:
            router.stop()
