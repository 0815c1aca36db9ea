"""What operators and probes may ask of the agent, and how it ends.

The loop's thread owns the agent; requests reach it through the inbox. Before there are
settings there is no agent yet: every question gets the reason.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from bgp.nlri import PrefixError
from bgp.segment import Segment
from router.agent import drain_requests, service_view, view
from router.agent.api import Handler, RequestError
from router.agent.capabilities import lacking_here
from router.agent.core import RouteAgent
from router.agent.facts import facts
from router.agent.health import Answer, Probe
from router.agent.metrics import render
from router.agent.requests import Inbox, Wake
from router.agent.source import ClusterShell, SettingsSource
from router.agent.view_api import api
from router.agent.why import Pods, Subject, why

_ASK_S: Final = 10.0
_WITHDRAW_S: Final = 10.0
_SHUTDOWN_S: Final = 5.0
"""Of the 10 s that kubelet gives this pod at least half is left."""
_LINGER_S: Final = 1.0
"""What a ToR has acknowledged is not yet out of its forwarding table (FRR: 10 to 100 ms)."""
_PAUSE_S: Final = 0.01
_LIVE_S: Final = 15.0
"""A loop that has not turned for so long is not alive: a step of a full table takes 1 s."""


T = TypeVar("T")
_Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def no_cni_server() -> Mapping[str, Any]:
    """Stand in for a node without a CNI server."""
    raise OSError("no CNI server is known")


class Control:
    """The agent's door; `agent` is set once there is one."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        wake: Wake,
        source: SettingsSource,
        cluster: ClusterShell | None = None,
        ask_cni: Callable[[], Mapping[str, Any]] = no_cni_server,
    ) -> None:
        """Begin without an agent; `cluster` in cluster mode.

        `ask_cni` returns the CNI server's overview, in any thread, or raises OSError.
        """
        self.ask_cni = ask_cni
        self._cluster = cluster
        self.agent: RouteAgent | None = None
        self.ended = False
        self.withdraw_until: float | None = None
        self.withdrawn: bool | None = None
        """The outcome of `stop --withdraw`, once it is known."""
        self._gone_at: float | None = None
        self._linger_s = 0.0
        self.told = 0
        """How many peers were established when the withdrawal began."""
        self._inbox = inbox
        self._wake = wake
        self._source = source
        self._turned_at = time.monotonic()
        self._stoppers: list[threading.Event] = []

    # --- the loop's thread ----------------------------------------------------------------------

    def turn(self, pause_s: float) -> None:
        """Sleep until woken or `pause_s` has passed, then answer what was asked."""
        self._turned_at = time.monotonic()
        self._wake.wait(pause_s if self.withdraw_until is None else _PAUSE_S)
        self._inbox.serve()

    def judge_withdrawal(self, withdrawn: bool, now: float) -> None:
        """End the agent once everything is withdrawn, or the time for it has passed."""
        if withdrawn:
            self._gone_at = now if self._gone_at is None else self._gone_at
            self.withdrawn, self.ended = True, now >= self._gone_at + self._linger_s
        elif self.withdraw_until is not None and now >= self.withdraw_until:
            self.withdrawn, self.ended = False, True

    def answer_stop(self) -> None:
        """Let those who asked for the end have their answer before the socket goes."""
        self._inbox.close()
        for stopper in self._stoppers:
            stopper.set()

    # --- any thread -----------------------------------------------------------------------------

    def end(self) -> None:
        """End the loop, from a signal.

        At once, and nothing is withdrawn; but where kubelet says that the machine goes down, after
        a withdrawal. A second signal does not wait for it.
        """
        agent = self.agent
        if agent is None or not agent.draining.is_shutdown or self.withdraw_until is not None:
            self.ended = True
        else:
            self.told = len(agent.sessions.established)
            self.withdraw_until = time.monotonic() + _SHUTDOWN_S
            self._linger_s = _LINGER_S
        self._wake()

    def probes(self) -> dict[str, Probe]:
        """Return kubelet's questions and their answers."""
        return {"/healthz": self._is_live, "/readyz": self._is_ready}

    def _is_live(self) -> Answer:
        age_s = time.monotonic() - self._turned_at
        if age_s > _LIVE_S:
            return Answer(False, f"the agent's loop has not turned for {age_s:.0f} s")
        return Answer(True, "the agent's loop turns")

    def _is_ready(self) -> Answer:
        agent = self.agent
        if agent is None:
            return Answer(False, self._source.waiting or self._source.problem)
        verdict = agent.verdict
        return Answer(verdict.is_ready, verdict.text)

    def routes(self) -> dict[tuple[str, str], Handler]:
        """Return the handlers of the local interface."""
        return {
            ("GET", "/v1/status"): self._view(self._status),
            ("GET", "/v1/peers"): self._view(self._peers),
            ("GET", "/v1/routes"): self._view(view.routes),
            ("GET", "/v1/services"): self._view(service_view.services),
            ("GET", "/v1/why"): self.why,
            ("GET", "/v1/doctor"): self._view(self._facts),
            ("POST", "/v1/doctor/signature"): self._signature,
            ("GET", "/metrics"): lambda _: self.metrics(),
            ("POST", "/v1/stop"): self._stop,
            ("POST", "/v1/drain"): self._drain,
            ("POST", "/v1/undrain"): self._undrain,
        }

    def metrics(self) -> str:
        """Return the page for Prometheus; raises RequestError, ClosedError or TimeoutError."""
        cni: Mapping[str, Any] | None = None
        with contextlib.suppress(OSError):
            cni = self.ask_cni()

        seen = self.look(self.seen)
        return render(seen["status"], seen["peers"], cni)

    def _drain(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._view(drain_requests.begin(body, time.monotonic, time.time))(body)

    def _undrain(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._view(drain_requests.end(body, time.monotonic))(body)

    def _peers(self, agent: RouteAgent) -> Mapping[str, Any]:
        return view.peers(agent, time.time()) | {"drain": drain_requests.view(agent)}

    def _status(self, agent: RouteAgent) -> Mapping[str, Any]:
        answer = view.status(agent, time.monotonic())
        answer["drain"] = drain_requests.view(agent)
        answer["api"] = api(self._cluster.take()) if self._cluster is not None else None
        return answer

    def seen(self, agent: RouteAgent) -> Mapping[str, Any]:
        """Return status and peers; for the loop's thread."""
        return {"status": self._status(agent), "peers": self._peers(agent)}

    @property
    def node(self) -> str:
        """The name of this node; "" before there are settings."""
        return self.agent.settings.node if self.agent is not None else ""

    def _facts(self, agent: RouteAgent) -> Mapping[str, Any]:
        return facts(agent) | {
            "api": api(self._cluster.take()) if self._cluster is not None else None,
            "lacking": list(lacking_here()),
        }

    def _signature(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Tell whether a peer's segment is signed with our password, which stays here."""
        try:
            segment = Segment.parse(bytes.fromhex(str(body.get("packet", ""))))
        except ValueError as error:
            raise RequestError(400, f"packet: {error}") from None

        def judge(agent: RouteAgent) -> Mapping[str, Any]:
            for peer in agent.settings.peers:
                if peer.name == body.get("peer") and peer.password is not None:
                    return {"signed_by_us": segment.is_signed_with(peer.password)}
            raise RequestError(404, f"there is no peer {body.get('peer')!r} with a password")

        return self._view(judge)(body)

    def why(self, query: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer for `of`; the CNI server is asked in this thread, never in the loop's."""
        try:
            subject = Subject.parse(str(query.get("of", "")))
        except PrefixError as error:
            raise RequestError(400, str(error)) from None
        pods = Pods(None)
        if subject.is_address:
            try:
                pods = Pods(self.ask_cni())
            except OSError as error:
                pods = Pods(None, f"the CNI server does not answer: {error}")
        return self._view(lambda agent: why(agent, subject, pods))(query)

    def look(self, make: Callable[[RouteAgent], T], timeout_s: float = _ASK_S) -> T:
        """Run `make` on the loop's thread; raises RequestError, ClosedError or TimeoutError."""
        agent = self.agent
        if agent is None:
            reason = self._source.waiting or self._source.problem
            raise RequestError(503, f"the route agent waits for its configuration: {reason}")
        return self._inbox.ask(lambda: make(agent), timeout_s)

    def _view(self, make: Callable[[RouteAgent], Mapping[str, Any]]) -> _Ask:
        return lambda _: self.look(make)

    def _stop(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        withdraw = body.get("withdraw", False)
        if body.keys() - {"withdraw"} or not isinstance(withdraw, bool):
            raise RequestError(400, 'expected {"withdraw": true} or {"withdraw": false}')
        done = threading.Event()

        def begin() -> None:
            self._stoppers.append(done)
            if withdraw and self.agent is not None:
                self.told = len(self.agent.sessions.established)
                self.withdraw_until = time.monotonic() + _WITHDRAW_S
            else:
                self.ended = True

        self._inbox.ask(begin, _ASK_S)
        done.wait(_WITHDRAW_S + _ASK_S)
        return {"withdrawn": self.withdrawn, "peers": self.told}
