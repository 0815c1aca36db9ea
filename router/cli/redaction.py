"""Take secrets out of texts that leave the node. PURE.

Two ways, both always: what is known to be a secret is replaced wherever it stands, as it is and in
base64; and what stands where secrets do (a key that ends in "password", a private key, a token) is
replaced whatever it is. Better a word too many than one too few.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Final

HIDDEN: Final = "[redacted]"
_WORDS: Final = r"password|passwd|passphrase|secret|token|credentials?|api[_-]?key|private[_-]?key"
_KEYED: Final = re.compile(
    # A key that ends in such a word, and a value on the same line that is no mapping or list: names
    # of files and Secrets (password_file, password_secret: {name: ...}) stay.
    rf"""(?ix)
    ( [\w.-]* (?:{_WORDS}) ["']? [ \t]* [:=] [ \t]* )
    ( "[^"\n]*" | '[^'\n]*' | [^\s{{\["',}}] [^\s,}}]* )
    """
)
_OTHERS: Final = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|\Z)",
        r"((?i:\bbearer|\bbasic)\s+)[A-Za-z0-9+/=._~-]{8,}",
        r"((?i:password)\s+)(?:\d\s+\S+|\"[^\"\n]*\")",
        r"()eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?",
    )
)
_SHORT: Final = 3
"""Shorter secrets are replaced as words only: else nothing readable would be left."""


class Redactor:
    """Knows the secrets of one node."""

    def __init__(self, secrets: Iterable[bytes]) -> None:
        """Take the secrets themselves; they appear in no output of this class."""
        forms: set[str] = set()
        for secret in secrets:
            text = secret.decode(errors="replace").strip()
            if text:
                forms |= {text, base64.b64encode(secret).decode(), _encoded(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        patterns = [
            rf"(?<!\w){re.escape(form)}(?!\w)" if len(form) < _SHORT else re.escape(form)
            for form in longest_first
        ]
        self._known = re.compile("|".join(patterns)) if patterns else None

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        text = _KEYED.sub(lambda found: found.group(1) + HIDDEN, text)
        for pattern in _OTHERS:
            text = pattern.sub(lambda found: found.group(1) + HIDDEN, text)
        return text


def _encoded(secret: bytes) -> str:
    """Return what `echo SECRET | base64` makes, without the end that depends on what follows."""
    whole = len(secret) // 3 * 3
    return base64.b64encode(secret[:whole]).decode() if whole >= 2 * _SHORT else HIDDEN
