"""The CRDs and the file's reader are one schema: the same keys, bounds and words.

What the reader takes no schema may refuse; numbers, truth values and words of a list must be judged
the same by both. Of texts (addresses, communities) the schema may take more: the reader has the
last word, on the node. CEL rules are run by tests/support/cel.py, which knows what they use; with
`PODROUTE_TEST_KUBECONFIG` a real API server that has our CRDs judges instead, by dry runs.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest

from router.config.objects import NOT_IN_NETWORK, NOT_IN_PEER
from router.model.config_object import ADVERTISEMENT, KINDS, NETWORK, PEER
from tests.support.cel import holds
from tests.support.crd_values import BASE, GOOD, SCHEMAS, mappings, put, reads, schema_at, takes

# --- the same keys -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "path"),
    [pytest.param(k, p, id=f"{k}.{'.'.join(p)}") for k in KINDS for p in mappings(k)],
)
def test_a_mapping_has_the_keys_that_the_reader_knows(kind: str, path: tuple[str, ...]) -> None:
    schema = schema_at(kind, path)
    found = reads(kind, put(BASE[kind], path, {"zzz_unknown": 1}))
    (known,) = re.findall(r"zzz_unknown: unknown key.*\(known: ([^)]*)\)", found)
    keys = set(known.split(", "))
    if path == ():
        left_out = {NETWORK: NOT_IN_NETWORK, PEER: NOT_IN_PEER}.get(kind, frozenset())
        keys = keys - left_out | {"select"}
        keys -= {"name"} if kind == ADVERTISEMENT else set()
    assert set(schema["properties"]) <= keys
    for refused in keys - set(schema["properties"]):
        # Known to be the other direction's.
        given = put(BASE[kind], (*path, refused), 1)
        assert " only" in reads(kind, given), f"{refused} has no schema in {kind}.{'.'.join(path)}"
    assert "zzz_unknown" in takes(kind, put(BASE[kind], path, {"zzz_unknown": 1}))


# --- the same values -----------------------------------------------------------------------------


def leaves(kind: str) -> Iterator[tuple[str, ...]]:
    for path in mappings(kind):
        for key, below in schema_at(kind, path)["properties"].items():
            if "properties" not in below or below.get("type") == "array":
                yield (*path, key)


def candidates(schema: dict[str, Any]) -> Iterator[Any]:
    """Give values at and beyond every bound of a number, truth value or word."""
    kind = schema.get("type")
    if "enum" in schema:
        yield from schema["enum"]
        yield "nonsense"
    elif kind == "boolean":
        yield from (True, False, "maybe")
    elif kind == "integer":
        low, high = schema["minimum"], schema.get("maximum", schema["minimum"])
        yield from (low, low - 1, high, high + 1)


@pytest.mark.parametrize(
    ("kind", "path"),
    [pytest.param(k, p, id=f"{k}.{'.'.join(p)}") for k in KINDS for p in leaves(k)],
)
def test_both_judge_alike(kind: str, path: tuple[str, ...]) -> None:
    schema = schema_at(kind, path)
    field = path[-1]
    tried = 0
    for value in () if field in LOOSER else candidates(schema):
        spec = put(around(kind, path), path, value)
        server, reader = takes(kind, spec), reads(kind, spec)
        assert bool(server) == bool(reader), f"{value!r}: server: {server}; reader: {reader}"
        tried += 1
    for value in GOOD.get(".".join(path[-2:]), GOOD.get(field, ())):
        spec = put(around(kind, path), path, value)
        assert reads(kind, spec) == "", value
        assert takes(kind, spec) == "", value
        tried += 1
    assert tried or field in UNTRIED, f"{field} is not tried: give it good values"


LOOSER = frozenset({"keepalive_s"})
"""What depends on another field, which only the reader compares."""
UNTRIED = frozenset(
    {
        # Lists and texts whose items and neighbours are tried.
        *("add_communities", "remove_communities", "add_large_communities"),
        *("remove_large_communities", "origin_asn", "contains_asn", "next_hop", "filters"),
        *("selector", "key", "values", "prefix", "matchLabels", "matchExpressions"),
    }
)


def around(kind: str, path: tuple[str, ...]) -> dict[str, Any]:  # noqa: C901 - a list of cases
    """Return a spec in which nothing but the value at the path can be wrong."""
    spec = copy.deepcopy(BASE[kind])
    field, above = path[-1], path[:-1]
    if kind == PEER and field in ("gateway", "interface"):
        spec = {"remote_asn": 65101}
    if kind == PEER and field == "keepalive_s":
        spec["hold_time_s"] = 9
    if "services" in above:
        spec["services"] = {"load_balancer": True}
    if field == "keep_single":
        spec["services"]["aggregate"] = {"ipv4": 24}
    if field == "rule_priority":
        spec["fib"] = {"table": 7}
    if "[]" in above and above[-1] == "[]" and above[-2:-1] == ("matchExpressions",):
        spec["select"] = {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
    if field == "operator":
        spec = put(spec, above, {"key": "a", "values": ["b"]})
    if field == "reason":
        spec = put(spec, above, {"action": "reject"})
    if above == ("password_secret",):
        spec["password_secret"] = {"name": "bgp", "key": "tor1"}
    if field in ("ge", "le") and above[-1] == "[]":
        spec = put(spec, above, {"prefix": "::/0"})
    return spec


# --- objects that are right or wrong as a whole --------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_object_is_fine(kind: str) -> None:
    assert reads(kind, BASE[kind]) == ""
    assert takes(kind, BASE[kind]) == ""


@pytest.mark.parametrize(
    ("kind", "spec", "field"),
    [
        pytest.param(PEER, {"remote_asn": 1}, "address", id="no address"),
        pytest.param(
            PEER, {"remote_asn": 1, "address": "10.0.0.1", "gateway": "all"}, "spec", id="two"
        ),
        pytest.param(
            PEER,
            {"remote_asn": 1, "interface": "eth1", "multihop_ttl": 3},
            "multihop_ttl",
            id="far by interface",
        ),
        pytest.param(
            PEER, {"remote_asn": 1, "address": "10.0.0.1", "passive": True}, "passive", id="passive"
        ),
        pytest.param(PEER, {"address": "10.0.0.1"}, "remote_asn", id="no AS"),
        pytest.param(NETWORK, {"cluster": {}}, "local_asn", id="no local AS"),
        pytest.param(
            NETWORK, {"local_asn": 1, "fib": {"rule_priority": 7}}, "rule_priority", id="no table"
        ),
        pytest.param(
            NETWORK,
            {"local_asn": 1, "import": {"filters": {"f": [{"match": {}}]}}},
            "import.filters",
            id="a term for nothing",
        ),
        pytest.param(
            NETWORK,
            {"local_asn": 1, "import": {"also_accept": [{"prefix": "::/0", "ge": 9, "le": 8}]}},
            "also_accept",
            id="bounds",
        ),
        pytest.param(ADVERTISEMENT, {"communities": ["1:1"]}, "spec", id="announces nothing"),
    ],
)
def test_what_contradicts_itself_is_refused_by_both(
    kind: str, spec: dict[str, Any], field: str
) -> None:
    assert takes(kind, spec)
    found = reads(kind, spec)
    assert f"{kind} {kind.lower()}: spec" in found
    assert field in found


def test_a_name_too_long_for_a_peer_needs_another() -> None:
    (rule,) = SCHEMAS[PEER]["x-kubernetes-validations"]
    spec = BASE[PEER]
    for length, extra, fine in ((63, {}, True), (64, {}, False), (64, {"name": "t"}, True)):
        given = {"metadata": {"name": "x" * length}, "spec": {**spec, **extra}}
        assert holds(rule["rule"], given) is fine


def test_every_rule_can_be_read_and_guards_optional_fields() -> None:
    """A rule that reads a field which is not there is an error in the API server."""

    def rules(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for each in schema.get("x-kubernetes-validations", ()):
            yield each["rule"], schema
        for below in (schema.get("properties") or {}).values():
            yield from rules(below)
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                yield from rules(schema[key])

    found = [each for schema in SCHEMAS.values() for each in rules(schema)]
    assert len(found) > 8
    for text, schema in found:
        least = {key: _example(schema["properties"][key]) for key in schema.get("required", ())}
        if "metadata" in schema["properties"]:
            least["metadata"] = {"name": "x"}
        assert holds(text, least) in (True, False)
        for word in re.findall(r"self\.([a-z_0-9]+)", text):
            assert word in schema["properties"], f"{word} in {text}"


def _example(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    return {} if schema.get("type") == "object" else "x"
