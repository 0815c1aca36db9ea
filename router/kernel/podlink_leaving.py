"""Take the pod links of a node away for good, and the anti-spoofing table. SHELL.

For `podroute uninstall`, with no CNI server running: it holds the server's lock meanwhile.
"""

from __future__ import annotations

import select
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

from cni.server.dataplane import Dataplane, Gone
from router.reconcile.removal import PodLink, Sandboxes

_DEADLINE_S: Final = 30.0


def find_links(dataplane: Dataplane) -> tuple[PodLink, ...]:
    """Return the pod links there are. Raises KernelError."""
    return tuple(
        PodLink(index=link.index, name=link.name, condemned=link.condemned)
        for link in dataplane.observe()
    )


def look_at_sandboxes(dataplane: Dataplane, directory: Path) -> Sandboxes:
    """Ask which sandboxes the runtime still has; an empty directory means none."""
    try:
        if not any(directory.iterdir()):
            return Sandboxes(
                known=True, absent=frozenset(link.index for link in find_links(dataplane))
            )
    except OSError:
        return Sandboxes(known=False)
    absent = dataplane.absent_from(directory)
    return Sandboxes(known=absent is not None, absent=frozenset(absent or ()))


def remove_links(dataplane: Dataplane, indexes: Collection[int]) -> tuple[str, ...]:
    """Remove these links with their host routes; return why some are still there."""
    if not indexes:
        return ()
    left = set(indexes)
    problems: list[str] = []
    dataplane.remove(tuple(left))
    until = time.monotonic() + _DEADLINE_S
    while left:
        remaining_s = until - time.monotonic()
        if remaining_s <= 0:
            problems += (f"link {index} is still there" for index in sorted(left))
            break
        select.select([dataplane.fileno()], [], [], remaining_s)
        for told in dataplane.collect():
            if isinstance(told, Gone) and told.index in left:
                left.discard(told.index)
                problems += [told.error] if told.error else []
    return tuple(problems)
