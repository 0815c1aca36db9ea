"""Scripts that run with the FIB, the links and the monitor of a namespace of their own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.support.netns import Namespace

ROOT = Path(__file__).resolve().parents[2]

LINKS = """
ip link add name u1 type veth peer name u2; ip link add name w1 type veth peer name w2
for i in u1 u2 w1 w2; do ip link set $i up; done
ip addr add 10.0.0.1/31 dev u1; ip addr add 10.0.0.3/31 dev w1; ip addr add 10.255.1.1/32 dev lo
ip -6 addr add fd00::1/127 dev u1 nodad; ip -6 addr add fd00:255::1/128 dev lo
"""

PRELUDE = """
import json, sys
from ipaddress import ip_address
from bgp.nlri import Prefix
from router.kernel.channel import Channel
from router.kernel.fib import FibTable
from router.kernel.link import LinkTable
from router.kernel.monitor import Monitor
from router.model.fib import Form, Hop
from router.reconcile.fib import plan_own, plan_routes, plan_unused
from router.reconcile.form import Want
from router.reconcile.learned import resolve
from router.reconcile.operation import each, record, without
channel = Channel(); table = FibTable(channel); links = LinkTable(); fib = table.observe()
form = Form.OBJECTS
def hop(text): return resolve(ip_address(text), links.observe())
def num(text): return int(ip_address(text))
def go(wanted, keep=frozenset()):
    global fib
    wanted = {Prefix.parse(p): Want(tuple(sorted(hops)), 120, s) for p, (hops, s) in wanted.items()}
    plan = plan_routes(fib, wanted, wanted.keys() | fib.routes.keys(), keep=keep, form=form)
    refused = table.apply(plan)
    for o in without(plan, [r.operation for r in refused]): record(fib, o)
    done = plan_unused(fib)
    assert table.apply(done) == []
    for o in done: record(fib, o)
    seen = table.observe()
    if not refused: assert seen == fib, (seen, fib)
    return [o.describe() for o in each(plan)], [(r.operation.describe(), r.errno) for r in refused]
"""


def inside(namespace: Namespace, script: str) -> Any:
    """Run a Python script in the namespace; its last line prints JSON."""
    done = namespace.run(
        ["env", f"PYTHONPATH={ROOT}", sys.executable, "-c", PRELUDE + script], timeout_s=60
    )
    return json.loads(done.stdout.splitlines()[-1])


def add_links(namespace: Namespace) -> None:
    """Add two pairs of links with addresses of both families that are usable at once."""
    # Addresses that become usable after a while would be news about links.
    namespace.write_sysctl("net.ipv6.conf.default.accept_dad", 0)
    namespace.run(["sh", "-ec", LINKS])
