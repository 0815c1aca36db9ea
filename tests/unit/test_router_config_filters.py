"""Filters in the document: what they become, and every error with its line and field."""

from __future__ import annotations

import pytest

from bgp.decision import RELAXED, Selection
from bgp.filter import Action
from bgp.secret import Secret
from router.config.document import ConfigError
from router.config.load import load_settings
from router.config.settings import AgentSettings
from router.config.surroundings import Surroundings
from router.model.fib import Nexthops
from router.model.place import Place

GOOD = """
node: node1
router_id: 10.255.1.1
local_asn: 65201
import:
  multipath: 4
  multipath_as_path: strict
  filter: usual
  filters:
    usual:
      - match:
          prefixes: [{prefix: 10.244.0.0/16, ge: 20, le: 26}]
          communities: ["65101:7", no_export]
          large_communities: "65101:1:2"
          origin_asn: 65300
          contains_asn: [65400, 64512.1]
          as_path_length: {ge: 2, le: 4}
          next_hop: [10.0.0.0/16, 10.9.0.1]
          peers: [tor1]
        action: reject
        reason: "lab: stays out"
      - set: {remove_communities: [graceful_shutdown], local_preference: 200}
    strange: [{action: reject}]
export:
  filters:
    quiet:
      - match: {prefixes: [{prefix: 10.255.0.0/16, le: 32}]}
        action: reject
      - set: {add_communities: ["65201:1"], add_large_communities: "65201:1:2", med: 5, prepend: 2}
peers:
  - {name: tor1, address: 10.0.1.2, remote_asn: 65101, export_filter: quiet}
  - {name: tor2, address: 10.0.2.2, remote_asn: 65102, import_filter: strange}
  - {name: tor3, address: 10.0.3.2, remote_asn: 65103, import_filter: none}
"""


def load(text: str) -> AgentSettings:
    surroundings = Surroundings(host_name="host", read_password=lambda _: Secret("x"))
    return load_settings(text, source="c.yaml", surroundings=surroundings)


def test_filters_are_those_of_the_document() -> None:
    settings = load(GOOD)
    tor1, tor2, tor3 = settings.peers
    assert tor1.import_filter is not None
    first, second = tor1.import_filter.terms
    match = first.match
    assert [str(rule.prefix) for rule in match.prefixes] == ["10.244.0.0/16"]
    assert match.communities == {(65101, 7), (65535, 65281)}
    assert match.large_communities == {(65101, 1, 2)}
    assert (match.origin_asns, match.contains_asns) == ({65300}, {65400, (64512 << 16) + 1})
    assert match.as_path_length == (2, 4)
    assert [str(prefix) for prefix in match.next_hops] == ["10.0.0.0/16", "10.9.0.1/32"]
    assert (first.action, first.reason) == (Action.REJECT, "lab: stays out")
    assert second.change.remove_communities == {(65535, 0)}
    assert second.change.local_preference == 200
    assert tor2.import_filter is not None
    assert tor2.import_filter.name == "strange"
    assert tor3.import_filter is None
    assert tor1.export_filter is not None
    change = tor1.export_filter.terms[1].change
    assert (change.med, change.prepend, change.add_communities) == (5, 2, ((65201, 1),))
    assert tor2.export_filter is None
    assert settings.selection == Selection(strict=True, limit=4)


