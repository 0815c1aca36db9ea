"""Carry out the DELs that were left while no server ran. SHELL.

Runs at start, at every tick and before every ADD: a DEL that was spooled before an ADD of the same
attachment must never meet what that ADD makes. A request stays in the spool until it is done.
"""

from __future__ import annotations

import json
import logging

from cni.server.service import Service
from cni.server.spool import Spool
from cni.spec.environment import Command
from cni.spec.errors import TryAgainLaterError

log = logging.getLogger(__name__)


class Replay:
    """Which spooled requests are under way."""

    def __init__(self, service: Service, spool: Spool) -> None:
        self._service = service
        self._spool = spool
        self._under_way: set[str] = set()

    def run(self) -> None:
        """Begin every spooled DEL that has not begun."""
        for name, request in self._spool.pending():
            if name in self._under_way:
                continue
            if request.variables.get("CNI_COMMAND") != Command.DEL:
                log.error("spooled request is not a DEL", extra={"file": name})
                self._spool.discard(name)
                continue
            self._under_way.add(name)
            self._service.handle(request, _SpooledCaller(self, name))

    def remove_abandoned(self) -> None:
        """Remove what shims that were killed have left half written."""
        self._spool.remove_abandoned()

    def done(self, name: str, exit_code: int, stdout: bytes) -> None:
        """Take note of an answer: discard the request, except where it is worth another try."""
        self._under_way.discard(name)
        if exit_code == 0:
            log.info("spooled request carried out", extra={"file": name})
        else:
            error = json.loads(stdout)
            log.error("spooled request failed", extra={"file": name, "error": error["msg"]})
            if error["code"] == TryAgainLaterError.code:
                return
        self._spool.discard(name)


class _SpooledCaller:
    """Implements ``cni.server.call.Caller`` for a request that nobody waits for."""

    def __init__(self, replay: Replay, name: str) -> None:
        self._replay = replay
        self._name = name

    @property
    def sandbox(self) -> int | None:
        """Return None: DEL needs no sandbox."""
        return None

    def gone(self) -> bool:
        """Return False: a file does not leave."""
        return False

    def answer(self, exit_code: int, stdout: bytes) -> bool:
        """Take the answer in the runtime's place."""
        self._replay.done(self._name, exit_code, stdout)
        return True
