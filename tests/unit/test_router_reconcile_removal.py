"""What uninstall removes, and how sysctls come back."""

from __future__ import annotations

import json

import pytest

from bgp.nlri import IPV4, Prefix
from router.model.fib import Fib, Hop, Route
from router.reconcile.operation import DeleteNexthop, DeleteRoutes, DeleteUnreachable
from router.reconcile.removal import PodLink, Sandboxes, living, plan_fib_removal
from router.reconcile.sysctl_found import (
    FoundFormatError,
    note,
    parse_found,
    plan_restore,
    render_found,
)

FORWARD = "net/ipv4/ip_forward"
FILTER = "net/ipv4/conf/eth1/rp_filter"


def test_routes_go_before_the_objects_they_use() -> None:
    fib = Fib(
        nexthops={1: Hop(IPV4, 1, 2)},
        groups={5: (1,)},
        routes={Prefix.parse("10.244.2.0/24"): Route(5, 120, 0)},
        strays={(Prefix.parse("10.244.3.0/24"), 7)},
        unreachables={Prefix.parse("10.244.1.0/24")},
        foreign_ids=frozenset({9}),
    )
    assert plan_fib_removal(fib) == (
        DeleteRoutes((Prefix.parse("10.244.2.0/24"),), 120),
        DeleteRoutes((Prefix.parse("10.244.3.0/24"),), 7),
        DeleteUnreachable(Prefix.parse("10.244.1.0/24")),
        DeleteNexthop(5),
        DeleteNexthop(1),
    )
    assert plan_fib_removal(Fib()) == ()


@pytest.mark.parametrize(
    ("sandboxes", "alive"),
    [
        (Sandboxes(known=False), {1, 2}),
        (Sandboxes(known=True, absent=frozenset({1})), {2}),
        (Sandboxes(known=True, absent=frozenset({1, 2})), set()),
    ],
    ids=["nothing known", "one dead", "all dead"],
)
def test_a_link_lives_unless_its_sandbox_is_known_to_be_gone(
    sandboxes: Sandboxes, alive: set[int]
) -> None:
    links = [
        PodLink(index=1, name="pod1"),
        PodLink(index=2, name="pod2"),
        PodLink(index=3, name="pod3", condemned=True),
    ]
    assert {link.index for link in living(links, sandboxes)} == alive


def test_the_first_value_found_is_the_one_that_comes_back() -> None:
    values = note((), FORWARD, before="0", written="1")
    values = note(values, FILTER, before="1", written="2")
    values = note(values, FORWARD, before="0", written="1")
    values = note(values, FILTER, before="0", written="2")
    assert parse_found(render_found(values)) == values
    plan = plan_restore(values, {FORWARD: "1", FILTER: "2"})
    assert [(write.key, write.value) for write in plan] == [(FILTER, "1"), (FORWARD, "0")]


@pytest.mark.parametrize(
    ("current", "restored"),
    [
        ({FORWARD: "1"}, [FORWARD]),
        ({FORWARD: "0"}, []),
        ({FORWARD: "7"}, []),
        ({}, []),
    ],
    ids=["ours", "back already", "somebody else's", "gone with its link"],
)
def test_only_our_own_value_is_undone(current: dict[str, str], restored: list[str]) -> None:
    values = note((), FORWARD, before="0", written="1")
    assert [write.key for write in plan_restore(values, current)] == restored


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"version": 2, "sysctls": []}',
        b'{"version": 1, "sysctls": [{"key": 1}]}',
        json.dumps(
            {"version": 1, "sysctls": [{"key": "net/../x", "found": "0", "written": "1"}]}
        ).encode(),
        json.dumps(
            {"version": 1, "sysctls": [{"key": "kernel/x", "found": "0", "written": "1"}]}
        ).encode(),
    ],
)
def test_a_file_of_another_kind_is_refused(content: bytes) -> None:
    with pytest.raises(FoundFormatError):
        parse_found(content)
