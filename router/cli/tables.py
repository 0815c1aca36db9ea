"""Turn the agent's answers into text for people. PURE."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

Json = Mapping[str, Any]
_SHOWN: Final = 20


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns, two spaces apart."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Return a time span in its two largest units: 42s, 3m10s, 5h02m, 9d04h."""
    whole = int(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days}d{hours % 24:02d}h"
    if hours:
        return f"{hours}h{minutes % 60:02d}m"
    return f"{minutes}m{whole % 60:02d}s" if minutes else f"{whole}s"


def _readiness(said: Json) -> str:
    """Return the verdict in words; one that waits out a fault names the fault."""
    state, text, wrong = said["state"], said["text"], said["wrong"]
    return f"{state} for now: {wrong}" if wrong and wrong != text else f"{state}: {text}"


def status(answer: Json) -> str:
    """Return the agent's state as a short text."""
    routes, peers, speaker = answer["routes"], answer["peers"], answer["speaker"]
    lines = [
        f"node {answer['node']}  AS {answer['local_asn']}  router id {answer['router_id']}",
        f"state       {'ok' if answer['ok'] else 'NOT OK'}",
        *(
            "            - " + reason.replace("\n", "\n              ")
            for reason in answer["reasons"]
        ),
        f"readiness   {_readiness(answer['readiness'])}",
        f"agent       pid {answer['pid']}, since {answer['since']}",
        f"speaker     pid {speaker['pid']}, restarted {speaker['restarts']} times",
        f"sessions    {peers['established']} of {peers['configured']} established",
        f"announcing  {_some(answer['announcing'])}",
        *_services(answer["services"]),
        f"routes      {routes['learned']} learned, {routes['installed']} in the kernel,"
        f" {routes['refused']} refused by it, {routes['repairs']} repaired",
        f"uplinks     {', '.join(answer['uplinks']) or 'none'}",
    ]
    if answer["drain"]["phase"] != "none":
        lines.append(f"drain       {answer['drain']['text']}")
        asked = ", ".join(each["what"] for each in answer["drain"]["asked"])
        lines.append(f"            ordered by {asked or 'an agent before this one'}")
    if answer.get("api"):
        problem = answer["api"]["problem"] or answer["api"]["status_problem"]
        lines.append(f"API server  {problem or 'connected'}")
    if answer["waiting_for_end_of_rib"]:
        waiting = ", ".join(answer["waiting_for_end_of_rib"])
        lines.append(f"waiting     for End-of-RIB from {waiting}; routes found at start stay")
    return "\n".join(lines)


def _some(prefixes: Sequence[str]) -> str:
    shown = ", ".join(prefixes[:_SHOWN]) or "nothing"
    return shown if len(prefixes) <= _SHOWN else f"{shown} and {len(prefixes) - _SHOWN} more"


def _services(counts: Mapping[str, Any] | None) -> list[str]:
    if counts is None:
        return []
    lines = [f"services    {counts['announced']} of {counts['addresses']} addresses announced here"]
    if counts["aggregates"]:
        lines.append(
            f"            together as {_some(counts['aggregates'])};"
            f" {counts['rejected_packets']} packets to unused addresses rejected"
        )
    return lines


def peers(answer: Json) -> str:
    """Return one line per peer and family, then why sessions went down."""
    header = (
        "PEER",
        "ADDRESS",
        "AS",
        "STATE",
        "FOR",
        "HOLD",
        "BFD",
        "FAMILY",
        "RECV",
        "ACC",
        "ANN",
    )
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for peer in answer["peers"]:
        for family, counts in peer["families"].items():
            rows.append(
                (
                    peer["name"],
                    peer["address"],
                    str(peer["remote_asn"]),
                    peer["state"],
                    duration(peer["for_s"]),
                    f"{peer['hold_time_s']}s",
                    peer["bfd"]["state"] if peer["bfd"] else "-",
                    family,
                    *(str(counts[key]) for key in ("received", "accepted", "announced")),
                )
            )
        if peer["bfd"] and peer["bfd"]["last_down"]:
            notes.append(f"{peer['name']}: BFD last went down: {peer['bfd']['last_down']}")
        if peer["reason"]:
            notes.append(f"{peer['name']} is {peer['state']}: {peer['reason']}")
        if peer["last_down"]:
            notes.append(
                f"{peer['name']} last went down at {peer['last_down_at']}: {peer['last_down']}"
            )
    if answer["drain"]["phase"] != "none":
        notes.insert(0, answer["drain"]["text"])
    return "\n".join([table(header, rows), *(["", *notes] if notes else [])])


def routes(answer: Json) -> str:
    """Return one line per path, with whether the kernel uses it."""
    header = ("PREFIX", "KERNEL", "PEER", "NEXT HOP", "AS PATH", "")
    rows: list[tuple[str, ...]] = []
    for route in answer["routes"]:
        why = route["why_not"] or ""
        for path in route["paths"]:
            flags = flags_of(path)
            kernel = in_kernel(route, path)
            note = "; ".join([", ".join(flags), *([why] if why else [])]).strip("; ")
            as_path = " ".join(map(str, path["as_path"]))
            rows.append((route["prefix"], kernel, path["peer"], path["next_hop"], as_path, note))
        for path in route["rejected"]:
            note = f"rejected: {path['reason']}"
            rows.append((route["prefix"], "no", path["peer"], path["next_hop"], "", note))
        if not route["paths"] and not route["rejected"]:
            kernel = "yes" if route["installed"] else "no"
            rows.append((route["prefix"], kernel, "-", ", ".join(route["next_hops"]), "", why))
    return table(header, rows)


def in_kernel(route: Json, path: Json) -> str:
    """Say whether the kernel has this path of the route, and not only the prefix by another."""
    return "yes" if route["installed"] and path["best"] else "no"


def flags_of(path: Json) -> list[str]:
    """Say in words where this accepted path stands."""
    return ["best" if path["best"] else "not best", *(["stale"] if path["stale"] else [])]


def services(answer: Json) -> str:
    """Return one line per address of a Service."""
    if not answer["wanted"]:
        return "announce.services asks for no addresses of Services."
    if not answer["known"]:
        kept = ", ".join(answer["remembered"])
        return "The API server has not told of its Services yet." + (
            f"\nAnnounced, as before the restart of the agent: {kept}" if kept else ""
        )
    header = ("ADDRESS", "SERVICE", "KIND", "ANNOUNCED", "")
    rows = [
        (
            each["address"],
            each["service"],
            each["kind"],
            "yes" if each["announced"] else "no",
            each["why_not"] or (f"by {each['by']}" if each["by"] else ""),
        )
        for each in answer["services"]
    ]
    shown = table(header, rows)
    return f"{shown}\n\n{_aggregates(answer)}" if answer["aggregates"] else shown


def _aggregates(answer: Json) -> str:
    header = ("AGGREGATE", "ANNOUNCED", "UNUSED", "")
    rows = [
        (
            each["prefix"],
            "yes" if each["announced"] else "no",
            "rejected" if each["rejects_unused"] else "-",
            each["why_not"] or "",
        )
        for each in answer["aggregates"]
    ]
    return f"{table(header, rows)}\n{answer['rejected_packets']} packets rejected"


RENDER: Final[Mapping[str, Callable[[Json], str]]] = {
    "status": status,
    "peers": peers,
    "routes": routes,
    "services": services,
}
