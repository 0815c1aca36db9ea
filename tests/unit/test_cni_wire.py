from __future__ import annotations

import struct

import pytest

from cni.wire import (
    MAX_STDIN_BYTES,
    Door,
    MalformedFrameError,
    Request,
    frame_bytes,
    parse_reply,
    parse_request,
    render_reply,
    render_request,
)

REQUEST = Request(variables={"CNI_COMMAND": "ADD", "CNI_ARGS": "A=B;C=D"}, stdin=b"{}")


def header(environment: int, stdin: int) -> bytes:
    return struct.pack("<4sII", b"PRS1", environment, stdin)


def test_a_request_has_the_documented_bytes() -> None:
    assert render_request(Request(variables={"CNI_X": "y"}, stdin=b"{}")) == (
        b"PRS1\x08\0\0\0\x02\0\0\0CNI_X=y\0{}"
    )
    assert parse_request(render_request(REQUEST)) == REQUEST


@pytest.mark.parametrize("door", Door)
def test_the_first_bytes_say_who_is_called(door: Door) -> None:
    request = Request(variables={}, stdin=b"{}", door=door)
    assert render_request(request)[:4] == door.value
    assert parse_request(render_request(request)).door is door


def test_the_size_is_known_from_the_header_on() -> None:
    frame = render_request(REQUEST)
    assert [frame_bytes(frame[:size]) for size in range(12)] == [None] * 12
    assert frame_bytes(frame[:12]) == len(frame)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"X", id="first byte"),
        pytest.param(b"PRS2" + bytes(8), id="magic"),
        pytest.param(header(0, MAX_STDIN_BYTES + 1), id="stdin too large"),
        pytest.param(header(2**32 - 1, 0), id="environment too large"),
        pytest.param(header(0, 5), id="shorter than it says"),
        pytest.param(header(0, 0) + b"x", id="longer than it says"),
        pytest.param(header(3, 0) + b"a=b", id="environment without NUL"),
        pytest.param(header(7, 0) + b"PATH=x\0", id="not a CNI variable"),
        pytest.param(header(6, 0) + b"CNI_A\0", id="no equals sign"),
    ],
)
def test_what_no_shim_sends_is_refused(frame: bytes) -> None:
    with pytest.raises(MalformedFrameError):
        parse_request(frame)


def test_a_reply_is_read_back() -> None:
    assert parse_reply(render_reply(1, b"{}")) == (1, b"{}")
    for broken in (b"", render_reply(0, b"abc")[:-1], render_reply(0, b"") + b"x"):
        with pytest.raises(MalformedFrameError):
            parse_reply(broken)
