"""What an API server with our CRDs takes, and what the reader of the configuration does."""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bgp.secret import Secret
from containerlab.fakeapi.resources import ApiError
from containerlab.fakeapi.structural import admit, refuse
from router.config.crd import definitions
from router.config.document import ConfigError
from router.config.objects import load_objects
from router.config.peer_names import NOT_KNOWN
from router.config.surroundings import Surroundings
from router.kube.access import Access
from router.kube.errors import RefusedError
from router.kube.objects import COLLECTION
from router.model.config_object import ADVERTISEMENT, NETWORK, PEER, ConfigObject
from router.model.node import NodeView
from tests.support.cel import holds
from tests.support.contract_api import KUBECONFIG, ContractApi

SCHEMAS = {
    crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for crd in definitions()
}
FILTER = {"filters": {"f": [{"match": {}, "action": "accept"}]}}
BASE: dict[str, dict[str, Any]] = {
    NETWORK: {
        "local_asn": 65201,
        "cluster": {
            "pod_prefixes": ["10.244.0.0/16"],
            "node_prefixes": ["10.255.0.0/16", "fd00:255::/64"],
            "service_prefixes": ["0.0.0.0/1", "::/1"],
        },
        "import": copy.deepcopy(FILTER),
        "export": copy.deepcopy(FILTER),
    },
    PEER: {"address": "10.0.1.2", "remote_asn": 65101, "local_address": "10.0.1.3"},
    ADVERTISEMENT: {"pod_cidrs": True},
}
GOOD: dict[str, tuple[Any, ...]] = {
    "select": ({}, {"matchLabels": {"a.example/b": "c"}}),
    "select.matchLabels": ({"example.com/rack": "r1", "x": ""},),
    "select.matchExpressions": (
        [{"key": "a", "operator": "In", "values": ["b"]}, {"key": "a", "operator": "Exists"}],
    ),
    "name": ("tor1", "fe80::1%eth0", "10.0.1.2", "x" * 63),
    "address": ("10.0.1.2", "192.0.2.1"),
    "gateway": ("all",),
    "interface": ("eth1", "bond0.100", "swp1"),
    "remote_asn": (1, 4294967295, "64512.1", "external", "internal", "65001"),
    "local_asn": (1, 4294967295, "64512.1"),
    "local_asn_label": ("example.com/asn",),
    "families": (["ipv4"], ["ipv4", "ipv6"], []),
    "local_address": ("10.0.1.3",),
    "source_interface": ("eth1",),
    "ttl_security": (True, False, 1, 254),
    "keepalive_s": (3,),
    "shutdown_text": ("maintenance", "x" * 255),
    "password_secret": ({"name": "bgp", "key": "tor1.key_A-1"},),
    "import_filter": ("f", "none"),
    "export_filter": ("f", "none"),
    "filter": ("f",),
    "mtu": (1280, 9000, "auto"),
    "page.listen": ("127.0.0.1:9179", "[::1]:9179", 9179, "none"),
    "listen": ("127.0.0.1:9179", "[::1]:9179", 9179),
    "match.prefixes": ([{"prefix": "10.9.0.0/16"}],),
    "password_secret.name": ("bgp",),
    "prefixes": (["10.9.0.0/16", "fd00:9::/48"],),
    "pod_prefixes": (["10.244.0.0/16", "fd00:244::/48"],),
    "node_prefixes": (["10.255.0.0/16", "fd00:255::/64"],),
    "service_prefixes": (["10.96.0.0/12"],),
    "also_accept": ([{"prefix": "10.9.0.0/16", "ge": 16, "le": 24}],),
    "peers": (["tor1"],),
    "communities": (["65201:1", "no_export", "graceful_shutdown", "0:0", "65535:65535"],),
    "large_communities": (["65201:1:2", "4294967295:4294967295:0"],),
    "services": ({"load_balancer": True}, {"external": True, "selector": {"a/b": "c"}}),
    "taints": (["node.kubernetes.io/unschedulable", "a.example/b=c:NoSchedule"],),
    "reason": ("because", "x" * 200),
}


