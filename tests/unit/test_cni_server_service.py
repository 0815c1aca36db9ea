"""What each command does, on a dataplane without a kernel."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from cni.node_facts import NodeFacts, render
from cni.server.facts import FactsFile
from cni.server.service import Service
from cni.spec.errors import DataplaneError
from cni.wire import Request
from tests.support.fake_dataplane import FakeDataplane


class Runtime:
    """Calls a service as the shim would, and keeps the answers."""

    def __init__(self, directory: Path) -> None:
        self.facts_path = directory / "node.json"
        self.dataplane = FakeDataplane()
        self.write_facts("10.244.1.0/29", "fd00:244:1::/64")
        self.restart()

    def restart(self) -> list[str]:
        self.service = Service(self.dataplane, FactsFile(self.facts_path))
        return [unfinished.reason for unfinished in self.service.rebuild()]

    def write_facts(self, *cidrs: str, ready: bool = True, generation: int = 1) -> None:
        facts = NodeFacts(
            generation=generation,
            node="n",
            pod_cidrs=tuple(map(ip_network, cidrs)),
            node_addresses=(ip_address("10.255.1.1"), ip_address("fd00:255:1::1")),
            mtu=9000,
            ready=ready,
            reason="" if ready else "no MTU yet",
        )
        temporary = self.facts_path.with_suffix(".new")
        temporary.write_bytes(render(facts))
        temporary.replace(self.facts_path)

    def call(
        self, command: str, container: str = "a", *, sandbox: int | None = 3, **config: Any
    ) -> Caller:
        variables = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": container,
            "CNI_NETNS": f"/run/netns/{container}",
            "CNI_IFNAME": "eth0",
        }
        body = {"cniVersion": "1.1.0", "name": "podroute", "type": "podroute"} | config
        caller = Caller(sandbox)
        request = Request(variables=variables, stdin=json.dumps(body).encode())
        self.service.handle(request, caller)
        return caller

    def settle(self) -> None:
        self.service.flush()
        self.dataplane.end_removals()
        self.service.collect()


class Caller:
    """Implements ``cni.server.call.Caller``."""

    def __init__(self, sandbox: int | None) -> None:
        self.sandbox = sandbox
        self.answers: list[tuple[int, bytes]] = []
        self.left = False

    def gone(self) -> bool:
        return self.left

    def answer(self, exit_code: int, stdout: bytes) -> bool:
        self.answers.append((exit_code, stdout))
        return not self.left

    @property
    def waiting(self) -> bool:
        return not self.answers

    @property
    def body(self) -> Any:
        ((_, stdout),) = self.answers
        return json.loads(stdout)

    @property
    def code(self) -> int:
        """Return 0 for success, else the error object's code."""
        ((exit_code, stdout),) = self.answers
        return json.loads(stdout)["code"] if exit_code else 0


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(tmp_path)


def test_add_answers_with_addresses_of_both_families(runtime: Runtime) -> None:
    body = runtime.call("ADD").body
    assert [ip["address"] for ip in body["ips"]] == ["10.244.1.1/32", "fd00:244:1::1/128"]
    assert body["interfaces"][1]["mtu"] == 9000
    (plan,) = runtime.dataplane.plans.values()
    # Only the address that is local may be preferred: the kernel refuses the other.
    assert "host: add host route 10.244.1.1 src 10.255.1.1" in plan.describe()
    assert "host: add host route fd00:244:1::1" in plan.describe()


def test_the_configured_mtu_wins(runtime: Runtime) -> None:
    assert runtime.call("ADD", mtu=1400).body["interfaces"][0]["mtu"] == 1400


def test_add_twice_is_an_error_and_changes_nothing(runtime: Runtime) -> None:
    runtime.call("ADD")
    assert runtime.call("ADD").code == 100
    assert len(runtime.dataplane.links) == 1


def test_a_second_interface_or_network_is_another_attachment(runtime: Runtime) -> None:
    runtime.call("ADD")
    assert runtime.call("ADD", name="other").code == 0
    assert len(runtime.dataplane.links) == 2


def test_a_refused_add_gives_its_addresses_back(runtime: Runtime) -> None:
    runtime.dataplane.refuse_create = DataplaneError("no")
    for _ in range(20):
        assert runtime.call("ADD").code == 103
    runtime.dataplane.refuse_create = None
    for number in range(6):
        assert runtime.call("ADD", f"c{number}").code == 0


def test_exhaustion_names_the_pool_and_its_numbers(runtime: Runtime) -> None:
    for number in range(6):
        assert runtime.call("ADD", f"c{number}").code == 0
    body = runtime.call("ADD", "one-too-many").body
    assert body["code"] == 102
    assert body["details"] == "pool 10.244.1.0/29: 6 of 6 usable addresses in use"
    runtime.call("DEL", "c3")
    runtime.settle()
    assert runtime.call("ADD", "one-too-many").body["ips"][0]["address"] == "10.244.1.4/32"


