"""Put podroute on a lab that is up: ``./dev lab start NAME``.

Every node with a configuration file gets its agent, its CNI server and one pod; they run until the
lab ends. To look around in; the tests start theirs themselves.
"""

from __future__ import annotations

import argparse
import sys

from containerlab.demo.daemon import PODROUTE, DaemonError
from containerlab.demo.fabric import CONFIG, Host, WaitError, host_of, wait_for
from containerlab.demo.pod import PluginError
from containerlab.netlab import Lab
from containerlab.netlab.__main__ import attach
from containerlab.netlab.errors import LabError
from containerlab.netlab.node import Node

READY_S = 60.0


def configured(lab: Lab) -> tuple[Node, ...]:
    """Return the nodes of a lab that have a podroute configuration, in the file's order."""
    asked = ((node, node.run(["test", "-e", CONFIG], check=False)) for node in lab.nodes.values())
    return tuple(node for node, done in asked if done.returncode == 0)


def start(node: Node) -> Host:
    """Start agent and CNI server on a node and attach one pod; what runs already is left alone."""
    host = host_of(node)
    for daemon, question in ((host.agent, "peers"), (host.cni, "pods")):
        if not _answers(host, question):
            daemon.start()
    wait_for(lambda: _why_not_ready(host), deadline_s=READY_S, what=f"{node.name}: podroute")
    name = f"{node.name}-pod1"
    if node.run(["test", "-e", f"/run/netns/{name}"], check=False).returncode:
        host.pods.append(host.runtime.make_pod(name))
    return host


def _answers(host: Host, question: str) -> bool:
    done = host.node.run([PODROUTE, question, "-o", "json"], check=False, timeout_s=30)
    return done.returncode == 0 and "does not answer" not in done.stderr


def _why_not_ready(host: Host) -> str:
    """Return "" once the agent has told the CNI server the node's facts."""
    done = host.node.run(["test", "-e", "/run/podroute/node.json"], check=False)
    return (
        f"no node.json; the agent's log ends:\n{host.agent.log_tail(5)}" if done.returncode else ""
    )


def main() -> int:
    """Start podroute on all nodes of the lab named on the command line."""
    parser = argparse.ArgumentParser(prog="./dev lab start", description=__doc__)
    parser.add_argument("name", metavar="NAME")
    name = parser.parse_args().name
    try:
        with attach(name) as lab:
            for node in configured(lab):
                for pod in start(node).pods:
                    addresses = " ".join(map(str, pod.addresses))
                    sys.stdout.write(f"{node.name}: {pod.name} {addresses}\n")
    except (LabError, DaemonError, PluginError, WaitError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"\n./dev lab exec {name} NODE podroute peers\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
