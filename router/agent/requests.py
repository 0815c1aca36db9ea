"""Questions and commands from other threads, answered by the loop's thread.

The loop owns all state; nothing else reads it. Whoever asks waits, with a bound: a loop that
does not turn must not hang the operator's command.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Wake:
    """Ends the loop's sleep; safe to call from any thread and from a signal handler.

    An eventfd, not a threading.Event: that has a lock, which the interrupted thread may hold
    while its own signal handler asks for it.
    """

    def __init__(self) -> None:
        """Begin asleep."""
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def __call__(self) -> None:
        """Wake the loop now."""
        # Full means that it was called often and not heard yet.
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self._descriptor, 1)

    def wait(self, timeout_s: float) -> None:
        """Sleep until woken or `timeout_s` has passed; clears the call."""
        select.select([self._descriptor], [], [], max(0.0, timeout_s))
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._descriptor)


class ClosedError(Exception):
    """The loop has ended; nobody answers any more."""


class Inbox:
    """Functions to run on the loop's thread."""

    def __init__(self, wake: Wake) -> None:
        """`wake` is called for every request."""
        self._wake = wake
        self._closed = False
        self._waiting: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = (
            queue.SimpleQueue()
        )

    def ask(self, function: Callable[[], T], timeout_s: float) -> T:
        """Run `function` on the loop's thread and return its answer.

        Raises TimeoutError when the loop did not get to it (then it never will: what was told
        to have failed must not happen later), ClosedError, and what the function raised.
        """
        answer: Future[T] = Future()
        self._waiting.put((function, answer))
        if self._closed:
            self.close()
        self._wake()
        try:
            return answer.result(timeout_s)
        except TimeoutError:
            answer.cancel()
            raise

    def close(self) -> None:
        """Refuse what waits and what comes."""
        self._closed = True
        while True:
            try:
                _, answer = self._waiting.get_nowait()
            except queue.Empty:
                return
            if answer.set_running_or_notify_cancel():
                answer.set_exception(ClosedError("the route agent is ending"))

    def serve(self) -> None:
        """Run what waits; called by the loop."""
        while True:
            try:
                function, answer = self._waiting.get_nowait()
            except queue.Empty:
                return
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(function())
                # The asker gets whatever went wrong; the loop must go on.
                except Exception as error:
                    answer.set_exception(error)