def test_without_filters_everything_is_as_it_was() -> None:
    settings = load("node: n\nrouter_id: 10.0.0.1\nlocal_asn: 65201\n")
    assert settings.selection == RELAXED


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("export_filter: quiet", "export_filter: loud"),
            "line 31: peers[0].export_filter: no filter 'loud' under export.filters (known: quiet)",
        ),
        (("filter: usual", "filter: x"), "line 8: import.filter: no filter 'x' under"),
        (
            ("action: reject\n        reason", "action: drop\n        reason"),
            "line 20: import.filters.usual[0].action: 'drop' must be one of: accept, reject, next",
        ),
        (("le: 26}", "le: 12}"), "line 12: import.filters.usual[0].match.prefixes[0]: 10.244."),
        (
            ('"65101:7"', '"65101:70000"'),
            "line 13: import.filters.usual[0].match.communities[0]: '65101:70000' has a number",
        ),
        (
            ('"65101:1:2"', '"65101:1"'),
            "line 14: import.filters.usual[0].match.large_communities: '65101:1' is not 3 numbers",
        ),
        (("{ge: 2, le: 4}", "{ge: 5, le: 4}"), "match.as_path_length: ge 5 is above le 4"),
        (
            ("local_preference: 200", "med: 5"),
            "line 22: import.filters.usual[1].set.med: for export only",
        ),
        (
            ("med: 5", "local_preference: 5"),
            "line 29: export.filters.quiet[1].set.local_preference: for import only",
        ),
        (
            ("- match: {prefixes: [{prefix: 10.255.0.0/16, le: 32}]}", "- match: {origin_asn: 1}"),
            "line 27: export.filters.quiet[0].match.origin_asn: for import only",
        ),
        (("prepend: 2", "prepend: 99"), "set.prepend: '99' must be a whole number from 1 to 16"),
        (("[{action: reject}]", "[{match: {}}]"), "import.filters.strange[0]: does nothing"),
        (
            ("[{action: reject}]", "[{action: accept, reason: why}]"),
            "import.filters.strange[0]: a reason is for action: reject only",
        ),
        (
            ("[{action: reject}]", "[{action: reject, set: {local_preference: 1}}]"),
            "import.filters.strange[0]: a path that is rejected cannot be changed",
        ),
        (("peers: [tor1]", "peer: [tor1]"), "match.peer: unknown key; did you mean 'peers'?"),
        (("multipath: 4", "multipath: 0"), "line 6: import.multipath: '0' must be a whole number"),
        (
            ("strict", "loose"),
            "line 7: import.multipath_as_path: 'loose' must be relaxed or strict",
        ),
        (
            ("    strange:", "    none:"),
            "import.filters.none: is what a peer says to have no filter",
        ),
        (("strange: [{action: reject}]", "strange: x"), "import.filters.strange: must be a list"),
    ],
)
def test_errors_name_line_and_field(change: tuple[str, str], expected: str) -> None:
    assert change[0] in GOOD
    text = GOOD.replace(change[0], change[1], 1)
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert any(expected in f"c.yaml: {problem}" for problem in caught.value.problems), caught.value
    assert all(str(problem).startswith("line ") for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Place()),
        ("fib: {table: 74}\n", Place(74, 32000)),
        ("fib: {table: 74, rule_priority: 10}\n", Place(74, 10)),
    ],
)
def test_a_table_of_our_own(text: str, expected: Place) -> None:
    assert load("node: n\nrouter_id: 10.0.0.1\nlocal_asn: 65201\n" + text).place == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", Nexthops.AUTO), ("fib: {nexthops: plain}\n", Nexthops.PLAIN)],
)
def test_how_routes_lead_to_next_hops(text: str, expected: Nexthops) -> None:
    before = load("node: n\nrouter_id: 10.0.0.1\nlocal_asn: 65201\n")
    after = load("node: n\nrouter_id: 10.0.0.1\nlocal_asn: 65201\n" + text)
    assert after.nexthops == expected
    assert after.fixed_since_start(before) == (["nexthops"] if text else [])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("fib: {nexthops: none}", "line 4: fib.nexthops: .* one of: auto, objects, plain"),
        ("fib: {rule_priority: 10}", "line 4: fib.rule_priority: needs a table"),
        ("fib: {table: 254}", "line 4: fib.table: '254' must be a whole number from 1 to 252"),
        ("fib: {table: 9, rule_priority: 32766}", "from 1 to 32765"),
    ],
)
def test_a_table_that_cannot_be(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load(f"node: n\nrouter_id: 10.0.0.1\nlocal_asn: 65201\n{text}\n")
