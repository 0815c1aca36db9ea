"""What is taken out of a support bundle, and what has to stay readable."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cli.redaction import HIDDEN, Redactor

KNOWN = b"kn0wn-S3cret"
REDACTOR = Redactor([KNOWN])


@pytest.mark.parametrize(
    "text",
    [
        "password: PLANTED",
        "  tcp_md5_password: 'PLANTED'",
        'tcp_md5_password: "PLANTED with a space"',
        '{"password": "PLANTED", "x": 1}',
        "PODROUTE_TOKEN=PLANTED",
        "client_secret = PLANTED",
        "api-key: PLANTED",
        "Authorization: Bearer PLANTEDPLANTED",
        " neighbor 10.0.0.1 password 7 PLANTED",
        'password "PLANTED"',
        "-----BEGIN RSA PRIVATE KEY-----\nPLANTED\nPLANTED\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nPLANTED, and the file is cut",
    ],
)
def test_what_stands_where_secrets_stand_goes(text: str) -> None:
    cleaned = REDACTOR.text(f"before\n{text}\nafter\n")
    assert "PLANTED" not in cleaned
    assert HIDDEN in cleaned
    assert cleaned.startswith("before\n")


def test_tokens_go_wherever_they_stand() -> None:
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
    assert REDACTOR.text(f"asked with {token} at noon") == f"asked with {HIDDEN} at noon"


@pytest.mark.parametrize(
    "text",
    [
        "password_file: /etc/podroute/tor1.password",
        "password_secret: {name: bgp, key: tor1}",
        "password_secret:\n  name: bgp\n  key: tor1",
        "tor1 is disabled: its password is not there",
        "10.244.1.0/24 via 10.0.1.2 dev eth1 proto 74 metric 120",
        '"token_file": "/run/token"',
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert REDACTOR.text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "md5 is kn0wn-S3cret here",
        f"data: {base64.b64encode(KNOWN).decode()}",
        f"data: {base64.b64encode(KNOWN + chr(10).encode()).decode()}",
    ],
)
def test_what_is_known_goes_in_every_form(text: str) -> None:
    cleaned = REDACTOR.text(text)
    assert KNOWN.decode() not in cleaned
    assert base64.b64encode(KNOWN).decode()[:8] not in cleaned


def test_a_short_secret_goes_as_a_word() -> None:
    assert Redactor([b"a"]).text("a b ab a") == f"{HIDDEN} b ab {HIDDEN}"
    assert Redactor([b"", b" \n"]).text("a b") == "a b"


@given(st.text(min_size=3, max_size=30).filter(lambda s: len(s.strip()) > 2), st.text(), st.text())
def test_a_known_secret_is_nowhere(secret: str, before: str, after: str) -> None:
    cleaned = Redactor([secret.encode(errors="replace")]).text(f"{before}{secret}{after}")
    plain = secret.encode(errors="replace").decode().strip()
    assert plain in HIDDEN or plain not in cleaned.replace(HIDDEN, "")
