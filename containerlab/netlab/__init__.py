"""Runs a containerlab topology (`*.clab.yml`) without Docker: each node is a set of namespaces.

PURE: schema, expand, document, fields, parse, service, topology, plan decide what to build.
SHELL: init (PID 1 of a node), namespaces, node, lab do it; keeper and registry let a lab outlive
the command that started it. Knows nothing about podroute itself.

    with Lab.up("containerlab/dual-tor/dual-tor.clab.yml") as lab:
        print(lab.nodes["tor1"].run(["vtysh", "-c", "show bgp summary"]).stdout)
        lab.nodes["tor1"].interface("eth1").down()
"""

from containerlab.netlab.errors import HostError, KeeperError, LabError, NodeError, TopologyError
from containerlab.netlab.lab import Lab
from containerlab.netlab.node import Interface, Node

__all__ = [
    "HostError",
    "Interface",
    "KeeperError",
    "Lab",
    "LabError",
    "Node",
    "NodeError",
    "TopologyError",
]
