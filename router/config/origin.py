"""Where a configuration comes from: a file, a ConfigMap, or objects; never two of them. PURE."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from router.config.document import ConfigError, Problem
from router.config.load import load_settings
from router.config.objects import load_objects, peer_names, selecting
from router.config.peer_names import NO_PEERS, NOT_KNOWN, PeerNames
from router.config.settings import AgentSettings
from router.config.surroundings import Surroundings
from router.model.config_object import ConfigObject, unpacked

_VERSION: Final = 1
_NAMED: Final = 3


class TwoDoorsError(ConfigError):
    """A node that two doors configure; neither goes first."""

    def __init__(self, document: str, objects: Iterable[ConfigObject]) -> None:
        names = [str(each) for each in objects]
        shown = ", ".join(names[:_NAMED]) + (" and more" if len(names) > _NAMED else "")
        self.text = (
            f"{document} and {shown} both configure this node: take away one of the two; until"
            " then what was in force stays"
        )
        super().__init__(document, [Problem(0, "", self.text)])

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One configuration, unread."""

    name: str
    """Of the file or ConfigMap; 'objects'."""
    text: str | None = None
    """The document; None: it is the objects."""
    objects: tuple[ConfigObject, ...] = ()
    names: PeerNames = field(default=NO_PEERS, compare=False)
    """Of all BGPPeers, those for other nodes included; for judging, not part of what is there."""

    def load(self, surroundings: Surroundings) -> AgentSettings | None:
        """Return its settings; None: there is no PodNetwork for this node. Raises ConfigError."""
        if self.text is None:
            return load_objects(self.objects, surroundings, self.names)
        return load_settings(
            self.text, source=self.name, surroundings=surroundings, elsewhere=self.names
        )


def choose(
    document: Origin | None, objects: tuple[ConfigObject, ...], labels: Mapping[str, str]
) -> Origin | None:
    """Return the one that there is for a node with these labels; None if there is none.

    Raises ConfigError when there are two, or when nobody can say for whom objects are.
    """
    chosen = selecting(objects, labels)
    if document is not None and chosen:
        raise TwoDoorsError(document.name, chosen)
    if document is not None or not chosen:
        return document
    return Origin(name="objects", objects=chosen, names=peer_names(objects))


def render(origin: Origin) -> bytes:
    """Return the content of a file that remembers it."""
    value = {
        "version": _VERSION,
        "name": origin.name,
        "text": origin.text,
        "objects": [each.packed() for each in origin.objects],
    }
    return json.dumps(value, sort_keys=True).encode()


def parse(raw: bytes) -> Origin | None:
    """Read it back; None for anything odd."""
    try:
        value = json.loads(raw)
        if value["version"] != _VERSION:
            return None
        objects = tuple(unpacked(each) for each in value["objects"])
        name, text = value["name"], value["text"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(name, str) or not (text is None or isinstance(text, str)):
        return None
    # It was in force: an agent that is newer than it does not refuse it.
    return Origin(name=name, text=text, objects=objects, names=NOT_KNOWN)
