from __future__ import annotations

from itertools import count

import pytest

from tests.support.wait import NotYetError, wait_until


def test_returns_the_first_truthy_value() -> None:
    numbers = count()
    assert wait_until(lambda: next(numbers), deadline_s=1, what="a number") == 1


def test_says_what_it_last_saw() -> None:
    with pytest.raises(AssertionError, match=r"two links: not within 0 s; last seen: \['eth0'\]"):
        wait_until(lambda: _not_yet(["eth0"]), deadline_s=0, what="two links")


def test_other_exceptions_pass_through() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 // 0, deadline_s=1, what="never")


def _not_yet(state: list[str]) -> bool:
    raise NotYetError(state)
