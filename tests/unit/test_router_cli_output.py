"""`-o table|wide|json|yaml`, exit statuses and help of every command."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from bgp.event import Change, Updated
from bgp.nlri import Prefix
from bgp.path import Attributes
from bgp.peer_id import PeerId
from router.agent import view
from router.agent.api import LocalApi
from router.cli import tables
from router.cli.cluster import cluster_parser
from router.cli.main import main, parser_of
from router.cli.output import FORMATS, shown
from tests.support.agent import Bench
from tests.support.bgp_events import down, update


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    """Return the run directory of an agent whose answers are those of a bench."""
    bench = Bench()
    bench.establish("tor1", "tor2", restart_time_s=120)
    bench.step(update("tor1", "10.244.2.0/24", "192.0.2.0/24"), down("tor2"))
    agent = bench.agent
    drain = {"drain": {"phase": "none"}}
    api = LocalApi(
        tmp_path / "router.sock",
        {
            ("GET", "/v1/status"): lambda _: view.status(agent, bench.now) | drain | {"api": None},
            ("GET", "/v1/peers"): lambda _: view.peers(agent, 2000.0) | drain,
            ("GET", "/v1/routes"): lambda _: view.routes(agent),
        },
    )
    yield tmp_path
    api.close()


def ask(run_dir: Path, *words: str) -> int:
    return main(["--run-dir", str(run_dir), *words])


@pytest.mark.parametrize("command", ["status", "peers", "routes"])
def test_json_and_yaml_say_the_same(
    run_dir: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[Any] = []
    for output, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        assert ask(run_dir, command, "-o", output) == 0
        answers.append(read(capsys.readouterr().out))
    assert answers[0] == answers[1]
    assert answers[0]["node"] == "node1"


@pytest.mark.parametrize(
    ("command", "more"), [("peers", "RESTART OURS/ITS"), ("routes", "COMMUNITIES")]
)
def test_wide_has_more_columns(
    run_dir: Path, command: str, more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(run_dir, command)
    narrow = capsys.readouterr().out
    ask(run_dir, command, "-o", "wide")
    wide = capsys.readouterr().out
    assert more in wide
    assert more not in narrow
    assert "tor1" in wide


def test_wide_is_the_table_where_there_is_no_more() -> None:
    for output in FORMATS[:2]:
        assert shown({}, output, lambda _: "the table") == "the table"


def test_exit_statuses(run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(run_dir, "routes", "10.244.2.0/24") == 0
    assert ask(run_dir, "routes", "10.99.0.0/16") == 1
    for command in ("status", "peers", "routes", "services"):
        assert main(["--run-dir", str(tmp_path / "nobody"), command]) == 1
    assert "does not run" in capsys.readouterr().err
    for words in (["peers", "-o", "xml"], ["routes", "nonsense"], ["why"], ["nosuch"], []):
        with pytest.raises(SystemExit) as ended:
            ask(run_dir, *words)
        assert ended.value.code == 2


def parsers(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    yield path, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, each in action.choices.items():
                yield from parsers(each, (*path, name))


def test_every_command_and_option_is_explained() -> None:
    for root in (parser_of("podroute"), cluster_parser("podroute --cluster", "1")):
        for path, parser in parsers(root):
            assert parser.format_help()
            for action in parser._actions:
                if isinstance(action, argparse._SubParsersAction):
                    helps = {pseudo.dest: pseudo.help for pseudo in action._choices_actions}
                    assert helps.keys() == action.choices.keys(), path
                    assert all(helps.values()), (path, helps)


@pytest.mark.parametrize("form", ["table", "wide"])
def test_only_a_path_that_the_kernel_uses_is_in_the_kernel(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench()
    bench.establish("tor1", "tor2")
    detour = Attributes(next_hop=ip_address("10.0.2.2"), as_path=(65102, 65000, 65101, 65202))
    longer = Updated(
        peer=PeerId("tor2"), changes=(Change(detour, (Prefix.parse("10.244.2.0/24"),)),)
    )
    bench.step(update("tor1", "10.244.2.0/24"), longer)
    api = LocalApi(
        tmp_path / "router.sock", {("GET", "/v1/routes"): lambda _: view.routes(bench.agent)}
    )
    try:
        assert ask(tmp_path, "routes", "-o", form) == 0
    finally:
        api.close()
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [[*line.split()[1:3], line.split("  ")[-1]] for line in lines] == [
        ["yes", "tor1", "best"],
        ["no", "tor2", "not best"],
    ]


def test_a_reason_of_several_lines_keeps_its_place() -> None:
    bench = Bench()
    answer = view.status(bench.agent, bench.now) | {"drain": {"phase": "none"}, "api": None}
    shown_lines = tables.status(answer | {"reasons": ["first: a\nb"]}).splitlines()
    assert shown_lines[2:4] == ["            - first: a", "              b"]
