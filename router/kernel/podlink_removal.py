"""Remove pod links from worker threads. SHELL.

The kernel answers RTM_DELLINK only after an rcu_barrier of 15 ms and more, although the link is
gone at once (ADR 0023): so the server does not wait for the answer, and several removals overlap.
Links that come in one batch are moved into one group and removed together, with one barrier.
"""

from __future__ import annotations

import errno
import os
import queue
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from router.kernel.channel import Channel
from router.kernel.errors import KernelError
from router.kernel.podlink_wire import (
    CONDEMNED_GROUP_BASE,
    CONDEMNED_GROUPS,
    condemn,
    delete,
    delete_group,
)

_MAX_WORKERS: Final = 24
"""With fewer than about 16 a steady stream of single removals queues behind the barriers."""
_CHANNEL_TIMEOUT_S: Final = 30.0
_JOIN_TIMEOUT_S: Final = 10.0

Outcome = tuple[int, str | None]
"""(link index, None when it is gone, else what the kernel says)."""


class Remover:
    """Carries out removals; ``fileno`` becomes readable when there are outcomes."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[tuple[int, ...], int] | None] = queue.SimpleQueue()
        self._outcomes: deque[tuple[Outcome, ...]] = deque()
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._threads: list[threading.Thread] = []
        self._outstanding = 0
        self._batches = 0

    def fileno(self) -> int:
        """Return the eventfd."""
        return self._event

    def remove(self, indexes: Sequence[int]) -> None:
        """Begin to remove these links, together."""
        self._batches += 1
        self._outstanding += 1
        group = CONDEMNED_GROUP_BASE + self._batches % CONDEMNED_GROUPS
        self._queue.put((tuple(indexes), group))
        if self._outstanding > len(self._threads) and len(self._threads) < _MAX_WORKERS:
            worker = threading.Thread(target=self._work, name="link-removal", daemon=True)
            worker.start()
            self._threads.append(worker)

    def take(self) -> tuple[Outcome, ...]:
        """Return the outcomes since the last call."""
        try:
            os.eventfd_read(self._event)
        except BlockingIOError:
            return ()
        outcomes: list[Outcome] = []
        while self._outcomes:
            self._outstanding -= 1
            outcomes += self._outcomes.popleft()
        return tuple(outcomes)

    def close(self) -> None:
        """Finish what has begun, and end the threads."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(_JOIN_TIMEOUT_S)
        os.close(self._event)

    def _work(self) -> None:
        with Channel(timeout_s=_CHANNEL_TIMEOUT_S) as channel:
            while (batch := self._queue.get()) is not None:
                self._outcomes.append(_remove(channel, *batch))
                os.eventfd_write(self._event, 1)


def _remove(channel: Channel, indexes: tuple[int, ...], group: int) -> tuple[Outcome, ...]:
    if len(indexes) > 1:
        refused = _remove_group(channel, indexes, group)
        if refused is None:
            return tuple((index, None) for index in indexes)
    # One link, or the rare group with a link that could not be moved: each on its own.
    return tuple((index, _remove_one(channel, index)) for index in indexes)


def _remove_group(channel: Channel, indexes: tuple[int, ...], group: int) -> str | None:
    """Return None when all are gone, else why not."""
    try:
        moved = channel.batch([condemn(index, group) for index in indexes], "condemn links")
        missing = {failure.index for failure in moved}
        if any(failure.errno != errno.ENODEV for failure in moved):
            return "a link could not be moved into the group"
        if len(missing) < len(indexes):
            channel.request(delete_group(group), "remove a group of links")
    except KernelError as error:
        # ENODEV: the rest of the group left by itself in between.
        return None if error.errno == errno.ENODEV else str(error)
    return None


def _remove_one(channel: Channel, index: int) -> str | None:
    try:
        channel.request(delete(index), f"remove link {index}")
    except KernelError as error:
        return None if error.errno == errno.ENODEV else str(error)
    return None
