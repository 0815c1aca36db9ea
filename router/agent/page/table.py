"""The table of routes as the page gets it: made in parts, kept while nothing changes. SHELL."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

from router.agent.core import RouteAgent
from router.agent.page.overview import Signature, known, rows, signature

T = TypeVar("T")
MOST_ROUTES: Final = 10_000
"""More would be megabytes for a browser; `podroute routes PREFIX` and `why` know the others."""
_PART: Final = 100
"""Rows that are made in one go of the loop: about 3 ms."""
_OLDEST_S: Final = 30.0
"""For what the signature does not see, such as a change of the configuration's names."""
_REST: Final = 10.0
"""The loop works for the page at most a tenth of its time."""


class Look(Protocol):
    """Runs a function on the loop's thread; raises RequestError, ClosedError, TimeoutError."""

    def __call__(self, make: Callable[[RouteAgent], T]) -> T:
        """Return what `make` returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A table as it is sent."""

    packed: bytes
    """JSON, gzip."""
    tag: str
    signature: Signature
    at: float
    took_s: float

    def is_good(self, signature: Signature, now: float) -> bool:
        """Whether it need not, or may not yet, be made anew."""
        age_s = now - self.at
        same = signature == self.signature
        return age_s < (_OLDEST_S if same else self.took_s * _REST)


class Table:
    """Makes the table when it is asked for, one at a time."""

    def __init__(self, look: Look, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Make nothing yet."""
        self._look = look
        self._monotonic = monotonic
        self._turn = threading.Lock()
        self._made: Made | None = None

    def get(self) -> Made:
        """Return the table. Raises what `look` raises."""
        with self._turn:
            now_signature = self._look(signature)
            made = self._made
            if made is None or not made.is_good(now_signature, self._monotonic()):
                made = self._made = self._make(now_signature)
            return made

    def _make(self, now_signature: Signature) -> Made:
        began = self._monotonic()
        prefixes = sorted(self._look(known))
        sent = prefixes[:MOST_ROUTES]
        parts = []
        for start in range(0, len(sent), _PART):
            part = sent[start : start + _PART]
            text = json.dumps(self._look(partial(rows, prefixes=part)))[1:-1]
            if text:
                parts.append(text)
        routes = ", ".join(parts)
        body = f'{{"total": {len(prefixes)}, "most": {MOST_ROUTES}, "routes": [{routes}]}}'.encode()
        ended = self._monotonic()
        return Made(
            packed=gzip.compress(body, compresslevel=3, mtime=0),
            tag=hashlib.blake2b(body, digest_size=12).hexdigest(),
            signature=now_signature,
            at=ended,
            took_s=ended - began,
        )
