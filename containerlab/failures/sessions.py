"""Rows 9, 15, 16 and 19: what a session is told wrongly, or what its ToR does not speak."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from containerlab.demo.fabric import wait_for
from containerlab.failures.kernel import has
from containerlab.failures.node import are_anew, sessions_of
from containerlab.failures.scenario import Outcome, Scenario
from containerlab.failures.scene import START, Scene
from containerlab.failures.tors import GOOD, configure
from containerlab.measure.check import at_most

NODE1 = "10.0.1.3"
"""node1 as tor1 knows it, IPv4."""
LIMIT, FLOOD = 50, 200
"""The fabric has some ten prefixes."""
WORD_S = 20.0
WORD_FILE = "/run/tor1.password"
NO_WAIT_S = 10.0
STILL_S = 4.0


def _peers(scene: Scene, **changes: Any) -> list[dict[str, Any]]:
    """Return node1's peers with the first one (tor1, IPv4) changed."""
    peers = [dict(peer) for peer in scene.fabric.hosts[0].config["peers"]]
    peers[0] |= changes
    return peers


def _wait_word(scene: Scene, *words: str) -> str:
    """Wait until a reason of `podroute status` on node1 has all these words; return it."""
    found: list[str] = []

    def probe() -> str:
        reasons = scene.ask(scene.fabric.hosts[0], "status")["reasons"]
        found[:] = [r for r in reasons if all(word in r for word in words)]
        return "" if found else str(reasons)

    wait_for(probe, deadline_s=WORD_S, what=f"status says {words}")
    return found[0]


# --- 9: too many prefixes ------------------------------------------------------------------------


def _flood(scene: Scene) -> Outcome:
    """Let tor1 announce many more prefixes than the limit of its session."""
    return _flooded(scene, limit=LIMIT)


def _flood_unlimited(scene: Scene) -> Outcome:
    return _flooded(scene, limit=10 * FLOOD)


def _flooded(scene: Scene, *, limit: int) -> Outcome:
    host, tor = scene.fabric.hosts[0], scene.fabric.tors[0]
    scene.write_config(host, peers=_peers(scene, max_prefixes={"ipv4": limit}))
    scene.wait_whole()
    before = sessions_of(scene)
    first = next(iter(before))
    batch = [f"blackhole 10.244.{100 + i // 4}.{64 * (i % 4)}/26" for i in range(FLOOD)]
    said: list[str] = []

    def breaking() -> None:
        lines = "".join(f"route add {route}\n" for route in batch)
        tor.node.run(["ip", "-batch", "-"], input=lines)
        configure(tor, ["address-family ipv4 unicast", "redistribute kernel"])
        if limit < FLOOD:
            said.append(_wait_word(scene, first, "prefixes"))
        else:
            wait_for(lambda: _is_flooded(scene), deadline_s=10, what="all prefixes")

    try:
        outcome, _ = scene.under_traffic(breaking, may_not_send=True)
        after = sessions_of(scene)
    finally:
        configure(tor, ["address-family ipv4 unicast", "no redistribute kernel"])
        lines = "".join(f"route delete {route}\n" for route in batch)
        tor.node.run(["ip", "-batch", "-"], input=lines)
        scene.write_config(host, peers=None)
    kept = [name for name in before if after[name] == before[name]]
    wanted = [name for name in before if name != first or limit > FLOOD]
    faults = () if kept == wanted else (f"sessions that stayed: {kept}",)
    return Outcome(
        seconds=outcome.seconds,
        lost=outcome.lost,
        sent=outcome.sent,
        note=f"status: `{said[0]}`" if said else f"all {FLOOD} accepted, no session ended",
        faults=(*outcome.faults, *faults),
    )


def _is_flooded(scene: Scene) -> str:
    peers = scene.ask(scene.fabric.hosts[0], "peers")["peers"]
    received = max(family["received"] for family in peers[0]["families"].values())
    return "" if received >= FLOOD else f"received {received}"


# --- 15: a password ------------------------------------------------------------------------------


def _change_password(scene: Scene) -> Outcome:
    """Give one session a password, then another one."""
    host, tor = scene.fabric.hosts[0], scene.fabric.tors[0]
    first, *others = before = list(sessions_of(scene))
    states = sessions_of(scene)

    def breaking() -> None:
        for number, word in enumerate(("first", "second")):
            known = sessions_of(scene)
            configure(tor, [f"neighbor {NODE1} password {word}"])
            host.node.run(["tee", WORD_FILE], input=f"{word}\n")
            if number == 0:
                scene.write_config(host, peers=_peers(scene, password_file=WORD_FILE))
            wait_for(
                lambda known=known: "" if are_anew(scene, [first], known) else "not yet",  # type: ignore[misc]
                deadline_s=40,
                what=f"{first} with its {word} password",
            )

    outcome, _ = scene.under_traffic(breaking)
    after = sessions_of(scene)
    configure(tor, [f"no neighbor {NODE1} password"])
    scene.write_config(host, peers=None)
    disturbed = tuple(f"{name} was disturbed" for name in others if after[name] != states[name])
    return Outcome(
        seconds=outcome.seconds,
        lost=outcome.lost,
        sent=outcome.sent,
        note=f"{len(before) - 1} sessions undisturbed",
        faults=(*outcome.faults, *disturbed),
    )


# --- 16: what is wrong is named ------------------------------------------------------------------


