"""Restarts of `./dev bench failover`: agent and speaker die, twice, or hang, under traffic.

16 flows of 500 packets a second each, four in each family and direction between client and node;
what is lost is counted at the receivers. The same without graceful restart must lose.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

from containerlab.measure.check import Bound, Check, at_least, exactly, failed
from containerlab.measure.flows import Group, Traffic
from tests.support.rack import CLIENT, POD, Rack
from tests.support.wait import wait_until

RATE = 500.0
FLOWS_PER_GROUP = 4
BEFORE_S = 0.5
AFTER_S = 1.0
AWAY_S = 0.5
"""What an init system takes to notice and start again."""


def restarts(*, quick: bool) -> list[Check]:
    """Return the checks."""
    checks = []
    with Rack("frr") as rack:
        rack.start_agent()
        rack.wait_whole()
        checks.append(_under_traffic("restart_lost_frr", rack, _restart))
        if not quick:
            checks.append(_under_traffic("two_restarts_lost", rack, _restart_twice))
            checks.append(_under_traffic("speaker_hung_lost", rack, _hang))
        rack.stop_agent()
        rack.start_agent(graceful_restart_s=0)
        rack.wait_whole()
        control = _under_traffic(
            "control_lost", rack, _restart_without_graceful_restart, at_least(1)
        )
    if not quick:
        with Rack("bird") as rack:
            rack.start_agent()
            rack.wait_whole()
            checks.append(_under_traffic("restart_lost_bird", rack, _restart))
    return [*checks, control]


def _groups(rack: Rack) -> Iterator[Group]:
    for family in POD:
        for source, target, address in (
            (rack.client, rack.node, POD[family]),
            (rack.node, rack.client, CLIENT[family]),
        ):
            yield Group(
                name=f"{source.name} to {target.name}, IPv{family}",
                source=source,
                target=target,
                address=address,
                flows=FLOWS_PER_GROUP,
                rate=RATE,
            )


def _under_traffic(
    name: str, rack: Rack, breaking: Callable[[Rack], None], bound: Bound | None = None
) -> Check:
    bound = bound or exactly(0)
    try:
        with Traffic(list(_groups(rack))) as traffic:
            traffic.go()
            time.sleep(BEFORE_S)
            breaking(rack)
            rack.wait_established()
            rack.wait_whole()
            time.sleep(AFTER_S)
            results = traffic.stop()
    except (AssertionError, OSError, TimeoutError) as error:
        return failed(name, "packets", bound, f"{error}")
    at_end = rack.why_not_whole()
    return Check(
        name=name,
        value=sum(result.lost for result in results),
        unit="packets",
        bound=bound,
        samples=[result.to_sample() for result in results],
        faults=(
            # Without graceful restart the node itself has no route for a while: no fault there.
            *(f for result in results for f in result.faults() if bound == exactly(0)),
            *((f"at the end: {at_end}",) if at_end else ()),
        ),
    )


def _restart(rack: Rack) -> None:
    rack.kill_all()
    time.sleep(AWAY_S)
    rack.start_agent()


def _restart_without_graceful_restart(rack: Rack) -> None:
    rack.kill_all()
    time.sleep(AWAY_S)
    rack.start_agent(graceful_restart_s=0)


def _restart_twice(rack: Rack) -> None:
    """The second time as soon as the ToRs have everything anew.

    Sooner, a ToR must delete what is still stale (RFC 4724 section 4.2).
    """
    _restart(rack)
    rack.wait_established()
    rack.wait_whole()
    _restart(rack)


def _hang(rack: Rack) -> None:
    """Stop the speaker as SIGSTOP does; the agent must notice and replace it."""
    hung = rack.speaker_pid
    os.kill(hung, signal.SIGSTOP)
    wait_until(
        lambda: rack.speaker_pid != hung, deadline_s=20, what="another speaker than the hung one"
    )
