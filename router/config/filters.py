"""`import.filters` and `export.filters` of a document: names, each with a list of terms. PURE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bgp.accept_rule import AcceptRule, PolicyError
from bgp.decision import Selection
from bgp.filter import MAX_PREPEND, Action, Change, Filter, Match, Term
from bgp.nlri import Prefix
from router.config import words
from router.config.document import Section
from router.config.peer_names import PeerNames
from router.config.words import community, large_community

NO_FILTER: Final = "none"
_MAX_U32: Final = 2**32 - 1
_MAX_PATH: Final = 1000
_OF_PATHS: Final = (
    "communities",
    "large_communities",
    "origin_asn",
    "contains_asn",
    "as_path_length",
    "next_hop",
)
"""What announcements of our own do not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The filters of one direction, and the one for peers that name none."""

    by_name: Mapping[str, Filter] = field(default_factory=dict)
    usual: Filter | None = None
    where: str = ""

    def named(self, text: str) -> Filter | None:
        """Return the filter of this name; `none` is none at all. Raises ValueError."""
        if text == NO_FILTER:
            return None
        if text not in self.by_name:
            known = ", ".join(sorted(self.by_name)) or "there are none"
            raise ValueError(f"no filter {text!r} under {self.where}.filters (known: {known})")
        return self.by_name[text]


def read_filters(section: Section, peers: PeerNames, *, is_import: bool) -> Filters:
    """Read `filters` and `filter` of the section `import` or `export`."""
    names = section.section("filters")
    by_name: dict[str, Filter] = {}
    for name in names.given():
        if name == NO_FILTER:
            names.problem("is what a peer says to have no filter", names.node_of(name), name)
        terms = tuple(_term(item, peers, is_import=is_import) for item in names.sections(name))
        by_name[name] = Filter(name=name, terms=tuple(t for t in terms if t is not None))
    filters = Filters(by_name=by_name, where=section.path)
    usual = section.value("filter", filters.named, None)
    return Filters(by_name=by_name, usual=usual, where=section.path)


def read_selection(imports: Section) -> Selection:
    """Read which of equal paths are used together."""
    return Selection(
        strict=imports.value("multipath_as_path", _strictness, False),
        limit=imports.value("multipath", words.integer(1, 256), None),
    )


def _strictness(text: str) -> bool:
    if text not in ("relaxed", "strict"):
        raise ValueError(f"{text!r} must be relaxed or strict")
    return text == "strict"


def _term(item: Section, peers: PeerNames, *, is_import: bool) -> Term | None:
    before = len(item.problems)
    match = _match(item.section("match"), peers, is_import=is_import)
    action = item.value("action", words.choice(Action), Action.NEXT)
    reason = item.value("reason", _reason, "")
    change = _change(item.section("set"), is_import=is_import)
    if action is Action.NEXT and not item.has("set"):
        item.problem("does nothing: give an action (accept or reject), or something to set")
    item.finish()
    if len(item.problems) > before:
        return None
    try:
        return Term(match=match, action=action, reason=reason, change=change)
    except PolicyError as error:
        item.problem(str(error))
        return None


def _match(section: Section, peers: PeerNames, *, is_import: bool) -> Match:
    if not is_import:
        _refuse(section, _OF_PATHS, "for import only: what we announce begins here")
    next_hops = section.values("next_hop", words.prefix_or_address)
    found = Match(
        prefixes=accept_rules(section, "prefixes"),
        communities=frozenset(section.values("communities", community)),
        large_communities=frozenset(section.values("large_communities", large_community)),
        origin_asns=frozenset(section.values("origin_asn", words.asn)),
        contains_asns=frozenset(section.values("contains_asn", words.asn)),
        as_path_length=_bounds(section),
        next_hops=next_hops,
        peers=frozenset(section.values("peers", peers.read)),
    )
    section.finish()
    return found


def _refuse(section: Section, keys: tuple[str, ...], why: str) -> None:
    for key in keys:
        if section.has(key):
            section.problem(why, section.node_of(key), key)


def _bounds(section: Section) -> tuple[int, int] | None:
    if not section.has("as_path_length"):
        return None
    length = section.section("as_path_length")
    low = length.value("ge", words.integer(0, _MAX_PATH), 0)
    high = length.value("le", words.integer(0, _MAX_PATH), _MAX_PATH)
    if low > high:
        length.problem(f"ge {low} is above le {high}")
    length.finish()
    return low, high


def _change(section: Section, *, is_import: bool) -> Change:
    if is_import:
        _refuse(section, ("med", "prepend"), "for export only")
    else:
        _refuse(section, ("local_preference",), "for import only")
    number: Callable[[str], int] = words.integer(0, _MAX_U32)
    found = Change(
        add_communities=section.values("add_communities", community),
        remove_communities=frozenset(section.values("remove_communities", community)),
        add_large_communities=section.values("add_large_communities", large_community),
        remove_large_communities=frozenset(
            section.values("remove_large_communities", large_community)
        ),
        local_preference=section.value("local_preference", number, None),
        med=section.value("med", number, None),
        prepend=section.value("prepend", words.integer(1, MAX_PREPEND), 0),
    )
    section.finish()
    return found


def accept_rules(section: Section, key: str) -> tuple[AcceptRule, ...]:
    """Read a list of `{prefix, ge, le}`."""
    rules: list[AcceptRule] = []
    for item in section.sections(key):
        prefix: Prefix | None = item.required("prefix", words.prefix, None)
        low = item.value("ge", words.integer(0, 128), None)
        high = item.value("le", words.integer(0, 128), None)
        item.finish()
        if prefix is not None:
            try:
                rules.append(AcceptRule(prefix=prefix, ge=low, le=high))
            except PolicyError as error:
                item.problem(str(error))
    return tuple(rules)


def _reason(text: str) -> str:
    if not text.isprintable() or not 1 <= len(text) <= 200:
        raise ValueError("must be 1 to 200 printable characters")
    return text
