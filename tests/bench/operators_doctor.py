"""What `podroute doctor` is worth: situations that it names, and findings where all is well."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

from containerlab.demo.daemon import DaemonError
from containerlab.demo.fabric import ROOT, Host, WaitError, wait_for
from containerlab.demo.pod import PluginError
from containerlab.demo.populate import configured, start
from containerlab.measure.check import Check, exactly
from containerlab.netlab import Lab
from containerlab.netlab.errors import LabError
from containerlab.situations.scene import Scene
from containerlab.situations.situation import Situation
from containerlab.situations.table import SITUATIONS

WITH_SITUATIONS: Final = "dual-tor"
SETTLED_S: Final = 90.0
_CONF_DIR: Final = "/run/cni-conf"
_DIRECTORIES: Final = ("--conf-dir", _CONF_DIR)
_FAILURES: Final = (WaitError, LabError, DaemonError, PluginError, AssertionError)


def situations_named(situations: tuple[Situation, ...] = SITUATIONS) -> tuple[Check, Check]:
    """Try the situations, one after the other; return how many are named, and `recovered`.

    What stays to be found when one is mended counts for the second check.
    """
    named: list[dict[str, Any]] = []
    faults: list[str] = []
    left: list[str] = []
    with Scene.up() as scene:
        scene.wait_healthy()
        for situation in situations:
            _say(situation.name)
            try:
                with situation.apply(scene):
                    after_s = scene.named_after_s(situation)
                named.append({"name": situation.name, "asked_after_s": round(after_s, 1)})
            except _FAILURES as error:
                faults.append(f"{situation.name}: {error}")
            try:
                scene.wait_healthy(scene.hosts[0], scene.hosts[situation.host])
            except WaitError as error:
                left.append(f"after {situation.name}: {error}")
                break
    return (
        Check(
            name="situations_named",
            value=len(named),
            unit="situations",
            bound=exactly(len(situations)),
            samples=named,
            faults=tuple(faults),
        ),
        Check(
            name="findings_after_mending",
            value=len(left),
            unit="situations",
            bound=exactly(0),
            samples=left,
        ),
    )


def fabrics() -> tuple[str, ...]:
    """Return the names of all fabrics."""
    return tuple(sorted(path.parent.name for path in ROOT.glob("containerlab/*/*.clab.yml")))


def false_findings(names: tuple[str, ...]) -> Check:
    """Count what the doctor finds on every node of fabrics where nothing is wrong."""
    found: list[str] = []
    faults: list[str] = []
    nodes = 0
    for name in names:
        _say(name)
        try:
            with Lab.up(ROOT / f"containerlab/{name}/{name}.clab.yml") as lab:
                hosts = [start(node) for node in configured(lab)]
                for host, answer in _answers(hosts):
                    nodes += 1
                    where = f"{name} {host.name}"
                    found += [f"{where}: {f['name']}: {f['text']}" for f in answer["findings"]]
                    faults += [f"{where}: not looked at: {u}" for u in answer["not_looked_at"]]
        except _FAILURES as error:
            faults.append(f"{name}: {error}")
    if not nodes:
        faults.append("no node was asked")
    return Check(
        name="false_findings",
        value=len(found),
        unit="findings",
        bound=exactly(0),
        samples={"fabrics": list(names), "nodes": nodes, "findings": found},
        faults=tuple(faults),
    )


def _answers(hosts: list[Host]) -> Iterator[tuple[Host, Any]]:
    """Ask each doctor once, when every session of the fabric has been up and told its routes."""
    for host in hosts:
        host.podroute("cni", "install", "--bin-dir", "/run/bin", *_DIRECTORIES)
        wait_for(_unsettled(host), deadline_s=SETTLED_S, what=f"{host.name} is settled")
    for host in hosts:
        words = ["podroute", "doctor", "-o", "json", *_DIRECTORIES]
        yield host, json.loads(host.node.run(words, check=False, timeout_s=60).stdout)


def _unsettled(host: Host) -> Callable[[], str]:
    def probe() -> str:
        status = json.loads(host.podroute("status", "-o", "json"))
        waiting = [f"End-of-RIB of {peer}" for peer in status["waiting_for_end_of_rib"]]
        return "; ".join([*status["reasons"], *waiting])

    return probe


def _say(text: str) -> None:
    sys.stderr.write(f"doctor: {text}\n")
