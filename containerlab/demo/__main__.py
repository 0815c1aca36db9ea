"""Run the demo: ``./dev demo [--kubernetes] [--json] [--keep] [--quick]``."""

from __future__ import annotations

import argparse
import sys

from containerlab.demo.kubernetes import KubernetesDemo
from containerlab.demo.scenario import Demo
from containerlab.measure.check import all_ok, render_json, render_table
from containerlab.netlab.errors import LabError

_AROUND = """
The lab is still up. To look around:
  ./dev lab exec dual-tor node1 podroute peers
  ./dev lab exec dual-tor node1 ip route
  ./dev lab exec dual-tor tor1 vtysh -c 'show bgp summary'
  ./dev lab exec dual-tor node1 ip netns exec node1-pod1 ping -c 3 198.51.100.10
  ./dev lab exec dual-tor node1 cat /run/demo/router.log
To end it:
  ./dev lab down dual-tor
"""


def main() -> int:
    """Run, report, and return the exit status: 0 only if every check is ok."""
    parser = argparse.ArgumentParser(
        prog="./dev demo", description="Pods behind two ToRs, end to end, checked from outside."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--keep", action="store_true", help="leave the lab up to look around")
    parser.add_argument("--quick", action="store_true", help="leave the control run out")
    parser.add_argument(
        "--kubernetes",
        action="store_true",
        help="the DaemonSet as it ships, in containers, with a fake API server",
    )
    options = parser.parse_args()
    if options.kubernetes and (options.keep or options.quick):
        parser.error("--kubernetes goes with --json only")
    try:
        if options.kubernetes:
            checks = KubernetesDemo().run()
        else:
            checks = Demo(keep=options.keep, quick=options.quick).run()
    except LabError as error:
        sys.stderr.write(f"\ndemo: {error}\n")
        return 1
    sys.stdout.write(render_json(checks) if options.json else "\n" + render_table(checks))
    if options.keep:
        sys.stderr.write(_AROUND)
    return 0 if all_ok(checks) else 1


if __name__ == "__main__":
    sys.exit(main())
