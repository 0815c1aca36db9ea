"""The key `bfd` of a peer."""

from __future__ import annotations

import pytest

from bgp.bfd.settings import BfdProfile
from bgp.secret import Secret
from router.config.document import ConfigError
from router.config.load import load_settings
from router.config.surroundings import Surroundings


def profile(text: str) -> BfdProfile | None:
    settings = load_settings(
        "router_id: 10.255.1.1\nlocal_asn: 65201\npeers:\n"
        f"  - {{address: 10.0.1.2, remote_asn: 65101, {text}}}\n",
        source="config.yaml",
        surroundings=Surroundings(host_name="node1", read_password=lambda _: Secret("x")),
    )
    (peer,) = settings.peers
    return peer.bfd


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("bfd:", None),
        ("bfd: {}", BfdProfile()),
        ("bfd: {interval_ms: 100}", BfdProfile(interval_ms=100)),
        ("bfd: {multiplier: 5, required: true}", BfdProfile(multiplier=5, required=True)),
    ],
)
def test_a_profile_is_what_differs_from_the_usual_one(
    text: str, expected: BfdProfile | None
) -> None:
    assert profile(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bfd: {interval_ms: 5}", "bfd.interval_ms: '5' must be a whole number from 20 to 60000"),
        ("bfd: {multiplier: 0}", "bfd.multiplier: '0' must be a whole number from 1 to 255"),
        ("bfd: {interval: 300}", "bfd.interval: unknown key; did you mean 'interval_ms'?"),
        ("bfd: true", "bfd: must be a mapping of keys to values"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_field(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        profile(text)
    assert f"config.yaml: line 4: peers[0].{expected}" in str(caught.value)