def surroundings() -> Surroundings:
    node = NodeView(name="node1", uid="u", labels={"example.com/asn": "65201", "a.example/b": "c"})
    return Surroundings(
        host_name="h",
        read_password=lambda _: Secret("x"),
        read_secret=lambda _: Secret("x"),
        node=node,
    )


def objects(kind: str, spec: dict[str, Any]) -> list[ConfigObject]:
    specs = {**{k: [v] for k, v in BASE.items() if k == NETWORK}, kind: [spec]}
    return [
        ConfigObject(kind=each, name=each.lower(), spec=found)
        for each, listed in specs.items()
        for found in listed
    ]


def reads(kind: str, spec: dict[str, Any]) -> str:
    """Return what the reader has against a spec, "" if nothing; of peers any name will do."""
    try:
        load_objects(objects(kind, spec), surroundings(), NOT_KNOWN)
    except ConfigError as error:
        return str(error)
    return ""


@functools.cache
def _real() -> ContractApi | None:
    given = os.environ.get(KUBECONFIG)
    if not given:
        return None
    return ContractApi(Access(kubeconfig=Path(given), user_agent="podroute-schemas"), "")


def takes(kind: str, spec: dict[str, Any]) -> str:
    """Return what an API server with our CRD has against it, "" if nothing.

    With PODROUTE_TEST_KUBECONFIG that cluster is asked, where our CRDs must be: by dry runs.
    """
    given: dict[str, Any] = {"metadata": {"name": kind.lower()}, "spec": spec}
    if (real := _real()) is not None:
        given |= {"apiVersion": "podroute.dev/v1alpha1", "kind": kind}
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        try:
            real.ask("POST", f"{COLLECTION}/{kind.lower()}s", given, query=query)
        except RefusedError as error:
            return error.message
        return ""
    try:
        kept = admit(SCHEMAS[kind], given, strict=True)
        refuse(SCHEMAS[kind], kept, kind)
    except ApiError as error:
        return error.message
    return "; ".join(broken(SCHEMAS[kind], kept))


def broken(schema: dict[str, Any], value: Any) -> Iterator[str]:
    """Give the messages of CEL rules that do not hold, everywhere below."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if not holds(rule["rule"], value):
            yield rule["message"]
    if isinstance(value, dict):
        more = schema.get("additionalProperties")
        for key, item in value.items():
            below = (schema.get("properties") or {}).get(key, more)
            if isinstance(below, dict):
                yield from broken(below, item)
    if isinstance(value, list):
        for item in value:
            yield from broken(schema.get("items") or {}, item)


def mappings(kind: str) -> Iterator[tuple[str, ...]]:
    """Give the paths of all mappings with fixed keys in a kind's spec; '*' and '[]' inside."""

    def walk(schema: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if "properties" in schema:
            yield path
        for key, below in (schema.get("properties") or {}).items():
            yield from walk(below, (*path, key))
        if isinstance(schema.get("additionalProperties"), dict):
            yield from walk(schema["additionalProperties"], (*path, "*"))
        if "items" in schema:
            yield from walk(schema["items"], (*path, "[]"))

    yield from walk(SCHEMAS[kind]["properties"]["spec"], ())


def schema_at(kind: str, path: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = SCHEMAS[kind]["properties"]["spec"]
    for part in path:
        if part == "*":
            found = found["additionalProperties"]
        elif part == "[]":
            found = found["items"]
        else:
            found = found["properties"][part]
    return found


def put(spec: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return the spec with a value at a path; '*' is a filter's name, '[]' its first item."""
    if not path:
        return {**spec, **value}
    made = copy.deepcopy(spec)
    at: Any = made
    keys = ["f" if part == "*" else 0 if part == "[]" else part for part in path]
    for key, after in zip(keys, [*keys[1:], None], strict=True):
        empty: Any = [] if after == 0 else {}
        if after is None:
            if isinstance(at, list):
                at[:] = [value]
            else:
                at[key] = value
        elif isinstance(at, list):
            if not at:
                at.append(empty)
            at = at[0]
        else:
            at = at.setdefault(key, empty)
    return made
