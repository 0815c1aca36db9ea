"""Import guard: which learned paths may become routes of this node. PURE.

The default is narrow (a peer's mistake must not take a node off the network): only prefixes
inside the declared cluster prefixes and within their length bounds, never one that equals,
covers or lies inside the node's own CIDRs and addresses or its service ranges, never an address
that nodes announce for a Service, never link-local, loopback, multicast or unspecified space,
never a default route unless it was asked for, never a path that already went through our own AS
(RFC 4271 section 9.1.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, NamedTuple

from bgp.accept_rule import AcceptRule, PolicyError
from bgp.nlri import BITS, Prefix
from bgp.path import Attributes

__all__ = [
    "AS_LOOP",
    "MARTIANS",
    "AcceptRule",
    "ImportPolicy",
    "PolicyError",
    "Verdict",
    "cluster_rule",
]

MARTIANS = tuple(
    Prefix.parse(text)
    for text in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/3",
        "::/128",
        "::1/128",
        "::ffff:0:0/96",
        "fe80::/10",
        "ff00::/8",
    )
)
"""Never a destination between nodes (RFC 6890), whatever the operator configures."""

_LENGTH: Final = itemgetter(2)
AS_LOOP = "own ASN in AS path"
"""The reason for refusing a loop."""


SERVICE_ADDRESS = "is the address of a Service"
"""The reason for refusing one: this node reaches it through its own kube-proxy."""


class Verdict(NamedTuple):
    """The answer to one path: accepted, or the reason in words."""

    accepted: bool
    reason: str = ""


ACCEPTED = Verdict(True)


class _Denied(NamedTuple):
    """A prefix that clashes with those inside it and those around it."""

    length: int
    shift: int
    top: int
    """Its own bits: what `shift` leaves of its network."""
    prefix: Prefix
    kind: str


class _Rule(NamedTuple):
    """A rule made ready for a few integer operations per path."""

    shift: int
    network: int
    low: int
    high: int
    denied: tuple[_Denied, ...]
    """What may clash with a prefix that the rule takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPolicy:
    """What this node accepts from its peers; build anew when any part of it changes."""

    cluster: tuple[AcceptRule, ...] = ()
    """Pod and node-address ranges of the cluster with their length bounds."""
    own: tuple[Prefix, ...] = ()
    """The node's own pod CIDRs and addresses."""
    services: tuple[Prefix, ...] = ()
    """Service ranges: kube-proxy's business, never a learned route."""
    service_addresses: frozenset[Prefix] = frozenset()
    """Host prefixes of Services that nodes announce: those alone, a range around one is fine."""
    also_accept: tuple[AcceptRule, ...] = ()
    accept_default: bool = False
    _rules: dict[int, tuple[_Rule, ...]] = field(init=False, repr=False, compare=False)
    _denied: dict[int, tuple[tuple[Prefix, str], ...]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        denied = (
            *((prefix, "own") for prefix in sorted(self.own)),
            *((prefix, "service range") for prefix in sorted(self.services)),
            *((prefix, "special-purpose range") for prefix in MARTIANS),
        )
        rules = {
            family: tuple(
                _Rule(
                    BITS[family] - r.prefix.length,
                    _top(r.prefix),
                    *r.bounds,
                    tuple(_denied(*d) for d in denied if d[0].overlaps(r.prefix)),
                )
                for r in (*self.cluster, *self.also_accept)
                if r.prefix.family == family
            )
            for family in BITS
        }
        object.__setattr__(self, "_rules", rules)
        object.__setattr__(
            self, "_denied", {f: tuple(d for d in denied if d[0].family == f) for f in BITS}
        )

    def evaluate(
        self, prefix: Prefix, attributes: Attributes, local_asn: int, own_asns: int = 0
    ) -> Verdict:
        """Judge one path from a peer whose session uses `local_asn` on our side.

        Depends on nothing but its arguments and this policy.
        """
        reason = self.judge(attributes, local_asn, own_asns)(prefix)
        return Verdict(False, reason) if reason else ACCEPTED

    def judge(
        self, attributes: Attributes, local_asn: int, own_asns: int = 0
    ) -> Callable[[Prefix], str]:
        """Give what judges each prefix that has these attributes: the reason, or "" to accept.

        `own_asns` is how often our AS may stand in the path. Under half a microsecond for what is
        accepted.
        """
        # Octets that look like the number need not be one: it is counted then.
        sets = attributes.common.as_sets
        if sets or local_asn.to_bytes(4, "big") in attributes.packed_path:
            found = attributes.as_path.count(local_asn)
            found += sum(local_asn in members for members in sets)
            if found > own_asns:
                return _refuse_loop
        return self.guard

    @property
    def guard(self) -> Callable[[Prefix], str]:
        """What judges a prefix whatever its attributes: why it is refused, "" if it is not."""
        return self._why_not_with_services if self.service_addresses else self._why_not

    def surely_accepts(self, prefixes: Sequence[Prefix]) -> bool:
        """Tell that the guard accepts them all; False may also mean that each has to be asked for.

        For prefixes of one length between two that one rule takes, only the clashes are left to
        look for, and with a range that is not shorter only one of the prefixes can clash.
        """
        (family, lowest, length), highest = min(prefixes), max(prefixes)
        if not length or highest.family != family or set(map(_LENGTH, prefixes)) != {length}:
            return False
        if not self.service_addresses.isdisjoint(prefixes):
            return False
        for shift, top, low, high, denied in self._rules[family]:
            if lowest >> shift == top == highest.network >> shift and low <= length <= high:
                return not any(_may_clash(one, prefixes, lowest, highest) for one in denied)
        return False

    def _why_not_with_services(self, prefix: Prefix) -> str:
        return SERVICE_ADDRESS if prefix in self.service_addresses else self._why_not(prefix)

    def _why_not(self, prefix: Prefix) -> str:
        family, network, length = prefix
        if length:
            for shift, top, low, high, denied in self._rules[family]:
                if network >> shift == top and low <= length <= high:
                    for longest, own_shift, own_top, other, kind in denied:
                        if length >= longest:
                            if network >> own_shift != own_top:
                                continue
                        elif other.network >> (at := BITS[family] - length) != network >> at:
                            continue
                        return _clash(prefix, other, kind)
                    return ""
        return self._explain(prefix)

    def _explain(self, prefix: Prefix) -> str:
        """Say why a prefix that no rule takes is refused; "" for a default route asked for."""
        family, network, length = prefix
        if length == 0:
            return "" if self.accept_default else "a default route, and none is asked for"
        for denied, kind in self._denied[family]:
            if denied.overlaps(prefix):
                return _clash(prefix, denied, kind)
        if any(network >> shift == top for shift, top, *_ in self._rules[family]):
            return f"length {length} is out of bounds"
        return "outside the cluster prefixes"


def _may_clash(denied: _Denied, prefixes: Sequence[Prefix], lowest: int, highest: Prefix) -> bool:
    """Whether one of the prefixes, which have one length and lie between these, may clash."""
    family, network, length = highest
    if length > denied.length:
        return lowest >> denied.shift <= denied.top <= network >> denied.shift
    spare = BITS[family] - length
    return Prefix(family, denied.prefix.network >> spare << spare, length) in prefixes


def _refuse_loop(_: Prefix) -> str:
    return AS_LOOP


def _denied(prefix: Prefix, kind: str) -> _Denied:
    shift = BITS[prefix.family] - prefix.length
    return _Denied(prefix.length, shift, prefix.network >> shift, prefix, kind)


def _top(prefix: Prefix) -> int:
    return prefix.network >> (BITS[prefix.family] - prefix.length)


def _clash(prefix: Prefix, denied: Prefix, kind: str) -> str:
    relation = "is" if prefix == denied else "inside" if denied.covers(prefix) else "covers"
    what = kind
    if kind == "own":
        is_host = denied.length == BITS[denied.family]
        what = "own address" if is_host else "own pod CIDR"
    return f"{relation} {what} {denied}"


def cluster_rule(prefix: Prefix, *, hosts_only: bool = False) -> AcceptRule:
    """Give the usual bounds: pod CIDRs up to /28 or /124, or host routes only.

    A pod range accepts anything from itself down to blocks of 16 addresses; a range of node
    addresses accepts only /32 and /128.
    """
    bits = BITS[prefix.family]
    if hosts_only:
        return AcceptRule(prefix=prefix, ge=bits, le=bits)
    return AcceptRule(prefix=prefix, ge=prefix.length, le=max(prefix.length, bits - 4))
