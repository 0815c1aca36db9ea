"""What a peer announces and withdraws, judged and put into its Adj-RIB-In. PURE.

`changed` collects the prefixes whose usable paths have changed, in the order in which they came:
that is the order in which they lie in memory, and whatever is done for all of them in another one
takes four times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Final

from bgp.adjribin import Table
from bgp.event import Change, Series
from bgp.filtering import importing
from bgp.nlri import IPV4, IPV6, Prefix
from bgp.path import Attributes
from bgp.peer import PeerSettings
from bgp.policy import ImportPolicy

Tables = Mapping[int, Table]
Judge = Callable[[Prefix], str]
_PACKED_PATH: Final = itemgetter(1)
_MANY: Final = 16
"""Prefixes of an UPDATE from which on it pays to look at them together first."""
Changed = dict[Prefix, None]
"""A set in order of arrival."""


def withdraw(tables: Tables, withdrawn: Iterable[Prefix], changed: Changed) -> None:
    """Forget these prefixes."""
    for prefix in withdrawn:
        table = tables[prefix[0]]
        if table.accepted.pop(prefix, None) is not None:
            changed[prefix] = None
            table.stale.discard(prefix)
        else:
            table.rejected.pop(prefix, None)
    if tables[IPV4].raw or tables[IPV6].raw:
        for prefix in withdrawn:
            tables[prefix[0]].raw.pop(prefix, None)


def take(
    tables: Tables,
    changes: Iterable[Change | Series],
    policy: ImportPolicy,
    settings: PeerSettings,
    changed: Changed,
) -> None:
    """Take in what the peer announces and withdraws."""
    singles: list[Change] = []
    for change in changes:
        if not isinstance(change, Series):
            singles.append(change)
            continue
        _take_each(tables, singles, policy, settings, changed)
        singles = []
        if not _take_series(tables, change, policy, settings, changed):
            _take_each(tables, change.each(), policy, settings, changed)
    _take_each(tables, singles, policy, settings, changed)


def _take_each(
    tables: Tables,
    changes: Iterable[Change],
    policy: ImportPolicy,
    settings: PeerSettings,
    changed: Changed,
) -> None:
    if settings.import_filter is None:
        _take_guarded(tables, changes, policy, settings, changed)
        return
    for attributes, announced, withdrawn in changes:
        if withdrawn:
            withdraw(tables, withdrawn, changed)
        if announced and attributes is not None:
            judge = policy.judge(attributes, *loop_bounds(settings))
            announce_filtered(tables, attributes, announced, judge, settings, changed)


def _take_guarded(
    tables: Tables,
    changes: Iterable[Change],
    policy: ImportPolicy,
    settings: PeerSettings,
    changed: Changed,
) -> None:
    """Take what the guard alone judges: the hot path, without a call for each message."""
    own = settings.local_asn.to_bytes(4, "big")
    guard = policy.guard
    for attributes, announced, withdrawn in changes:
        if withdrawn:
            withdraw(tables, withdrawn, changed)
        if (
            not announced
            or attributes is None
            or (
                len(announced) >= _MANY
                and _take_new(tables, attributes, announced, policy, own, changed)
            )
        ):
            continue
        judge = guard
        common, packed_path = attributes
        if own in packed_path or common.as_sets:
            judge = policy.judge(attributes, *loop_bounds(settings))
        for prefix in announced:
            table = tables[prefix[0]]
            reason = judge(prefix)
            if reason or table.rejected:
                if table.store(prefix, attributes, reason):
                    changed[prefix] = None
            else:
                before = table.accepted.get(prefix)
                if before is not attributes and before != attributes:
                    table.accepted[prefix] = attributes
                    changed[prefix] = None
            if table.stale:
                table.stale.discard(prefix)


def _take_new(
    tables: Tables,
    attributes: Attributes,
    announced: Sequence[Prefix],
    policy: ImportPolicy,
    own: bytes,
    changed: Changed,
) -> bool:
    """Take prefixes that the peer had not announced, if the guard surely accepts them all.

    What a session begins with, without a line of Python for each. False: nothing is taken, each has
    to be looked at.
    """
    table = tables[announced[0].family]
    # Octets that look like our AS, or sets: the loop has to be looked for.
    if own in attributes.packed_path or attributes.as_sets:
        return False
    if not _are_new(table, announced, policy):
        return False
    table.accepted.update(zip(announced, repeat(attributes), strict=False))
    changed.update(zip(announced, repeat(None), strict=False))
    return True


def _take_series(
    tables: Tables,
    series: Series,
    policy: ImportPolicy,
    settings: PeerSettings,
    changed: Changed,
) -> bool:
    """Do the same with a series."""
    attributes, announced = series
    own = settings.local_asn.to_bytes(4, "big")
    if settings.import_filter is not None or attributes[0].as_sets:
        return False
    # Also found across two paths; then each is looked at for nothing.
    if own in b"".join(map(_PACKED_PATH, attributes)):
        return False
    table = tables[announced[0].family]
    if not _are_new(table, announced, policy):
        return False
    table.accepted.update(zip(announced, attributes, strict=True))
    changed.update(zip(announced, repeat(None), strict=False))
    return True


def _are_new(table: Table, announced: Sequence[Prefix], policy: ImportPolicy) -> bool:
    if table.rejected or table.stale or any(map(table.accepted.get, announced)):
        return False
    return policy.surely_accepts(announced)


def announce_filtered(
    tables: Tables,
    attributes: Attributes,
    announced: Iterable[Prefix],
    judge: Judge,
    settings: PeerSettings,
    changed: Changed,
) -> None:
    """Take prefixes that the peer's filter judges after the guard, which it cannot overrule."""
    wanted = settings.import_filter
    filtered = importing(wanted, settings.name, attributes) if wanted is not None else None
    for prefix in announced:
        table = tables[prefix[0]]
        reason, made = judge(prefix), attributes
        if filtered is not None and not reason:
            reason, made = filtered(prefix)
        if table.store(prefix, made, reason):
            changed[prefix] = None
        if made is attributes:
            table.raw.pop(prefix, None)
        else:
            table.raw[prefix] = attributes
        table.stale.discard(prefix)


def judge_again(
    tables: Tables, policy: ImportPolicy, settings: PeerSettings, changed: Changed
) -> None:
    """Judge everything the peer announced by another policy; no route refresh is needed."""
    for table in tables.values():
        stale = set(table.stale)
        for prefix, attributes in [*table.as_received()]:
            judge = policy.judge(attributes, *loop_bounds(settings))
            announce_filtered(tables, attributes, (prefix,), judge, settings, changed)
        table.stale = stale & table.accepted.keys()


def loop_bounds(settings: PeerSettings) -> tuple[int, int]:
    """Give our AS towards the peer, and how often it may stand in a path."""
    return settings.local_asn, settings.allow_own_asn


def judged_by(settings: PeerSettings) -> tuple[object, ...]:
    """Give what of the peer's settings its paths are judged by."""
    return *loop_bounds(settings), settings.import_filter
