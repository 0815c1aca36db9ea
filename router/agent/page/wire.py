"""The little of HTTP that the status page speaks (RFC 9112), and whom it answers. PURE.

A browser lends its reach into this machine to every site that is open in it. So: no answer to a
host name that is not ours (DNS rebinding), none to a question that another site asks, and nothing
on the page that did not come from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl, unquote

MOST_HEAD_BYTES: Final = 16 * 1024
"""Browsers send 1 kB, with cookies of other ports of this host a few more."""
METHODS: Final = ("GET", "HEAD")
_REASONS: Final[Mapping[int, str]] = {
    200: "OK",
    304: "Not Modified",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
_GUARD: Final = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Connection", "close"),
)


class Refused(Exception):
    """A request that gets an HTTP error and one clear sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked; names of headers are in small letters."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def takes_gzip(self) -> bool:
        """Whether an answer may be compressed."""
        codings = self.headers.get("accept-encoding", "").split(",")
        wanted = {name.strip(): weight.strip() for name, _, weight in map(_halves, codings)}
        return wanted.get("gzip", "q=0") not in ("q=0", "q=0.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, whole."""

    status: int = 200
    kind: str = "text/plain; charset=utf-8"
    body: bytes = b""
    tag: str = ""
    """Names this state of the body; "" for an answer that is never the same."""
    is_gzip: bool = False
    more: tuple[tuple[str, str], ...] = field(default=())

    def render(self, request: Request | None) -> bytes:
        """Return the bytes; to HEAD without the body, 304 to whoever has it already."""
        etag = f'"{self.tag}"' if self.tag else ""
        status = self.status
        if etag and request is not None and request.headers.get("if-none-match") == etag:
            status = 304
        lines = [f"HTTP/1.1 {status} {_REASONS[status]}", f"Content-Type: {self.kind}"]
        if status != 304:
            lines.append(f"Content-Length: {len(self.body)}")
        lines.append("Cache-Control: " + ("no-cache" if etag else "no-store"))
        if etag:
            lines += [f"ETag: {etag}", "Vary: Accept-Encoding"]
        if self.is_gzip:
            lines.append("Content-Encoding: gzip")
        lines += [f"{name}: {value}" for name, value in (*self.more, *_GUARD)]
        head = "\r\n".join((*lines, "", "")).encode("latin-1", "replace")
        is_bare = status == 304 or (request is not None and request.method == "HEAD")
        return head if is_bare else head + self.body


def refusal(error: Refused) -> Reply:
    """Return the answer that says no."""
    more = {405: (("Allow", ", ".join(METHODS)),), 503: (("Retry-After", "1"),)}
    return Reply(status=error.status, body=f"{error}\n".encode(), more=more.get(error.status, ()))


def read_head(head: bytes) -> Request:
    """Read a request up to its empty line. Raises Refused."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/"):
        raise Refused(400, "that is not HTTP")
    method, target, version = words
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise Refused(505, "HTTP/1.1 is spoken here")
    if not target.startswith("/"):
        raise Refused(400, "the request names no path of this server")
    headers: dict[str, str] = {}
    for line in filter(None, lines[1:]):
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise Refused(400, "a header line is malformed")
        key = name.lower()
        if key == "host" and key in headers:
            raise Refused(400, "there is more than one Host")
        headers[key] = value.strip()
    path, _, query = target.partition("?")
    return Request(method=method, path=unquote(path), query=dict(parse_qsl(query)), headers=headers)


def check(request: Request, node: str) -> None:
    """Refuse whoever is not to be answered; `node` is the name of this node. Raises Refused."""
    if request.method not in METHODS:
        raise Refused(405, "this page only shows; it takes GET and HEAD")
    host = request.headers.get("host")
    if host is None:
        raise Refused(400, "the request names no Host")
    if not _is_ours(host, node):
        raise Refused(
            421, f"not known here as {host[:80]!r}: use an IP address, localhost or {node}"
        )
    if request.path.startswith("/v1/") and request.headers.get("sec-fetch-site", "none") not in (
        "none",
        "same-origin",
    ):
        raise Refused(403, "asked by another site")


def _is_ours(host: str, node: str) -> bool:
    """Whether the name in Host can only mean us: an address cannot be rebound."""
    name = host.lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    if name in ("localhost", node.lower()):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _halves(text: str) -> tuple[str, str, str]:
    return text.partition(";")
