"""The page's checks of `./dev bench operators` where no Chromium is installed."""

from __future__ import annotations

import pytest

from containerlab.measure.check import all_ok, render_table
from tests.bench.operators_page import page


def test_without_a_browser_each_bar_is_told_as_not_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    checks = page(is_quick=True)
    assert [check.name for check in checks] == [
        "page_first_paint_ms",
        "page_search_5000_routes_ms",
        "page_console_errors",
        "page_contrast_failures",
    ]
    assert not any(check.ok for check in checks)
    assert not all_ok(checks)
    assert render_table(checks).count("not measured: chromium is not installed") == 4
