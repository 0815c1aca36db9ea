"""What Services cost, from an endpoint's change to the UPDATE; what maintenance loses: nothing.

`./dev bench kubernetes [--json] [--quick]`: an agent in cluster mode before 1,000 Services with
traffic policy Local and 10,000 EndpointSlices of ten endpoints each, in a fake API server, and a
BGP peer that notes when each UPDATE comes. The clock runs from the moment before the write of the
slice to the arrival of the UPDATE. Server and peer are in this program. Then, not with `--quick`, a
cluster on the dual-tor fabric: nodes that leave, and a pod CIDR of two Nodes
(`kubernetes_maintenance`).

Writes of BGPNodeStatus are counted by `kubernetes_status`; who reaches an address of a Service says
`kubernetes_vips`, on that fabric, too.
"""

from __future__ import annotations

import argparse
import gc
import http.client
import random
import re
import sys
import time
from contextlib import ExitStack, closing, suppress
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from statistics import median
from typing import Any, Final

import yaml

from containerlab.demo.daemon import PODROUTE
from containerlab.demo.kubernetes_api import kubeconfig
from containerlab.fakeapi import objects
from containerlab.fakeapi.server import FakeApi
from containerlab.measure.check import Check, all_ok, at_most, render_json, render_table
from containerlab.runtime.namespace import Connection, call_in
from tests.bench.kubernetes_maintenance import check_maintenance
from tests.bench.kubernetes_status import status_writes
from tests.bench.kubernetes_vips import measure_vips
from tests.support.bgp_updates_heard import Listener
from tests.support.netns import Namespace, inner_pid, join

SERVICES: Final = 1000
SLICES_EACH: Final = 10
ENDPOINTS_EACH: Final = 10
FIRST: Final = int(ip_address("203.0.0.1"))
HEALTH: Final = ("127.0.0.1", 9099)
CHANGE_S: Final = 5.0
START_S: Final = 40.0


