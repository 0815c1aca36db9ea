"""From what `podroute doctor` has looked at to findings: what is wrong, and what to do. PURE.

Only what is certain: a finding on a healthy node costs more trust than a silent doctor. What could
not be looked at is said by the one who looked. Causes come before what follows from them: a full
disk before the part of the work that fails for it, a missing capability before refused routes.
"""

from __future__ import annotations

from collections.abc import Iterator

from router.reconcile.diagnosis_of_daemons import diagnose_daemons, diagnose_work
from router.reconcile.diagnosis_of_node import diagnose_node
from router.reconcile.diagnosis_of_peers import diagnose_peers
from router.reconcile.finding import Finding, Seen

__all__ = ["Finding", "Seen", "diagnose"]


def diagnose(seen: Seen) -> tuple[Finding, ...]:
    """Return all findings: the node first, then peer by peer."""
    return tuple(_each(seen))


def _each(seen: Seen) -> Iterator[Finding]:
    yield from diagnose_daemons(seen)
    yield from diagnose_node(seen)
    yield from diagnose_work(seen)
    yield from diagnose_peers(seen)
