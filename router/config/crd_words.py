"""Schemas of the words that several objects have; the readers are those of `words`. PURE."""

from __future__ import annotations

from typing import Final

from bgp.filter import MAX_PREPEND
from bgp.peer_rules import MAX_ASN
from router.config import openapi
from router.config.openapi import Schema, listed, mapping, number, rule, string
from router.config.selector import Operator

MAX_U32: Final = 2**32 - 1
_ADDRESS: Final = "^[0-9a-fA-F:.]{2,45}$"
_PREFIX: Final = "^[0-9a-fA-F:.]{2,45}/[0-9]{1,3}$"
_EITHER: Final = "^[0-9a-fA-F:.]{2,45}(/[0-9]{1,3})?$"
_COMMUNITY: Final = "^([0-9]{1,5}:[0-9]{1,5}|graceful_shutdown|blackhole|no_export|no_advertise)$"
_LARGE: Final = "^[0-9]{1,10}:[0-9]{1,10}:[0-9]{1,10}$"
_DOTTED: Final = "[0-9]{1,5}[.][0-9]{1,5}|[0-9]{1,10}"
_MOST: Final = 64


def asn(text: str, *also: str) -> Schema:
    """Return an AS number, plain or dotted, or one of a few words."""
    pattern = f"^({'|'.join((_DOTTED, *also))})$"
    found = openapi.number_or_text(text, pattern=pattern)
    return {**found, "minimum": 1, "maximum": MAX_ASN}


def address(text: str) -> Schema:
    """Return an IPv4 or IPv6 address."""
    return string(text, longest=45, pattern=_ADDRESS)


def prefixes(text: str, *, most: int = _MOST) -> Schema:
    """Return a list of prefixes."""
    return listed(string(longest=49, pattern=_PREFIX), text, most=most)


def prefixes_or_addresses(text: str) -> Schema:
    """Return a list of prefixes or addresses."""
    return listed(string(longest=49, pattern=_EITHER), text, most=_MOST)


def communities(text: str) -> Schema:
    """Return a list of communities."""
    return listed(string(longest=20, pattern=_COMMUNITY), text, most=_MOST)


def large_communities(text: str) -> Schema:
    """Return a list of large communities."""
    return listed(string(longest=32, pattern=_LARGE), text, most=_MOST)


def asns(text: str) -> Schema:
    """Return a list of AS numbers."""
    return listed(asn("AS number."), text, most=_MOST)


def accept_rules(text: str) -> Schema:
    """Return a list of `{prefix, ge, le}`."""
    item = mapping(
        {
            "prefix": string("A prefix; alone exactly that.", longest=49, pattern=_PREFIX),
            "ge": number("Shortest length.", high=128),
            "le": number("Longest length.", high=128),
        },
        required=("prefix",),
        rules=[rule("!has(self.ge) || !has(self.le) || self.ge <= self.le", "ge is above le")],
    )
    return listed(item, text, most=_MOST)


def names(text: str, *, most: int = _MOST) -> Schema:
    """Return a list of names."""
    return listed(string(longest=63, shortest=1), text, most=most)


def prepend() -> Schema:
    """Return how often our AS is put in front."""
    return number("Our AS so many times more, to external peers.", low=1, high=MAX_PREPEND)


def label_key(text: str) -> Schema:
    """Return the key of a label."""
    return string(text, longest=317, shortest=1)


def select() -> Schema:
    """Return a node selector."""
    expression = mapping(
        {
            "key": label_key("Label of the node."),
            "operator": openapi.words("How to look at it.", *Operator),
            "values": listed(string(longest=63), "Values, for In and NotIn.", most=32),
        },
        required=("key", "operator"),
        rules=[
            rule(
                "(self.operator == 'In' || self.operator == 'NotIn') =="
                " (has(self.values) && size(self.values) > 0)",
                "In and NotIn take at least one value, Exists and DoesNotExist none",
            )
        ],
    )
    return mapping(
        {
            "matchLabels": openapi.texts("Labels that a node must have.", longest=63),
            "matchExpressions": listed(expression, "Conditions, all of which hold.", most=16),
        },
        "Which nodes it is for, by their labels; left out, every node.",
    )
