"""What a drain would do from here, step by step, for `--dry-run`. PURE."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from bgp.nlri import Prefix
from router.reconcile.drain import ACKNOWLEDGE_LIMIT_S, Drain, Order


class Mark(NamedTuple):
    """Announce with GRACEFUL_SHUTDOWN."""

    prefixes: tuple[Prefix, ...]
    peers: tuple[str, ...]
    prepend: int

    def describe(self) -> str:
        """Say it in one line."""
        more = f", our AS prepended {self.prepend} times" if self.prepend else ""
        return (
            f"announce {_list(self.prefixes)} to {_list(self.peers)}"
            f" with GRACEFUL_SHUTDOWN (65535:0){more}"
        )


class Await(NamedTuple):
    """Wait for the peers' acknowledgements."""

    peers: tuple[str, ...]

    def describe(self) -> str:
        """Say it in one line."""
        return (
            f"wait until {_list(self.peers)} acknowledged, at most {ACKNOWLEDGE_LIMIT_S:.0f} s each"
        )


class Wait(NamedTuple):
    """Give traffic time to move away."""

    wait_s: float

    def describe(self) -> str:
        """Say it in one line."""
        if math.isinf(self.wait_s):
            return "wait until the agent is told to end"
        return f"wait {self.wait_s:g} s"


class Record(NamedTuple):
    """Write down what outlives the agent."""

    withdrawn: bool

    def describe(self) -> str:
        """Say it in one line."""
        what = "nothing may be announced any more" if self.withdrawn else "the order"
        return f"write down {what}, for restarts and reboots"


class Withdraw(NamedTuple):
    """Withdraw."""

    prefixes: tuple[Prefix, ...]
    peers: tuple[str, ...]

    def describe(self) -> str:
        """Say it in one line."""
        return f"withdraw {_list(self.prefixes)} from {_list(self.peers)}"


Step = Mark | Await | Wait | Record | Withdraw


def plan(
    drain: Drain,
    order: Order,
    *,
    announced: Iterable[Prefix],
    kept: Iterable[Prefix],
    peers: Iterable[str],
) -> tuple[Step, ...]:
    """Return what an order would do from here, in order.

    `kept` of what is `announced` is not withdrawn.
    """
    if drain.is_withdrawn:
        return ()
    prefixes, names = tuple(announced), tuple(peers)
    leaving = tuple(p for p in prefixes if p not in set(kept))
    return (
        Record(withdrawn=False),
        Mark(prefixes, names, order.prepend),
        Await(names),
        Wait(order.wait_s),
        Record(withdrawn=True),
        Withdraw(leaving, names),
        Await(names),
    )


def _list(items: Iterable[object]) -> str:
    return ", ".join(map(str, items)) or "nobody"
