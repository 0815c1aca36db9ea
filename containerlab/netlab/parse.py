"""Topology text to a validated Topology, or every problem in it at once. PURE.

Inheritance is containerlab's: node over group over kind over defaults; `env` and `sysctls` merge
per key, `binds` per target, `exec` lists add up (types/topology.go, mergeStringSliceFields).
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from containerlab.netlab import schema
from containerlab.netlab.document import DocumentError, load_document
from containerlab.netlab.errors import TopologyError
from containerlab.netlab.expand import expand_magic, expand_variables
from containerlab.netlab.fields import (
    Problems,
    is_interface_name,
    read_bind,
    read_command,
    read_endpoint,
    read_mapping,
    read_text,
    read_texts,
    read_values,
)
from containerlab.netlab.service import KNOWN_IMAGES, service_for
from containerlab.netlab.topology import Bind, Endpoint, Link, NodeSpec, Topology

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")

Level = dict[str, object]


def parse_topology(text: str, path: Path, environment: Mapping[str, str]) -> Topology:
    """Return the topology in `text`, the content of `path`; raise TopologyError with all problems.

    `environment` fills `${NAME}`. Neither `path` nor any bind source is looked at: whether they
    exist is the caller's to check.
    """
    problems = Problems()
    text, missing = expand_variables(text, environment)
    for problem in missing:
        problems.add("", problem)
    try:
        document = load_document(text)
    except DocumentError as error:
        raise TopologyError(path, [*problems.found, str(error)]) from None
    topology = _Reader(path, problems).read(document)
    if problems.found:
        raise TopologyError(path, problems.found)
    return topology


class _Reader:
    """One pass over one document; what is unreadable becomes a problem and an empty value."""

    def __init__(self, path: Path, problems: Problems) -> None:
        self.folder = path.parent
        self.path = path
        self.problems = problems
        self.lab = ""

    def read(self, document: object) -> Topology:
        top = read_mapping(document, "", self.problems)
        self._check_keys(
            top, "", schema.TOP_APPLIED, accepted=schema.TOP_ACCEPTED, known=schema.TOP_KNOWN
        )
        for key in sorted({"name", "topology"} - top.keys()):
            self.problems.add("", f"key {key!r} is missing")
        self.lab = self._name(top["name"], "name") if "name" in top else ""
        body = read_mapping(top.get("topology"), "topology", self.problems)
        self._check_keys(body, "topology", schema.TOPOLOGY_APPLIED)
        raw_nodes = read_mapping(body.get("nodes"), "topology.nodes", self.problems)
        if "topology" in top and not raw_nodes:
            self.problems.add("topology", "has no nodes")
        levels = self._levels(body)
        nodes = tuple(self._node(name, raw, levels) for name, raw in raw_nodes.items())
        links = self._links(body.get("links", []), raw_nodes)
        return Topology(name=self.lab, path=self.path, nodes=nodes, links=links)

    def _levels(self, body: Level) -> dict[str, dict[str, Level]]:
        """Return defaults, kinds and groups, their keys checked once each."""
        levels: dict[str, dict[str, Level]] = {"defaults": {}, "kinds": {}, "groups": {}}
        defaults = read_mapping(body.get("defaults"), "defaults", self.problems)
        levels["defaults"][""] = self._level(defaults, "defaults")
        for section in ("kinds", "groups"):
            for name, raw in read_mapping(body.get(section), section, self.problems).items():
                where = f"{section}.{name}"
                levels[section][name] = self._level(read_mapping(raw, where, self.problems), where)
        for kind in levels["kinds"]:
            self._check_kind(kind, f"kinds.{kind}")
        return levels

    def _level(self, level: Level, where: str) -> Level:
        self._check_keys(
            level,
            where,
            schema.NODE_APPLIED,
            accepted=schema.NODE_ACCEPTED,
            known=schema.NODE_KNOWN,
        )
        return level

    def _node(self, name: str, raw: object, levels: dict[str, dict[str, Level]]) -> NodeSpec:
        where = f"node {name}"
        self._name(name, where)
        own = self._level(read_mapping(raw, where, self.problems), where)
        group = str(own.get("group", ""))
        if group and group not in levels["groups"]:
            self.problems.add(where, f"no group {group!r}{schema.hint(group, levels['groups'])}")
        defaults = levels["defaults"][""]
        group_level = levels["groups"].get(group, {})
        kind = str(own.get("kind") or group_level.get("kind") or defaults.get("kind") or "")
        if kind:
            self._check_kind(kind, where)
        else:
            self.problems.add(where, "key 'kind' is missing")
        if kind == "bridge":
            return self._bridge(name, own)
        chain = (defaults, levels["kinds"].get(kind, {}), group_level, own)
        image = self._last(chain, "image", where)
        self._check_image(image, where)
        if self._last(chain, "network-mode", where) != "none":
            self.problems.add(
                where, "key 'network-mode' must be 'none': there is no management network here"
            )
        return NodeSpec(
            name=name,
            image=image,
            hostname=self._last(chain, "hostname", where) or name,
            binds=self._binds(chain, name),
            exec=self._exec(chain, name),
            env=self._values(chain, "env", where),
            sysctls=self._sysctls(chain, where),
        )

    def _bridge(self, name: str, own: Level) -> NodeSpec:
        """Return a switch; what it inherits is for containers and has no meaning here."""
        where = f"node {name}"
        for key in own.keys() - schema.BRIDGE_APPLIED:
            self.problems.add(where, f"key {key!r} means nothing for a bridge")
        if not is_interface_name(name):
            self.problems.add(where, "is no usable name of a bridge (at most 15 characters)")
        return NodeSpec(
            name=name,
            image="",
            hostname=name,
            binds=(),
            exec=(),
            env=(),
            sysctls=(),
            is_bridge=True,
        )

    def _last(self, chain: tuple[Level, ...], key: str, where: str) -> str:
        """Return the most specific value of a key that is text, or an empty text."""
        for level in reversed(chain):
            if level.get(key) is not None:
                return read_text(level[key], f"{where}: {key}", self.problems)
        return ""

    def _texts(self, chain: tuple[Level, ...], key: str, node: str) -> dict[str, str]:
        """Return place -> text for a list key that adds up, magic words expanded."""
        texts: dict[str, str] = {}
        for level in chain:
            where = f"node {node}: {key}"
            for entry in read_texts(level[key], where, self.problems) if key in level else ():
                text, unknown = expand_magic(entry, lab=self.lab, node=node)
                for problem in unknown:
                    self.problems.add(where, problem)
                # Equal entries count once, as in containerlab (utils/env.go, MergeStringSlices).
                if text not in texts.values():
                    texts[f"{where}[{len(texts)}]"] = text
        return texts

    def _binds(self, chain: tuple[Level, ...], node: str) -> tuple[Bind, ...]:
        binds: dict[PurePosixPath, Bind] = {}
        for where, text in self._texts(chain, "binds", node).items():
            bind = read_bind(text, self.folder, where, self.problems)
            if bind:
                binds[bind.target] = bind
        return tuple(binds[target] for target in sorted(binds))

    def _exec(self, chain: tuple[Level, ...], node: str) -> tuple[tuple[str, ...], ...]:
        commands = self._texts(chain, "exec", node).items()
        return tuple(read_command(text, where, self.problems) for where, text in commands)

    def _values(
        self, chain: tuple[Level, ...], key: str, where: str
    ) -> tuple[tuple[str, str], ...]:
        merged: dict[str, str] = {}
        for level in chain:
            merged |= read_values(level.get(key), f"{where}: {key}", self.problems)
        return tuple(merged.items())

    def _sysctls(self, chain: tuple[Level, ...], where: str) -> tuple[tuple[str, str], ...]:
        sysctls = self._values(chain, "sysctls", where)
        for key, _ in sysctls:
            # Docker refuses the rest too: only net.* belongs to the node's network namespace.
            if not re.fullmatch(r"net(\.[A-Za-z0-9_-]+)+", key):
                self.problems.add(f"{where}: sysctls", f"{key!r} is not a net.* sysctl")
        return sysctls

    def _links(self, raw: object, nodes: Mapping[str, object]) -> tuple[Link, ...]:
        if not isinstance(raw, list):
            self.problems.add("topology.links", "must be a list")
            return ()
        used: dict[Endpoint, str] = {}
        links = []
        for number, entry in enumerate(raw):
            where = f"links[{number}]"
            link = self._link(read_mapping(entry, where, self.problems), nodes, where)
            for endpoint in (link.a, link.b) if link else ():
                if endpoint in used:
                    self.problems.add(where, f"{endpoint} is already used by {used[endpoint]}")
                used.setdefault(endpoint, where)
            links += [link] if link else []
        return tuple(links)

    def _link(self, raw: Level, nodes: Mapping[str, object], where: str) -> Link | None:
        self._check_keys(raw, where, schema.LINK_APPLIED, known=schema.LINK_KNOWN)
        texts = read_texts(raw.get("endpoints"), f"{where}: endpoints", self.problems)
        mtu = raw.get("mtu", schema.DEFAULT_LINK_MTU)
        # ETH_MIN_MTU and what veth takes at most (drivers/net/veth.c, ETH_MAX_MTU).
        if isinstance(mtu, bool) or not isinstance(mtu, int) or not 68 <= mtu <= 65535:
            self.problems.add(f"{where}: mtu", f"must be 68 to 65535 bytes, not {mtu!r}")
            mtu = schema.DEFAULT_LINK_MTU
        if len(texts) != 2:
            self.problems.add(f"{where}: endpoints", "must name two endpoints")
            return None
        a, b = (read_endpoint(t, nodes, f"{where}: endpoints", self.problems) for t in texts)
        return Link(a=a, b=b, mtu=mtu) if a and b else None

    def _check_keys(
        self,
        level: Level,
        where: str,
        applied: frozenset[str],
        *,
        accepted: frozenset[str] = frozenset(),
        known: frozenset[str] = frozenset(),
    ) -> None:
        for key in level:
            problem = schema.key_problem(
                key, applied=applied, accepted=accepted, known=known | applied
            )
            if problem:
                self.problems.add(where, problem)

    def _check_kind(self, kind: str, where: str) -> None:
        if kind not in schema.KINDS:
            self.problems.add(
                where, f"kind {kind!r} needs containerlab; here only 'linux' and 'bridge'"
            )

    def _check_image(self, image: str, where: str) -> None:
        if not image:
            self.problems.add(where, "key 'image' is missing")
        elif service_for(image) is None:
            known = f"this runner knows {KNOWN_IMAGES}"
            self.problems.add(where, f"nothing stands for image {image!r}; {known}")

    def _name(self, value: object, where: str) -> str:
        name = read_text(value, where, self.problems)
        if name and not _NAME.fullmatch(name):
            self.problems.add(where, f"{name!r} must be letters, digits, '.', '_' and '-'")
        return name
