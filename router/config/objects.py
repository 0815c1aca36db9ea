"""Configuration objects of the API as the one document that everything else reads (D9). PURE.

PodNetwork gives the top of the document, each BGPPeer an entry of `peers`, each BGPAdvertisement
one of `advertisements`. Fields have the file's names, and errors the file's words, with kind, name
and field of the object in place of a line. Only objects that select this node are looked at: what
is wrong with others is told where they are in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import yaml

from router.config.document import ConfigError, Problem, Section
from router.config.load import settings_of
from router.config.peer_names import NO_PEERS, PeerNames, names_in
from router.config.selector import read_selector
from router.config.settings import AgentSettings
from router.config.surroundings import Surroundings
from router.model.config_object import ADVERTISEMENT, KINDS, NETWORK, PEER, ConfigObject

NOT_IN_NETWORK: Final = frozenset(
    {
        *("node", "router_id", "node_addresses", "pod_cidrs"),
        *("nodes", "peers", "announce", "advertisements"),
    }
)
"""Keys of the document that are one node's, or have objects of their own."""
NOT_IN_PEER: Final = frozenset({"password_file"})
"""Who may write objects must not have files of the node read."""
_LISTS: Final = {PEER: "peers", ADVERTISEMENT: "advertisements"}
_OF_NAMES: Final = ("name", "gateway")
_MAX_DEPTH: Final = 24


class ObjectsError(ConfigError):
    """Objects that are not used; each problem's field begins with kind and name."""

    def __str__(self) -> str:
        return "\n".join(f"{problem.field}: {problem.text}" for problem in self.problems)


class _Place(NamedTuple):
    """Where an object stands in the document."""

    owner: ConfigObject
    prefix: str
    """Of the paths of its fields; '' for the top."""


def selecting(
    objects: Iterable[ConfigObject], labels: Mapping[str, str]
) -> tuple[ConfigObject, ...]:
    """Return the objects for a node with these labels, in order. Raises ObjectsError.

    A selector that cannot be read is an error for everybody: nobody knows whom it means.
    """
    problems: list[Problem] = []
    found: list[ConfigObject] = []
    for each in sorted(objects, key=lambda o: (KINDS.index(o.kind), o.name)):
        noted: list[Problem] = []
        select = each.spec.get("select")
        node = _node({"select": {} if select is None else select}, 0)
        assert isinstance(node, yaml.MappingNode)  # noqa: S101 - of a mapping
        if read_selector(Section(node, "spec", 1, noted)).matches(labels):
            found.append(each)
        problems += [p._replace(field=f"{each}: {p.field}") for p in noted]
    if problems:
        raise ObjectsError("objects", problems)
    return tuple(found)


def peer_names(objects: Iterable[ConfigObject]) -> PeerNames:
    """Return the names of the BGPPeers among these."""
    peers = [
        {"name": each.name, **{k: v for k, v in each.spec.items() if k in _OF_NAMES}}
        for each in objects
        if each.kind == PEER
    ]
    node = _node({"peers": peers}, 0)
    assert isinstance(node, yaml.MappingNode)  # noqa: S101 - of a mapping
    return names_in(Section(node, "", 1, []))


def load_objects(
    objects: Iterable[ConfigObject], surroundings: Surroundings, elsewhere: PeerNames = NO_PEERS
) -> AgentSettings | None:
    """Return the settings that the objects for this node make; None without a PodNetwork.

    `elsewhere` are BGPPeers that are not among the objects, since they are other nodes'. Raises
    ObjectsError naming every problem.
    """
    chosen = selecting(objects, surroundings.labels)
    networks = [each for each in chosen if each.kind == NETWORK]
    if not networks:
        return None
    if len(networks) > 1:
        text = f"{networks[0]} selects this node, too: a node has one"
        problems = [Problem(0, f"{other}: spec.select", text) for other in networks[1:]]
        raise ObjectsError("objects", problems)
    top, places, problems = _document(networks[0], [e for e in chosen if e.kind != NETWORK])
    try:
        settings = settings_of(
            top, source="objects", surroundings=surroundings, elsewhere=elsewhere
        )
    except ConfigError as error:
        found = [_told(problem, places) for problem in error.problems]
        raise ObjectsError("objects", [*problems, *found]) from error
    if problems:
        raise ObjectsError("objects", problems)
    return settings


