"""The status page in a real Chromium: first paint, console, contrast, search.

The agent stands between models (`tests.support.page_host`), its HTTP server is the real one, and
the browser is in the same throw-away namespace. Without a Chromium nothing is measured, which no
check takes for well.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from containerlab.measure.check import Bound, Check, Sample, at_most, exactly, failed
from tests.support.chromium import DESKTOP, PHONE, Browser, Page, browser
from tests.support.netns import namespaces
from tests.support.page_host import URL
from tests.support.page_process import PageProcess, page_process

AUDIT: Final = (Path(__file__).resolve().parents[1] / "support/page_audit.js").read_text()
ROUTES: Final = 5000
BARS: Final[Mapping[str, tuple[str, Bound]]] = {
    "page_first_paint_ms": ("ms", at_most(300)),
    "page_search_5000_routes_ms": ("ms", at_most(50)),
    "page_console_errors": ("errors", exactly(0)),
    "page_contrast_failures": ("texts", exactly(0)),
}
"""Unit and bound of each check."""
_QUERIES: Final = (
    *("1", "10", "10.", "10.64", "10.64.1", "10.70.3.9", "10.244.2.77", "fd00::1", "10.64.0.0/26"),
    *("65101", "as65213", "as65000 as65111", "tor2", "eth1", "tor1 65212", "nothing at all", ""),
)
_SEARCH: Final = """
(async () => {
  const input = document.getElementById("q");
  const took = [];
  for (const query of %s) {
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    input.value = query;
    const began = performance.now();
    input.dispatchEvent(new Event("input", { bubbles: true }));
    document.body.getBoundingClientRect(); // laid out
    took.push(performance.now() - began);
  }
  return took;
})()
"""
WHOLE: Final = (
    "document.querySelector('#routes-body .scroll, #routes-body .empty') &&"
    " document.querySelector('#pods-body .scroll') &&"
    " !/Asking|looking/.test(document.getElementById('headline').innerText)"
)
"""Everything that is asked for has come."""


def page(*, is_quick: bool) -> list[Check]:
    """Return the four checks of the page; a quick look skips most states."""
    if shutil.which("chromium") is None:
        fault = "not measured: chromium is not installed"
        return [failed(name, unit, bound, fault) for name, (unit, bound) in BARS.items()]
    loads, passes = (2, 1) if is_quick else (7, 3)
    errors: list[str] = []
    audit = _Audit()
    with namespaces("page") as (node,), browser(node.pid) as chromium:
        with page_process(node, ROUTES):
            painted = [_paint(chromium, errors) for _ in range(loads)]
            searched, rows = _search(chromium, errors, passes)
        with page_process(node) as host, _watched(chromium, errors) as shown:
            _states(host, shown, audit, most=3 if is_quick else 99)
        with _watched(chromium, []) as shown:  # whose console rightly says: connection refused
            with page_process(node):
                shown.go(URL)
                shown.wait(WHOLE)
            shown.wait("document.body.classList.contains('stale')")
            audit.take(shown, "no answer")
    return [
        _check(
            "page_first_paint_ms",
            round(statistics.median(painted)),
            samples=[round(each) for each in painted],
        ),
        _check(
            "page_search_5000_routes_ms",
            round(statistics.quantiles(searched, n=20)[-1], 1),
            samples={
                "median": round(statistics.median(searched), 1),
                "max": round(max(searched), 1),
                "searches": len(searched),
            },
            faults=() if rows == ROUTES + 2 else (f"the page has {rows} routes",),
        ),
        _check("page_console_errors", len(errors), samples=errors),
        _check(
            "page_contrast_failures",
            len(audit.failures),
            samples={"texts": audit.texts, "views": audit.views, "failures": audit.failures[:20]},
            faults=() if audit.texts else ("no text was looked at",),
        ),
    ]


def _check(name: str, value: float, samples: Sample, faults: tuple[str, ...] = ()) -> Check:
    unit, bound = BARS[name]
    return Check(name=name, value=value, unit=unit, bound=bound, samples=samples, faults=faults)


class _Audit:
    """What was found in all views."""

    def __init__(self) -> None:
        self.texts = 0
        self.views = 0
        self.failures: list[Any] = []

    def take(self, shown: Page, state: str) -> None:
        """Look at the page as it is, on desktop and phone, in both schemes."""
        for scheme in ("light", "dark"):
            for size in (DESKTOP, PHONE):
                shown.show_as(size, scheme)
                found = shown.evaluate(AUDIT)
                self.texts += found["texts"]
                self.views += 1
                self.failures += [
                    {"state": state, "scheme": scheme, "width": size[0], **each}
                    for each in found["failures"]
                ]
        shown.show_as(DESKTOP)


@contextmanager
def _watched(chromium: Browser, errors: list[str]) -> Iterator[Page]:
    shown = chromium.page()
    shown.show_as(DESKTOP)
    yield shown
    shown.evaluate("0")  # whatever the console still has comes before this answer
    errors += shown.errors
    shown.close()


def _paint(chromium: Browser, errors: list[str]) -> float:
    entries = "performance.getEntriesByName('first-contentful-paint')"
    with _watched(chromium, errors) as shown:
        shown.go(URL)
        shown.wait(f"{entries}.length")
        took = float(shown.evaluate(f"{entries}[0].startTime"))
        shown.wait(WHOLE)
    return took


def _search(chromium: Browser, errors: list[str], passes: int) -> tuple[list[float], int]:
    with _watched(chromium, errors) as shown:
        shown.go(URL)
        shown.wait(WHOLE)
        script = _SEARCH % list(_QUERIES)
        took = [float(each) for _ in range(passes) for each in shown.evaluate(script)]
        note = shown.evaluate("document.getElementById('routes-note').textContent")
        return took, int(note.partition(" ")[0].replace(",", ""))


def _states(host: PageProcess, shown: Page, audit: _Audit, most: int) -> None:
    host.tell("finding")
    steps: tuple[tuple[str, Callable[[], object], str], ...] = (
        ("a finding", lambda: None, "document.querySelector('.finding')"),
        ("unfolded", lambda: shown.evaluate(_UNFOLD), "document.querySelector('.verdict')"),
        ("one peer down", lambda: host.tell("down tor1"), _headline("bad", "1 of 2 sessions")),
        ("drained", lambda: host.tell("drain"), _headline("bad", "drained")),
        ("all down", lambda: host.tell("down tor2"), _headline("bad", "None of 2")),
        ("empty", lambda: host.tell("empty"), "document.querySelector('#peers-body .empty')"),
    )
    shown.go(URL)
    for state, do, condition in steps[:most]:
        shown.wait(WHOLE)
        do()
        shown.wait(condition, what=state)
        audit.take(shown, state)


_UNFOLD: Final = """
document.getElementById("peer-tor1").click();
document.querySelector("#routes-body .disclose").click();
"""


def _headline(level: str, text: str) -> str:
    return (
        f"document.querySelector('.headline.{level}') &&"
        f" document.getElementById('headline').innerText.includes('{text}')"
    )
