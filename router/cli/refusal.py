"""What the kernel's refusal of a file means for whoever typed the command."""

from __future__ import annotations

import os


def in_words(error: Exception) -> str:
    """Return the error's text; a refusal that root would not get says so."""
    if isinstance(error, PermissionError) and error.filename and os.geteuid():
        return f"permission denied: {error.filename}; run it as root"
    return str(error)
