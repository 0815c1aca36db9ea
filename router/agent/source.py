"""Where the settings come from: a document, our Node, Secrets, password files, gateways.

Level-triggered like everything else: `take` compares all inputs with those of the last time and
reads the document anew when one differs. What is wrong changes nothing and is told
(invariant 10); what is missing is waited for and told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from bgp.secret import Secret
from router.config.document import ConfigError, Problem
from router.config.file import DocumentFile, PasswordFiles
from router.config.load import load_settings
from router.config.settings import AgentSettings
from router.config.surroundings import MissingSecretError, Surroundings
from router.kube.view import ClusterView
from router.model.link import Address
from router.model.node import ConfigMapView, NodeView, Observed, Presence, SecretRef
from router.model.unnumbered import Discovered

CONFIG_KEY: Final = "config.yaml"


_Around = tuple[tuple[Address, ...], tuple[Discovered, ...]]


class ClusterShell(Protocol):
    """What the source needs of the API; `router.kube.cluster.Cluster` is the real one."""

    def take(self) -> ClusterView:
        """Return the newest view."""

    def want_secrets(self, refs: frozenset[SecretRef]) -> None:
        """Keep these keys of Secrets at hand."""


class SettingsSource:
    """Gives settings whenever they differ from those it gave last."""

    def __init__(
        self, *, document: DocumentFile | None, cluster: ClusterShell | None, host_name: str
    ) -> None:
        """Without a document file, the document is the ConfigMap's key `config.yaml`."""
        self._document = document
        self._cluster = cluster
        self._host_name = host_name
        self._passwords = PasswordFiles()
        self._inputs: tuple[Any, ...] | None = None
        self._given: AgentSettings | None = None
        self.problem = ""
        """Why the newest document is not in force; '' if it is."""
        self.problems: tuple[Problem, ...] = ()
        """The same one by one, if it is the document that is wrong."""
        self.waiting = ""
        """What has to come before there can be settings; '' if nothing."""

    @property
    def node_name(self) -> str:
        """Name of the node, as far as it is known without a document."""
        node = self._cluster.take().node.value if self._cluster is not None else None
        return node.name if node is not None else self._host_name

    def take(
        self, gateways: tuple[Address, ...], discovered: tuple[Discovered, ...] = ()
    ) -> AgentSettings | None:
        """Return new settings, or None when nothing changed or nothing can be used.

        `gateways` are the next hops of the node's default routes, `discovered` what is known of
        the links of peers by interface.
        """
        around = (gateways, discovered)
        view = self._cluster.take() if self._cluster is not None else None
        try:
            found = self._text(view)
            self.waiting = self._missing(view, found)
            if found is None or self.waiting:
                return None
            name, text = found
            inputs = (text, around, self._passwords.stamps(), _facts(view))
            if inputs == self._inputs:
                return None
            try:
                settings = self._load(name, text, around, view)
            finally:
                # The password files read just now are watched from now on.
                self._inputs = (text, around, self._passwords.stamps(), _facts(view))
        except ConfigError as error:
            self.problem, self.problems = str(error), error.problems
            return None
        except OSError as error:
            self.problem, self.problems = str(error), ()
            return None
        self.problem, self.problems = "", ()
        if settings == self._given:
            return None
        self._given = settings
        return settings

    def _text(self, view: ClusterView | None) -> tuple[str, str] | None:
        """Return (name, text) of the document, None if there is none yet."""
        if self._document is not None:
            return self._document.name, self._document.text()
        config_map = view.config_map.value if view is not None else None
        if config_map is None or CONFIG_KEY not in config_map.data:
            return None
        return f"ConfigMap {config_map.name}", config_map.data[CONFIG_KEY]

    def _missing(self, view: ClusterView | None, found: tuple[str, str] | None) -> str:
        if view is None:
            return ""
        suffix = f" ({view.problem})" if view.problem else ""
        if view.node.value is None:
            if view.node.presence is Presence.ABSENT:
                return "the API server has no Node object of this name yet"
            return f"the Node object has not been read yet{suffix}"
        if found is None:
            return _no_document(view.config_map) + suffix
        return ""

    def _load(
        self, name: str, text: str, around: _Around, view: ClusterView | None
    ) -> AgentSettings:
        self._passwords.forget()
        asked: set[SecretRef] = set()

        def read_secret(ref: SecretRef) -> Secret:
            asked.add(ref)
            return _secret(view, ref)

        try:
            settings = load_settings(
                text,
                source=name,
                surroundings=Surroundings(
                    host_name=self._host_name,
                    read_password=self._passwords.read,
                    read_secret=read_secret,
                    node=view.node.value if view is not None else None,
                    gateways=around[0],
                    discovered=around[1],
                ),
            )
        finally:
            if self._cluster is not None:
                self._cluster.want_secrets(frozenset(asked))
        if view is not None and view.node.presence is Presence.ABSENT:
            return _without_node(settings)
        return settings


def _facts(view: ClusterView | None) -> tuple[Any, ...]:
    """Return what of the view can change the settings."""
    if view is None:
        return ()
    node: NodeView | None = view.node.value
    secrets: Mapping[SecretRef, Secret] = view.secrets
    return (
        node,
        view.node.presence,
        tuple(sorted(secrets.items(), key=lambda item: item[0])),
        tuple(sorted(view.secret_problems.items())),
    )


def _secret(view: ClusterView | None, ref: SecretRef) -> Secret:
    if view is None:
        raise MissingSecretError(f"{ref}: there is no API server to read Secrets from")
    found = view.secrets.get(ref)
    if found is None:
        raise MissingSecretError(view.secret_problems.get(ref, f"{ref}: not read yet"))
    return found


def _no_document(config_map: Observed[ConfigMapView]) -> str:
    if config_map.presence is Presence.ABSENT:
        return "there is no ConfigMap with the configuration yet"
    if config_map.value is not None:
        return f"ConfigMap {config_map.value.name} has no key {CONFIG_KEY}"
    return "the ConfigMap with the configuration has not been read yet"


def _without_node(settings: AgentSettings) -> AgentSettings:
    """Say that our Node object is gone; what it last said stays in force.

    An API server that lost its objects must not take every node off the network at once, and
    a kubelet that lives registers its Node again.
    """
    note = "our Node object was deleted: its last state stays in force"
    return replace(settings, notes=(*settings.notes, note))
