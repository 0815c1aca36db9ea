"""The fake API server as a process, as labs run it: https, a token, faults over its pipe."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from containerlab.fakeapi import objects
from router.kube.access import Access
from router.kube.errors import RefusedError, UnreachableError
from tests.support.contract_api import ContractApi

ROOT = Path(__file__).resolve().parents[2]


class Process:
    """One fake API server and its pipe."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "containerlab.fakeapi", "--tls", directory, "--token", "t=sa"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.first = self._read()

    def ask(self, **command: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def close(self) -> int:
        self._process.communicate(timeout=10)
        return self._process.returncode


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    found = Process(tmp_path / "pki")
    yield found
    assert found.close() == 0


def test_it_serves_obeys_and_ends_with_its_input(process: Process, tmp_path: Path) -> None:
    objects.write_token(tmp_path / "token", "t")
    access = Access(
        server=process.first["url"],
        ca_file=Path(process.first["ca"]),
        token_file=tmp_path / "token",
        user_agent="tester",
    )
    with ContractApi(access, "ns") as api:
        api.make_config_map("a", key="1")
        process.ask(do="fail", rule={"action": "status", "status": 429, "retry_after_s": 3})
        with pytest.raises(RefusedError) as caught:
            api.get(api.config_maps)
        assert (caught.value.status, caught.value.retry_after_s) == (429, 3.0)
        process.ask(do="down")
        with pytest.raises(UnreachableError):
            api.get(api.config_maps)
        process.ask(do="up")
        assert len(api.get(api.config_maps)["items"]) == 1
        log = process.ask(do="requests")
        assert {entry["user"] for entry in log} == {"sa"}
        assert {entry["user_agent"] for entry in log} == {"tester"}
        assert "unknown command" in process.ask(do="dance")["error"]
