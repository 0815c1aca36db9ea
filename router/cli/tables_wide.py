"""The tables of `-o wide`: the same rows with more columns. PURE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from router.cli import tables
from router.cli.tables import duration, table

Json = Mapping[str, Any]


def _text(value: object) -> str:
    return "-" if value in (None, "") else str(value)


def peers(answer: Json) -> str:
    """Return the table of peers, then one line per peer about its session."""
    header = ("PEER", "INTERFACE", "ROUTER ID", "RESTART OURS/ITS", "DOWNS", "LAST DOWN", "WHY")
    rows = []
    for peer in answer["peers"]:
        restart = peer["graceful_restart_s"]
        ago = peer["last_down_for_s"]
        rows.append(
            (
                peer["name"],
                _text(peer["interface"]),
                _text(peer["router_id"]),
                f"{_text(restart['local'])}/{_text(restart['remote'])}",
                str(peer["times_down"]),
                "-" if ago is None else f"{duration(ago)} ago",
                _text(peer["reason"] or peer["last_down"]),
            )
        )
    return f"{tables.peers(answer)}\n\n{table(header, rows)}"


def routes(answer: Json) -> str:
    """Return one line per path with its attributes."""
    header = ("PREFIX", "KERNEL", "PEER", "NEXT HOP", "AS PATH", "ORIGIN", "MED", "LOCAL PREF")
    rows = []
    for route in answer["routes"]:
        for path in route["paths"]:
            attributes = [path[key] for key in ("origin", "med", "local_preference")]
            communities = " ".join([*path["communities"], *path["large_communities"]])
            rows.append(
                (
                    route["prefix"],
                    tables.in_kernel(route, path),
                    path["peer"],
                    path["next_hop"],
                    " ".join(map(str, path["as_path"])),
                    *map(_text, attributes),
                    _text(communities),
                    "; ".join(
                        [*tables.flags_of(path), *([route["why_not"]] if route["why_not"] else [])]
                    ),
                )
            )
        for path in route["rejected"]:
            empty = ("-",) * 5
            why = f"rejected: {path['reason']}"
            rows.append((route["prefix"], "no", path["peer"], path["next_hop"], *empty, why))
        if not route["paths"] and not route["rejected"]:
            kernel = "yes" if route["installed"] else "no"
            hops = ", ".join(route["next_hops"])
            rows.append((route["prefix"], kernel, "-", hops, *("-",) * 5, _text(route["why_not"])))
    return table((*header, "COMMUNITIES", ""), rows)


RENDER: Final[Mapping[str, Callable[[Json], str]]] = {"peers": peers, "routes": routes}
