"""Where the agent is asked over TCP. SHELL."""

from __future__ import annotations

from dataclasses import dataclass

from router.agent.control import Control
from router.agent.core import RouteAgent
from router.agent.door import Door
from router.agent.metrics_door import metrics_door
from router.agent.page.answers import Answers
from router.agent.page.door import page_door
from router.agent.page.findings import Examine


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """What listens on TCP, where the configuration says."""

    metrics: Door
    page: Door

    @classmethod
    def of(cls, control: Control, examine: Examine | None) -> Doors:
        """Listen nowhere yet."""
        return cls(metrics=metrics_door(control.metrics), page=page_door(Answers(control, examine)))

    def serve(self, agent: RouteAgent) -> None:
        """Listen where the settings say; what cannot be is one of the agent's problems."""
        for name, door, address in (
            ("metrics", self.metrics, agent.settings.metrics_listen),
            ("page", self.page, agent.settings.page_listen),
        ):
            try:
                door.want(address)
                agent.problems.pop(name, None)
            except OSError as error:
                agent.problems[name] = error.strerror or str(error)

    def close(self) -> None:
        """Stop listening."""
        self.metrics.close()
        self.page.close()
