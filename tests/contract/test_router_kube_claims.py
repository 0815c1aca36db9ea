"""The list of all Nodes over real connections: when asked, in pages, and not too often."""

from __future__ import annotations

from containerlab.fakeapi import objects
from containerlab.fakeapi.server import FakeApi
from router.kube import claims as reading
from tests.support.kube_agent import Start, connected, wait_view


def lists(api: FakeApi) -> int:
    """Count the lists of all Nodes, one for each page."""
    return sum("limit=" in r.query for r in api.requests("list", path="/api/v1/nodes"))


def put_nodes(api: FakeApi, count: int) -> None:
    for number in range(count):
        made = objects.node(f"other{number}", pod_cidrs=(f"10.244.{number}.0/24",))
        api.put("nodes", made)


def test_nobody_is_listed_until_somebody_asks(api: FakeApi, start: Start) -> None:
    put_nodes(api, 3)
    cluster = start()
    assert connected(cluster).claims.number == 0
    cluster.want_claims(0)
    assert lists(api) == 0
    cluster.want_claims(1)
    cluster.want_claims(1)
    view = wait_view(cluster, "the Nodes", lambda v: v.claims.number == 1)
    assert {c.name: [str(p) for p in c.pod_cidrs] for c in view.claims.found} == {
        "node1": [],
        **{f"other{n}": [f"10.244.{n}.0/24"] for n in range(3)},
    }
    assert all(claim.created for claim in view.claims.found)
    cluster.want_claims(1)
    assert connected(cluster).claims is view.claims
    assert lists(api) == 1


def test_many_nodes_come_in_pages(api: FakeApi, start: Start) -> None:
    put_nodes(api, 2 * reading._PAGE + 5)
    cluster = start()
    connected(cluster)
    cluster.want_claims(1)
    view = wait_view(cluster, "the Nodes", lambda v: v.claims.number == 1)
    assert len(view.claims.found) == 2 * reading._PAGE + 6
    assert lists(api) == 3


def test_a_list_that_fails_is_told_and_tried_again(api: FakeApi, start: Start) -> None:
    cluster = start()
    connected(cluster)
    api.fail(action="status", status=503, verbs=("list",), path="/api/v1/nodes", count=1)
    cluster.want_claims(1)
    wait_view(cluster, "the failure is told", lambda v: "cannot list the Nodes" in v.problem)
    view = wait_view(cluster, "the Nodes", lambda v: v.claims.number == 1)
    assert "cannot list" not in view.problem
