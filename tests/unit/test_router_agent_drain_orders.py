"""What the Node orders, in the agent's loop: who rules, what is kept, and what ends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bgp.event import Sent
from bgp.nlri import Prefix
from bgp.peer_id import PeerId
from router.agent import drain_requests, view
from router.agent.control import Control
from router.agent.drain_file import DrainFile
from router.agent.requests import Inbox, Wake
from router.agent.source import SettingsSource
from router.model.node import NodeView, Observed, Presence
from router.reconcile.drain import Order, Phase
from router.reconcile.drain_orders import ANNOTATION, WAIT
from tests.support.agent import CONFIG, Bench
from tests.support.bgp_events import end_of_rib
from tests.support.node_views import SHUTDOWN, node

OWN, NODE = Prefix.parse("10.244.1.0/24"), Prefix.parse("10.255.1.1/32")
NOW = {ANNOTATION: "true", WAIT: "0"}
DOWN = node(ready={"status": "False", "message": SHUTDOWN})


@pytest.fixture
def store(tmp_path: Path) -> DrainFile:
    return DrainFile(tmp_path)


def started(store: DrainFile, says: NodeView | None = None, config: str = CONFIG) -> Bench:
    """Return an agent with both sessions up, its Node read if given."""
    bench = Bench(config=config, drain=store, cluster=True)
    if says is not None:
        show(bench, says)
    bench.establish("tor1", "tor2")
    bench.step(end_of_rib("tor1"), end_of_rib("tor2"))
    networks = bench.speaker.configured[-1].networks
    for name in ("tor1", "tor2"):
        sent = Sent(peer=PeerId(name), announced=networks)
        bench.step(sent, Sent(peer=PeerId(name), end_of_rib=4))
    return bench


def show(bench: Bench, says: NodeView | None, *, gone: bool = False) -> None:
    presence = Presence.ABSENT if gone else Presence.PRESENT
    bench.agent.node = Observed(presence=presence, value=says)


def settle(bench: Bench) -> Phase:
    for _ in range(5):
        bench.step(after_s=1)
    return bench.agent.draining.state.phase


def undrain(bench: Bench, **body: Any) -> str:
    answer = drain_requests.end(body, lambda: bench.now)(bench.agent)
    bench.step()
    return str(answer["now"])


def announced(bench: Bench) -> set[Prefix]:
    return set(bench.speaker.configured[-1].networks)


def test_an_annotation_drains_and_its_end_announces_again(store: DrainFile) -> None:
    bench = started(store, node())
    assert announced(bench) == {OWN, NODE}
    show(bench, node(NOW))
    assert settle(bench) is Phase.DRAINED
    assert announced(bench) == {NODE}, "the way by which the order's end would come stays"
    assert bench.speaker.configured[-1].going_away
    shown = drain_requests.view(bench.agent)
    assert shown["by"] == "annotation"
    assert shown["asked"] == [{"by": "annotation", "what": f"annotation {ANNOTATION} of the Node"}]
    assert f"no annotation {ANNOTATION}" in view.status(bench.agent, bench.now)["reasons"][0]
    show(bench, node({ANNOTATION: "false"}))
    assert settle(bench) is Phase.NONE
    assert announced(bench) == {OWN, NODE}
    assert store.load() is None


def test_a_drain_by_the_node_outlives_agent_and_reboot_until_the_api_says_otherwise(
    store: DrainFile,
) -> None:
    bench = started(store, node(NOW))
    assert settle(bench) is Phase.DRAINED
    again = started(store)
    assert all(OWN not in config.networks for config in again.speaker.configured)
    assert settle(again) is Phase.DRAINED
    assert undrain(again) == "drained", "the API has not answered: what it said last stands"
    show(again, node(NOW))
    assert settle(again) is Phase.DRAINED
    show(again, node())
    assert settle(again) is Phase.NONE
    assert OWN in announced(again)


def test_drained_while_anybody_orders_it(store: DrainFile) -> None:
    bench = started(store, node())
    bench.agent.draining.order(Order(since=0.0, wait_s=0.0), bench.now)
    show(bench, node(NOW))
    assert settle(bench) is Phase.DRAINED
    assert announced(bench) == set(), "the operator's order rules"
    asked = drain_requests.view(bench.agent)["asked"]
    assert [each["by"] for each in asked] == ["command", "annotation"]
    assert undrain(bench) == "drained"
    bench.step()
    assert announced(bench) == {NODE}
    assert drain_requests.view(bench.agent)["by"] == "annotation"
    show(bench, node())
    assert settle(bench) is Phase.NONE


def test_an_operator_sets_the_node_s_order_aside_until_it_is_given_anew(store: DrainFile) -> None:
    bench = started(store, node(NOW))
    assert settle(bench) is Phase.DRAINED
    assert undrain(bench, override=True) == "none"
    assert settle(bench) is Phase.NONE
    assert any("set it aside" in r for r in view.status(bench.agent, bench.now)["reasons"])
    again = started(store, node(NOW))
    assert settle(again) is Phase.NONE, "an upgrade does not forget it"
    show(again, node())
    settle(again)
    assert store.load() is None
    show(again, node(NOW))
    assert settle(again) is Phase.DRAINED


def test_a_node_that_is_deleted_leaves_everything_as_it_was(store: DrainFile) -> None:
    bench = started(store, node())
    show(bench, node(), gone=True)
    assert settle(bench) is Phase.NONE
    assert announced(bench) == {OWN, NODE}
    show(bench, node(NOW))
    assert settle(bench) is Phase.DRAINED
    show(bench, node(NOW), gone=True)
    assert settle(bench) is Phase.DRAINED
    show(bench, node())
    assert settle(bench) is Phase.NONE, "registered again, without the annotation"


def test_wrong_options_do_not_begin_a_drain_and_do_not_end_one(store: DrainFile) -> None:
    bench = started(store, node({ANNOTATION: "true", WAIT: "soon"}))
    assert settle(bench) is Phase.NONE
    wrong = f"drain: annotation {WAIT}: 'soon' must be seconds from 0 to 3600"
    assert wrong in view.status(bench.agent, bench.now)["reasons"]
    show(bench, node(NOW))
    assert settle(bench) is Phase.DRAINED
    show(bench, node({ANNOTATION: "true", WAIT: "soon"}))
    assert settle(bench) is Phase.DRAINED
    assert wrong in view.status(bench.agent, bench.now)["reasons"]


def test_a_taint_drains_where_it_is_configured(store: DrainFile) -> None:
    tainted = node(taints=({"key": "example.com/maintenance", "effect": "NoSchedule"},))
    assert settle(started(store, tainted)) is Phase.NONE
    bench = started(
        store,
        tainted,
        CONFIG + "drain: {taints: [example.com/maintenance], wait_s: 0, prepend: 2}\n",
    )
    assert settle(bench) is Phase.DRAINED
    assert bench.agent.draining.state.prepend == 2


def test_a_cordon_is_nothing_to_us(store: DrainFile) -> None:
    bench = started(store, node())
    before = len(bench.speaker.configured)
    cordon = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    show(bench, node(taints=(cordon,), unschedulable=True))
    assert settle(bench) is Phase.NONE
    assert len(bench.speaker.configured) == before
    assert bench.agent.verdict.is_ready


def test_a_machine_that_goes_down_marks_and_goes_on_until_the_agent_is_ended(
    store: DrainFile,
) -> None:
    bench = started(store, node())
    show(bench, DOWN)
    assert settle(bench) is Phase.WAITING
    bench.step(after_s=10_000)
    assert bench.agent.draining.state.phase is Phase.WAITING
    assert announced(bench) == {OWN, NODE}
    assert bench.speaker.configured[-1].going_away
    assert bench.agent.draining.is_shutdown
    assert drain_requests.view(bench.agent)["wait_s"] is None
    show(bench, node())
    assert settle(bench) is Phase.NONE, "the shutdown was called off"
    assert not bench.agent.draining.is_shutdown


def test_the_word_of_the_boot_before_is_not_believed(store: DrainFile) -> None:
    bench = started(store, DOWN)
    assert settle(bench) is Phase.NONE
    assert not bench.agent.draining.is_shutdown
    show(bench, node())
    settle(bench)
    show(bench, DOWN)
    assert settle(bench) is Phase.WAITING
    assert store.load() is None
    assert settle(started(store, DOWN)) is Phase.NONE


@pytest.mark.parametrize("down", [True, False], ids=["shutdown", "restart"])
def test_sigterm_withdraws_only_where_the_machine_goes_down(store: DrainFile, down: bool) -> None:
    bench = started(store, node())
    show(bench, DOWN if down else node())
    settle(bench)
    wake = Wake()
    source = SettingsSource(document=None, cluster=None, host_name="host")
    control = Control(inbox=Inbox(wake), wake=wake, source=source)
    control.agent = bench.agent
    control.end()
    assert control.ended is not down
    if down:
        control.judge_withdrawal(False, 0.0)
        assert not control.ended
        assert control.withdraw_until is not None
        now = control.withdraw_until - 5
        control.judge_withdrawal(True, now)
        assert not control.ended, "ToRs need a moment to forget"
        control.judge_withdrawal(True, now + 1.1)
        assert control.ended
        assert control.withdrawn
        control.ended = False
        control.end()
        assert control.ended, "a second signal does not wait"
