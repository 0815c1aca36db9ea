"""docs/failures.md: the matrix with the numbers of one run. PURE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from containerlab.failures.scenario import Outcome, Scenario, Tried
from containerlab.measure.check import Bound

_HEAD = """# When something fails

Written by `./dev bench failures --write`; the numbers are those of one run. The fabric is
[containerlab/dual-tor](../containerlab/dual-tor/README.md): two ToRs (FRR), three nodes with an
uplink to each, eBGP with hold time 9 s, graceful restart on, both families; pods attached by the
CNI plugin. Unless said otherwise, flows run between the pods of two nodes in both directions and
both families. A packet is lost when it was due and did not arrive; it is counted at the receiver.
After every scenario all sessions, routes and legs must be back.
"""
_TAIL = """
Tested elsewhere: reboot with pods (11), lost and repeated DELs (12) and the API server away (17) in
`tests/netns` and `tests/e2e/test_kubernetes.py`; nothing left after an uninstall (22) in
`tests/e2e/test_uninstall.py`; agent and speaker restarts with BIRD as the ToR, a hung speaker, and
10,000 routes over a link that is lost in `./dev bench failover`; BFD in `./dev bench bfd`.
"""


def render(tried: Sequence[Tried], facts: Mapping[str, str]) -> str:
    """Return the page; *facts* says when and on what it was measured."""
    lines = [_HEAD]
    lines += [" · ".join(f"{name}: {value}" for name, value in facts.items()), ""]
    lines += ["| # | what is broken | rule | seconds | packets lost | control |"]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    lines += [_row(one) for one in tried]
    return "\n".join([*lines, _TAIL])


def _row(tried: Tried) -> str:
    scenario, outcome = tried.scenario, tried.outcome
    verdict = "" if tried.ok else " **FAILED**"
    cells = (
        scenario.row,
        scenario.broken,
        f"{scenario.rule}{verdict}",
        _seconds(scenario, outcome),
        _lost(scenario.lost, outcome) + (f"; {outcome.note}" if outcome.note else ""),
        _control(tried),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _seconds(scenario: Scenario, outcome: Outcome) -> str:
    if not scenario.timed or outcome.seconds is None:
        return "-"
    bound = f" ({scenario.seconds})" if scenario.seconds else ""
    return f"{outcome.seconds:.2f}{bound}: {scenario.timed}"


def _lost(bound: Bound | None, outcome: Outcome) -> str:
    if outcome.lost is None:
        return "-"
    wanted = f" ({bound})" if bound else ""
    return f"{outcome.lost} of {outcome.sent}{wanted}"


def _control(tried: Tried) -> str:
    if tried.control is None:
        return "loses by itself" if tried.outcome.lost else "-"
    scenario, control = tried.scenario, tried.control
    seen = f"{control.lost} of {control.sent} lost" if scenario.control_loses else control.note
    return f"{scenario.controlled}: {seen}"
