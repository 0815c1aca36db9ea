"""What the status page answers of an agent between models."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from bgp.nlri import Prefix
from router.agent.control import Control
from router.agent.page.answers import Answers
from router.agent.page.files import Files
from router.agent.page.findings import Findings
from router.agent.page.table import Table
from router.agent.page.wire import Refused, read_head
from router.agent.requests import Inbox, Wake
from router.agent.source import SettingsSource
from router.config.document import ConfigError
from tests.support.agent import CONFIG, Bench, settings_of
from tests.support.bgp_events import down, update
from tests.support.wait import wait_until

SECRET = "correct horse"


class Page:
    """An agent whose loop turns in a thread, and its page."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        wake = Wake()
        source = cast(SettingsSource, None)  # asked only while there is no agent
        self.cni: dict[str, Any] | OSError = {"pods": [], "pools": [], "calls": [1]}
        self.control = Control(inbox=Inbox(wake), wake=wake, source=source, ask_cni=self._ask_cni)
        self.control.agent = bench.agent
        self.looks = 0
        self.answers = Answers(self.control, self._examine)
        self._loop = threading.Thread(target=self._turn)
        self._loop.start()

    def _turn(self) -> None:
        while not self.control.ended:
            self.control.turn(0.05)

    def _ask_cni(self) -> dict[str, Any]:
        if isinstance(self.cni, OSError):
            raise self.cni
        return self.cni

    def _examine(self) -> dict[str, Any]:
        self.looks += 1
        return {"findings": [], "not_looked_at": []}

    def get(self, target: str, more: str = "") -> Any:
        reply = self.answers(read_head(f"GET {target} HTTP/1.1\r\nHost: localhost{more}".encode()))
        body = gzip.decompress(reply.body) if reply.is_gzip else reply.body
        return json.loads(body)

    def close(self) -> None:
        self.control.end()
        self._loop.join()


@pytest.fixture
def page() -> Iterator[Page]:
    bench = Bench(config=CONFIG.replace("65101}", "65101, password_file: /secret}"))
    bench.establish("tor1", "tor2")
    bench.step(update("tor1", "10.244.2.0/24", "192.0.2.0/24"), update("tor2", "10.244.2.0/24"))
    made = Page(bench)
    yield made
    made.close()


def test_the_overview_has_state_links_and_what_became_of_the_sessions(page: Page) -> None:
    page.bench.step(down("tor2"))
    seen = page.get("/v1/overview")
    assert seen["status"]["peers"] == {"configured": 2, "established": 1}
    assert [(peer["name"], peer["link"], peer["link_mtu"]) for peer in seen["peers"]] == [
        ("tor1", "eth1", 1500),
        ("tor2", "eth2", 9000),
    ]
    newest = seen["changes"][0]
    assert (newest["peer"], newest["what"]) == ("tor2", "lost")
    assert seen["status"]["drain"]["phase"] == "none"


def test_onlookers_of_one_moment_cost_the_loop_one_answer(page: Page) -> None:
    assert page.get("/v1/overview")["changes"] == page.get("/v1/overview")["changes"]
    page.bench.step(down("tor2"))
    assert page.get("/v1/overview")["changes"][0]["what"] == "established"


def test_routes_are_those_of_podroute_routes(page: Page) -> None:
    seen = page.get("/v1/routes")
    assert [(r["prefix"], r["installed"]) for r in seen["routes"]] == [
        ("10.244.2.0/24", True),
        ("192.0.2.0/24", False),
    ]
    assert (seen["total"], len(seen["routes"][0]["paths"])) == (2, 2)
    assert page.get("/v1/routes", "\r\nAccept-Encoding: gzip") == seen


def test_a_table_is_made_in_parts_and_again_only_when_something_changed(page: Page) -> None:
    calls: list[str] = []
    now = [0.0]

    def look(make: Any) -> Any:
        calls.append("")
        return page.control.look(make)

    page.bench.step(update("tor1", *(f"10.244.{n}.0/24" for n in range(2, 254))))
    table = Table(look, lambda: now[0])
    made = table.get()
    parts = len(calls)
    assert parts >= 2 + 3  # 253 routes, 100 in a part
    now[0] += 5
    assert table.get() is made
    assert len(calls) == parts + 1
    page.bench.step(update("tor1", withdrawn=["10.244.9.0/24"]))
    now[0] += 1
    again = table.get()
    assert again.tag != made.tag
    assert b"10.244.9.0/24" not in gzip.decompress(again.packed)


def test_routes_kept_from_before_the_start_are_shown(page: Page) -> None:
    fib = page.bench.agent.forwarding.fib
    fib.routes[Prefix.parse("10.244.7.0/24")] = next(iter(fib.routes.values()))
    page.bench.agent.sessions.heard += 1
    kept = [r for r in page.get("/v1/routes")["routes"] if r["prefix"] == "10.244.7.0/24"]
    assert kept[0]["why_not"].startswith("kept from before the start")


