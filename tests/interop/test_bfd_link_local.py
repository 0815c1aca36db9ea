"""BFD over link-local addresses, as unnumbered fabrics have it, with real FRR and BIRD."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from bgp.bfd.session import Verdict
from tests.support.bfd import BfdHost, drop_silently, heal, link_local
from tests.support.frr import BINARIES, RUN
from tests.support.netns import Namespace, join
from tests.support.wait import wait_until

pytestmark = pytest.mark.interop


def start_frr(tor: Namespace, theirs: str, ours: str) -> list[subprocess.Popen[str]]:
    tor.run(["install", "-d", "-o", "frr", "-g", "frr", RUN])
    tor.run(
        ["sh", "-c", f"cat > {RUN}/bfdd.conf; : > {RUN}/zebra.conf; chown frr:frr {RUN}/*"],
        input=f"bfd\n peer {ours} local-address {theirs} interface node\n"
        "  detect-multiplier 3\n  receive-interval 100\n  transmit-interval 100\n",
    )
    started = []
    for daemon, options in (("zebra", []), ("bfdd", ["--bfdctl", f"{RUN}/bfdd.sock"])):
        argv = [str(BINARIES / daemon), "-f", f"{RUN}/{daemon}.conf", "--vty_socket", RUN]
        argv += ["-i", f"{RUN}/{daemon}.pid", "-z", f"{RUN}/zserv.api", *options]
        started.append(tor.popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_until(
            lambda: tor.run(["test", "-S", f"{RUN}/zserv.api"], check=False).returncode == 0,
            deadline_s=10,
            what="zebra's socket",
        )
    return started


def start_bird(tor: Namespace, theirs: str, ours: str) -> list[subprocess.Popen[str]]:
    tor.run(
        ["sh", "-c", "cat > /run/bird.conf"],
        input="router id 10.255.0.1;\nprotocol device { scan time 1; }\nprotocol bfd {"
        ' interface "node" { interval 100 ms; multiplier 3; };'
        f' neighbor {ours} dev "node" local {theirs}; }}\n',
    )
    argv = ["bird", "-f", "-c", "/run/bird.conf", "-s", "/run/bird.ctl"]
    return [tor.popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]


@pytest.mark.parametrize("start", [start_frr, start_bird])
def test_a_link_local_session_comes_up_and_notices_silence(
    make_namespace: Callable[[str], Namespace],
    start: Callable[[Namespace, str, str], list[subprocess.Popen[str]]],
) -> None:
    tor, node = make_namespace("tor"), make_namespace("node")
    join(tor, "node", node, "eth1")
    theirs, ours = link_local(tor, "node"), link_local(node, "eth1")
    daemons = start(tor, theirs, ours)
    with BfdHost(node) as bfd:
        bfd.want(bfd.spec(theirs, ours, "eth1", 100))
        bfd.wait_up()
        began = drop_silently(tor, "node")
        bfd.wait("lost", lambda found: found[theirs].verdict is Verdict.LOST, 2)
        lost_at = bfd.sessions()[theirs].lost_at
        assert lost_at is not None
        assert lost_at - began < 0.4
        heal(tor)
        bfd.wait_up()
    for daemon in daemons:
        tor.kill(daemon)
        daemon.wait(timeout=5)
