"""One end of links that sends and hears router advertisements, as a program in a namespace.

Runs the real shell with links observed once for each line on standard input (the names of the
interfaces); writes a line of JSON for everything that was heard: interface -> [router, others,
problem].
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from router.kernel.link import LinkTable
from router.kernel.router_advertisement import RouterAdvertisements
from router.reconcile.discovery import ports
from tests.support.netns import Namespace

ROOT = Path(__file__).resolve().parents[2]


class AdvertisingHost:
    """The program; `heard` is what it said last."""

    def __init__(self, namespace: Namespace, *interfaces: str) -> None:
        self.heard: Mapping[str, Any] = {}
        self._process = namespace.popen(
            [
                sys.executable,
                "-c",
                "import sys; sys.path.insert(0, sys.argv[1]);"
                "from tests.support.advertising_host import main; main()",
                ROOT,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.look(*interfaces)

    def look(self, *interfaces: str) -> None:
        """Let it look at its links again and want these."""
        assert self._process.stdin is not None
        print(*interfaces, file=self._process.stdin, flush=True)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._thread.join(timeout=5)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.heard = json.loads(line)


def main() -> None:
    """Be the program."""

    def tell() -> None:
        found = {
            name: [
                str(routers.router) if routers.router else "",
                [*map(str, routers.others)],
                routers.problem,
            ]
            for name, routers in shell.heard.items()
        }
        print(json.dumps(found), flush=True)

    shell, links = RouterAdvertisements(tell), LinkTable()
    wanted: Mapping[str, Any] = {}
    for line in sys.stdin:
        wanted = ports(line.split(), links.observe(), wanted)
        shell.want(wanted)
    shell.close()
