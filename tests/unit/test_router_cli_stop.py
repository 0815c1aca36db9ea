"""podroute stop is over when the agent is: a new one can start then."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from router.agent.api import LocalApi
from router.agent.lock import agent_lock
from router.cli.main import main
from router.cli.stop import stop_agent


class Agent:
    """Holds the lock and answers; ends so many seconds after its answer, or never."""

    def __init__(self, run_dir: Path, ends_after_s: float | None) -> None:
        self._held = ExitStack()
        self._held.enter_context(agent_lock(run_dir / "router.lock"))
        self._ends_after_s = ends_after_s
        self.has_ended = threading.Event()
        self._api = LocalApi(run_dir / "router.sock", {("POST", "/v1/stop"): self._stop})

    def _stop(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._ends_after_s is not None:
            threading.Timer(self._ends_after_s, self._end).start()
        return {"withdrawn": body["withdraw"] or None, "peers": 1}

    def _end(self) -> None:
        self.has_ended.set()
        self._held.close()

    def close(self) -> None:
        self._api.close()
        self._held.close()


@contextlib.contextmanager
def agent(run_dir: Path, ends_after_s: float | None) -> Iterator[Agent]:
    with contextlib.closing(Agent(run_dir, ends_after_s)) as made:
        yield made


@pytest.mark.parametrize("words", [["--withdraw"], []])
def test_a_new_agent_can_start_when_stop_returns(tmp_path: Path, words: list[str]) -> None:
    with agent(tmp_path, 0.5) as ending:
        assert main(["--run-dir", str(tmp_path), "stop", *words]) == 0
        assert ending.has_ended.is_set()
        with agent_lock(tmp_path / "router.lock"):
            pass


def test_an_agent_that_does_not_end_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agent(tmp_path, None):
        assert stop_agent(tmp_path, withdraw=True, wait_s=0.2) == 1
    told = capsys.readouterr()
    assert "Everything is withdrawn" in told.out
    assert "has not ended" in told.err
    assert "router.lock" in told.err


def test_a_new_agent_is_not_waited_for(tmp_path: Path) -> None:
    """A supervisor may start one at once: it writes its own pid."""
    lock = tmp_path / "router.lock"
    with agent(tmp_path, None):
        timer = threading.Timer(0.2, lambda: lock.write_text("1\n"))
        timer.start()
        assert stop_agent(tmp_path, withdraw=False, wait_s=10.0) == 0
        timer.join()
