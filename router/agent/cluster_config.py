"""Settings from the API: our ConfigMap (or a file), our Node, Secrets, default gateways.

The counterpart of `router.config.file.ConfigFile`: whatever is missing or wrong changes
nothing and stands in `problem`, in words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from bgp.secret import Secret
from router.config.document import ConfigError
from router.config.load import load_settings
from router.config.settings import AgentSettings
from router.config.surroundings import MissingSecretError, ReadPassword, Surroundings
from router.kube.view import ClusterView
from router.model.link import Address
from router.model.node import NodeView, Presence, SecretRef


class ClusterDoor(Protocol):
    """What is needed of the API; `router.kube.cluster.Cluster` is the real one."""

    def take(self) -> ClusterView:
        """Return the newest view."""

    def want_secrets(self, refs: frozenset[SecretRef]) -> None:
        """Keep these keys of Secrets at hand."""


class _Inputs(NamedTuple):
    """Everything the settings depend on; the same inputs are not read twice."""

    text: str
    presences: tuple[Presence, Presence]
    node: tuple[object, ...]
    secrets: tuple[tuple[SecretRef, Secret], ...]
    secret_problems: tuple[tuple[SecretRef, str], ...]
    gateways: tuple[Address, ...]


@dataclass(slots=True, kw_only=True)
class ClusterConfig:
    """The configuration in cluster mode."""

    cluster: ClusterDoor
    read_password: ReadPassword
    key: str = "config.yaml"
    """Key of the ConfigMap that holds the document."""
    source: str
    """What messages call the document, such as `ConfigMap kube-system/podroute`."""
    document: Callable[[], str] | None = None
    """Reads the document from elsewhere (a file of the host); may raise OSError."""
    problem: str = "nothing is known of the node yet"
    """Why the settings in force are not what is asked for now; '' if they are."""
    _seen: _Inputs | None = None
    _current: AgentSettings | None = field(default=None, repr=False)

    def changed(self, gateways: tuple[Address, ...]) -> AgentSettings | None:
        """Return new settings if they differ from the last ones; cheap when nothing changed.

        `gateways` are the next hops of the node's default routes, sorted.
        """
        view = self.cluster.take()
        node = view.node.value
        text = self._text(view)
        if node is None or text is None:
            return None
        inputs = _Inputs(
            text,
            (view.node.presence, view.config_map.presence),
            (node.name, node.uid, node.pod_cidrs, node.addresses, dict(node.labels)),
            tuple(sorted(view.secrets.items(), key=lambda item: item[0])),
            tuple(sorted(view.secret_problems.items())),
            gateways,
        )
        if inputs == self._seen:
            return None
        self._seen = inputs
        return self._load(text, view, node, gateways)

    def _text(self, view: ClusterView) -> str | None:
        """Return the document, or note what is missing."""
        missing = ""
        text: str | None = None
        if view.node.value is None:
            missing = _missing("the Node", view.node.presence, view.problem)
        elif self.document is not None:
            try:
                text = self.document()
            except (OSError, UnicodeDecodeError) as error:
                missing = f"{self.source}: {error}"
        elif view.config_map.value is None:
            missing = _missing(self.source, view.config_map.presence, view.problem)
        else:
            text = view.config_map.value.data.get(self.key)
            if text is None:
                missing = f"{self.source} has no key {self.key}"
        if missing:
            self.problem = missing
            # Once it is back, it is read anew.
            self._seen = None
        return text

    def _load(
        self, text: str, view: ClusterView, node: NodeView, gateways: tuple[Address, ...]
    ) -> AgentSettings | None:
        asked: set[SecretRef] = set()

        def read_secret(ref: SecretRef) -> Secret:
            asked.add(ref)
            found = view.secrets.get(ref)
            if found is None:
                raise MissingSecretError(view.secret_problems.get(ref, f"{ref} is not read yet"))
            return found

        surroundings = Surroundings(
            host_name=node.name,
            read_password=self.read_password,
            read_secret=read_secret,
            node=node,
            gateways=gateways,
        )
        try:
            settings = load_settings(text, source=self.source, surroundings=surroundings)
        except ConfigError as error:
            self.problem = str(error)
            return None
        finally:
            self.cluster.want_secrets(frozenset(asked))
        self.problem = _gone(view)
        if settings == self._current:
            return None
        self._current = settings
        return settings


def _missing(what: str, presence: Presence, problem: str) -> str:
    if presence is Presence.ABSENT:
        return f"{what} does not exist"
    return f"waiting for {what}: {problem or 'the API server has not answered yet'}"


def _gone(view: ClusterView) -> str:
    """Say that an object went away whose last state is still in force."""
    gone = [
        what
        for what, presence in (
            ("the Node", view.node.presence),
            ("the ConfigMap", view.config_map.presence),
        )
        if presence is Presence.ABSENT
    ]
    return f"{' and '.join(gone)} no longer exists; the last state stays in force" if gone else ""


def file_document(path: Path) -> Callable[[], str]:
    """Return a reader of the document from a file of the host."""
    return path.read_text
