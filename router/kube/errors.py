"""What goes wrong between us and the API server. PURE."""

from __future__ import annotations


class KubeError(Exception):
    """A request that got no usable answer; worth another try later."""


class UnreachableError(KubeError):
    """No answer: connection refused, reset, timed out, TLS, a truncated body."""


class MalformedError(KubeError):
    """An answer that is not what the API promises."""


class RefusedError(KubeError):
    """An answer with an error status (a `Status` object)."""

    def __init__(self, status: int, reason: str, message: str, retry_after_s: float | None) -> None:
        super().__init__(status, reason, message)
        self.status = status
        self.reason = reason
        """The machine-readable reason, such as Expired or Conflict; may be empty."""
        self.message = message
        self.retry_after_s = retry_after_s
        """Seconds the server asked us to wait."""

    def __str__(self) -> str:
        return f"HTTP {self.status} {self.reason or 'error'}: {self.message}"
