"""Mutations of byte strings and of JSON documents. PURE: chance comes in as an argument."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

MAX_BYTES: Final = 16 * 1024
_NUMBERS: Final = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\4\0", b"\1\0\0\0")
_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 1500, 2**31, 2**64, 10**400, 1.5, float("inf"), float("nan")),
    *("", "x", "\0", "\ud800", "a" * 300, "10.0.0.1", "10.0.0.1/24", "::1", "::1/64", "eth0"),
    *([], {}, [[]], [{}], {"": None}, [None], ["10.0.0.1"]),
)


class Mutator:
    """Makes new inputs from those of a corpus."""

    def __init__(
        self,
        chance: random.Random,
        tokens: Sequence[bytes],
        *,
        is_json: bool,
        separator: bytes = b"",
    ) -> None:
        """Take the chance, the tokens of the format, and whether inputs are JSON documents.

        With a separator, what follows it is the document; one of the two parts is changed.
        """
        self._chance = chance
        self._tokens = tokens or (b"\0",)
        self._is_json = is_json
        self._separator = separator
        self._steps: tuple[Callable[[bytearray, Sequence[bytes]], bytearray], ...] = (
            self._flip,
            self._put,
            self._insert_byte,
            self._remove,
            self._insert_token,
            self._overwrite_token,
            self._repeat,
            self._copy,
            self._splice,
            self._number,
            self._truncate,
        )

    def mutate(self, corpus: Sequence[bytes]) -> bytes:
        """Return a new input made from one of the corpus."""
        chance = self._chance
        data = corpus[int(chance.random() * len(corpus))]
        head, separator, document = b"", b"", data
        if self._separator:
            head, separator, document = data.rpartition(self._separator)
        if separator and chance.random() < 0.4:
            return self._change_bytes(head, corpus) + separator + document
        if self._is_json and chance.random() < 0.6:
            changed = self._change_document(document)
            if changed is not None:
                return (head + separator + changed)[:MAX_BYTES]
        return head + separator + self._change_bytes(document, corpus)

    def _change_bytes(self, data: bytes, corpus: Sequence[bytes]) -> bytes:
        made, chance = bytearray(data), self._chance
        steps = self._steps
        for _ in range(1 + int(chance.random() * 4)):
            made = steps[int(chance.random() * len(steps))](made, corpus)
        return bytes(made[:MAX_BYTES])

    def _at(self, data: bytearray) -> int:
        return int(self._chance.random() * (len(data) + 1))

    def _token(self) -> bytes:
        return self._tokens[int(self._chance.random() * len(self._tokens))]

    def _flip(self, data: bytearray, _: Sequence[bytes]) -> bytearray:
        at = self._at(data)
        if at < len(data):
            data[at] ^= 1 << int(self._chance.random() * 8)
        return data

    def _put(self, data: bytearray, _: Sequence[bytes]) -> bytearray:
        at = self._at(data)
        if at < len(data):
            data[at] = int(self._chance.random() * 256)
        return data

    def _insert_byte(self, data: bytearray, _: Sequence[bytes]) -> bytearray:
        data.insert(self._at(data), int(self._chance.random() * 256))
        return data

    def _remove(self, data: bytearray, _: Sequence[bytes]) -> bytearray:
        at = self._at(data)
        del data[at : at + 1 + int(self._chance.random() * 16)]
        return data

    def _insert_token(self, data: bytearray, _: Sequence[bytes]) -> bytearray:
        at = self._at(data)
        data[at:at] = self._token()
        return data

    def _overwrite_token(self, data: bytearray, _: Sequence[bytes]) -> bytearray:
        at, token = self._at(data), self._token()
        data[at : at + len(token)] = token
        return data

    def _repeat(self, data: bytearray, _: Sequence[bytes]) -> bytearray:
        if self._chance.random() < 0.9:
            return data
        at, token = self._at(data), self._token()
        times = min(1 << int(self._chance.random() * 13), MAX_BYTES // max(len(token), 1))
        data[at:at] = token * times
        return data

    def _copy(self, data: bytearray, _: Sequence[bytes]) -> bytearray:
        at, to = self._at(data), self._at(data)
        data[to:to] = data[at : at + 1 + int(self._chance.random() * 32)]
        return data

    def _splice(self, data: bytearray, corpus: Sequence[bytes]) -> bytearray:
        other = corpus[int(self._chance.random() * len(corpus))]
        return data[: self._at(data)] + other[int(self._chance.random() * (len(other) + 1)) :]

    def _number(self, data: bytearray, _: Sequence[bytes]) -> bytearray:
        at = self._at(data)
        data[at : at + 4] = _NUMBERS[int(self._chance.random() * len(_NUMBERS))]
        return data

    def _truncate(self, data: bytearray, _: Sequence[bytes]) -> bytearray:
        del data[self._at(data) :]
        return data

    # JSON

    def _change_document(self, data: bytes) -> bytes | None:
        try:
            document = json.loads(data)
            places = list(_places(document))
            container, key = self._chance.choice(places)
            self._change(container, key, document)
            return json.dumps(document).encode()
        except (ValueError, RecursionError, IndexError):
            return None

    def _change(self, container: Any, key: Any, document: Any) -> None:
        roll = self._chance.random()
        if roll < 0.45:
            container[key] = self._chance.choice(_VALUES)
        elif roll < 0.6:
            del container[key]
        elif roll < 0.75 and isinstance(container, dict):
            name = self._token().decode("utf-8", "replace")
            container[name] = container[key]
        elif roll < 0.85:
            container[key] = [container[key]]
        else:
            other, other_key = self._chance.choice(list(_places(document)))
            container[key] = json.loads(json.dumps(other[other_key]))


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Return (container, key) of every value of a document, at most a thousand."""
    found: list[tuple[Any, Any]] = []
    todo = [document]
    while todo and len(found) < 1000:
        value = todo.pop()
        keys: Sequence[Any] = ()
        if isinstance(value, dict):
            keys = list(value)
        elif isinstance(value, list):
            keys = range(len(value))
        for key in keys:
            found.append((value, key))
            todo.append(value[key])
    return found
