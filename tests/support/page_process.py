"""A page host (`tests.support.page_host`) in a namespace, and clients beside it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.netns import Namespace

_ROOT = Path(__file__).resolve().parents[2]


class PageProcess:
    """Started by the constructor; answers when that returns."""

    def __init__(self, node: Namespace, routes: int = 40) -> None:
        self.node = node
        self._process = node.popen(
            [sys.executable, "-m", "tests.support.page_host", str(routes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )
        assert self._listen() == "ready\n"

    def _listen(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def tell(self, command: str) -> float:
        """Tell the agent's loop something; return how many seconds it took to hear."""
        assert self._process.stdin is not None
        began = time.monotonic()
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        assert self._listen() == "ok\n"
        return time.monotonic() - began

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()


@contextlib.contextmanager
def page_process(node: Namespace, routes: int = 40) -> Iterator[PageProcess]:
    """Run one for the length of a block."""
    with contextlib.closing(PageProcess(node, routes)) as made:
        yield made
