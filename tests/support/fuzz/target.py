"""What a fuzzer needs to know of something that takes hostile bytes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

Run = Callable[[bytes], object]


class BrokenPromiseError(AssertionError):
    """The code under test took the input, and what it made of it is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A parser under fuzz.

    ``modules`` are instrumented. ``load`` is "module:function", imported after that; the function
    returns the one that is executed: it takes one input, and raises whatever the code must not
    raise. What it returns, a small value, tells kinds of outcomes apart. ``weight`` is the target's
    share of the executions. ``is_json``: inputs are documents, behind a ``separator`` if there is
    one.
    """

    name: str
    modules: tuple[str, ...]
    load: str
    seeds: tuple[bytes, ...]
    tokens: tuple[bytes, ...] = ()
    is_json: bool = False
    separator: bytes = b""
    weight: int = 1

    def loaded(self) -> Run:
        """Import what is under test; return the function that is executed."""
        module, _, function = self.load.partition(":")
        run: Run = getattr(importlib.import_module(module), function)()
        return run


def require(condition: bool, what: str) -> None:
    """Raise BrokenPromiseError unless the condition holds."""
    if not condition:
        raise BrokenPromiseError(what)
