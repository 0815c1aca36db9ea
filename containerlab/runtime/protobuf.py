"""As much of the protocol buffers encoding as a CRI client needs (protobuf.dev, "Encoding").

A message type is a table from field names to fields. Values are plain: str, int, bool, a mapping
for a message or a map, a list for a repeated field. Unknown fields are skipped, absent ones stay
absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

_VARINT, _LENGTH = 0, 2


class Scalar(Enum):
    """Kinds of fields that are no message."""

    STRING = "string"
    INTEGER = "integer"  # also bool and enum; not for negative numbers
    TEXT_MAP = "map<string, string>"


Kind: TypeAlias = "Scalar | Mapping[str, Field]"
Message: TypeAlias = "Mapping[str, Field]"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message type."""

    number: int
    kind: Kind = Scalar.STRING
    repeated: bool = False


_ENTRY: Message = {"key": Field(1), "value": Field(2)}


def encode(message: Message, values: Mapping[str, Any]) -> bytes:
    """Return the encoded message; KeyError for a field that the type does not have."""
    return b"".join(_encode_field(message[name], value) for name, value in values.items())


def _encode_field(field: Field, value: Any) -> bytes:
    if field.kind is Scalar.TEXT_MAP:
        entries = [{"key": key, "value": text} for key, text in value.items()]
        return _encode_field(Field(field.number, _ENTRY, repeated=True), entries)
    if field.repeated:
        single = Field(field.number, field.kind)
        return b"".join(_encode_field(single, item) for item in value)
    if field.kind is Scalar.INTEGER:
        return _varint(field.number << 3 | _VARINT) + _varint(int(value))
    content = value.encode() if field.kind is Scalar.STRING else encode(field.kind, value)
    return _varint(field.number << 3 | _LENGTH) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def decode(message: Message, data: bytes) -> dict[str, Any]:
    """Return the fields that are there; ValueError for a wire type that CRI does not use."""
    by_number = {field.number: (name, field) for name, field in message.items()}
    values: dict[str, Any] = {}
    for number, raw in _fields(data):
        name, field = by_number.get(number, ("", None))
        if field is None:
            continue
        if field.kind is Scalar.TEXT_MAP:
            entry = decode(_ENTRY, _bytes(raw))
            values.setdefault(name, {})[entry.get("key", "")] = entry.get("value", "")
        elif field.repeated:
            values.setdefault(name, []).append(_decode_value(field.kind, raw))
        else:
            values[name] = _decode_value(field.kind, raw)
    return values


def _decode_value(kind: Kind, raw: int | bytes) -> Any:
    if not isinstance(kind, Scalar):
        return decode(kind, _bytes(raw))
    return raw if kind is Scalar.INTEGER else _bytes(raw).decode()


def _bytes(raw: int | bytes) -> bytes:
    if isinstance(raw, int):
        raise ValueError("a number where bytes belong")
    return raw


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, at = _read_varint(data, at)
        if tag & 7 == _VARINT:
            yield tag >> 3, number
        elif tag & 7 == _LENGTH:
            yield tag >> 3, data[at : at + number]
            at += number
        else:
            raise ValueError(f"wire type {tag & 7}")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return number, at
