"""`podroute why`: the true cause, in one sentence and in fields."""

from __future__ import annotations

from typing import Any

import pytest

from bgp.event import Sent
from bgp.nlri import Prefix
from bgp.peer_id import PeerId
from router.agent.why import Outcome, Pods, Subject, why
from router.cli.main import main
from router.cli.why import STATUS, render
from tests.support.agent import CONFIG, Bench
from tests.support.bgp_events import down, update

POD = "10.244.2.0/24"
FILTERED = CONFIG + (
    "import:\n"
    "  accept_default: true\n"
    "  also_accept: [{prefix: 203.0.113.0/24, le: 32}]\n"
    "  filters:\n"
    "    far:\n"
    "      - {match: {prefixes: [{prefix: 10.244.8.0/24}]}, action: accept}\n"
    "      - {match: {prefixes: [{prefix: 10.244.9.0/24}]}, action: reject}\n"
    "      - {match: {prefixes: [{prefix: 10.244.10.0/24}]}, action: reject, reason: not ours}\n"
    "      - {match: {prefixes: [{prefix: 10.244.11.0/24}], peers: [tor1]},"
    " set: {local_preference: 200}}\n"
    "  filter: far\n"
)
POD_LINK = {
    "network": "podroute",
    "container_id": "c0ffee",
    "ifname": "eth0",
    "addresses": ["10.244.1.7"],
    "orphaned": [],
    "kind": "pod link",
    "no_host_route": [],
    "namespace": "shop",
    "pod": "cart-1",
    "interface": "pod1234",
    "netns": None,
    "since": None,
}


@pytest.fixture
def bench() -> Bench:
    made = Bench(config=FILTERED)
    made.establish("tor1", "tor2")
    made.step(
        update("tor1", POD, "10.244.8.0/24", "10.244.9.0/24", "10.244.10.0/24", "10.244.11.0/24"),
        update("tor2", POD, "10.244.11.0/24", "192.0.2.0/24", "10.244.1.0/24", "10.244.77.0/30"),
        update("tor1", "10.244.2.128/25", "203.0.113.9/32", "0.0.0.0/0"),
    )
    own = frozenset({Prefix.parse("10.244.1.0/24")})
    sent = Sent(peer=PeerId("tor1"), announced=own, withdrawn=frozenset(), end_of_rib=None)
    made.step(sent, after_s=5)
    return made


def ask(bench: Bench, text: str, *pods: dict[str, Any]) -> Any:
    return why(bench.agent, Subject.parse(text), Pods({"pods": list(pods)}))


@pytest.mark.parametrize(
    ("asked", "outcome", "words"),
    [
        (POD, Outcome.WORKS, "10.244.2.0/24 is in the kernel, learned from tor1, tor2"),
        ("10.244.2.9", Outcome.WORKS, "10.244.2.0/24 is in the kernel"),
        ("10.244.2.200", Outcome.WORKS, "10.244.2.128/25 is in the kernel, learned from tor1"),
        ("10.244.8.0/24", Outcome.WORKS, "learned from tor1"),
        (
            "10.244.9.0/24",
            Outcome.DOES_NOT,
            "is rejected: rejected by filter far, term 2 (filter far, term 2)",
        ),
        ("10.244.10.0/24", Outcome.DOES_NOT, "is rejected: not ours (filter far, term 3)"),
        ("10.244.77.0/30", Outcome.DOES_NOT, "length 30 is out of bounds (import guard)"),
        ("192.0.2.0/24", Outcome.DOES_NOT, "outside the cluster prefixes (import guard)"),
        ("10.244.11.0/24", Outcome.WORKS, "learned from tor1"),
        ("10.244.3.0/24", Outcome.UNKNOWN, "no peer has announced 10.244.3.0/24"),
        ("8.8.8.8", Outcome.WORKS, "0.0.0.0/0 is in the kernel"),
        ("2001:db8::1", Outcome.UNKNOWN, "no peer has announced 2001:db8::1"),
        ("10.244.1.0/24", Outcome.WORKS, "this node's (pod_cidrs); 10.244.1.0/24 is announced"),
        ("10.255.1.1", Outcome.DOES_NOT, "announced to nobody: not sent yet"),
        ("10.244.1.9", Outcome.DOES_NOT, "and no pod has it; 10.244.1.0/24 is"),
    ],
)
def test_the_verdict(bench: Bench, asked: str, outcome: Outcome, words: str) -> None:
    answer = ask(bench, asked)
    assert words in answer["verdict"]
    assert answer["outcome"] == outcome.value
    assert render(answer).startswith(answer["verdict"])


@pytest.mark.parametrize(
    ("more", "table"), [("", "main"), ("fib: {table: 74}\n", "74"), ("fib: {table: 101}\n", "101")]
)
def test_a_table_has_the_name_that_ip_gives_it(more: str, table: str) -> None:
    bench = Bench(config=CONFIG + more)
    bench.establish("tor1")
    bench.step(update("tor1", POD))
    answer = ask(bench, POD)
    assert answer["kernel"]["table"] == (254 if table == "main" else int(table))
    assert f", table {table}\n" in render(answer)


