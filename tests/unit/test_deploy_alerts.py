"""Alert rules: each has its tests, its runbook, and asks for metrics that there are."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from router.agent import exposition, metrics

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/alerts/podroute.rules.yaml"
TESTS = ROOT / "tests/alerts/podroute.test.yaml"


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    return found


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("words", [["check", "rules", RULES], ["test", "rules", TESTS.name]])
def test_promtool_is_content(words: list[str]) -> None:
    done = subprocess.run(
        ["promtool", *words], cwd=TESTS.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire_and_to_stay_quiet() -> None:
    fires, quiet = set(), set()
    for case in yaml.safe_load(TESTS.read_text())["tests"]:
        for expected in case["alert_rule_test"]:
            (fires if expected["exp_alerts"] else quiet).add(expected["alertname"])
    assert fires == quiet == {rule["alert"] for rule in rules()}


def test_every_alert_has_a_paragraph_in_the_runbook() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    for rule in rules():
        name = rule["alert"]
        assert re.search(rf"^### {name}\n\n\w.{{40,}}", text, re.MULTILINE), name
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_every_metric_of_a_rule_is_one_of_ours() -> None:
    source = "".join(Path(str(module.__file__)).read_text() for module in (exposition, metrics))
    written = set(re.findall(r'"(podroute_\w+)"', source))
    written |= {f"podroute_peer_routes_{key}" for key in metrics._COUNTS}
    written |= {f"podroute_cni_{key}_total" for key in ("restored", "restore_failures", "swept")}
    for rule in rules():
        for name in re.findall(r"podroute_\w+", rule["expr"]):
            base = re.sub(r"_(bucket|count|sum)$", "", name)
            assert {name, base} & written, name
