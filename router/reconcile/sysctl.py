"""The sysctls a routed node needs: one table (design D13). PURE.

Keys are paths below /proc/sys. A value is written only when it differs, and the table says
why, so that an operator who finds it changed also finds the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from router.model.fib import Form

FORWARDING_IPV4: Final = "net/ipv4/ip_forward"
FORWARDING_IPV6: Final = "net/ipv6/conf/all/forwarding"
_HASH_IPV4: Final = "net/ipv4/fib_multipath_hash_policy"
_HASH_IPV6: Final = "net/ipv6/fib_multipath_hash_policy"
_STRICT: Final = "1"
_LOOSE: Final = "2"


class SysctlWrite(NamedTuple):
    """One value to write."""

    key: str
    value: str
    why: str

    def describe(self) -> str:
        """Return the operation in one line."""
        return f"sysctl {self.key} = {self.value}: {self.why}"


def keys(
    uplinks: Iterable[str],
    advertised: Iterable[str],
    fabric: Iterable[str] = (),
    form: Form = Form.OBJECTS,
) -> tuple[str, ...]:
    """Return the keys whose values `plan_sysctls` wants to see."""
    return (
        FORWARDING_IPV4,
        FORWARDING_IPV6,
        _HASH_IPV4,
        _HASH_IPV6,
        "net/ipv4/conf/all/rp_filter",
        *(_rp_filter(name) for name in uplinks),
        *_linkdown(uplinks, form),
        *(_accept_ra(name) for name in sorted({*advertised, *fabric})),
    )


def plan_sysctls(
    current: Mapping[str, str],
    uplinks: Iterable[str],
    advertised: Iterable[str],
    fabric: Iterable[str] = (),
    form: Form = Form.OBJECTS,
) -> list[SysctlWrite]:
    """Return the writes that are missing, in the order in which they must happen.

    `uplinks` are the links toward the peers, `advertised` those with a default route from a
    router advertisement, `fabric` those of peers by interface: their routers advertise themselves
    to be found, as default routers, too (FRR: lifetime 30 s), and only BGP shall say what goes
    there. `form` is that of learned routes. A key absent from `current` does not exist here (no
    IPv6, no such link).
    """
    fabric = frozenset(fabric)
    plan: list[SysctlWrite] = []

    def want(key: str, value: str, why: str) -> None:
        if key in current and current[key] != value:
            plan.append(SysctlWrite(key, value, why))

    # Before forwarding: turning it on drops the routes of links with accept_ra 1
    # (addrconf_sysctl_forward, net/ipv6/addrconf.c).
    for name in sorted(fabric):
        want(_accept_ra(name), "0", "the link's router is learned by BGP, not by advertisement")
    for name in advertised:
        if name not in fabric and current.get(_accept_ra(name)) == "1":
            want(_accept_ra(name), "2", "keep the advertised default route while forwarding")
    want(FORWARDING_IPV4, "1", "the node routes for its pods")
    want(FORWARDING_IPV6, "1", "the node routes for its pods")
    want(_HASH_IPV4, "1", "spread flows over the ToRs by their ports too")
    want(_HASH_IPV6, "1", "spread flows over the ToRs by their ports too")
    # The larger of `all` and the link's own counts (Documentation/networking/ip-sysctl.rst).
    strict_everywhere = current.get("net/ipv4/conf/all/rp_filter") == _STRICT
    for name in uplinks:
        if current.get(_rp_filter(name)) == _STRICT or strict_everywhere:
            want(_rp_filter(name), _LOOSE, "answers may arrive over the other ToR")
    for key in _linkdown(uplinks, form):
        want(key, "1", "a route's leg without carrier is left at once")
    return plan


def _linkdown(links: Iterable[str], form: Form) -> list[str]:
    """Return what makes the kernel skip a leg without carrier, as it does by itself in a group."""
    if form is Form.OBJECTS:
        return []
    families = ("ipv4", "ipv6")
    return [f"net/{f}/conf/{link}/ignore_routes_with_linkdown" for link in links for f in families]


def _rp_filter(link: str) -> str:
    return f"net/ipv4/conf/{link}/rp_filter"


def _accept_ra(link: str) -> str:
    return f"net/ipv6/conf/{link}/accept_ra"
