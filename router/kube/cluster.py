"""The agent's door to the API server: one thread with one event loop. SHELL.

The loop's thread holds all state of this package; the agent's thread takes frozen views and
hands over frozen wishes. Nothing the API server does or does not do can hold the agent up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from router.kube import convert
from router.kube.claims import ClaimsReader
from router.kube.client import Client
from router.kube.clock import Clock
from router.kube.errors import MalformedError
from router.kube.event import Note
from router.kube.keeping import keep
from router.kube.memory import MemoryFile, Remembered
from router.kube.objects import ObjectFollower
from router.kube.secret import SecretReader
from router.kube.services import ServiceFollower
from router.kube.view import ClusterSettings, ClusterView, recalled
from router.kube.watch import Following, Health, Target, Watch
from router.kube.writers import Writers
from router.model.config_object import ConfigObject
from router.model.node import Observed, Presence, SecretRef
from router.reconcile.node_report import Report
from router.reconcile.node_status import StatusSettings
from router.reconcile.readiness import Verdict

_log = logging.getLogger(__name__)
T = TypeVar("T")
_START_S: Final = 10.0
_STOP_S: Final = 5.0
_GOODBYE_S: Final = 0.1


class Cluster:
    """Follows our Node, our ConfigMap, the wanted Secrets, and Services if they are wanted.

    Writes our Node's status.
    """

    def __init__(self, settings: ClusterSettings, wake: Callable[[], None]) -> None:
        """Start the thread; `wake` is called from it whenever `take` would answer anew."""
        self._settings = settings
        self._wake = wake
        self._memory = MemoryFile(settings.memory)
        self._raw = self._memory.load()
        self._view = recalled(self._raw, settings)
        self._problems: dict[str, str] = {}
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._writers: Writers | None = None
        self._secrets: SecretReader | None = None
        self._services: ServiceFollower | None = None
        self._claims: ClaimsReader | None = None
        self._objects: ObjectFollower | None = None
        self._wants_services = False
        self._wants_report = True
        self._status: tuple[Verdict, StatusSettings] | None = None
        """What the Node was told to say last."""
        self._watches: dict[str, Watch] = {}
        self._thread = threading.Thread(target=self._run, name="kube-api", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_S):
            raise RuntimeError("the API thread did not start")

    # --- the agent's thread ---------------------------------------------------------------------

    def take(self) -> ClusterView:
        """Return the newest view; the same object as long as nothing changed."""
        return self._view

    def want_status(self, verdict: Verdict, settings: StatusSettings) -> None:
        """Make the Node say this; call it whenever you like, differences alone wake the thread."""
        if self._writers is not None and (verdict, settings) != self._status:
            self._status = verdict, settings
            self._post(self._writers.node.want, verdict, settings)

    def want_report(self, report: Report | None) -> None:
        """Make our BGPNodeStatus say this, in due time; None writes none."""
        is_wanted = report is not None
        if self._writers is not None and (is_wanted or self._wants_report):
            self._wants_report = is_wanted
            self._post(self._writers.report.want, report)

    def want_secrets(self, refs: frozenset[SecretRef]) -> None:
        """Keep these keys of Secrets at hand."""
        if self._secrets is not None:
            self._post(self._secrets.want, refs)

    def want_services(self, wanted: bool) -> None:
        """Watch Services and EndpointSlices from now on, or no longer."""
        if self._services is not None and wanted != self._wants_services:
            self._wants_services = wanted
            self._post(self._services.want, wanted)

    def want_claims(self, number: int) -> None:
        """List all Nodes once more, if this number is higher than those before."""
        if self._claims is not None and number > self._view.claims.number:
            self._post(self._claims.want, number)

    def tell(self, note: Note) -> None:
        """Send an Event about the node, if the API server takes it."""
        if self._writers is not None:
            self._post(self._writers.events.tell, note)

    def close(self) -> None:
        """End the thread; nothing is withdrawn from the Node."""
        if self._stop is not None:
            self._post(self._stop.set)
        self._thread.join(_STOP_S)

    def _post(self, function: Callable[..., object], *arguments: object) -> None:
        if self._loop is not None:
            # A loop that has ended takes nothing more; so be it.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function, *arguments)

    # --- the loop's thread ----------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        settings = self._settings
        client = Client(settings.access)
        clock = Clock()
        self._stop = asyncio.Event()
        given: dict[str, Any] = {"api": client, "pace": settings.pace, "clock": clock}
        self._writers = Writers(client, settings, clock, self._publish)
        self._secrets = SecretReader(
            **given,
            namespace=settings.namespace,
            changed=self._secrets_changed,
            found=dict(self._raw.secrets),
        )
        self._services = ServiceFollower(
            **given,
            node=settings.node,
            changed=lambda services: self._publish(services=services),
            told=self._publish,
            noted=self._note,
        )
        self._claims = ClaimsReader(
            **given, changed=lambda claims: self._publish(claims=claims), told=self._publish
        )
        self._objects = ObjectFollower(
            **given, changed=self._objects_changed, told=self._publish, noted=self._note
        )
        self._watches["node"] = self._watch(
            client, "/api/v1/nodes", settings.node, self._node_changed
        )
        if settings.config_map:
            config_maps = f"/api/v1/namespaces/{settings.namespace}/configmaps"
            self._watches["config map"] = self._watch(
                client, config_maps, settings.config_map, self._config_map_changed
            )
        parts: dict[str, Callable[[], Awaitable[None]]] = {
            f"watch of the {name}": watch.follow for name, watch in self._watches.items()
        }
        parts |= {
            **self._writers.parts,
            "secrets": self._secrets.follow,
            "services": self._services.follow,
            "nodes": self._claims.follow,
        }
        if settings.objects:
            parts["objects"] = self._objects.follow
        pause_s = settings.pace.longest_s
        tasks = [
            asyncio.create_task(keep(name, part, self._failed, pause_s))
            for name, part in parts.items()
        ]
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await client.close()
            # aiohttp closes TLS transports in the background and offers nothing to wait for.
            await asyncio.sleep(_GOODBYE_S)

    def _failed(self, part: str, problem: str) -> None:
        self._problems[part] = problem
        self._publish()

    def _watch(
        self, client: Client, collection: str, name: str, changed: Callable[[Any], None]
    ) -> Watch:
        return Watch(
            api=client,
            target=Target(collection=collection, name=name),
            pace=self._settings.pace,
            clock=Clock(),
            changed=changed,
            told=self._health_changed,
        )

    def _node_changed(self, raw: Mapping[str, Any] | None) -> None:
        observed = self._observed("node", raw, convert.node_view, self._view.node)
        if observed is None:
            return
        if raw is not None:
            self._remember(replace(self._raw, node=raw))
        present = observed.value if observed.presence is Presence.PRESENT else None
        if self._writers is not None:
            self._writers.see(present)
        self._publish(node=observed)

    def _config_map_changed(self, raw: Mapping[str, Any] | None) -> None:
        observed = self._observed("config map", raw, convert.config_map_view, self._view.config_map)
        if observed is None:
            return
        if raw is not None:
            self._remember(replace(self._raw, config_map=raw))
        self._publish(config_map=observed)

    def _observed(
        self,
        part: str,
        raw: Mapping[str, Any] | None,
        convert_to: Callable[[Mapping[str, Any]], T],
        before: Observed[T],
    ) -> Observed[T] | None:
        """Return the new observation, None if the object cannot be used."""
        self._problems.pop(part, None)
        if raw is None:
            return Observed(presence=Presence.ABSENT, value=before.value)
        try:
            return Observed(presence=Presence.PRESENT, value=convert_to(raw))
        except MalformedError as error:
            self._problems[part] = str(error)
            self._publish()
            return None

    def _objects_changed(self, objects: tuple[ConfigObject, ...]) -> None:
        self._remember(replace(self._raw, objects=objects))
        self._publish(objects=Observed(presence=Presence.PRESENT, value=objects))

    def _note(self, problem: str) -> None:
        _log.warning("an object of the API cannot be used", extra={"problem": problem})

    def _secrets_changed(self) -> None:
        if self._secrets is not None:
            found = dict(self._secrets.found)
            self._remember(replace(self._raw, secrets=found))
            self._publish(secrets=found, secret_problems=dict(self._secrets.problems))

    def _health_changed(self) -> None:
        if self._writers is not None:
            self._writers.connect(self._watches["node"].health.connected)
        self._publish()

    def _remember(self, remembered: Remembered) -> None:
        self._raw = remembered
        try:
            self._memory.save(remembered)
            self._problems.pop("memory", None)
        except OSError as error:
            self._problems["memory"] = f"cannot remember the API's objects: {error}"

    def _publish(self, **changes: Any) -> None:
        """Put a new view in place and wake the agent, if it differs."""
        watches: list[Following] = list(self._watches.values())
        if self._services is not None:
            watches += self._services.watches.values()
        if self._objects is not None:
            watches += self._objects.watches.values()
        healths: list[Health] = [watch.health for watch in watches]
        lost = [health.problem for health in healths if not health.connected]
        askers = (self._claims, self._objects)
        problems = [each.problem for each in askers if each and each.problem]
        view = replace(
            self._view,
            connected=bool(healths) and not lost,
            problem="; ".join(dict.fromkeys([*lost, *self._problems.values(), *problems])),
            status_problem=self._writers.problem if self._writers else "",
            status_writes=self._writers.report.writes if self._writers else 0,
            requests=sum(health.requests for health in healths),
            failures=sum(health.failures for health in healths),
            **changes,
        )
        if view != self._view:
            self._view = view
            self._wake()
