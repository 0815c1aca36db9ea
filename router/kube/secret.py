"""Passwords by reference to Secrets of our own namespace. SHELL.

Read one by one with `get` (no list, no watch: the least right that serves), again every few
minutes for rotation, and sooner while one is missing. What was read once stays in force when
the API server or the Secret goes away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bgp.secret import Secret, SecretError
from router.kube import convert
from router.kube.client import Api, Call
from router.kube.clock import Clock
from router.kube.errors import KubeError, RefusedError
from router.kube.pace import Backoff, Pace
from router.model.node import SecretRef

_REFRESH_S: Final = 300.0
_NOT_FOUND: Final = 404


@dataclass(slots=True, kw_only=True)
class SecretReader:
    """Keeps the wanted keys of Secrets at hand."""

    api: Api
    namespace: str
    pace: Pace
    clock: Clock
    changed: Callable[[], None]
    found: dict[SecretRef, Secret] = field(default_factory=dict)
    problems: dict[SecretRef, str] = field(default_factory=dict)
    """Why a wanted key has no newest value; the texts never hold a password."""
    _wanted: frozenset[SecretRef] = frozenset()
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        """Want nothing yet."""
        self._backoff = Backoff(self.pace)

    def want(self, refs: frozenset[SecretRef]) -> None:
        """Take the references of the configuration in force."""
        if refs != self._wanted:
            self._wanted = refs
            self._woken.set()

    async def follow(self) -> None:
        """Never return; end by cancellation."""
        while True:
            delay_s = await self._read() if self._wanted else None
            await self.clock.pause(self._woken, delay_s)

    async def _read(self) -> float:
        """Read every wanted Secret once; return when to read again."""
        before = dict(self.found), dict(self.problems)
        wanted = self._wanted
        failed = False
        for name in sorted({ref.name for ref in wanted}):
            refs = [ref for ref in wanted if ref.name == name]
            try:
                values = await self._get(name)
            except KubeError as error:
                failed = True
                self._note(refs, error)
            else:
                for ref in refs:
                    failed = not self._take(ref, values) or failed
        for forgotten in (self.found.keys() | self.problems.keys()) - wanted:
            self.found.pop(forgotten, None)
            self.problems.pop(forgotten, None)
        if before != (self.found, self.problems):
            self.changed()
        if failed:
            return self._backoff.delay_s(self.clock.fraction())
        self._backoff.succeed()
        return _REFRESH_S * (1.0 - self.clock.fraction() / 5)

    async def _get(self, name: str) -> Mapping[str, bytes]:
        path = f"/api/v1/namespaces/{self.namespace}/secrets/{name}"
        answer = await self.api.request(Call(method="GET", path=path), self.pace.request_s)
        return convert.secret_values(answer)

    def _note(self, refs: list[SecretRef], error: KubeError) -> None:
        gone = isinstance(error, RefusedError) and error.status == _NOT_FOUND
        for ref in refs:
            text = f"there is no Secret {ref.name} in {self.namespace}" if gone else str(error)
            self.problems[ref] = text

    def _take(self, ref: SecretRef, values: Mapping[str, bytes]) -> bool:
        value = values.get(ref.key)
        if value is None:
            self.problems[ref] = f"the Secret {ref.name} has no key {ref.key}"
            return False
        try:
            self.found[ref] = Secret(value.rstrip(b"\r\n"))
        except SecretError as error:
            self.problems[ref] = f"the Secret {ref.name}, key {ref.key}: {error}"
            return False
        self.problems.pop(ref, None)
        return True