def test_what_asks_for_it_and_who_judged(bench: Bench) -> None:
    learned = ask(bench, "10.244.11.0/24")["learned"]
    assert learned["asked_for_by"] == "cluster.pod_prefixes 10.244.0.0/16"
    first, second = learned["paths"]
    assert first["accepted_by"] == "import guard, then filter far: no term rejects"
    assert (first["why_not_best"], first["best"]) == (None, True)
    assert second["why_not_best"] == "local preference 100, tor1 has 200"
    rule = ask(bench, "203.0.113.9")["learned"]["asked_for_by"]
    assert rule == "import.also_accept 203.0.113.0/24"
    assert ask(bench, "0.0.0.0/0")["learned"]["asked_for_by"] == "import.accept_default"
    assert ask(bench, "10.244.8.0/24")["learned"]["paths"][0]["accepted_by"].endswith("term 1")


def test_announced_to_whom_and_since_when(bench: Bench) -> None:
    mine = ask(bench, "10.244.1.0/24")["announced"]
    assert mine["asked_for_by"] == "pod_cidrs"
    assert mine["peers"] == [
        {
            "peer": "tor1",
            "announced": True,
            "since": "1970-01-01T00:16:45.000Z",
            "why_not": None,
        },
        {"peer": "tor2", "announced": False, "since": None, "why_not": "not sent yet"},
    ]
    bench.step(down("tor1"), after_s=1)
    lost = ask(bench, "10.244.1.0/24")["announced"]["peers"][0]
    assert (lost["announced"], lost["since"]) == (False, None)
    assert lost["why_not"] == "the session is connect: peer closed the connection"


@pytest.mark.parametrize(
    ("change", "asked", "words"),
    [
        (("node_addresses: true", "node_addresses: false"), "10.255.1.1", "announce.node_add"),
        (("node_addresses: true", "pod_cidrs: false"), "10.244.1.0/24", "announce.pod_cidrs is"),
        (("[10.255.1.1]", "[10.255.9.9]"), "10.255.9.9", "no link of this node has the address"),
        (("102}", "102, shutdown: true}"), "10.244.1.0/24", "shutdown: shut down in the conf"),
    ],
)
def test_why_it_is_not_announced(change: tuple[str, str], asked: str, words: str) -> None:
    bench = Bench(config=CONFIG.replace(*change))
    bench.establish("tor1", "tor2")
    bench.step()
    assert words in render(ask(bench, asked))


def test_an_export_filter_that_withholds_is_named() -> None:
    rule = "[{match: {prefixes: [{prefix: 10.244.1.0/24}]}, action: reject}]"
    bench = Bench(config=CONFIG + f"export: {{filters: {{quiet: {rule}}}, filter: quiet}}\n")
    bench.establish("tor1", "tor2")
    bench.step()
    assert "withheld by export filter quiet" in ask(bench, "10.244.1.0/24")["verdict"]


def test_what_the_kernel_does_not_take() -> None:
    bench = Bench()
    bench.kernel.foreign.add(Prefix.parse(POD))
    bench.establish("tor1")
    bench.step(update("tor1", POD))
    answer = ask(bench, POD)
    assert answer["outcome"] == "does-not"
    assert "not in the kernel: a route of the same prefix and metric is there" in answer["verdict"]


def test_no_carrier_is_the_reason() -> None:
    bench = Bench()
    bench.establish("tor1")
    bench.kernel.set_carrier("eth1", False)
    bench.step(update("tor1", POD))
    assert "link eth1 toward next hop 10.0.1.2 has no carrier" in ask(bench, POD)["verdict"]


def test_a_pod_of_this_node(bench: Bench) -> None:
    text = render(ask(bench, "10.244.1.7", POD_LINK))
    assert text.startswith("10.244.1.7 is shop/cart-1 on this node; 10.244.1.0/24 is announced to")
    assert "link        pod1234, eth0 in the pod" in text
    bare = ask(bench, "10.244.1.7", {**POD_LINK, "no_host_route": ["10.244.1.7"]})
    assert (bare["outcome"], bare["pod"]["interface"]) == ("does-not", "pod1234")
    orphan = {**POD_LINK, "addresses": ["10.244.99.7"], "orphaned": ["10.244.99.7"]}
    lost = ask(bench, "10.244.99.7", orphan)
    assert lost["outcome"] == "does-not"
    assert "shop/cart-1 on this node, in no pod CIDR of it any more" in lost["verdict"]
    blind = why(bench.agent, Subject.parse("10.244.1.7"), Pods(None, "no answer"))
    assert "whether a pod has it is not known" in blind["verdict"]
    assert "pod         not known: no answer" in render(blind)


def test_every_outcome_has_an_exit_status() -> None:
    assert set(STATUS) == {outcome.value for outcome in Outcome}


@pytest.mark.parametrize("text", ["banana", "10.0.0.1/24", "10.0.0.0/99"])
def test_wrong_usage_is_status_2(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["why", text])
    assert ended.value.code == 2
    assert "not a prefix" in capsys.readouterr().err
