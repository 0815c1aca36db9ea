"""What is told of the speaker itself: its starts and ends in the log, a refusal as a problem."""

from __future__ import annotations

import logging

from bgp.event import ConfigApplied, ConfigRejected, Event, SpeakerExited, SpeakerStarted
from router.agent.lately import Lately

_log = logging.getLogger(__name__)


def tell_speaker(event: Event, problems: dict[str, str], lately: Lately, now: float) -> None:
    """Tell what happened to the speaker; events of peers are others' business."""
    lately.note(event, now)
    if isinstance(event, SpeakerStarted):
        _log.info("speaker started", extra={"pid": event.pid})
    elif isinstance(event, SpeakerExited):
        _log.error("speaker ended", extra={"status": event.status, "reason": event.reason})
    elif isinstance(event, ConfigRejected):
        problems["speaker"] = f"the speaker refused its configuration: {event.reason}"
    elif isinstance(event, ConfigApplied):
        problems.pop("speaker", None)