def main() -> int:
    """Measure, print, return 0 only if every check is ok."""
    parser = argparse.ArgumentParser(prog="./dev bench kubernetes", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    checks = measure(changes=60 if options.quick else 400)
    if not options.quick:
        checks += check_maintenance()
        checks += measure_vips()
    checks.append(status_writes(20.0 if options.quick else 60.0))
    sys.stdout.write(render_json(checks) if options.json else render_table(checks))
    return 0 if all_ok(checks) else 1


def measure(*, changes: int) -> list[Check]:
    """Return the checks of one run."""
    with ExitStack() as stack:
        node, tor = (stack.enter_context(closing(Namespace(name))) for name in ("node", "tor"))
        join(tor, "node", node, "eth1")
        tor.run(["ip", "address", "add", "10.0.1.2/31", "dev", "node"])
        node.run(["ip", "address", "add", "10.0.1.3/31", "dev", "eth1"])
        listener = Listener(tor.pid, "10.0.1.2", 65101)
        stack.callback(listener.close)
        api = stack.enter_context(call_in(node.pid, FakeApi))
        fill(api)
        # A hundred thousand objects of the fake's: looking after them all takes 70 ms.
        gc.collect()
        gc.freeze()
        began = time.monotonic()
        pid = start_agent(node, api, stack)
        ready = wait_ready(node.pid, began)
        vips = {vip(number) for number in range(0, SERVICES, 2)}
        listener.wait(lambda: vips <= listener.announced, START_S)
        complete = time.monotonic() - began
        heard = listener.updates
        took = [change(api, listener, number) for number in numbers(changes)]
        heard = listener.updates - heard
        wrong = len(listener.announced ^ expected(api))
        rss_mb, peak_mb = memory_mb(pid, "VmRSS"), memory_mb(pid, "VmHWM")
    faults = (
        *([f"{wrong} addresses are not as the endpoints are"] if wrong else ()),
        *([f"{changes} changes made {heard} UPDATEs"] if heard != changes else ()),
    )
    # After a boot the agent is ready before it knows of Services; the later one counts.
    start = {"ready": round(ready, 2), "all addresses announced": round(complete, 2)}
    ordered = sorted(took)
    slowest = [round(each, 1) for each in ordered[-5:]]
    return [
        check("endpoint_to_update_ms_median", median(ordered), "ms", 20, faults, changes),
        check(
            "endpoint_to_update_ms_p99",
            ordered[int(0.99 * len(ordered))],
            "ms",
            100,
            faults,
            slowest,
        ),
        check("rss_10000_slices_mb", rss_mb, "MB", 220, faults, {"peak": peak_mb}),
        check("start_to_ready_s", max(ready, complete), "s", 10, faults, start),
    ]


def check(
    name: str, value: float, unit: str, most: float, faults: tuple[str, ...], samples: Any = ()
) -> Check:
    return Check(
        name=name,
        value=round(value, 2),
        unit=unit,
        bound=at_most(most),
        samples=samples,
        faults=faults,
    )


def vip(number: int) -> bytes:
    return (FIRST + number).to_bytes(4, "big")


def fill(api: FakeApi) -> None:
    """Put everything there; every second Service has an endpoint on our node."""
    api.put("nodes", objects.node("node1", addresses=("10.255.1.1",)))
    for number in range(SERVICES):
        spec = {"externalTrafficPolicy": "Local"}
        made = objects.service(f"s{number}", ingress=(str(IPv4Address(FIRST + number)),), spec=spec)
        api.put("services", made, namespace="shop")
        for index in range(SLICES_EACH):
            here = not index and number % 2 == 0
            put = objects.endpoint_slice(
                f"s{number}-{index}", f"s{number}", endpoints(index, here=here)
            )
            api.put("endpointslices", put, namespace="shop")


def endpoints(index: int, *, here: bool) -> list[dict[str, Any]]:
    """Return ten endpoints, the first on our node if so, else terminating there."""
    others = [
        {
            **objects.endpoint(f"10.244.{index}.{each}", f"node{each + 2}"),
            "targetRef": {"kind": "Pod", "name": f"web-7d4b9-{index}-{each}", "namespace": "shop"},
        }
        for each in range(ENDPOINTS_EACH - 1)
    ]
    return [objects.endpoint("10.244.1.9", "node1", terminating=not here), *others]


def start_agent(node: Namespace, api: FakeApi, stack: ExitStack) -> int:
    """Start it; return its pid as we see it."""
    config = {
        "node": "node1",
        "router_id": "10.255.1.1",
        "local_asn": 65201,
        "pod_cidrs": ["10.244.1.0/24"],
        "announce": {"services": {"load_balancer": True}},
        "cluster": {"pod_prefixes": ["10.244.0.0/16"]},
        "peers": [{"name": "tor1", "address": "10.0.1.2", "remote_asn": 65101}],
    }
    node.run(["tee", "/run/podroute.yaml"], input=yaml.safe_dump(config))
    node.run(["tee", "/run/kubeconfig"], input=kubeconfig(api.url, token="any"))
    argv = [
        PODROUTE, "--state-dir", "/run/state", "router", "--config", "/run/podroute.yaml",
        "--kubernetes", "--kubeconfig", "/run/kubeconfig", "--node", "node1",
        "--health", f"{HEALTH[0]}:{HEALTH[1]}",
    ]  # fmt: skip
    words = " ".join(map(str, argv))
    process = node.popen(["sh", "-c", f"exec {words} >/run/podroute.log 2>&1"])
    stack.callback(process.wait, 10)
    stack.callback(node.kill, process)
    return inner_pid(process)


def wait_ready(pid: int, began: float) -> float:
    """Return how many seconds the agent took to say that it is ready."""
    while time.monotonic() < began + START_S:
        connection = Connection(pid, HEALTH)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return time.monotonic() - began
        connection.close()
        time.sleep(0.02)
    raise TimeoutError(f"the agent was not ready within {START_S:.0f} s")


def numbers(changes: int) -> list[int]:
    """Return Services to change, by a fixed seed."""
    chosen = random.Random(6)
    return [chosen.randrange(SERVICES) for _ in range(changes)]


def change(api: FakeApi, listener: Listener, number: int) -> float:
    """Turn the endpoint on our node; return the milliseconds until the UPDATE."""
    here = vip(number) not in listener.announced
    patch = {"endpoints": endpoints(0, here=here)}
    began = time.monotonic()
    api.patch("endpointslices", f"s{number}-0", patch, namespace="shop")
    listener.wait(lambda: (vip(number) in listener.announced) is here, CHANGE_S)
    took = (listener.changed_at[vip(number)] - began) * 1e3
    # Let the agent come to rest: one change at a time is what is measured.
    time.sleep(0.02)
    return took


def expected(api: FakeApi) -> set[bytes]:
    """Return the addresses that the endpoints in the API ask for."""
    found = set()
    for number in range(SERVICES):
        first = api.get("endpointslices", f"s{number}-0", namespace="shop")["endpoints"][0]
        if first["conditions"]["ready"]:
            found.add(vip(number))
    return found


def memory_mb(pid: int, field: str) -> float:
    """Return a field of the agent's /proc/PID/status, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    (kb,) = re.findall(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    return round(int(kb) / 1024, 1)


if __name__ == "__main__":
    sys.exit(main())
