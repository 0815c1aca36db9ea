"""What every test gets: capabilities checked, a time limit, namespaces that clean up after it.

A test says what it needs by its markers. A missing capability skips it on a developer's machine and
fails it under ``--require`` (CI, ``./dev test --full``), so that nothing is skipped unseen.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Generator, Iterator
from types import FrameType

import pytest

from tests.support.netns import Namespace

DEFAULT_TIMEOUT_S = 120
# marker -> programs it stands for
PROGRAMS = {
    "netns": ("ip", "nsenter", "unshare"),
    "interop": ("ip", "nsenter", "unshare", "/usr/lib/frr/bgpd", "bird"),
    "e2e": ("ip", "nsenter", "unshare", "/usr/lib/frr/bgpd"),
}
NAMESPACES = pytest.StashKey[list[Namespace]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require",
        default="",
        metavar="MARKERS",
        help="markers whose missing capabilities fail instead of skip (comma list), or 'all':"
        " then no test may be skipped for any reason",
    )
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files instead of comparing"
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    required = set(item.config.getoption("--require").split(","))
    for marker, reason in _missing(item):
        if {"all", marker} & required:
            pytest.fail(f"required, but {reason}", pytrace=False)
        pytest.skip(reason)


def _missing(item: pytest.Item) -> Iterator[tuple[str, str]]:
    needed = [
        (name, programs) for name, programs in PROGRAMS.items() if item.get_closest_marker(name)
    ]
    if needed and os.geteuid() != 0:
        yield needed[0][0], "needs root"
    needed += [("needs", mark.args) for mark in item.iter_markers("needs")]
    for marker, programs in needed:
        for program in programs:
            if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
                yield marker, f"{program} is not installed"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and item.config.getoption("--require") == "all":
        report.outcome = "failed"
        report.longrepr = f"skipped, and --require=all allows no skip: {report.longrepr}"
    if report.failed and call.when == "call":
        for namespace in item.stash.get(NAMESPACES, []):
            report.sections.append((f"namespace {namespace.name}", namespace.describe()))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Interrupt a test that hangs: it fails with a traceback of where it was."""
    marker = item.get_closest_marker("timeout")
    limit_s = marker.args[0] if marker else DEFAULT_TIMEOUT_S

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"the test took longer than {limit_s} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def make_namespace(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Namespace]]:
    """Make namespaces that end with the test; a failure shows their links and routes."""
    with contextlib.ExitStack() as stack:
        made = request.node.stash.setdefault(NAMESPACES, [])

        def make(name: str) -> Namespace:
            namespace = stack.enter_context(contextlib.closing(Namespace(name)))
            made.append(namespace)
            return namespace

        yield make
