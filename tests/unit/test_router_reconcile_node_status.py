"""What is written to our Node: the difference, and nothing of others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from containerlab.fakeapi import objects
from containerlab.fakeapi.patches import apply_patch
from router.kube.convert import node_view
from router.model.node import NodeView
from router.reconcile.node_status import (
    TAINT_KEY,
    Patch,
    StatusSettings,
    plan_status,
    plan_status_removal,
)
from router.reconcile.readiness import ReadinessSettings, Signs, Verdict, first_verdict, judge

AT = "2026-01-02T03:04:05Z"
LATER = "2026-01-02T04:04:05Z"
OURS = {"key": TAINT_KEY, "effect": "NoSchedule"}
OTHERS = {"key": "example.com/other", "value": "x", "effect": "NoExecute"}
ALL = StatusSettings()
STARTING = first_verdict(now=0.0, resumed=False)
READY = judge(STARTING, Signs(peers=1, established=1), ReadinessSettings(), 1.0)
NOT_READY = judge(STARTING, Signs(peers=1), ReadinessSettings(), 1.0)


def raw(*taints: dict[str, str]) -> dict[str, Any]:
    made = objects.node("node1", taints=taints)
    made["metadata"] |= {"uid": "u1", "resourceVersion": "7"}
    return made


def carry_out(found: dict[str, Any], verdict: Verdict, *, at: str = AT) -> dict[str, Any]:
    """Return the Node after everything planned was written."""
    for change in plan_status(node_view(found), verdict, ALL, at=at):
        kind = "application/strategic-merge-patch+json"
        if change.patch is Patch.TAINT:
            kind = "application/json-patch+json"
        found = apply_patch(kind, found, change.body, "Node")
    return found


def condition(found: dict[str, Any]) -> dict[str, str]:
    return next(c for c in found["status"]["conditions"] if c["type"] == "NetworkUnavailable")


def test_carried_out_there_is_nothing_left_to_do() -> None:
    for verdict in (STARTING, READY, NOT_READY):
        for taints in ((), (OURS,), (OTHERS, OURS)):
            after = carry_out(raw(*taints), verdict)
            assert plan_status(node_view(after), verdict, ALL, at=LATER) == ()


def test_others_conditions_and_taints_stay() -> None:
    after = carry_out(raw(OTHERS, OURS), READY)
    assert after["spec"]["taints"] == [OTHERS]
    assert {c["type"] for c in after["status"]["conditions"]} == {"Ready", "NetworkUnavailable"}
    after = carry_out(after, NOT_READY)
    assert after["spec"]["taints"] == [OTHERS, OURS]


def test_the_transition_time_moves_with_the_status_only() -> None:
    starting = carry_out(raw(), STARTING)
    assert condition(starting)["lastTransitionTime"] == AT
    not_ready = carry_out(starting, NOT_READY, at=LATER)
    assert condition(not_ready)["reason"] == "PodrouteTooFewSessions"
    assert condition(not_ready)["lastTransitionTime"] == AT
    assert condition(carry_out(not_ready, READY, at=LATER))["lastTransitionTime"] == LATER


def test_resuming_leaves_a_predecessors_word_alone() -> None:
    resuming = first_verdict(now=0.0, resumed=True)
    before = node_view(carry_out(raw(), READY))
    assert plan_status(before, resuming, ALL, at=LATER) == ()


def test_resuming_on_a_node_that_never_heard_of_us_says_unavailable() -> None:
    resuming = first_verdict(now=0.0, resumed=True)
    assert condition(carry_out(raw(), resuming))["status"] == "True"
    # The node IPAM controller's "False" is not ours either.
    foreign = raw()
    foreign["status"]["conditions"].append(
        {"type": "NetworkUnavailable", "status": "False", "reason": "RouteCreated"}
    )
    assert condition(carry_out(foreign, resuming))["status"] == "True"


def test_each_signal_can_be_left_to_others() -> None:
    node = node_view(raw(OURS))
    assert plan_status(node, READY, StatusSettings(condition=False, taint=False), at=AT) == ()
    (only,) = plan_status(node, READY, StatusSettings(condition=False), at=AT)
    assert only.patch is Patch.TAINT


def test_a_first_taint_is_guarded_by_the_version_it_was_decided_on() -> None:
    plan = plan_status(node_view(raw()), NOT_READY, StatusSettings(condition=False), at=AT)
    assert plan[0].body[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}


def test_a_taint_is_removed_only_where_it_stood() -> None:
    (change,) = plan_status(
        node_view(raw(OTHERS, OURS)), READY, StatusSettings(condition=False), at=AT
    )
    assert change.body == [
        {"op": "test", "path": "/spec/taints/1/key", "value": TAINT_KEY},
        {"op": "remove", "path": "/spec/taints/1"},
    ]


def test_removal_leaves_nothing_of_ours() -> None:
    found = carry_out(raw(OTHERS, OURS), NOT_READY)
    for change in plan_status_removal(node_view(found)):
        kind = "application/strategic-merge-patch+json"
        if change.patch is Patch.TAINT:
            kind = "application/json-patch+json"
        found = apply_patch(kind, found, change.body, "Node")
    assert found["spec"]["taints"] == [OTHERS]
    assert [c["type"] for c in found["status"]["conditions"]] == ["Ready"]
    assert plan_status_removal(node_view(found)) == ()


def test_a_long_text_is_cut_and_still_the_same_next_time() -> None:
    long = replace(NOT_READY, text="x" * 5000)
    after = carry_out(raw(), long)
    assert len(condition(after)["message"]) == 1024
    view: NodeView = node_view(after)
    assert plan_status(view, long, ALL, at=LATER) == ()
