"""Everything that can go wrong in a CNI call, each with its code, and the error object.

Codes 1 to 99 are the specification's, 100 and above are ours (CNI SPEC.md, "Error").
"""

from __future__ import annotations

import json
from typing import ClassVar, Final

INTERNAL_CODE: Final = 999


class CniError(Exception):
    """Base of all errors of this package; becomes a CNI error object."""

    code: ClassVar[int] = INTERNAL_CODE
    summary: ClassVar[str] = "internal error"

    def __init__(self, detail: str = "") -> None:
        """Keep ``detail``: lower case, on what it failed, then the cause."""
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        """Return the summary and the detail in one line."""
        return f"{self.summary}: {self.detail}" if self.detail else self.summary


class IncompatibleVersionError(CniError):
    """The configuration's ``cniVersion`` is not one of ours, or lacks the command."""

    code = 1
    summary = "incompatible CNI version"

    def __init__(self, *, requested: str, supported: tuple[str, ...]) -> None:
        """Name the version asked for and those we speak."""
        super().__init__(f'config is "{requested}", plugin supports {", ".join(supported)}')
        self.requested = requested


class CommandTooNewError(CniError):
    """The command does not exist in the configuration's version (libcni's skel: code 1)."""

    code = 1
    summary = "command not in this CNI version"


class UnsupportedFieldError(CniError):
    """A field that podroute does not carry out; the detail has key and value."""

    code = 2
    summary = "unsupported field in the network configuration"


class UnknownContainerError(CniError):
    """CHECK of an attachment we do not have."""

    code = 3
    summary = "unknown container"


class InvalidEnvironmentError(CniError):
    """One or more ``CNI_*`` variables are missing or invalid."""

    code = 4
    summary = "invalid environment variables"

    def __init__(self, problems: tuple[tuple[str, str], ...]) -> None:
        """Take (variable, what is wrong) pairs; all of them are reported."""
        super().__init__("; ".join(f"{name} {why}" for name, why in problems))
        self.variables = tuple(name for name, _ in problems)


class IoError(CniError):
    """Reading or writing failed."""

    code = 5
    summary = "I/O failure"


class DecodeError(CniError):
    """The request could not be decoded."""

    code = 6
    summary = "cannot decode the request"


class InvalidConfigurationError(CniError):
    """The network configuration has errors; all of them are reported."""

    code = 7
    summary = "invalid network configuration"

    def __init__(self, problems: tuple[tuple[str, str], ...]) -> None:
        """Take (path to the field, what is wrong) pairs."""
        super().__init__("; ".join(f"{path}: {why}" for path, why in problems))
        self.paths = tuple(path for path, _ in problems)


class SandboxIsHostError(CniError):
    """CNI_NETNS is the node's own network namespace (libcni's skel: code 8)."""

    code = 8
    summary = "invalid network namespace"


class TryAgainLaterError(CniError):
    """The call may succeed later; nothing was changed."""

    code = 11
    summary = "try again later"


class NotAvailableError(CniError):
    """STATUS: an ADD would fail now."""

    code = 50
    summary = "plugin not available"


class AttachmentExistsError(CniError):
    """ADD of an attachment that exists."""

    code = 100
    summary = "attachment exists"


class InterfaceExistsError(CniError):
    """ADD into a sandbox that already has an interface of that name."""

    code = 101
    summary = "interface exists"


class PoolExhaustedError(CniError):
    """No address is left; the detail names the pool and its numbers."""

    code = 102
    summary = "no free address"


class DataplaneError(CniError):
    """The kernel refused an operation; what was done before it has been undone."""

    code = 103
    summary = "kernel refused"


class CheckFailedError(CniError):
    """CHECK found the attachment different from what ADD made."""

    code = 104
    summary = "attachment differs"


class AddressInUseError(CniError):
    """ADD asks for an address that another attachment has."""

    code = 105
    summary = "address in use"


class AddressNotUsableError(CniError):
    """ADD asks for an address that no pod of this node can have."""

    code = 106
    summary = "address not usable"


def render_error(error: Exception, cni_version: str) -> bytes:
    """Render the error object of the specification; an unknown exception becomes code 999.

    The text of an unknown exception is left out: it belongs in our log, next to its traceback.
    """
    if isinstance(error, CniError):
        code, message, details = error.code, str(error), error.detail
    else:
        code, message, details = INTERNAL_CODE, CniError.summary, type(error).__name__
    body = {"cniVersion": cni_version, "code": code, "msg": message, "details": details}
    return json.dumps(body, separators=(",", ":")).encode()
