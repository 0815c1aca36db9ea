"""Waking the loop and asking it, from threads, signal handlers and after its end."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from router.agent.requests import ClosedError, Inbox, Wake


def test_a_call_before_the_wait_is_not_lost() -> None:
    wake = Wake()
    wake()
    before = time.monotonic()
    wake.wait(5)
    assert time.monotonic() - before < 4


def test_waking_from_a_signal_handler_never_deadlocks() -> None:
    wake = Wake()
    before = signal.signal(signal.SIGUSR2, lambda *_: wake())
    stop = threading.Event()

    def shoot() -> None:
        while not stop.is_set():
            signal.raise_signal(signal.SIGUSR2)

    shooter = threading.Thread(target=shoot)
    shooter.start()
    try:
        for _ in range(5000):
            wake.wait(0.001)
            wake()
    finally:
        stop.set()
        shooter.join()
        signal.signal(signal.SIGUSR2, before)


def test_what_was_told_to_have_failed_does_not_happen_later() -> None:
    inbox = Inbox(Wake())
    done: list[int] = []
    with pytest.raises(TimeoutError):
        inbox.ask(lambda: done.append(1), 0.01)
    inbox.serve()
    assert done == []


def test_after_the_end_nobody_waits() -> None:
    inbox = Inbox(Wake())
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            inbox.ask(lambda: None, 30)
        except ClosedError as error:
            failed.append(error)

    asker = threading.Thread(target=ask)
    asker.start()
    inbox.close()
    asker.join(5)
    assert len(failed) == 1
    with pytest.raises(ClosedError):
        inbox.ask(lambda: None, 30)
