"""What the status page answers: its files, and read-only JSON. SHELL.

GET /v1/overview, /v1/routes, /v1/history[?peer=NAME], /v1/pods, /v1/findings, /v1/why?of=PREFIX.
Called in threads of the door's. The loop is asked with a bound, and for one second's onlookers
once; nothing here can change anything.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final

from router.agent.api import RequestError
from router.agent.control import Control
from router.agent.page.files import Files
from router.agent.page.findings import Examine, Findings
from router.agent.page.overview import history, overview
from router.agent.page.table import Table
from router.agent.page.wire import Refused, Reply, Request, check
from router.agent.requests import ClosedError

_ASK_S: Final = 3.0
_FRESH_S: Final = 0.9
"""An answer serves all who ask within this time."""

Json = Mapping[str, Any]


class Answers:
    """Answers one request at a time of each kind; `control.agent` is there."""

    def __init__(self, control: Control, examine: Examine | None) -> None:
        """`examine` is the doctor's look, None where there is none."""
        self._control = control
        self._findings = Findings(examine)
        self._table = Table(lambda make: control.look(make, _ASK_S))
        self._overview = _Shared(self._look_over)
        self._pods = _Shared(self._look_at_pods)
        self._views: Mapping[str, Callable[[Request], Json]] = {
            "/v1/overview": lambda _: self._overview.get(),
            "/v1/history": self._history,
            "/v1/pods": lambda _: self._pods.get(),
            "/v1/findings": lambda _: self._findings.latest(),
            "/v1/why": self._why,
        }

    @cached_property
    def _files(self) -> Files:
        return Files()

    def __call__(self, request: Request) -> Reply:
        """Answer. Raises Refused."""
        check(request, self._control.node)
        file = self._files.get(request.path, takes_gzip=request.takes_gzip)
        if file is not None:
            return file
        try:
            if request.path == "/v1/routes":
                return self._routes(request)
            make = self._views.get(request.path)
            if make is None:
                raise Refused(404, f"there is no {request.path[:80]!r} here")
            return _json(make(request))
        except RequestError as error:
            raise Refused(error.status, str(error)) from None
        except ClosedError as error:
            raise Refused(503, str(error)) from None
        except TimeoutError:
            raise Refused(503, "the agent's loop did not answer in time") from None

    def _routes(self, request: Request) -> Reply:
        made = self._table.get()
        kind = "application/json"
        if request.takes_gzip:
            return Reply(kind=kind, body=made.packed, tag=f"{made.tag}-z", is_gzip=True)
        return Reply(kind=kind, body=gzip.decompress(made.packed), tag=made.tag)

    def _look_over(self) -> Json:
        at = time.time()
        control = self._control
        seen = control.look(lambda agent: overview(agent, control.seen(agent), at), _ASK_S)
        status = seen["status"]
        situation = (status["peers"], status["reasons"], status["drain"]["phase"])
        return {**seen, "findings": self._findings.latest(situation)}

    def _history(self, request: Request) -> Json:
        peer, at = request.query.get("peer"), time.time()
        return self._control.look(lambda agent: history(agent, peer, at), _ASK_S)

    def _why(self, request: Request) -> Json:
        return self._control.why(request.query)

    def _look_at_pods(self) -> Json:
        try:
            seen = self._control.ask_cni()
        except OSError as error:
            text = f"the CNI server does not answer: {error}"
            return {"problem": text, "pods": None, "pools": None}
        return {"problem": None, "pods": seen["pods"], "pools": seen["pools"]}


class _Shared:
    """One answer for all who ask within a moment; whoever comes while it is made waits for it."""

    def __init__(self, make: Callable[[], Json]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._answer: Json | Exception = {}
        self._at = float("-inf")

    def get(self) -> Json:
        with self._lock:
            if time.monotonic() - self._at >= _FRESH_S:
                try:
                    self._answer = self._make()
                except (RequestError, ClosedError, TimeoutError) as error:
                    self._answer = error
                self._at = time.monotonic()
            answer = self._answer
        if isinstance(answer, Exception):
            raise answer
        return answer


def _json(value: Json) -> Reply:
    return Reply(kind="application/json", body=json.dumps(value).encode())
