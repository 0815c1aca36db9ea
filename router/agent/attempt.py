"""One part of the work in a round of the loop."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bgp.errors import BgpError

_log = logging.getLogger(__name__)


def attempt(part: str, work: Callable[[], None], problems: dict[str, str]) -> bool:
    """Do it; a failure is told once and noted under `problems`, and stops no other part."""
    try:
        work()
    except (BgpError, OSError) as error:
        if problems.get(part) != str(error):
            _log.error("cannot do part of the work", extra={"part": part, "error": str(error)})
        problems[part] = str(error)
        return False
    if problems.pop(part, None) is not None:
        _log.info("part of the work succeeds again", extra={"part": part})
    return True
