"""The page's own files, read once. SHELL."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from typing import Final

from router.agent.page.wire import Reply

_KINDS: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX: Final = "index.html"


class Files:
    """What the package holds below `static`; nothing else can be asked for."""

    def __init__(self) -> None:
        """Read them."""
        self._plain: dict[str, Reply] = {}
        for entry in (resources.files("router.agent.page") / "static").iterdir():
            suffix = entry.name[entry.name.rfind(".") :]
            if suffix in _KINDS:
                body = entry.read_bytes()
                tag = hashlib.blake2b(body, digest_size=12).hexdigest()
                self._plain[f"/{entry.name}"] = Reply(kind=_KINDS[suffix], body=body, tag=tag)
        self._plain["/"] = self._plain.pop(f"/{_INDEX}")
        self._packed = {
            path: replace(
                reply, body=gzip.compress(reply.body, mtime=0), tag=f"{reply.tag}-z", is_gzip=True
            )
            for path, reply in self._plain.items()
        }

    def get(self, path: str, *, takes_gzip: bool) -> Reply | None:
        """Return the file; None: there is none."""
        return (self._packed if takes_gzip else self._plain).get(path)
