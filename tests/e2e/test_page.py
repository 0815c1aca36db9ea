"""The status page in a real Chromium on a node of dual-tor, with real sessions and real trouble.

Screenshots of what it looked like are in .dev/screenshots afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from containerlab.demo.fabric import TOPOLOGY, Fabric, Host
from containerlab.netlab import Lab
from tests.support.chromium import DESKTOP, PHONE, Page, browser

ROOT = Path(__file__).resolve().parents[2]
SHOTS: Final = ROOT / ".dev/screenshots"
AUDIT: Final = (ROOT / "tests/support/page_audit.js").read_text()
URL: Final = "http://127.0.0.1:9180/"
WELL: Final = r"/^All 4 sessions established · \d+ routes installed · 0 findings$/"
TAB, ENTER = ("Tab", 9), ("Enter", 13)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.needs("chromium", "nft", "ping"),
    pytest.mark.timeout(180),
]


@pytest.fixture(scope="module")
def fabric() -> Iterator[Fabric]:
    with Lab.up(TOPOLOGY) as lab:
        made = Fabric(lab)
        made.wait_routers()
        for host in made.hosts:
            host.agent.start()
        first = made.hosts[0]
        # The node's own network configurations, in place of this machine's.
        first.node.run(["sh", "-c", "test ! -d /etc/cni || mount -t tmpfs tmpfs /etc/cni"])
        first.cni.start()
        first.podroute("cni", "install", "--bin-dir", "/run/bin")
        for host in made.hosts:
            made.wait_whole(host)
        for name in ("web-1", "web-2", "db-1"):
            first.runtime.make_pod(name)
        yield made


@pytest.fixture
def host(fabric: Fabric) -> Host:
    return fabric.hosts[0]


@pytest.fixture(scope="module")
def page(fabric: Fabric) -> Iterator[Page]:
    with browser(fabric.hosts[0].node.pid) as chromium:
        made = chromium.page()
        made.show_as(DESKTOP)
        made.go(URL)
        yield made


def headline(page: Page, pattern: str) -> None:
    first = "document.querySelector('#headline .first').innerText.trim()"
    page.wait(f"{pattern}.test({first})", deadline_s=40, what=f"the headline {pattern}")


def shoot(page: Page, name: str) -> None:
    said = page.evaluate("document.body.innerText")
    assert not re.search(r"NaN|undefined|\bnull\b|\[object", said), said
    for scheme in ("light", "dark"):
        page.show_as(DESKTOP, scheme)
        page.screenshot(SHOTS / f"{name}-{scheme}.png")
    page.show_as(PHONE)
    page.screenshot(SHOTS / f"{name}-phone.png")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE[0], f"{name}: the page is {width} px wide on a phone"
    for scheme in ("dark", "light"):
        page.show_as(DESKTOP, scheme)
        assert page.evaluate(AUDIT)["failures"] == []


def texts(page: Page, selector: str) -> list[str]:
    script = f"[...document.querySelectorAll({selector!r})].map((e) => e.textContent)"
    found: list[str] = page.evaluate(script)
    return found


def test_a_healthy_node_is_said_to_be_in_one_line(page: Page, host: Host) -> None:
    headline(page, WELL)
    assert page.evaluate("document.title").startswith("ok")
    assert len(texts(page, ".fabric .session.ok.up")) == 4
    names = texts(page, ".fabric .name")
    assert {"node1", "tor1", "tor2", "AS 65202", "AS 65203"} <= set(names)
    # One box for both sessions of a ToR.
    assert names.count("tor1") == names.count("tor2") == 1
    assert sorted(texts(page, "#pods-body tbody th")) == ["demo/db-1", "demo/web-1", "demo/web-2"]
    assert "nothing" in texts(page, "#findings-body .empty")[0].lower()
    shoot(page, "healthy")
    assert page.errors == []


def test_everything_can_be_done_from_the_keyboard(page: Page) -> None:
    page.evaluate("document.activeElement.blur()")
    page.press(*TAB)
    assert page.evaluate("document.activeElement.className") == "skip"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    seen = set()
    for _ in range(60):
        page.press(*TAB)
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        assert page.evaluate(outline) != "none"
        if page.evaluate("document.activeElement.id") == "peer-tor1-v4":
            break
    assert {"picture", "peer-tor1-v4"} <= seen
    page.press(*ENTER)
    page.wait("document.querySelector('#peer-tor1-v4-more')")
    assert page.evaluate("document.activeElement.id") == "peer-tor1-v4"
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert "End-of-RIB received: yes" in texts(page, "#peer-tor1-v4-more")[0]
    page.press(*ENTER)
    page.wait("!document.querySelector('#peer-tor1-v4-more')")


def test_an_address_finds_the_route_it_takes_and_why(page: Page) -> None:
    page.evaluate("document.activeElement.blur()")
    page.type("/")
    page.type("10.244.2.77")
    assert page.evaluate("document.getElementById('q').value") == "10.244.2.77"
    assert texts(page, "#routes-body tbody th") == ["10.244.2.0/24"]
    assert texts(page, "#routes-body .mark") == ["installed"]
    page.evaluate("document.getElementById('route-10.244.2.0/24').click()")
    page.wait("document.querySelector('.verdict')")
    verdict = texts(page, ".verdict")[0]
    assert verdict.startswith("10.244.2.0/24 is in the kernel, learned from tor1-v4")
    shoot(page, "route")
    page.evaluate(
        "document.getElementById('q').value = '';"
        "document.getElementById('q').dispatchEvent(new Event('input'))"
    )
    assert len(texts(page, "#routes-body tbody th")) > 4
    assert page.errors == []


def test_a_cut_cable_is_named_first_and_stays_in_the_history(page: Page, host: Host) -> None:
    host.node.interface("eth1").down()
    headline(page, "/^2 of 4 sessions are not established: tor1-v4, tor1-v6/")
    page.wait("document.querySelectorAll('.fabric .session.bad').length === 2")
    # By shape and word too, not by colour alone.
    assert page.evaluate("document.querySelectorAll('.fabric .session.bad use').length") == 2
    assert set(texts(page, "#peers-body tbody tr:nth-child(-n+2) .mark")) != {"established"}
    assert "eth1 no carrier" in texts(page, ".fabric .link")
    lost = [text for text in texts(page, ".changes li") if "lost" in text]
    assert {text[:7] for text in lost} == {"tor1-v4", "tor1-v6"}
    shoot(page, "one-tor-down")
    host.node.interface("eth1").up()
    headline(page, WELL)
    assert page.errors == []


def test_an_agent_that_is_away_is_said_so_and_found_again(page: Page, host: Host) -> None:
    before = texts(page, "#peers-body tbody th")
    host.agent.terminate()
    headline(page, "/^The agent does not answer$/")
    page.wait("/Last seen .* ago; asking again/.test(document.getElementById('seen').innerText)")
    assert texts(page, "#peers-body tbody th") == before
    shoot(page, "no-answer")
    host.agent.start()
    page.wait(
        "document.getElementById('again').click() || !document.body.classList.contains('stale')",
        deadline_s=40,
    )
    headline(page, WELL)
    # A browser itself logs a connection that is refused.
    assert [each for each in page.errors if not each.startswith("network: ")] == []
