"""Everything that the kernel says of links, addresses, neighbors, rules and routes. SHELL.

For those who look for a fault, by pyroute2: the image that runs the agent has no `ip`.
Only commands import this; the agent does without the 14 MB that pyroute2 takes (ADR 0127).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from router.model.place import MAIN_TABLE

Object = Mapping[str, Any]
MAX_OBJECTS: Final = 20_000
"""Of one kind: pyroute2 takes a second for so many, and nobody reads more."""
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_LEFT_OUT: Final = frozenset({"attrs", "header", "event", "af_spec", "stats"})
"""af_spec is counters and what sysctls say, stats the narrow form of stats64."""


def readers(protocols: Iterable[int]) -> Mapping[str, Callable[[], list[Object]]]:
    """Return per name what reads all objects of a kind; `protocols` are those of our routes.

    A reader raises OSError. An object has the fields of its message (linux/rtnetlink.h) and its
    attributes, without their prefixes, in lower case.
    """
    found: dict[str, Callable[[], list[Object]]] = {
        "links": partial(_dump, "get_links"),
        "addresses": partial(_dump, "get_addr"),
    }
    for version, family in _FAMILIES.items():
        found |= {
            f"rules-ipv{version}": partial(_dump, "get_rules", family=family),
            f"neighbors-ipv{version}": partial(_dump, "get_neighbours", family=family),
            f"routes-ipv{version}-main": partial(
                _dump, "get_routes", family=family, table=MAIN_TABLE
            ),
        }
        for protocol in protocols:
            name = f"routes-ipv{version}-proto-{protocol}"
            found[name] = partial(_dump, "get_routes", family=family, proto=protocol)
    return found


def hardware_address(address: str, link: str) -> bytes | None:
    """Return what the neighbor table has for an address on a link. Raises OSError."""
    index = socket.if_nametoindex(link)
    family = _FAMILIES[6 if ":" in address else 4]
    for entry in _dump("get_neighbours", family=family, dst=address, ifindex=index):
        if "lladdr" in entry:
            return bytes.fromhex(str(entry["lladdr"]).replace(":", ""))
    return None


def _dump(method: str, **filters: int | str) -> list[Object]:
    try:
        with IPRoute() as netlink:
            told = getattr(netlink, method)(**filters)
            return [_plain(message) for message in islice(told, MAX_OBJECTS)]
    except NetlinkError as error:
        raise OSError(error.code, f"{method}: {error}") from error


def _plain(message: Any) -> Object:
    plain = {k: _value(v) for k, v in message.items() if k not in _LEFT_OUT and k[0] != "_"}
    named = ((name.partition("_")[2].lower(), value) for name, value in message.get("attrs", ()))
    plain |= {key: _value(value) for key, value in named if key and key not in _LEFT_OUT}
    if "dst_len" in plain and "dst" in plain:
        plain["dst"] = f"{plain['dst']}/{plain['dst_len']}"
    return plain


def _value(value: Any) -> Any:
    if hasattr(value, "items"):
        return _plain(value)
    if isinstance(value, list | tuple):
        return [_value(each) for each in value]
    return value if isinstance(value, str | int | float | None) else str(value)
