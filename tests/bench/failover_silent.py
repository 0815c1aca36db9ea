"""Silence of `./dev bench failover`: links that drop everything with their carrier kept, no BFD.

What is done stands in containerlab/failures/silence.py: a silent link and a power cut at once, hold
time 9 s, graceful restart on.
"""

from __future__ import annotations

from collections.abc import Sequence

from containerlab.failures.scene import Scene, worst_gap_s
from containerlab.failures.silence import (
    BOUND_S,
    LEAST_S,
    Silence,
    fall_silent,
)
from containerlab.measure.check import Check, at_most
from containerlab.measure.flows import GroupResult


def silence(*, rounds: int) -> list[Check]:
    """Return the checks; the worst round counts."""
    silences: list[Silence] = []
    with Scene.up() as scene:
        for _ in range(rounds):
            silences.append(fall_silent(scene))
            scene.wait_whole()
    faults = tuple(fault for one in silences for fault in one.faults)
    return [
        _check("hold9_silent_gap_ms", [one.links for one in silences], faults),
        _check("power_off_gap_ms", [one.power for one in silences], faults),
    ]


def _check(name: str, rounds: Sequence[tuple[GroupResult, ...]], faults: tuple[str, ...]) -> Check:
    gaps = [worst_gap_s(results) for results in rounds]
    nothing = [f"{gap:.1f} s: nothing was silent" for gap in gaps if gap < LEAST_S]
    return Check(
        name=name,
        value=round(max(gaps) * 1000),
        unit="ms",
        bound=at_most(BOUND_S * 1000),
        samples=[result.to_sample() for results in rounds for result in results],
        faults=(*faults, *nothing),
    )
