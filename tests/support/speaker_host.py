"""A minimal agent around `bgp.speaker.process.Speaker`, for tests: runs inside a namespace.

As a program it owns a Speaker, its sessions and a RIB, and answers one JSON line per JSON line.
As a module it offers `SpeakerHost`, the test's end. `kill -9` of the program is the death of an
agent.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any

from bgp import session as sessions
from bgp.event import PeerEvent, SpeakerExited, SpeakerStarted, Updated
from bgp.filter import Change as FilterChange
from bgp.filter import Filter, Term
from bgp.nlri import Prefix
from bgp.peer import PeerSettings, Receive
from bgp.peer_id import PeerId
from bgp.policy import AcceptRule, ImportPolicy
from bgp.rib import Rib
from bgp.secret import Secret
from bgp.session import Session
from bgp.speaker.process import Speaker, SpeakerProcessSettings
from bgp.speaker_config import SpeakerConfig
from tests.support.netns import Namespace, inner_pid
from tests.support.wait import wait_until

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
EVERYTHING = ImportPolicy(
    cluster=tuple(AcceptRule(prefix=Prefix.parse(p), le=n) for p, n in (("1.0.0.0/8", 32),))
    + tuple(
        AcceptRule(prefix=Prefix.parse(p), le=n)
        for p, n in (("10.0.0.0/8", 32), ("fd00::/8", 128), ("198.51.100.0/24", 32))
    )
)


class SpeakerHost:
    """The test's end of the program below."""

    def __init__(self, namespace: Namespace, *, library: Path = ROOT, receive: str) -> None:
        """Start the program; `library` comes first where it looks for packages."""
        self._process = namespace.popen(
            [sys.executable, "-m", "tests.support.speaker_host", "/run/speaker", receive],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": f"{library}:{ROOT}"},
        )

    def ask(self, **request: Any) -> Any:
        """Send a request and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer

    def configure(self, peers: list[dict[str, Any]], networks: list[str], **rest: Any) -> None:
        """Hand over a configuration; peers as keyword arguments of PeerSettings.

        `rest` are further arguments of SpeakerConfig.
        """
        self.ask(do="configure", peers=peers, networks=networks, rest=rest)

    def state(self) -> Any:
        """Return everything the program knows."""
        return self.ask(do="state")

    def events(self, kind: str, **fields: Any) -> list[Any]:
        """Return the events of a kind whose fields have these values, oldest first."""
        return [
            event
            for event in self.state()["events"]
            if event["event"] == kind and all(event.get(k) == v for k, v in fields.items())
        ]

    def wait(self, what: str, probe: Callable[[Any], bool], deadline_s: float = 10) -> Any:
        """Wait until *probe* of the state is true and return that state."""
        last: list[Any] = []

        def look() -> Any:
            last[:] = [self.state()]
            state = last[0]
            return state if probe(state) else None

        try:
            return wait_until(look, deadline_s=deadline_s, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\nlast state: {json.dumps(last)}") from error

    def wait_established(self, *names: str, deadline_s: float = 10) -> Any:
        """Wait until these sessions, or all, are established."""
        return self.wait(
            f"established: {names or 'all'}",
            lambda state: all(
                state["sessions"][name]["state"] == "established"
                for name in (names or state["sessions"])
            ),
            deadline_s,
        )

    def pause(self) -> None:
        """Stop the program where it is."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`; nsenter stops and goes on with its child."""
        os.kill(self.pid, signal.SIGCONT)
        self._process.send_signal(signal.SIGCONT)

    @property
    def pid(self) -> int:
        """The program's pid as we see it."""
        return inner_pid(self._process)

    def abandon(self) -> None:
        """Reap the program after it was killed."""
        self._process.wait(timeout=10)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def close(self) -> None:
        """End the program as SIGTERM would."""
        if self._process.poll() is None:
            self.ask(do="quit")
        self.abandon()


