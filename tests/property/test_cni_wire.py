from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from cni.spec.errors import DecodeError, IncompatibleVersionError, InvalidConfigurationError
from cni.spec.netconf import decode, parse_configuration
from cni.wire import MalformedFrameError, Request, frame_bytes, parse_request, render_request

values = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))
requests = st.builds(
    Request,
    variables=st.dictionaries(st.from_regex(r"CNI_[A-Z_]{0,9}", fullmatch=True), values),
    stdin=st.binary(),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
KNOWN = ["cniVersion", "name", "mtu", "dns", "ipam", "prevResult", "cni.dev/valid-attachments"]


@given(requests)
def test_a_request_is_read_back(request: Request) -> None:
    frame = render_request(request)
    assert frame_bytes(frame) == len(frame)
    assert parse_request(frame) == request


@given(st.binary() | st.binary().map(b"PRS1".__add__))
def test_any_bytes_are_parsed_or_refused(frame: bytes) -> None:
    with contextlib.suppress(MalformedFrameError):
        assert render_request(parse_request(frame))


@given(requests, st.data())
def test_a_damaged_request_is_parsed_or_refused(request: Request, data: st.DataObject) -> None:
    frame = bytearray(render_request(request))
    for position in data.draw(st.lists(st.integers(0, len(frame) - 1), max_size=3)):
        frame[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedFrameError):
        parse_request(frame)


@given(st.binary())
def test_any_stdin_is_decoded_or_refused(stdin: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode(stdin)


@given(st.dictionaries(st.sampled_from(KNOWN), json_values))
def test_any_configuration_is_taken_or_refused(raw: dict[str, object]) -> None:
    for version in ("1.0.0", raw.get("cniVersion")):
        with contextlib.suppress(IncompatibleVersionError, InvalidConfigurationError):
            parse_configuration({**raw, "cniVersion": version})