def test_del_answers_when_the_link_is_gone_and_not_before(runtime: Runtime) -> None:
    runtime.call("ADD")
    first, second = runtime.call("DEL"), runtime.call("DEL")
    runtime.service.flush()
    assert first.waiting
    assert second.waiting
    runtime.settle()
    assert (first.answers, second.answers) == ([(0, b"")], [(0, b"")])
    assert runtime.dataplane.batches == [(11,)]
    assert runtime.call("DEL").answers == [(0, b"")]


def test_dels_of_one_round_are_one_batch(runtime: Runtime) -> None:
    for container in "abc":
        runtime.call("ADD", container)
    callers = [runtime.call("DEL", container) for container in "abc"]
    runtime.settle()
    assert [len(batch) for batch in runtime.dataplane.batches] == [3]
    assert all(caller.code == 0 for caller in callers)


def test_a_refused_removal_is_told_and_can_be_repeated(runtime: Runtime) -> None:
    runtime.call("ADD")
    runtime.dataplane.refuse_removal = "EBUSY"
    caller = runtime.call("DEL")
    runtime.settle()
    assert caller.code == 11
    assert runtime.call("ADD").code == 100
    runtime.dataplane.refuse_removal = None
    caller = runtime.call("DEL")
    runtime.settle()
    assert caller.code == 0


def test_an_add_waits_for_the_del_of_its_name(runtime: Runtime) -> None:
    runtime.call("ADD")
    runtime.call("DEL")
    add = runtime.call("ADD")
    assert add.waiting
    runtime.settle()
    assert add.code == 0
    assert len(runtime.dataplane.links) == 1


def test_an_add_whose_caller_left_meanwhile_does_nothing(runtime: Runtime) -> None:
    runtime.call("ADD")
    runtime.call("DEL")
    add = runtime.call("ADD")
    add.left = True
    runtime.settle()
    assert runtime.dataplane.links == {}


def test_an_add_that_cannot_be_answered_is_undone(runtime: Runtime) -> None:
    caller = Caller(3)
    caller.left = True
    body = {"cniVersion": "1.0.0", "name": "podroute"}
    variables = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "a",
        "CNI_NETNS": "/x",
        "CNI_IFNAME": "eth0",
    }
    request = Request(variables=variables, stdin=json.dumps(body).encode())
    runtime.service.handle(request, caller)
    runtime.settle()
    assert runtime.dataplane.links == {}
    assert runtime.call("ADD").code == 0


def test_a_link_that_left_by_itself_frees_its_name_and_addresses(runtime: Runtime) -> None:
    runtime.call("ADD")
    runtime.dataplane.lose(11)
    runtime.service.collect()
    assert runtime.call("DEL").answers == [(0, b"")]
    assert runtime.call("ADD").code == 0


def test_a_restart_keeps_attachments_and_never_gives_their_addresses(runtime: Runtime) -> None:
    for container in "abc":
        runtime.call("ADD", container)
    assert runtime.restart() == []
    assert runtime.dataplane.held == tuple(runtime.dataplane.links.values())
    assert runtime.call("ADD", "b").code == 100
    given = {runtime.call("ADD", c).body["ips"][0]["address"] for c in "def"}
    assert given == {"10.244.1.4/32", "10.244.1.5/32", "10.244.1.6/32"}
    runtime.call("DEL", "b")
    runtime.settle()
    assert len(runtime.dataplane.links) == 5


def test_long_ids_are_the_same_attachment_after_a_restart(runtime: Runtime) -> None:
    runtime.call("ADD", "c" * 300)
    runtime.restart()
    assert runtime.call("ADD", "c" * 300).code == 100
    assert runtime.call("ADD", "c" * 299).code == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"alias": ""}, "not an alias of ours"),
        ({"condemned": True}, "its removal had begun"),
    ],
)
def test_a_restart_finds_what_is_unfinished(
    runtime: Runtime, changes: dict[str, Any], reason: str
) -> None:
    runtime.call("ADD")
    (link,) = runtime.dataplane.links.values()
    fields = {name: getattr(link, name) for name in link.__slots__} | changes
    runtime.dataplane.links[link.index] = type(link)(**fields)
    (found,) = runtime.restart()
    assert found.startswith(reason)


def test_without_facts_an_add_says_who_has_to_write_them(runtime: Runtime) -> None:
    runtime.facts_path.unlink()
    runtime.restart()
    body = runtime.call("ADD").body
    assert body["code"] == 11
    assert "the route agent has not written" in body["details"]
    runtime.write_facts("10.244.1.0/29")
    assert runtime.call("ADD").code == 0


@pytest.mark.parametrize("content", [b"{", b"[]"])
def test_malformed_facts_do_not_take_the_last_good_ones_away(
    runtime: Runtime, content: bytes
) -> None:
    runtime.facts_path.write_bytes(content)
    assert runtime.call("ADD").code == 0
    runtime.restart()
    assert "malformed" in runtime.call("ADD", "b").body["details"]


