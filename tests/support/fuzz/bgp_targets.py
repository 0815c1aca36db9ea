"""What takes bytes from BGP peers and from the speaker, as targets."""

from __future__ import annotations

from typing import Final

from tests.support.fuzz.bgp_seeds import LINES, PIECES, STREAMS, UPDATES, WORDS
from tests.support.fuzz.cni_seeds import JSON_TOKENS
from tests.support.fuzz.target import Target

_RUNS: Final = "tests.support.fuzz.bgp_runs"
_UPDATE: Final = (
    "bgp.alike",
    "bgp.attribute",
    "bgp.attribute_field",
    "bgp.nlri_wire",
    "bgp.multiprotocol",
    "bgp.update",
)

TARGETS: Final = (
    Target(
        name="bgp-update",
        modules=_UPDATE,
        load=f"{_RUNS}:load_update",
        seeds=UPDATES,
        tokens=PIECES,
        weight=6,
    ),
    Target(
        name="bgp-line",
        modules=("bgp.speaker.events",),
        load=f"{_RUNS}:load_line",
        seeds=LINES,
        tokens=(*JSON_TOKENS, *WORDS),
        is_json=True,
        weight=3,
    ),
    Target(
        name="bgp-stream",
        modules=(*_UPDATE, "bgp.speaker.events", "bgp.speaker.stream", "bgp.speaker.reader"),
        load=f"{_RUNS}:load_stream",
        seeds=STREAMS,
        tokens=(*PIECES, b"\1\0\0\0", b"\n", b"10.0.1.2", b"fe80::1 fe80::2", b"\xff"),
        weight=3,
    ),
)
