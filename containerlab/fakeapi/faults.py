"""Faults to switch on in the fake API server, from a test or over its control pipe."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Literal

Action = Literal["status", "delay", "hang", "reset", "garbage", "truncate"]


@dataclass(slots=True, kw_only=True)
class Rule:
    """What happens to requests that match.

    status: answer with this error. delay: answer late. hang: take the request and never
    answer. reset: cut the connection (RST) before any answer. garbage: 200 and no JSON.
    truncate (watches): send half an event, then cut.
    """

    action: Action
    status: int = 503
    retry_after_s: int | None = None
    seconds: float = 0.0
    verbs: tuple[str, ...] = ()
    """get, list, watch, create, update, patch, delete; empty means all."""
    path: str = ""
    """Part of the path."""
    count: int | None = None
    """For how many requests; None for all until cleared."""

    def matches(self, verb: str, path: str) -> bool:
        """Whether the rule is about such a request."""
        return (not self.verbs or verb in self.verbs) and self.path in path


@dataclass(slots=True)
class Faults:
    """The rules in force; the first that matches is used."""

    _rules: list[Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    cleared: threading.Event = field(default_factory=threading.Event)
    """Set by `clear`: whoever hangs is let go."""

    def add(self, rule: Rule) -> None:
        """Switch a fault on."""
        with self._lock:
            self.cleared.clear()
            self._rules.append(rule)

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._rules.clear()
            self.cleared.set()

    def take(self, verb: str, path: str, *, truncate: bool = False) -> Rule | None:
        """Return the rule for a request, if one matches; or for an event of a watch."""
        with self._lock:
            for rule in self._rules:
                if (rule.action == "truncate") is not truncate:
                    continue
                if rule.matches(verb, path) and rule.count != 0:
                    if rule.count is not None:
                        rule.count -= 1
                    return rule
        return None


def rule_of(raw: dict[str, Any]) -> Rule:
    """Read a rule from JSON."""
    return Rule(**{**raw, "verbs": tuple(raw.get("verbs", ()))})
