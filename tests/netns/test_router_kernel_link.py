"""Our reading of links and addresses beside pyroute2's, over links of every kind we meet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.kernel_script import inside
from tests.support.netns import Namespace

pytestmark = pytest.mark.netns

LINKS = """
ip link add u1 type veth peer name u2; ip link set u1 up mtu 9000; ip link set u2 up
ip link add w1 type veth peer name w2; ip link set w1 up
ip link add pod1 type veth peer name pod2; ip link set pod1 group 28786; ip link set pod2 up
ip link add br0 type bridge
ip addr add 10.0.0.1/31 dev u1; ip addr add 10.9.0.1 peer 10.9.0.2/32 dev u1
ip addr add 192.0.2.1/24 brd + dev u1 label u1:1; ip addr add 10.255.1.1/32 dev lo
ip addr add 10.1.1.1/24 dev u1 preferred_lft 0; ip addr add 10.7.0.1/24 dev w1
ip -6 addr add fd00::1/127 dev u1 nodad; ip -6 addr add fd00::7/64 dev u1 preferred_lft 0 nodad
ip -6 addr add fd00:1::1 peer fd00:1::2/128 dev u1 nodad; ip -6 addr add fd00:255::1/128 dev lo
ip -6 addr add fd00:9::1/64 dev w1
"""

COMPARED = """
import socket
from ipaddress import ip_interface
from pyroute2 import IPRoute
def theirs():
    with IPRoute() as ipr:
        found = {}
        for m in ipr.get_addr():
            flags = m.get("IFA_FLAGS") or m["flags"]
            text = m.get("IFA_LOCAL") or m.get("IFA_ADDRESS")
            if not flags & (0x40 | 0x08 | 0x20):
                interface = ip_interface(f"{text}/{m['prefixlen']}")
                found.setdefault(m["index"], []).append(str(interface))
        return [[m["index"], m.get("IFLA_IFNAME"), bool(m["flags"] & 1), bool(m["flags"] & 0x10000),
                 m.get("IFLA_MTU"), found.get(m["index"], [])]
                for m in ipr.get_links() if m.get("IFLA_GROUP") != 28786]
def ours():
    return [[l.index, l.name, l.up, l.carrier, l.mtu, [str(a) for a in l.addresses]]
            for l in links.observe().all]
print(json.dumps([ours(), sorted(theirs())]))
"""


def test_links_and_addresses_are_read_as_pyroute2_reads_them(
    make_namespace: Callable[[str], Namespace],
) -> None:
    node = make_namespace("node")
    node.run(["sh", "-ec", LINKS])
    ours, theirs = inside(node, COMPARED)
    assert ours == theirs
    shown = {name: (up, carrier, mtu, addresses) for _, name, up, carrier, mtu, addresses in ours}
    assert shown["u1"][:3] == (True, True, 9000)
    assert shown["w1"][:2] == (True, False)
    assert shown["br0"][:2] == (False, False)
    assert "pod1" not in shown
    assert {"10.0.0.1/31", "10.9.0.1/32", "192.0.2.1/24", "fd00::1/127"} <= set(shown["u1"][3])
    assert not {"10.1.1.1/24", "fd00::7/64"} & set(shown["u1"][3]), "deprecated"
    assert not any(a.startswith("fd00:9:") for a in shown["w1"][3]), "tentative"


def test_the_agent_does_not_carry_pyroute2(make_namespace: Callable[[str], Namespace]) -> None:
    """It weighs 14 MB and a tenth of a second of the start."""
    script = "import router.agent.app; print(json.dumps('pyroute2' in sys.modules))"
    assert inside(make_namespace("node"), script) is False