class _Program:
    def __init__(self, run_dir: Path, receive: Receive) -> None:
        self._wakeup = os.eventfd(0)
        self._speaker = Speaker(
            SpeakerProcessSettings(run_dir=run_dir, receive=receive),
            lambda: os.eventfd_write(self._wakeup, 1),
        )
        self._config: SpeakerConfig | None = None
        self._sessions: dict[PeerId, Session] = {}
        self._rib = Rib(EVERYTHING, {})
        self._events: list[dict[str, Any]] = []
        self._updates = 0

    def run(self) -> None:
        buffer = b""
        while True:
            timeout = max(0.0, min(1.0, self._speaker.due_at - time.monotonic()))
            ready, _, _ = select.select([0, self._wakeup], [], [], timeout)
            if self._wakeup in ready:
                os.eventfd_read(self._wakeup)
            self._poll()
            if 0 in ready:
                data = os.read(0, 65536)
                if not data:
                    return
                buffer += data
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    if not self._answer(json.loads(line)):
                        return

    def _poll(self) -> None:
        for event in self._speaker.poll(time.monotonic()):
            at = time.time()
            log.debug("%s", event)
            if isinstance(event, Updated):
                self._updates += 1
            else:
                self._events.append(_plain(event, at))
            if isinstance(event, SpeakerStarted | SpeakerExited):
                for name, session in self._sessions.items():
                    self._sessions[name] = (
                        sessions.start(session, at)
                        if isinstance(event, SpeakerStarted)
                        else sessions.stop(session, at, event.reason)
                    )
                    self._rib.mark_stale(name)
            elif isinstance(event, PeerEvent):
                if event.peer in self._sessions:
                    before = self._sessions[event.peer]
                    self._sessions[event.peer] = sessions.advance(before, event, at)
                self._rib.apply(event)

    def _answer(self, request: dict[str, Any]) -> bool:
        answer: dict[str, Any] = {}
        if request["do"] == "quit":
            self._speaker.stop(5)
        elif request["do"] == "configure":
            self._configure(request)
        else:
            answer = self._state()
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        return bool(request["do"] != "quit")

    def _configure(self, request: dict[str, Any]) -> None:
        config = SpeakerConfig(
            router_id=IPv4Address("10.255.1.1"),
            peers=tuple(_peer(given) for given in request["peers"]),
            networks=tuple(Prefix.parse(network) for network in request["networks"]),
            **request["rest"],
        )
        now = time.time()
        known, self._sessions = self._sessions, {}
        for peer in config.peers:
            fresh = Session(peer=peer.name, since=now)
            if self._speaker.pid is not None:
                fresh = sessions.start(fresh, now)
            self._sessions[peer.name] = known.get(peer.name, fresh)
        self._rib.reconfigure(EVERYTHING, {peer.name: peer for peer in config.peers})
        self._speaker.configure(config)

    def _state(self) -> dict[str, Any]:
        return {
            "sessions": {
                name: {
                    "state": session.state,
                    "last_down": session.last_down,
                    "times_down": session.times_down,
                    "hold_time_s": session.hold_time_s,
                    "since": session.since,
                    "announced": sorted(map(str, session.announced)),
                    "end_of_rib_received": sorted(session.end_of_rib_received),
                    "end_of_rib_sent": sorted(session.end_of_rib_sent),
                }
                for name, session in self._sessions.items()
            },
            "routes": {
                str(prefix): [
                    [path.peer, str(path.attributes.next_hop), path.stale]
                    for path in self._rib.best(prefix)
                ]
                for prefix in sorted(self._rib.prefixes())
            },
            "events": self._events,
            "updates": self._updates,
            "pid": self._speaker.pid,
            "restarts": self._speaker.restarts,
            "settled": self._speaker.is_settled,
            "pending_bytes": self._speaker.pending_bytes(),
        }


def _peer(given: dict[str, Any]) -> PeerSettings:
    values = dict(given)
    values["address"] = ip_address(values["address"])
    values.setdefault("local_asn", 65201)
    if "export_set" in values:
        change: dict[str, Any] = {
            name: value if isinstance(value, int) else _tuples(value)
            for name, value in values.pop("export_set").items()
        }
        term = Term(change=FilterChange(**change))
        values["export_filter"] = Filter(name="test", terms=(term,))
    if "password" in values:
        values["password"] = Secret(values["password"])
    return PeerSettings(**values)


def _tuples(lists: list[list[int]]) -> Any:
    return tuple(map(tuple, lists))


def _plain(event: Any, at: float) -> dict[str, Any]:
    fields = {name: getattr(event, name) for name in type(event).__dataclass_fields__}
    return {
        "event": type(event).__name__,
        "at": at,
        **{
            name: value if isinstance(value, int | str | None) else str(value)
            for name, value in fields.items()
        },
    }


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Append what a line of the speaker says."""
        return f"{super().format(record)} {getattr(record, 'line', getattr(record, 'reason', ''))}"


if __name__ == "__main__":
    if "DEBUG_SPEAKER" in os.environ:
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
        logging.getLogger().handlers[0].setFormatter(_Formatter("%(asctime)s %(message)s"))
    _Program(Path(sys.argv[1]), Receive(sys.argv[2])).run()
