"""The little of HTTP that the status page speaks, and whom it does not answer."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.agent.page.wire import Refused, Reply, Request, check, read_head, refusal


def ask(target: str = "/", method: str = "GET", host: str = "localhost", more: str = "") -> Request:
    return read_head(f"{method} {target} HTTP/1.1\r\nHost: {host}{more}".encode())


def refused(request: Request) -> int | None:
    try:
        check(request, "node1.example.com")
    except Refused as error:
        return error.status
    return None


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:9180",
        "LocalHost:1234",
        "127.0.0.1",
        "127.0.0.1:9180",
        "10.255.1.1:80",
        "[::1]:9180",
        "[fd00:255:1::1]",
        "node1.example.com:9180",
    ],
)
def test_hosts_that_can_only_be_us(host: str) -> None:
    assert refused(ask(host=host)) is None


@pytest.mark.parametrize(
    "host",
    [
        "rebound.example.org",
        "rebound.example.org:9180",
        "localhost.example.org",
        "127.0.0.1.example.org",
        "[rebound.example.org]",
        "node1.example.com.example.org",
        "",
        "2130706433",
        "0x7f.1",
    ],
)
def test_a_name_that_somebody_else_may_point_here_is_not_ours(host: str) -> None:
    assert refused(ask(host=host)) == 421


def test_no_host_and_two_hosts() -> None:
    assert refused(read_head(b"GET / HTTP/1.0")) == 400
    with pytest.raises(Refused, match="more than one Host"):
        ask(more="\r\nHost: localhost")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "get"])
def test_nothing_but_reading(method: str) -> None:
    assert refused(ask(method=method)) == 405
    assert b"\r\nAllow: GET, HEAD\r\n" in refusal(Refused(405, "no")).render(None)


@pytest.mark.parametrize(
    ("site", "status"),
    [("none", None), ("same-origin", None), ("same-site", 403), ("cross-site", 403)],
)
def test_what_another_site_asks_is_not_answered(site: str, status: int | None) -> None:
    header = f"\r\nSec-Fetch-Site: {site}"
    assert refused(ask("/v1/overview", more=header)) == status
    assert refused(ask("/", more=header)) is None


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (b"GET /", 400),
        (b"GET http://localhost/ HTTP/1.1", 400),
        (b"GET * HTTP/1.1", 400),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/1.1\r\nno colon", 400),
        (b"GET / HTTP/1.1\r\n folded: x", 400),
        (b"GET / HTTP/1.1\r\nHost : localhost", 400),
        (b"\x16\x03\x01\x02\x00", 400),
    ],
)
def test_malformed_requests(head: bytes, status: int) -> None:
    with pytest.raises(Refused) as caught:
        read_head(head)
    assert caught.value.status == status


@given(st.binary(max_size=400))
def test_no_bytes_make_it_fail_otherwise(head: bytes) -> None:
    with contextlib.suppress(Refused):
        check(read_head(head), "node1")


def test_the_query_is_read() -> None:
    request = ask("/v1/why?of=10.0.0.0%2F8&x=")
    assert (request.path, request.query) == ("/v1/why", {"of": "10.0.0.0/8"})


@pytest.mark.parametrize(
    ("codings", "takes"),
    [("gzip, deflate, br", True), ("gzip;q=0.5", True), ("gzip;q=0", False), ("br", False)],
)
def test_who_takes_gzip(codings: str, takes: bool) -> None:
    assert ask(more=f"\r\nAccept-Encoding: {codings}").takes_gzip is takes
    assert not ask().takes_gzip


def test_every_answer_has_the_guards() -> None:
    for reply in (Reply(body=b"x"), Reply(body=b"x", tag="t"), refusal(Refused(404, "no"))):
        head = reply.render(ask()).partition(b"\r\n\r\n")[0].decode()
        assert "Content-Security-Policy: default-src 'none'; script-src 'self';" in head
        assert "unsafe" not in head
        assert "X-Content-Type-Options: nosniff" in head
        assert "Cross-Origin-Resource-Policy: same-origin" in head
        assert "Access-Control" not in head
        assert "Connection: close" in head


def test_head_gets_the_length_and_no_body() -> None:
    rendered = Reply(body=b"12345").render(ask(method="HEAD"))
    assert rendered.endswith(b"\r\n\r\n")
    assert b"\r\nContent-Length: 5\r\n" in rendered


def test_who_has_it_already_gets_304() -> None:
    reply = Reply(body=b"12345", tag="abc")
    assert b'\r\nETag: "abc"\r\n' in reply.render(ask())
    again = reply.render(ask(more='\r\nIf-None-Match: "abc"'))
    assert again.startswith(b"HTTP/1.1 304 ")
    assert again.endswith(b"\r\n\r\n")
    assert reply.render(ask(more='\r\nIf-None-Match: "old"')).endswith(b"12345")
