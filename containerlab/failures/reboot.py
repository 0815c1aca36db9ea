"""Rows 5 and 6: a node leaves, by a reboot without a drain or by a drain, then its links go."""

from __future__ import annotations

import configparser
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from containerlab.demo.daemon import PODROUTE
from containerlab.demo.fabric import ROOT, wait_for
from containerlab.demo.tor import RouteWatch
from containerlab.failures.scenario import Outcome, Scenario, lost_of, sent_of
from containerlab.failures.scene import BEFORE_S, START, Scene
from containerlab.measure.check import exactly
from containerlab.measure.flows import Traffic

UNIT = ROOT / "deploy/systemd/podroute-router.service"
INSTALLED = "/opt/podroute/bin/podroute"
DARK_S = 1.5
"""How long the links are down while packets are counted."""
_BIN = "/run/reboot"


def stop_command(unit: str) -> str:
    """Return what the unit's ExecStop runs, as systemd hands it on; "" if it has none.

    Its prefixes are no part of the command, and `$$` is a dollar sign (systemd.service(5)).
    """
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(unit)
    return parser["Service"].get("ExecStop", "").lstrip("-@:+!").replace("$$", "$")


def _reboot(scene: Scene) -> Outcome:
    """Stop node3 as systemd does at a shutdown."""
    host = scene.fabric.hosts[2]
    command = stop_command(UNIT.read_text()).replace(INSTALLED, str(PODROUTE))
    # What `systemctl is-system-running` says from the moment a shutdown has begun.
    script = f"mkdir -p {_BIN}; printf '#!/bin/sh\\necho stopping\\nexit 1\\n' > {_BIN}/systemctl"
    host.node.run(["sh", "-ec", f"{script}; chmod +x {_BIN}/systemctl"])

    def leave() -> None:
        host.node.run(["sh", "-c", f"PATH={_BIN}:$PATH; {command}"], timeout_s=30)

    return _go_dark(scene, leave)


def _reboot_unnoticed(scene: Scene) -> Outcome:
    return _go_dark(scene, None)


def _drain(scene: Scene) -> Outcome:
    """Drain node3 first; its sessions must stay up as long as its agent runs."""
    host = scene.fabric.hosts[2]
    before = _times_down(scene)
    disturbed: list[str] = []

    def leave() -> None:
        host.podroute("drain", "--wait", "1")
        if (after := _times_down(scene)) != before:
            disturbed.append(f"sessions went down: {before}, then {after}")

    try:
        outcome = _go_dark(scene, leave)
    finally:
        wait_for(lambda: _undrained(scene), deadline_s=20, what="undrain")
    return replace(outcome, faults=(*outcome.faults, *disturbed))


def _undrained(scene: Scene) -> str:
    done = scene.fabric.hosts[2].node.run([PODROUTE, "undrain"], check=False)
    return done.stderr if done.returncode else ""


def _times_down(scene: Scene) -> dict[str, int]:
    peers = scene.ask(scene.fabric.hosts[2], "peers")["peers"]
    return {peer["name"]: peer["times_down"] for peer in peers}


def _go_dark(scene: Scene, leave: Callable[[], None] | None) -> Outcome:
    """Let node3 *leave*, end its daemons, then silence its links, carriers kept."""
    host = scene.fabric.hosts[2]
    links = list(host.node.interfaces.values())
    with ExitStack() as stack:
        watches = [stack.enter_context(RouteWatch(tor)) for tor in scene.fabric.tors]
        traffic = stack.enter_context(Traffic(scene.to_shared()))
        traffic.go()
        time.sleep(BEFORE_S)
        began = time.monotonic()
        if leave is not None:
            leave()
        host.agent.terminate()
        host.cni.terminate()
        dark = time.monotonic()
        for link in links:
            link.drop()
            link.other.drop()
        time.sleep(DARK_S)
        results = traffic.stop()
        moments = {
            f"{network} on {watch.tor.node.name}": watch.removed(network)
            for watch in watches
            for network in host.pod_cidrs
        }
    for link in links:
        link.heal()
        link.other.heal()
    host.cni.start()
    host.agent.start(*START)
    late = [name for name, at in moments.items() if at is None or at > dark]
    seen = [at for at in moments.values() if at is not None]
    return Outcome(
        seconds=round(max(seen) - began, 2) if seen else None,
        lost=lost_of(results),
        sent=sent_of(results),
        note=f"links down {dark - began:.2f} s after the stop began",
        faults=tuple(f"not withdrawn before the links were down: {name}" for name in late)
        if leave is not None
        else (),
    )


SCENARIOS = (
    Scenario(
        row="5",
        name="reboot",
        broken="a node is rebooted without a drain: daemons stopped by systemd, then links silent",
        rule="withdrawn from the ToRs' kernels before the links go; no packet lost to an address"
        " that another node has, too",
        timed="until the ToRs' kernels have none of its pod CIDRs",
        run=_reboot,
        lost=exactly(0),
        control=_reboot_unnoticed,
        controlled="SIGTERM alone (a restart, as far as the agent knows)",
    ),
    Scenario(
        row="6",
        name="drain",
        broken="`podroute drain --wait 1` on a node, then its daemons end, then links are silent",
        rule="marked, then withdrawn, no session reset; no packet lost to an address that another"
        " node has, too",
        timed="until the ToRs' kernels have none of its pod CIDRs",
        run=_drain,
        lost=exactly(0),
        control=_reboot_unnoticed,
        controlled="SIGTERM without a drain",
    ),
)
