"""State: the state machine of RFC 5880 section 6.2 and 6.8.6 as a table. PURE.

The table is total: every input in every state has an entry, and a test counts them.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple


class State(IntEnum):
    """Session states with their numbers on the wire (RFC 5880 section 4.1)."""

    ADMIN_DOWN = 0
    DOWN = 1
    INIT = 2
    UP = 3


class Diagnostic(IntEnum):
    """Why the local state last changed (RFC 5880 section 4.1)."""

    NONE = 0
    EXPIRED = 1
    ECHO_FAILED = 2
    NEIGHBOR_DOWN = 3
    FORWARDING_RESET = 4
    PATH_DOWN = 5
    CONCATENATED_PATH_DOWN = 6
    ADMIN_DOWN = 7
    REVERSE_CONCATENATED_PATH_DOWN = 8


WORDS: Final = (
    "no diagnostic",
    "control detection time expired",
    "echo function failed",
    "neighbor signaled session down",
    "forwarding plane reset",
    "path down",
    "concatenated path down",
    "administratively down",
    "reverse concatenated path down",
)
"""The RFC's names, by code."""


class Input(StrEnum):
    """What moves a session."""

    RECEIVED_ADMIN_DOWN = "received admin down"
    RECEIVED_DOWN = "received down"
    RECEIVED_INIT = "received init"
    RECEIVED_UP = "received up"
    EXPIRED = "detection time expired"
    DISABLE = "disable"
    ENABLE = "enable"


RECEIVED: Final = (
    Input.RECEIVED_ADMIN_DOWN,
    Input.RECEIVED_DOWN,
    Input.RECEIVED_INIT,
    Input.RECEIVED_UP,
)
"""The input that a packet is, by the state it carries."""


class Move(NamedTuple):
    """Where an input leads; `diagnostic` is set only if the state changes."""

    state: State
    diagnostic: Diagnostic = Diagnostic.NONE


_STAY_ADMIN_DOWN: Final = Move(State.ADMIN_DOWN, Diagnostic.ADMIN_DOWN)
_STAY_DOWN: Final = Move(State.DOWN)
_LOST: Final = Move(State.DOWN, Diagnostic.NEIGHBOR_DOWN)
_SILENT: Final = Move(State.DOWN, Diagnostic.EXPIRED)
_UP: Final = Move(State.UP)
_INIT: Final = Move(State.INIT)

TRANSITIONS: Final[dict[tuple[State, Input], Move]] = {
    (State.ADMIN_DOWN, Input.RECEIVED_ADMIN_DOWN): _STAY_ADMIN_DOWN,
    (State.ADMIN_DOWN, Input.RECEIVED_DOWN): _STAY_ADMIN_DOWN,
    (State.ADMIN_DOWN, Input.RECEIVED_INIT): _STAY_ADMIN_DOWN,
    (State.ADMIN_DOWN, Input.RECEIVED_UP): _STAY_ADMIN_DOWN,
    (State.ADMIN_DOWN, Input.EXPIRED): _STAY_ADMIN_DOWN,
    (State.ADMIN_DOWN, Input.DISABLE): _STAY_ADMIN_DOWN,
    (State.ADMIN_DOWN, Input.ENABLE): _STAY_DOWN,
    (State.DOWN, Input.RECEIVED_ADMIN_DOWN): _STAY_DOWN,
    (State.DOWN, Input.RECEIVED_DOWN): _INIT,
    (State.DOWN, Input.RECEIVED_INIT): _UP,
    (State.DOWN, Input.RECEIVED_UP): _STAY_DOWN,
    (State.DOWN, Input.EXPIRED): _STAY_DOWN,
    (State.DOWN, Input.DISABLE): _STAY_ADMIN_DOWN,
    (State.DOWN, Input.ENABLE): _STAY_DOWN,
    (State.INIT, Input.RECEIVED_ADMIN_DOWN): _LOST,
    (State.INIT, Input.RECEIVED_DOWN): _INIT,
    (State.INIT, Input.RECEIVED_INIT): _UP,
    (State.INIT, Input.RECEIVED_UP): _UP,
    (State.INIT, Input.EXPIRED): _SILENT,
    (State.INIT, Input.DISABLE): _STAY_ADMIN_DOWN,
    (State.INIT, Input.ENABLE): _INIT,
    (State.UP, Input.RECEIVED_ADMIN_DOWN): _LOST,
    (State.UP, Input.RECEIVED_DOWN): _LOST,
    (State.UP, Input.RECEIVED_INIT): _UP,
    (State.UP, Input.RECEIVED_UP): _UP,
    (State.UP, Input.EXPIRED): _SILENT,
    (State.UP, Input.DISABLE): _STAY_ADMIN_DOWN,
    (State.UP, Input.ENABLE): _UP,
}
