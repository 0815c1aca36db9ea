"""What a new daemon needs to go on as if it were the old one. PURE.

A session saved in state Up is resumed in state Up with the same discriminators and source port,
if the old daemon was alive until less than the time after which the peer gives us up: then the
peer never notices (FRR and BIRD do not). If it is too late, the session begins anew, as the
peer has done.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from bgp.bfd.session import Session, Spec, Verdict
from bgp.bfd.state import State

VERSION: Final = 1
_MICRO: Final = 1e-6
_NUMBERS: Final = (
    "diagnostic",
    "your_discriminator",
    "remote_diagnostic",
    "remote_multiplier",
    "remote_rx_us",
    "remote_tx_us",
    "desired_tx_us",
    "active_tx_us",
    "active_rx_us",
    "ups",
    "downs",
)
_FLAGS: Final = ("polling", "remote_demand")


class SavedError(ValueError):
    """A text that is no state of ours; nothing of it is used."""


def render(sessions: Iterable[Session], boot_id: str) -> bytes:
    """Write the sessions; whatever changes with every packet stays out."""
    return json.dumps(
        {
            "version": VERSION,
            "boot_id": boot_id,
            "sessions": [_freeze(session) for session in sessions],
        }
    ).encode()


def parse(text: bytes, *, boot_id: str, alive_at: float, now: float) -> tuple[Session, ...]:
    """Read the sessions to go on with. Raises SavedError.

    `alive_at` is when the old daemon was last seen alive; times are CLOCK_MONOTONIC, which
    means nothing after a reboot: hence `boot_id`.
    """
    try:
        top = json.loads(text)
        if top["version"] != VERSION or top["boot_id"] != boot_id:
            return ()
        return tuple(_thaw(item, alive_at=alive_at, now=now) for item in top["sessions"])
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise SavedError(f"not a saved state: {error!r}") from error


def _freeze(session: Session) -> dict[str, Any]:
    return {
        "spec": session.spec._asdict(),
        "my_discriminator": session.my_discriminator,
        "source_port": session.source_port,
        "state": session.state,
        "remote_state": session.remote_state,
        "verdict": session.verdict,
        "reason": session.reason,
        "changed_at": session.changed_at,
        "lost_at": session.lost_at,
        **{name: getattr(session, name) for name in (*_NUMBERS, *_FLAGS)},
    }


def _thaw(item: dict[str, Any], *, alive_at: float, now: float) -> Session:
    spec = Spec(**item["spec"])
    numbers = {name: int(item[name]) for name in _NUMBERS}
    session = Session(
        spec,
        my_discriminator=int(item["my_discriminator"]),
        source_port=int(item["source_port"]),
        now=now,
    )
    session.reason = str(item["reason"])
    session.ups, session.downs = numbers["ups"], numbers["downs"]
    verdict = Verdict(item["verdict"])
    if verdict is Verdict.LOST:
        session.verdict, session.lost_at = verdict, float(item["lost_at"])
    patience_us = spec.multiplier * max(numbers["active_tx_us"], numbers["remote_rx_us"])
    in_time = 0 <= now - alive_at < patience_us * _MICRO
    if State(item["state"]) is not State.UP or not in_time:
        return session
    for name, number in numbers.items():
        setattr(session, name, number)
    for name in _FLAGS:
        setattr(session, name, bool(item[name]))
    session.state = State.UP
    session.remote_state = State(item["remote_state"])
    session.verdict = verdict
    session.changed_at = float(item["changed_at"])
    # What the peer sent meanwhile found no socket: it gets a whole detection time.
    session.detect_at = now + session.detection_us * _MICRO
    return session
