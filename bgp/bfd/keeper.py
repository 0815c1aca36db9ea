"""Keeper: starts the daemon and starts it again at once when it dies. SHELL.

A container runtime takes a second or more to start a process again; by then the peer has dropped
BGP. The keeper has everything imported and forks: the new daemon resumes within milliseconds.
If the keeper itself dies, the daemon dies with it, so that the next keeper finds the place free.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from typing import Final

from bgp.bfd.daemon import DaemonSettings, run_daemon
from bgp.bfd.priority import die_with_parent
from bgp.bfd.store import AlreadyRunningError

log = logging.getLogger(__name__)

_SIGNALS: Final = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT})
_SOON_S: Final = 0.2
"""A daemon that dies younger than this did not work."""
_FREE_STARTS: Final = 20
_LONGEST_DELAY_S: Final = 5.0


class Keeper:
    """Keeps one daemon running until told to stop."""

    def __init__(self, work: Callable[[], int]) -> None:
        """`work` is the daemon: it runs in a child and returns its exit status."""
        self._work = work
        self._failures = 0

    def run(self) -> int:
        """Keep it; return the exit status of the one that ended because it was told to."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        while True:
            started_at = time.monotonic()
            pid = self._start()
            status, told = self._wait(pid)
            if told:
                return max(0, status)
            log.error("bfd daemon died", extra={"pid": pid, "status": status})
            if self._pause(time.monotonic() - started_at):
                return 0

    def _start(self) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        # Nothing of the keeper's stack may run in the child, whatever happens.
        status = 1
        try:
            die_with_parent(signal.SIGKILL)
            if os.getppid() == parent:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
                status = self._work()
        except BaseException:
            log.exception("bfd daemon failed")
        finally:
            os._exit(status)

    def _wait(self, pid: int) -> tuple[int, bool]:
        """Wait for the child's end; return its exit code and whether we were told to end."""
        told = False
        while True:
            number = signal.sigwait(_SIGNALS)
            if number != signal.SIGCHLD:
                told = True
                os.kill(pid, signal.SIGTERM)
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status), told

    def _pause(self, lived_s: float) -> bool:
        """Wait before the next start if the last ones failed soon: 0.1, 0.2, 0.4 s ...

        Return whether we were told to end.
        """
        self._failures = self._failures + 1 if lived_s < _SOON_S else 0
        if self._failures <= _FREE_STARTS:
            return False
        delay_s = min(_LONGEST_DELAY_S, 0.1 * 2 ** (self._failures - _FREE_STARTS - 1))
        return signal.sigtimedwait({signal.SIGTERM, signal.SIGINT}, delay_s) is not None


def run_kept(settings: DaemonSettings) -> int:
    """Run the daemon under a keeper until SIGTERM or SIGINT; return the exit status."""
    return Keeper(lambda: _work(settings)).run()


def _work(settings: DaemonSettings) -> int:
    try:
        return run_daemon(settings)
    except (OSError, AlreadyRunningError) as error:
        log.error("bfd daemon cannot run", extra={"reason": str(error)})
        return 1
