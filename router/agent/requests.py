"""Questions and commands from other threads, answered by the loop's thread.

The loop owns all state; nothing else reads it. Whoever asks waits, with a bound: a loop that
does not turn must not hang the operator's command.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Wake:
    """Ends the loop's sleep; safe to call from any thread, any number of times."""

    def __init__(self) -> None:
        """Begin asleep."""
        self._event = threading.Event()

    def __call__(self) -> None:
        """Wake the loop now."""
        self._event.set()

    def wait(self, timeout_s: float) -> None:
        """Sleep until woken or `timeout_s` has passed; clears the call."""
        self._event.wait(timeout_s)
        self._event.clear()


class Inbox:
    """Functions to run on the loop's thread."""

    def __init__(self, wake: Wake) -> None:
        """`wake` is called for every request."""
        self._wake = wake
        self._waiting: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = (
            queue.SimpleQueue()
        )

    def ask(self, function: Callable[[], T], timeout_s: float) -> T:
        """Run `function` on the loop's thread and return its answer.

        Raises TimeoutError when the loop did not get to it, and what the function raised.
        """
        answer: Future[T] = Future()
        self._waiting.put((function, answer))
        self._wake()
        return answer.result(timeout_s)

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
