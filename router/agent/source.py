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
from router.config.file import DocumentFile, LastGood, PasswordFiles
from router.config.origin import Origin, choose
from router.config.settings import AgentSettings
from router.config.surroundings import MissingSecretError, ReadPassword, Surroundings
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
        self,
        *,
        document: DocumentFile | None,
        cluster: ClusterShell | None,
        host_name: str,
        last_good: LastGood | None = None,
    ) -> None:
        """Without a document file, it is the ConfigMap's key `config.yaml`, or objects.

        `last_good` is gone on with when there is an error in what there is at the start.
        """
        self._last_good = last_good or LastGood(None)
        self._document = document
        self._cluster = cluster
        self._host_name = host_name
        self._passwords = PasswordFiles()
        self._inputs: tuple[Any, ...] | None = None
        self._given: AgentSettings | None = None
        self._in_force: Origin | None = None
        self.problem = ""
        """Why the newest document is not in force; '' if it is."""
        self.problems: tuple[Problem, ...] = ()
        """The same one by one, if it is the document that is wrong."""
        self.memory_problem = ""
        """Why the configuration in force cannot be remembered; '' if it is."""
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
        self.waiting = _not_read(view)
        if self.waiting:
            return None
        try:
            inputs = (self._text(view), around, self._passwords.stamps(), _facts(view))
            if inputs == self._inputs:
                return None
            try:
                settings = self._newest(inputs[0], around, view)
            finally:
                # The password files read just now are watched from now on.
                self._inputs = (inputs[0], around, self._passwords.stamps(), _facts(view))
        except ConfigError as error:
            self.problem, self.problems = str(error), error.problems
            settings = self._in_force_still(around, view)
        except OSError as error:
            self.problem, self.problems = str(error), ()
            settings = self._in_force_still(around, view)
        if self._has_lost_its_source(view):
            # What was in force stays, over a restart as it does without one.
            settings = self._in_force_still(around, view)
        if settings is None or settings == self._given:
            return None
        self._given = settings
        return settings

    def _newest(
        self, document: Origin | None, around: _Around, view: ClusterView | None
    ) -> AgentSettings | None:
        """Return the settings of what there is now, None if there is nothing.

        Raises ConfigError, OSError or UnicodeDecodeError.
        """
        node = view.node.value if view is not None else None
        origin = document
        if view is not None and node is not None:
            objects = view.objects.value or ()
            # A ConfigMap that was deleted stays in force, unless objects take its place.
            gone = self._document is None and view.config_map.presence is Presence.ABSENT
            origin = choose(None if gone and objects else document, objects, node.labels)
            origin = origin or document
        read = self._passwords.read
        settings = self._load(origin, around, view, read) if origin is not None else None
        self.problem, self.problems = "", ()
        if settings is None or origin is None:
            self.waiting = "no PodNetwork selects this node"
            if origin is None and view is not None:
                suffix = f" ({view.problem})" if view.problem else ""
                self.waiting = _no_document(view.config_map) + suffix
            return None
        self._remember(origin)
        return settings

    def _has_lost_its_source(self, view: ClusterView | None) -> bool:
        """Tell whether the API server was asked, and has no configuration for this node."""
        asked = view is not None and view.config_map.presence is not Presence.UNKNOWN
        return asked and bool(self.waiting)

    def _in_force_still(self, around: _Around, view: ClusterView | None) -> AgentSettings | None:
        """Return the settings of what was in force last, by the node's facts of now.

        After a start that is what an agent before us had. An error changes nothing, and so does
        not keep a link of a peer by interface from being followed.
        """
        origin = self._in_force or self._last_good.load()
        if origin is None:
            return None
        try:
            settings = self._load(origin, around, view, self._passwords.read_still)
        except (ConfigError, OSError, UnicodeDecodeError):
            return None
        self._in_force = origin
        return settings

    def _remember(self, origin: Origin) -> None:
        self._in_force = origin
        self.memory_problem = ""
        if self._cluster is not None:
            try:
                self._last_good.save(origin)
            except OSError as error:
                self.memory_problem = f"cannot remember the configuration: {error}"

    def _text(self, view: ClusterView | None) -> Origin | None:
        if self._document is not None:
            return Origin(name=self._document.name, text=self._document.text())
        config_map = view.config_map.value if view is not None else None
        if config_map is None or CONFIG_KEY not in config_map.data:
            return None
        return Origin(name=f"ConfigMap {config_map.name}", text=config_map.data[CONFIG_KEY])

    def _load(
        self,
        origin: Origin,
        around: _Around,
        view: ClusterView | None,
        read_password: ReadPassword,
    ) -> AgentSettings | None:
        """Return the settings; None: there is no PodNetwork. Raises ConfigError."""
        self._passwords.forget()
        asked: set[SecretRef] = set()

        def read_secret(ref: SecretRef) -> Secret:
            asked.add(ref)
            return _secret(view, ref)

        try:
            settings = origin.load(
                Surroundings(
                    host_name=self._host_name,
                    read_password=read_password,
                    read_secret=read_secret,
                    node=view.node.value if view is not None else None,
                    gateways=around[0],
                    discovered=around[1],
                )
            )
        finally:
            if self._cluster is not None:
                self._cluster.want_secrets(frozenset(asked))
        if settings and view is not None and view.node.presence is Presence.ABSENT:
            return _without_node(settings)
        return settings


def _not_read(view: ClusterView | None) -> str:
    """Return what has to be known before anything else, "" if nothing."""
    if view is None:
        return ""
    suffix = f" ({view.problem})" if view.problem else ""
    if view.node.value is None:
        if view.node.presence is Presence.ABSENT:
            return "the API server has no Node object of this name yet"
        return f"the Node object has not been read yet{suffix}"
    if view.objects.value is None:
        return f"it is not known yet whether there are configuration objects{suffix}"
    return ""


def _facts(view: ClusterView | None) -> tuple[Any, ...]:
    """Return what of the view can change the settings."""
    if view is None:
        return ()
    node: NodeView | None = view.node.value
    secrets: Mapping[SecretRef, Secret] = view.secrets
    return (
        node,
        view.node.presence,
        view.objects.value,
        view.config_map.presence,
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
        return "there is no ConfigMap with the configuration and no PodNetwork for this node yet"
    if config_map.value is not None:
        name = config_map.value.name
        return f"ConfigMap {name} has no key {CONFIG_KEY}, and there is no PodNetwork for this node"
    return "the ConfigMap with the configuration has not been read yet"


def _without_node(settings: AgentSettings) -> AgentSettings:
    """Say that our Node object is gone; what it last said stays in force.

    An API server that lost its objects must not take every node off the network at once, and
    a kubelet that lives registers its Node again.
    """
    note = "our Node object was deleted: its last state stays in force"
    return replace(settings, notes=(*settings.notes, note))