def _document(
    network: ConfigObject, others: list[ConfigObject]
) -> tuple[Section, list[_Place], list[Problem]]:
    """Return the document; the line of each of its nodes is the number of its object, from 1."""
    problems = _forbidden(network, NOT_IN_NETWORK)
    places = [_Place(network, "")]
    keys = _without(network.spec, NOT_IN_NETWORK)
    entries = [(_scalar(key, 0), _node(value, 0)) for key, value in keys.items()]
    for kind, key in _LISTS.items():
        items: list[yaml.Node] = []
        for each in (other for other in others if other.kind == kind):
            left_out = NOT_IN_PEER if kind == PEER else frozenset()
            problems += _forbidden(each, left_out)
            value = {"name": each.name, **_without(each.spec, left_out)}
            places.append(_Place(each, f"{key}[{len(items)}]"))
            items.append(_node(value, len(places) - 1))
        if items:
            listed = yaml.SequenceNode("tag:yaml.org,2002:seq", items, _mark(0), _mark(0))
            entries.append((_scalar(key, 0), listed))
    top = yaml.MappingNode("tag:yaml.org,2002:map", entries, _mark(0), _mark(0))
    return Section(top, "", 1, []), places, problems


def _without(spec: Mapping[str, Any], left_out: frozenset[str]) -> dict[str, Any]:
    return {k: v for k, v in spec.items() if k != "select" and k not in left_out}


def _forbidden(each: ConfigObject, left_out: frozenset[str]) -> list[Problem]:
    return [
        Problem(0, f"{each}: spec.{key}", f"is not for a {each.kind}")
        for key in sorted(left_out & each.spec.keys())
    ]


def _told(problem: Problem, places: list[_Place]) -> Problem:
    owner, prefix = places[min(problem.line, len(places)) - 1]
    below = problem.field
    if prefix and (below == prefix or below.startswith(f"{prefix}.")):
        below = below[len(prefix) :].lstrip(".")
    elif below in _LISTS.values():
        # Between two entries of a list: the text names them.
        return Problem(0, f"{PEER if below == 'peers' else ADVERTISEMENT} objects", problem.text)
    where = f"spec.{below}" if below else "spec"
    return Problem(0, f"{owner}: {where}", problem.text)


# --- JSON as nodes of a YAML document -------------------------------------------------------------


def _mark(line: int) -> yaml.Mark:
    return yaml.Mark("objects", 0, line, 0, None, 0)


def _scalar(text: str, line: int, tag: str = "str") -> yaml.ScalarNode:
    return yaml.ScalarNode(f"tag:yaml.org,2002:{tag}", text, _mark(line), _mark(line))


def _node(value: object, line: int, depth: int = 0) -> yaml.Node:
    if depth > _MAX_DEPTH:
        return _scalar("nested too deeply", line)
    if isinstance(value, Mapping):
        entries = [(_scalar(str(k), line), _node(v, line, depth + 1)) for k, v in value.items()]
        return yaml.MappingNode("tag:yaml.org,2002:map", entries, _mark(line), _mark(line))
    if isinstance(value, list):
        items = [_node(item, line, depth + 1) for item in value]
        return yaml.SequenceNode("tag:yaml.org,2002:seq", items, _mark(line), _mark(line))
    if value is None:
        return _scalar("", line, "null")
    if isinstance(value, bool):
        return _scalar(str(value).lower(), line, "bool")
    return _scalar(str(value), line)
