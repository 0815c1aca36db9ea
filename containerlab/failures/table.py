"""Every scenario, in the order of the matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from containerlab.failures import (
    advertised,
    daemons,
    disturbed,
    mtu,
    node,
    reboot,
    sessions,
    silence,
    tors,
)
from containerlab.failures.scenario import Outcome, Scenario, Tried
from containerlab.failures.scene import Scene

_MODULES = (daemons, silence, reboot, tors, disturbed, node, mtu, advertised, sessions)
SCENARIOS: tuple[Scenario, ...] = tuple(
    sorted(
        (scenario for module in _MODULES for scenario in module.SCENARIOS),
        key=lambda scenario: (int(scenario.row.rstrip("abcdefg")), scenario.row),
    )
)


def try_all(
    scenarios: Iterable[Scenario] = SCENARIOS, *, told: Callable[[str], None] = lambda _: None
) -> Iterator[Tried]:
    """Try scenarios on one fabric, then their controls; one that fails costs a new fabric.

    All controls come after all scenarios, so that a configuration they need is set only once.
    """
    wanted = tuple(scenarios)
    outcomes: dict[str, Outcome] = {}
    controls: dict[str, Outcome] = {}
    jobs: list[tuple[str, Callable[[Scene], Outcome], dict[str, Outcome]]] = [
        (scenario.name, scenario.run, outcomes) for scenario in wanted
    ]
    jobs += [
        (scenario.name, scenario.control, controls)
        for scenario in wanted
        if scenario.control is not None
    ]
    while jobs:
        with Scene.up() as scene:
            while jobs:
                name, run, into = jobs.pop(0)
                told(name if into is outcomes else f"{name}, control")
                into[name] = attempt(scene, run)
                if into[name].faults:
                    break
    for scenario in wanted:
        yield Tried(
            scenario=scenario,
            outcome=outcomes[scenario.name],
            control=controls.get(scenario.name),
        )


def attempt(scene: Scene, run: Callable[[Scene], Outcome]) -> Outcome:
    """Run one, and see that the fabric is whole again after it; whatever goes wrong is a fault."""
    outcome = Outcome()
    try:
        outcome = run(scene)
        scene.wait_whole()
    except Exception as error:  # a scenario that ends so has failed, and the next must still run
        fault = f"{type(error).__name__}: {error}"
        return replace(outcome, faults=(*outcome.faults, fault))
    return outcome
