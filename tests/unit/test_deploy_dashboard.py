"""The Grafana dashboard: queries that parse, of metrics that are there, in a form that loads."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cni.histogram import Histogram
from router.agent import view
from router.agent.metrics import render
from router.agent.view_api import api as api_view
from router.kube.view import ClusterView
from tests.support.agent import CONFIG, Bench
from tests.support.bgp_events import down, update

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/dashboards"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "podroute.json").read_text())
COLUMNS = 24


@pytest.fixture(scope="module")
def exposition() -> str:
    """Return the page of an agent of which everything there is to say is said."""
    bench = Bench(config=CONFIG.replace("65102}", "65102, bfd: {}}"))
    bench.establish("tor1", "tor2")
    bench.step(update("tor1", "10.244.2.0/24"))
    bench.step(down("tor2"))
    bench.agent.problems["forwarding"] = "no"
    status = view.status(bench.agent, bench.now)
    status["api"] = api_view(ClusterView(requests=9, failures=4))
    peers = view.peers(bench.agent, bench.now) | {"drain": {"phase": "waiting"}}
    calls = Histogram((0.005, 0.5))
    cni = {
        "pods": [{"orphaned": [], "no_host_route": []}],
        "pools": [{"name": "10.244.1.0/24", "size": 254, "in_use": 3}],
        **{"restored": 2, "restore_failures": 0, "swept": 1},
        "calls": [{"plugin": "podroute", "verb": "ADD", "result": "ok", **calls.as_json()}],
    }
    return render(status, peers, cni)


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def plain(query: str) -> str:
    """Return a query with what Grafana puts in for its variables."""
    return query.replace("$instance", ".*").replace("$__rate_interval", "5m")


@pytest.mark.needs("promtool")
def test_every_query_parses(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": plain(query)}
        for number, (_, query) in enumerate(queries())
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not any("$" in rule["expr"] for rule in rules)


def test_every_metric_and_label_is_in_the_exposition(exposition: str) -> None:
    there = set(re.findall(r"^(podroute_\w+?)(?:\{| )", exposition, re.MULTILINE))
    labels = {"instance", "le"} | set(re.findall(r'[{,](\w+)="', exposition))
    named = [*queries(), ("variable", DASHBOARD["templating"]["list"][1]["definition"])]
    for title, query in named:
        asked = set(re.findall(r"podroute_\w+", query))
        assert asked, title
        assert asked <= there, (title, asked - there)
        by = re.findall(r"(?:by|on) \(([\w, ]+)\)", query)
        used = {name for group in by for name in group.split(", ")}
        used |= set(re.findall(r"[{,] ?(\w+)=", query))
        assert used <= labels, (title, used - labels)


def test_every_legend_names_labels_that_its_query_keeps() -> None:
    for panel in panels():
        for target in panel["targets"]:
            grouped = re.search(r"\bby \(([\w, ]+)\)", target["expr"])
            if grouped:
                kept = set(grouped[1].split(", "))
                named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                assert named <= kept, panel["title"]


def test_panels_stand_beside_and_not_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, panel["title"]
                taken.add((x, y))


def test_every_panel_says_what_it_is() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels():
        assert len(panel["description"]) > 15, panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"


def test_it_is_a_config_map_that_grafana_finds() -> None:
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    (generated,) = kustomization["configMapGenerator"]
    assert [(FOLDER / name).is_file() for name in generated["files"]] == [True]
    assert kustomization["generatorOptions"]["labels"] == {"grafana_dashboard": "1"}
