"""What holds for one run of the agent and is no setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from router.kernel.protocols import LEARNED_DEFAULT_METRIC, LEARNED_METRIC
from router.model.fib import Form
from router.reconcile.learned import Metrics

METRICS: Final = Metrics(learned=LEARNED_METRIC, default=LEARNED_DEFAULT_METRIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What holds for one run of the agent and is no setting."""

    metrics: Metrics
    form: Form = Form.OBJECTS
    """Of learned routes in the kernel."""
    resumed: bool = False
    """An agent ran before us since boot."""
    expects_pod_cidrs: bool = False
    """A node without pod CIDRs is not ready: cluster mode."""
    low_ports: bool = True
    """The speaker may listen below port 1024, for passive peers."""
