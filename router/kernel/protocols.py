"""The marks by which we know our own kernel objects (design D8, invariant 4).

Three route protocol numbers, three owners, no overlap; a daemon never reads
another's mark as its own. Names for them go to /etc/iproute2/rt_protos.d.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class RouteProtocol(IntEnum):
    """`rtm_protocol` and `nh_protocol` (include/uapi/linux/rtnetlink.h leaves 73-75 free)."""

    POD = 73
    """Host routes to pods: /32 and /128, written by the CNI server."""
    LEARNED = 74
    """Routes and nexthop objects for what BGP taught us, written by the route agent."""
    OWN_CIDR = 75
    """`unreachable` routes for the node's own pod CIDRs, written by the route agent."""


POD_LINK_GROUP: Final = 0x7072
"""IFLA_GROUP of pod links: the only link mark that is atomic with creation (design D2)."""

LEARNED_METRIC: Final = 120
"""Metric of learned routes: worse than a connected or a hand-made route (0 and up)."""

LEARNED_DEFAULT_METRIC: Final = 4_000_000
"""Metric of a learned default route: worse than any DHCP, RA or hand-made one."""

OWN_CIDR_METRIC: Final = 4_278_198_272
"""Metric of the `unreachable` routes: the last resort below anything more useful."""
