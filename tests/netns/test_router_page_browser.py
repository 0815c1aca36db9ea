"""The status page in Chromium before a model agent: what no lab does on demand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.chromium import DESKTOP, PHONE, Browser, Page, browser
from tests.support.netns import Namespace, namespaces
from tests.support.page_host import URL
from tests.support.page_process import PageProcess, page_process

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.needs("chromium")]

AUDIT: Final = (Path(__file__).resolve().parents[1] / "support/page_audit.js").read_text()
MARKUP: Final = "<img src=x onerror=alert(1)><script>alert(2)</script>"
LONG: Final = "maintenance" * 40


@pytest.fixture(scope="module")
def node() -> Iterator[Namespace]:
    with namespaces("page") as (made,):
        yield made


@pytest.fixture(scope="module")
def chromium(node: Namespace) -> Iterator[Browser]:
    with browser(node.pid) as made:
        yield made


@pytest.fixture
def host(node: Namespace) -> Iterator[PageProcess]:
    with page_process(node) as made:
        yield made


@pytest.fixture
def page(chromium: Browser, host: PageProcess) -> Page:
    return opened(chromium)


def opened(chromium: Browser) -> Page:
    made = chromium.page()
    made.show_as(DESKTOP)
    made.go(URL)
    made.wait("document.querySelector('#routes-body table') && document.querySelector('.fabric')")
    return made


def test_what_a_peer_writes_is_text_and_breaks_no_line(page: Page, host: PageProcess) -> None:
    host.tell(f"refuse tor1 {MARKUP}")
    page.wait(f"document.querySelector('#history-body').innerText.includes({MARKUP!r})")
    assert page.evaluate("document.querySelectorAll('main img, main script').length") == 0
    host.tell(f"refuse tor2 {LONG}")
    page.wait(f"document.querySelector('#history-body').innerText.includes({LONG!r})")
    for size in (DESKTOP, PHONE):
        page.show_as(size)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.errors == []


def test_the_instruments_notice_what_they_are_for(page: Page) -> None:
    assert page.evaluate(AUDIT)["failures"] == []
    page.evaluate(
        "document.styleSheets[0].insertRule("
        "'.note, .fabric .sub { color: #a0a0a0 !important; fill: #a0a0a0 !important }', 0)"
    )
    failed = {each["text"] for each in page.evaluate(AUDIT)["failures"]}
    assert {"2 peers", "AS 65101"} <= failed
    page.evaluate("console.error('planted')")
    page.evaluate("0")
    assert ["planted" in each for each in page.errors] == [True]
    # The content security policy stops what does not come from here.
    page.evaluate(
        "{ const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        " document.body.append(s); }"
    )
    page.evaluate("0")
    assert page.evaluate("window.ran") is None
    assert len(page.errors) == 2
    assert "Content Security Policy" in page.errors[1]


def test_a_loop_that_hangs_is_said_in_the_agents_words(page: Page, host: PageProcess) -> None:
    host.tell("hang 6")
    page.wait("document.body.classList.contains('stale')")
    said = page.evaluate("document.getElementById('headline').innerText")
    assert "The agent does not answer" in said
    assert "the agent's loop did not answer in time" in said
    page.wait("!document.body.classList.contains('stale')")


def test_more_routes_than_a_browser_wants_are_counted(chromium: Browser, node: Namespace) -> None:
    with page_process(node, 12_000):
        page = opened(chromium)
        note = page.evaluate("document.getElementById('routes-note').textContent")
        assert note.startswith("10,000 of the first 10,000; 12,002 are known")
        assert page.evaluate("document.querySelectorAll('#routes-body tbody tr').length") == 20
        page.evaluate("document.getElementById('more-routes').focus()")
        page.press("Enter", 13)
        assert page.evaluate("document.querySelectorAll('#routes-body tbody tr').length") == 220
        assert page.evaluate("document.activeElement.id") == "more-routes"
        assert page.errors == []
