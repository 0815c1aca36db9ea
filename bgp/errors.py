"""Errors of the `bgp` package: one base, caught as such by `router`."""

from __future__ import annotations


class BgpError(Exception):
    """Base of every error that this package raises on purpose."""


class PermanentError(BgpError):
    """Retrying cannot help: a human must change the configuration or the machine."""


class RetryableError(BgpError):
    """The same call may succeed later without anybody changing anything."""
