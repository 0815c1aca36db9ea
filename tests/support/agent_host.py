"""AgentHost: the real route agent on the node of a BgpFabric, and what it tells operators."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.support.bgp_fabric import NODE_ASN, OWN, BgpFabric
from tests.support.netns import Namespace
from tests.support.wait import NotYetError, wait_until

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "/run/agent.yaml"

Document = dict[str, Any]


def document(fabric: BgpFabric, *, families: tuple[int, ...] = (4,)) -> Document:
    """Return a configuration with one peer per router and family, named tor1, tor1-v6 ..."""
    peers: list[Document] = []
    for index in range(1, len(fabric.routers) + 1):
        for family, address in zip((4, 6), fabric.their_addresses(index), strict=True):
            if family in families:
                name = f"tor{index}" if family == 4 else f"tor{index}-v6"
                peers.append({"name": name, "address": address, "remote_asn": 65100 + index})
    return {
        "node": "node1",
        "router_id": "10.255.1.1",
        "local_asn": NODE_ASN,
        "pod_cidrs": list(OWN),
        "cluster": {"pod_prefixes": ["10.244.0.0/16", "fd00:244::/32"]},
        "import": {"also_accept": [{"prefix": "10.0.0.0/8", "le": 32}]},
        "speaker": {"receive": fabric.receive},
        "peers": peers,
    }


class AgentHost:
    """Started by the constructor, with the configuration given."""

    def __init__(self, node: Namespace, config: Document) -> None:
        self._node = node
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.write(config)
        self._process = node.popen(
            [sys.executable, "-m", "router", "router", "--config", CONFIG],
            env=self._environment,
            stderr=subprocess.DEVNULL,
        )

    def write(self, config: Document | str) -> None:
        """Put a configuration in place; it is in force a moment later, if it is right."""
        text = config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False)
        self._node.run(["sh", "-ec", f"cat > {CONFIG}.new && mv {CONFIG}.new {CONFIG}"], input=text)

    def podroute(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the operator's command."""
        argv = [sys.executable, "-m", "router", *arguments]
        return self._node.run(argv, env=self._environment, check=check)

    def ask(self, view: str) -> Any:
        """Return the answer of `podroute VIEW -o json`; NotYetError while there is none."""
        done = self.podroute(view, "-o", "json", check=False)
        if done.returncode:
            raise NotYetError(done.stderr)
        return json.loads(done.stdout)

    def peer(self, name: str) -> Any:
        """Return what `podroute peers` says of one peer."""
        return next(peer for peer in self.ask("peers")["peers"] if peer["name"] == name)

    def wait_peer(
        self, name: str, what: str, probe: Callable[[Any], bool], deadline_s: float = 15
    ) -> Any:
        """Wait until *probe* of the peer is true, and return the peer."""

        def look() -> Any:
            peer = self.peer(name)
            if not probe(peer):
                raise NotYetError(peer)
            return peer

        return wait_until(look, deadline_s=deadline_s, what=f"{name}: {what}")

    def wait_established(self, *names: str, deadline_s: float = 20) -> dict[str, str]:
        """Wait until these sessions are established; return since when each has been."""
        return {
            name: self.wait_peer(
                name, "established", lambda p: bool(p["state"] == "established"), deadline_s
            )["since"]
            for name in names
        }

    def wait_status(self, *words: str, deadline_s: float = 15) -> list[str]:
        """Wait until one reason in `podroute status` has all these words; return all reasons."""

        def look() -> list[str]:
            reasons: list[str] = self.ask("status")["reasons"]
            if not any(all(word in reason for word in words) for reason in reasons):
                raise NotYetError(reasons)
            return reasons

        return wait_until(look, deadline_s=deadline_s, what=f"in status: {words}")

    def close(self) -> None:
        """End the agent as SIGTERM would."""
        if self._process.poll() is None:
            self.podroute("stop", check=False)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._node.kill(self._process)
            self._process.wait(timeout=5)


StartAgent = Callable[[BgpFabric, Document], AgentHost]
"""Start the routers of a fabric and the agent on its node."""
