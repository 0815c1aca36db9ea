"""Secret: a TCP MD5 password that no log line, traceback or dataclass repr shows.

The limit of 80 bytes is the kernel's (TCP_MD5SIG_MAXKEYLEN, include/uapi/linux/tcp.h).
"""

from __future__ import annotations

import base64
import hmac

from bgp.errors import PermanentError

MAX_BYTES = 80


class SecretError(PermanentError, ValueError):
    """A password that cannot be used; the text never contains it."""


class Secret:
    """Opaque password bytes; `str` and `repr` are masked, equality is in constant time."""

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        """Take the password; text is encoded as UTF-8. Raises SecretError if empty or too long."""
        raw = value.encode() if isinstance(value, str) else bytes(value)
        if not raw:
            raise SecretError("the password is empty")
        if len(raw) > MAX_BYTES:
            raise SecretError(f"the password is longer than {MAX_BYTES} bytes")
        self._value = raw

    def base64(self) -> str:
        """Give the password in base64: the only form that is written anywhere."""
        return base64.b64encode(self._value).decode("ascii")

    def reveal(self) -> bytes:
        """Give the password itself, for redaction."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __reduce__(self) -> str | tuple[object, ...]:
        raise SecretError("a password is not pickled")
