"""Output: what ExaBGP prints, redacted, rate-limited and logged. SHELL.

Two of its lines are more than talk: they are ExaBGP's only answer to a reload.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import IO

from bgp.secret import Secret
from bgp.speaker.launcher.listening import DEAF

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 500
BURST_LINES = 60
LINES_PER_S = 5.0
_NOISE = ("welcome ", "advice ")
MASK = "***"


class Answer(Enum):
    """What a line says about the configuration."""

    LOADED = auto()
    REFUSED = auto()


_ANSWERS = {
    "loaded new configuration successfully": Answer.LOADED,
    "could not load/reload configuration": Answer.REFUSED,
}


def classify(line: str) -> Answer | None:
    """Recognize ExaBGP 5.0.15's answer to a (re)load (exabgp/reactor/loop.py)."""
    _, _, text = line.partition(" ")
    return _ANSWERS.get(text.strip())


def redact(line: str, secrets: Iterable[Secret]) -> str:
    """Mask every occurrence of a password, plain or in base64, and whatever follows its keyword."""
    for secret in secrets:
        for form in (secret.base64(), secret.reveal().decode("utf-8", "replace")):
            line = line.replace(form, MASK)
    before, keyword, _ = line.partition("md5-password")
    return f"{before}{keyword} {MASK}" if keyword else line


class RateLimit:
    """A token bucket over the time it is told. PURE."""

    def __init__(self, burst: float, per_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._tokens = burst
        self._at: float | None = None

    def allows(self, now: float) -> bool:
        """Take one token if there is one."""
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Output:
    """The output of one child; a thread reads it so that the child never waits for us."""

    def __init__(self, stream: IO[bytes], wake: Callable[[], None]) -> None:
        self._stream = stream
        self._wake = wake
        self._lines: deque[bytes] = deque(maxlen=1000)
        self._limit = RateLimit(BURST_LINES, LINES_PER_S)
        self._dropped = 0
        self.last_line = ""
        """The last line that was not noise, redacted."""
        self.deaf_at = ""
        """Addresses and ports at which it should listen and cannot."""
        self._thread = threading.Thread(target=self._read, name="speaker-output", daemon=True)
        self._thread.start()

    def take(self, now: float, secrets: Iterable[Secret]) -> list[Answer]:
        """Log what was printed since the last call and give the answers among it."""
        answers = []
        while self._lines:
            line = redact(self._lines.popleft().decode("utf-8", "replace").strip(), secrets)
            answer = classify(line)
            if answer is not None:
                answers.append(answer)
            if line.startswith(DEAF.strip()):
                self.deaf_at = line.removeprefix(DEAF.strip()).strip()
            if not line or line.startswith(_NOISE) or line == DEAF.strip():
                continue
            self.last_line = line
            if not self._limit.allows(now):
                self._dropped += 1
                continue
            if self._dropped:
                log.warning("speaker output dropped", extra={"lines": self._dropped})
                self._dropped = 0
            log.info("speaker says", extra={"line": line})
        return answers

    def close(self) -> None:
        """Wait for the end of the output, which the child's death brings, and close it."""
        self._thread.join(timeout=1.0)
        if not self._thread.is_alive():
            self._stream.close()

    def _read(self) -> None:
        while line := self._stream.readline(MAX_LINE_BYTES):
            self._lines.append(line)
            if b"configuration" in line or line.startswith(DEAF.encode()):
                self._wake()