def _name_causes(scene: Scene) -> Outcome:
    """Have a wrong AS number, a wrong password and an AS loop on the first session, in turn."""
    host, tor = scene.fabric.hosts[0], scene.fabric.tors[0]
    name = next(iter(sessions_of(scene)))
    said: list[str] = []

    def breaking() -> None:
        scene.write_config(host, peers=_peers(scene, remote_asn=64999))
        said.append(_wait_word(scene, f"{name} is not established", "bad peer AS"))
        host.node.run(["tee", WORD_FILE], input="wrong\n")
        scene.write_config(host, peers=_peers(scene, password_file=WORD_FILE))
        said.append(_wait_word(scene, f"{name} is not established", "MD5 passwords differ"))
        scene.write_config(host, peers=None)
        scene.wait_whole()
        commands = ["configure terminal", "route-map LOOP permit 10"]
        commands += [f"set as-path prepend {host.asn}"]
        tor.node.run(["vtysh", *(word for line in commands for word in ("-c", line))])
        configure(tor, ["address-family ipv4 unicast", f"neighbor {NODE1} route-map LOOP out"])
        said.append(_wait_word(scene, name, "own ASN in AS path"))

    try:
        outcome, _ = scene.under_traffic(breaking)
    finally:
        configure(tor, ["address-family ipv4 unicast", f"no neighbor {NODE1} route-map LOOP out"])
        tor.node.run(["vtysh", "-c", "configure terminal", "-c", "no route-map LOOP"])
        scene.write_config(host, peers=None)
    return Outcome(
        lost=outcome.lost,
        sent=outcome.sent,
        note="; ".join(f"`{reason}`" for reason in said),
        faults=outcome.faults,
    )


# --- 19: families --------------------------------------------------------------------------------


def _ipv4_only_tor(scene: Scene) -> Outcome:
    """Offer both families to a ToR that has IPv4 only, and restart the agent."""
    peers = _peers(scene, families=["ipv4", "ipv6"])
    return _restart_with_a_stale_route(scene, peers)


def _dead_peer(scene: Scene) -> Outcome:
    """Restart beside a peer that never sends End-of-RIB: what it might have must be kept."""
    dead = {"name": "dead", "address": "10.0.1.99", "remote_asn": 64999, "multihop_ttl": 3}
    outcome = _restart_with_a_stale_route(scene, [*_peers(scene), dead], wait_s=STILL_S)
    gone = outcome.seconds is not None
    faults = ("the stale route was removed before the End-of-RIB of all",) if gone else ()
    return Outcome(note=f"still there after {STILL_S:g} s", faults=(*outcome.faults, *faults))


def _restart_with_a_stale_route(
    scene: Scene, peers: list[dict[str, Any]], *, wait_s: float = 60.0
) -> Outcome:
    """Withdraw a route while the agent is away; time from its start until the kernel forgets it."""
    host, tor = scene.fabric.hosts[0], scene.fabric.tors[0]
    scene.write_config(host, peers=peers)
    configure(tor, ["no bgp network import-check"])
    family = ["address-family ipv4 unicast"]
    configure(tor, [*family, f"network {GOOD[0]}"])
    wait_for(lambda: "" if has(host.node, GOOD[0]) else "none", deadline_s=20, what=GOOD[0])
    gone: list[float] = []

    def breaking() -> None:
        host.agent.kill(*host.agent.speaker_pids())
        configure(tor, [*family, f"no network {GOOD[0]}"])
        began = time.monotonic()
        host.agent.start(*START)
        end = began + wait_s
        while time.monotonic() < end and not gone:
            time.sleep(0.05)
            if not has(host.node, GOOD[0]):
                gone.append(time.monotonic() - began)

    outcome, _ = scene.under_traffic(breaking)
    configure(tor, ["bgp network import-check"])
    scene.write_config(host, peers=None)
    return Outcome(
        seconds=round(gone[0], 2) if gone else None,
        lost=outcome.lost,
        sent=outcome.sent,
        faults=outcome.faults,
    )


def _scenario(
    row: str, name: str, broken: str, rule: str, run: Callable[[Scene], Outcome], **more: Any
) -> Scenario:
    return Scenario(row=row, name=name, broken=broken, rule=rule, run=run, **more)


SCENARIOS = (
    _scenario(
        "9",
        "prefix_flood",
        f"a ToR announces {FLOOD} prefixes more on a session with `max_prefixes` {LIMIT}",
        "that session ends with the reason, the others stay, the node goes on",
        _flood,
        timed="until status says so",
        control=_flood_unlimited,
        controlled="a limit above that",
        control_loses=False,
    ),
    _scenario(
        "15b",
        "password_changed",
        "one session gets a TCP MD5 password, then another one",
        "the other sessions keep their uptime",
        _change_password,
        timed="until it is up with the second password",
    ),
    _scenario(
        "16",
        "wrong_as_password_loop",
        "wrong AS number, wrong MD5 password, our own AS in the ToR's paths",
        "`podroute status` names each cause",
        _name_causes,
    ),
    _scenario(
        "19",
        "ipv4_only_tor",
        "both families offered to a ToR that has IPv4 only; agent killed, a route withdrawn"
        " meanwhile",
        "no waiting for an End-of-RIB that cannot come: the stale route is gone in 10 s, not 120 s",
        _ipv4_only_tor,
        timed="until the stale route is gone",
        seconds=at_most(NO_WAIT_S),
        control=_dead_peer,
        controlled="beside a peer that never comes up",
        control_loses=False,
    ),
)