def test_history_of_one_peer(page: Page) -> None:
    page.bench.step(down("tor2"))
    told = page.get("/v1/history?peer=tor2")["changes"]
    assert [(change["peer"], change["what"]) for change in told] == [
        ("tor2", "lost"),
        ("tor2", "established"),
    ]
    assert page.get("/v1/history?peer=nobody")["changes"] == []


def test_pods_and_a_cni_server_that_is_away(page: Page) -> None:
    assert page.get("/v1/pods") == {"problem": None, "pods": [], "pools": []}
    page.cni = OSError(2, "No such file or directory")
    wait_until(lambda: page.get("/v1/pods")["problem"], deadline_s=5, what="said to be away")


def test_the_doctor_looks_in_the_background_and_not_at_each_question(page: Page) -> None:
    first = page.get("/v1/findings")
    assert (first["findings"], first["looking"]) == (None, True)
    wait_until(
        lambda: page.get("/v1/findings")["findings"] == [], deadline_s=5, what="what it found"
    )
    assert page.looks == 1


@pytest.mark.parametrize(
    ("found", "seen", "age_s", "looks"),
    [
        ([], "same", 59, 1),
        ([], "same", 60, 2),
        ([{"name": "x"}], "same", 14, 1),
        ([{"name": "x"}], "same", 15, 2),
        ([{"name": "x"}], "other", 3, 1),
        ([{"name": "x"}], "other", 4, 2),
        ([], None, 59, 1),
    ],
)
def test_when_the_doctor_looks_again(
    found: list[dict[str, str]], seen: str | None, age_s: float, looks: int
) -> None:
    now = [100.0]
    looked: list[int] = []

    def examine() -> dict[str, Any]:
        looked.append(1)
        return {"findings": found, "not_looked_at": []}

    findings = Findings(examine, lambda: now[0])
    findings.latest("same")
    wait_until(lambda: not findings.latest()["looking"], deadline_s=5, what="the first look")
    now[0] += age_s
    findings.latest(seen)
    wait_until(lambda: not findings.latest()["looking"], deadline_s=5, what="the second look")
    assert len(looked) == looks


def test_a_doctor_that_fails_is_said_so() -> None:
    def examine() -> dict[str, Any]:
        raise OSError("no ping")

    findings = Findings(examine)
    wait_until(lambda: findings.latest()["problem"], deadline_s=5, what="its words")
    assert findings.latest()["problem"] == "the doctor failed: no ping"


def test_why_is_answered_and_nonsense_refused(page: Page) -> None:
    assert page.get("/v1/why?of=10.244.2.0/24")["outcome"] == "works"
    with pytest.raises(Refused, match="nonsense") as caught:
        page.get("/v1/why?of=nonsense")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "target",
    ["/v1/stop", "/v1/drain", "/v1/doctor", "/metrics", "/index.html", "/../wire.py", "//", "/x"],
)
def test_nothing_else_is_there(page: Page, target: str) -> None:
    with pytest.raises(Refused) as caught:
        page.get(target)
    assert caught.value.status == 404


def test_a_loop_that_does_not_turn_is_said_in_time(page: Page) -> None:
    page.control.end()
    page._loop.join()
    page.answers._table._look = lambda make: page.control.look(make, 0.05)
    with pytest.raises(Refused, match="did not answer in time") as caught:
        page.get("/v1/routes")
    assert caught.value.status == 503


def test_no_answer_holds_a_password(page: Page) -> None:
    bench = page.bench
    assert bench.agent.settings.peers[0].password is not None
    for target in ("overview", "routes", "history", "pods", "findings", "why?of=10.0.1.2"):
        text = json.dumps(page.get(f"/v1/{target}")).lower()
        assert "password" not in text


def test_the_files_need_nothing_from_elsewhere() -> None:
    files = Files()
    index = files.get("/", takes_gzip=False)
    assert index is not None
    names = {"/", "/style.css", "/app.js", "/icon.svg"}
    for name in sorted(
        names | {f"/{m}.js" for m in ("dom", "fabric", "search", "routes", "peers")}
    ):
        reply = files.get(name, takes_gzip=False)
        assert reply is not None, name
        text = reply.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", "").replace("\n//", ""), name
        assert "http:" not in text, name
        assert "https:" not in text, name
    assert b"style=" not in index.body
    assert b"<script>" not in index.body
    packed = files.get("/app.js", takes_gzip=True)
    assert packed is not None
    assert packed.is_gzip


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", ("127.0.0.1", 9180)),
        ("page: {listen: none}", None),
        ("page: {listen: 8080}", ("127.0.0.1", 8080)),
        ('page: {listen: "[::]:80"}', ("::", 80)),
    ],
)
def test_where_it_is_served(text: str, address: tuple[str, int] | None) -> None:
    assert settings_of(f"{CONFIG}{text}\n").page_listen == address


def test_a_wrong_address_is_an_error_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"page\.listen"):
        settings_of(f"{CONFIG}page: {{listen: everywhere}}\n")