def test_a_cidr_taken_away_gives_no_new_address_and_takes_none_back(runtime: Runtime) -> None:
    runtime.call("ADD")
    runtime.write_facts("10.244.2.0/29", generation=2)
    assert runtime.call("ADD", "b").body["ips"][0]["address"] == "10.244.2.1/32"
    assert len(runtime.dataplane.links) == 2
    runtime.call("DEL")
    runtime.settle()
    assert len(runtime.dataplane.links) == 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        pytest.param({"prevResult": {}}, 7, id="not the first of its chain"),
        pytest.param({"sandbox": None}, 4, id="sandbox cannot be opened"),
        pytest.param({"cniVersion": "9"}, 1, id="unknown version"),
        pytest.param({"name": None}, 7, id="no name"),
    ],
)
def test_adds_that_cannot_be(runtime: Runtime, options: dict[str, Any], code: int) -> None:
    caller = runtime.call("ADD", **options)
    assert caller.code == code
    assert runtime.dataplane.links == {}


def test_status_is_what_an_add_would_meet(runtime: Runtime) -> None:
    assert runtime.call("STATUS").code == 0
    for number in range(6):
        runtime.call("ADD", f"c{number}")
    body = runtime.call("STATUS").body
    assert body["code"] == 50
    assert "6 of 6" in body["details"]
    runtime.write_facts("10.244.1.0/24", ready=False, generation=2)
    assert "no MTU yet" in runtime.call("STATUS").body["details"]
    runtime.write_facts(generation=3)
    assert "no pod CIDR" in runtime.call("STATUS").body["details"]


def test_gc_removes_what_is_not_in_its_list_and_of_its_network(runtime: Runtime) -> None:
    for container in "abc":
        runtime.call("ADD", container)
    runtime.call("ADD", "a", name="other")
    valid = {"cni.dev/valid-attachments": [{"containerID": "b", "ifname": "eth0"}]}
    caller = runtime.call("GC", **valid)
    assert caller.waiting
    runtime.settle()
    assert caller.answers == [(0, b"")]
    assert len(runtime.dataplane.links) == 2
    assert runtime.call("GC", **valid).answers == [(0, b"")]


def test_gc_with_names_that_are_no_utf_8(runtime: Runtime) -> None:
    """In the list or in a variable that GC does not need, they are nobody's."""
    runtime.call("ADD")
    foreign = {"containerID": "\ud800", "ifname": "\ud800"}
    caller = runtime.call("GC", "\udcff", **{"cni.dev/valid-attachments": [foreign]})
    runtime.settle()
    assert caller.answers == [(0, b"")]


def test_gc_needs_a_list(runtime: Runtime) -> None:
    runtime.call("ADD")
    assert runtime.call("GC").code == 7
    assert len(runtime.dataplane.links) == 1


def test_gc_reports_what_it_could_not_remove(runtime: Runtime) -> None:
    runtime.call("ADD")
    runtime.dataplane.refuse_removal = "EBUSY"
    caller = runtime.call("GC", **{"cni.dev/attachments": []})
    runtime.settle()
    assert caller.code == 11
    assert "EBUSY" in caller.body["details"]


def test_check_compares_result_and_kernel(runtime: Runtime) -> None:
    result = runtime.call("ADD").body
    assert runtime.call("CHECK", prevResult=result).answers == [(0, b"")]
    runtime.dataplane.missing = ("host: add host route 10.244.1.1",)
    assert runtime.call("CHECK", prevResult=result).code == 104
    assert runtime.call("CHECK").code == 7
    assert runtime.call("CHECK", "unknown", prevResult=result).code == 3
    other = json.loads(json.dumps(result).replace("10.244.1.1", "10.244.1.2"))
    assert runtime.call("CHECK", prevResult=other).code == 104


@pytest.mark.parametrize(
    ("command", "version"),
    [("CHECK", "0.3.1"), ("GC", "1.0.0"), ("STATUS", "1.0.0"), ("STATUS", "0.4.0")],
)
def test_commands_younger_than_the_version(runtime: Runtime, command: str, version: str) -> None:
    assert runtime.call(command, cniVersion=version).code == 1


def test_version_needs_no_configuration(runtime: Runtime) -> None:
    caller = Caller(None)
    request = Request(variables={"CNI_COMMAND": "VERSION"}, stdin=b"")
    runtime.service.handle(request, caller)
    assert "1.0.0" in caller.body["supportedVersions"]


def test_an_unexpected_exception_is_code_999_without_its_text(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    runtime.dataplane.check = None  # type: ignore[assignment, method-assign]
    result = runtime.call("ADD").body
    body = runtime.call("CHECK", prevResult=result).body
    assert (body["code"], body["details"]) == (999, "TypeError")
    assert "internal error" in caplog.messages
