"""Listen on TCP where the configuration says, and nowhere else. SHELL."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Protocol

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """A socket that listens, and whoever answers there."""

    def close(self) -> None:
        """Stop listening."""


class Door:
    """Listens where it is wanted; level-triggered."""

    def __init__(
        self, name: str, field: str, listen: Callable[[tuple[str, int]], Listener]
    ) -> None:
        """Listen nowhere; `field` of the configuration says where. `listen` raises OSError."""
        self._name = name
        self._field = field
        self._listen = listen
        self._listener: Listener | None = None
        self._address: tuple[str, int] | None = None

    def want(self, address: tuple[str, int] | None) -> None:
        """Listen there and nowhere else. Raises OSError naming the address; call again then."""
        if address == self._address:
            return
        self.close()
        if address is None:
            return
        try:
            self._listener = self._listen(address)
        except OSError as error:
            where = f"{address[0]} port {address[1]}"
            reason = os.strerror(error.errno) if error.errno else str(error)
            text = f"cannot serve {self._name} at {where}: {reason} ({self._field})"
            raise OSError(error.errno, text) from error
        self._address = address
        extra = {"what": self._name, "address": address[0], "port": address[1]}
        _log.info("listening", extra=extra)

    def close(self) -> None:
        """Stop listening."""
        self._address = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
