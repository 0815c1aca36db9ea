"""A YAML document whose every value knows its line and its path. PURE.

Errors are collected, not raised one by one: an operator fixes a file in one go. Each names
line, field and what is expected. Values are read from the YAML text itself, so `0123` or
`1e3` never turn into a number behind the operator's back.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import yaml

T = TypeVar("T")
D = TypeVar("D")


class Problem(NamedTuple):
    """One thing wrong in a configuration file."""

    line: int
    field: str
    text: str

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"line {self.line}: {where}{self.text}"


class ConfigError(Exception):
    """A configuration that is not used; `problems` lists all that is wrong with it."""

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.source = source
        self.problems = tuple(sorted(set(problems)))
        super().__init__(source, self.problems)

    def __str__(self) -> str:
        return "\n".join(f"{self.source}: {problem}" for problem in self.problems)


@dataclass(slots=True)
class Section:
    """A mapping of the document, read key by key.

    Reading a key marks it as known; `finish` reports what nobody asked for.
    """

    node: yaml.MappingNode | None
    path: str
    line: int
    problems: list[Problem]
    _known: list[str] = field(default_factory=list)
    _values: dict[str, yaml.Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, value in self.node.value if self.node is not None else ():
            name = str(key.value)
            if not isinstance(key, yaml.ScalarNode):
                self.problem("a key must be a word", key)
            elif name in self._values:
                self.problem("given twice", key, name)
            else:
                self._values[name] = value

    def problem(self, text: str, node: yaml.Node | None = None, key: str = "") -> None:
        """Note that something is wrong at `node`, or with the section itself."""
        line = self.line if node is None else node.start_mark.line + 1
        where = f"{self.path}.{key}" if self.path and key else key or self.path
        self.problems.append(Problem(line, where, text))

    def node_of(self, key: str) -> yaml.Node | None:
        """Return the node of a key, for problems found later."""
        return self._values.get(key)

    def given(self) -> tuple[str, ...]:
        """Return the keys the document gives, in its order."""
        return tuple(self._values)

    def expect(self, *keys: str) -> None:
        """Mark keys as known although nobody reads them here."""
        self._known += [key for key in keys if key not in self._known]

    def again(self, problems: list[Problem]) -> Section:
        """Return the same mapping as if nothing had been read, noting problems elsewhere."""
        return Section(self.node, self.path, self.line, problems)

    def has(self, key: str) -> bool:
        """Whether the document gives this key a value."""
        return self._take(key) is not None

    def _take(self, key: str) -> yaml.Node | None:
        if key not in self._known:
            self._known.append(key)
        node = self._values.get(key)
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
            return None
        return node

    def required(self, key: str, read: Callable[[str], T], instead: D) -> T | D:
        """Return a value that must be there; `instead` after noting a problem."""
        if self._take(key) is None:
            self.problem("is required", None, key)
            return instead
        return self.value(key, read, instead)

    def value(self, key: str, read: Callable[[str], T], default: D) -> T | D:
        """Return a scalar read by `read`, which raises ValueError saying what is expected."""
        node = self._take(key)
        return default if node is None else self._read(node, key, read, default)

    def _read(self, node: yaml.Node, key: str, read: Callable[[str], T], default: D) -> T | D:
        if not isinstance(node, yaml.ScalarNode):
            self.problem("must be a single value", node, key)
            return default
        try:
            return read(str(node.value).strip())
        except ValueError as error:
            self.problem(str(error), node, key)
            return default

    def values(self, key: str, read: Callable[[str], T]) -> tuple[T, ...]:
        """Return a list of scalars; one scalar alone is a list of one."""
        node = self._take(key)
        if node is None:
            return ()
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: list[T] = []
        for index, item in enumerate(items):
            label = f"{key}[{index}]" if isinstance(node, yaml.SequenceNode) else key
            value = self._read(item, label, read, None)
            if value is not None:
                found.append(value)
        return tuple(found)

    def texts(self, key: str, read_key: Callable[[str], str]) -> dict[str, str]:
        """Return a mapping whose keys the operator chooses, such as labels."""
        section = self.section(key)
        found: dict[str, str] = {}
        for name in section.given():
            try:
                read_key(name)
            except ValueError as error:
                section.problem(str(error), section.node_of(name), name)
            found[name] = section.value(name, str, "")
        return found

    def section(self, key: str) -> Section:
        """Return a mapping below; an empty one when it is absent."""
        return self._section(self._take(key), key)

    def sections(self, key: str) -> tuple[Section, ...]:
        """Return a list of mappings."""
        node = self._take(key)
        if node is None:
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self.problem("must be a list", node, key)
            return ()
        return tuple(self._section(item, f"{key}[{i}]") for i, item in enumerate(node.value))

    def _section(self, node: yaml.Node | None, key: str) -> Section:
        path = f"{self.path}.{key}" if self.path else key
        line = self.line if node is None else node.start_mark.line + 1
        if node is not None and not isinstance(node, yaml.MappingNode):
            self.problem("must be a mapping of keys to values", node, key)
            node = None
        return Section(node, path, line, self.problems)

    def finish(self) -> None:
        """Report keys that nobody asked for, with the nearest known one."""
        for key, node in self._values.items():
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                known = ", ".join(sorted(self._known))
                self.problem(f"unknown key{hint} (known: {known})", node, key)


def read_document(text: str, source: str) -> Section:
    """Parse YAML text to its top mapping. Raises ConfigError for text that is no such thing."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark.line + 1) if error.problem_mark else 1
        raise ConfigError(source, [Problem(line, "", f"not YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        raise ConfigError(source, [Problem(1, "", f"not YAML: {error}")]) from error
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(source, [Problem(1, "", "must be a mapping of keys to values")])
    return Section(node, "", 1, [])
