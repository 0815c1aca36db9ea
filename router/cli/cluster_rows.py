"""From what a cluster says to rows: one mapping of strings and numbers for each line. PURE."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Final, NamedTuple

from router.cli.tables import table

Json = Mapping[str, Any]
Row = dict[str, Any]


class Column(NamedTuple):
    """A column of the table; `key` is the row's."""

    title: str
    key: str
    is_wide: bool = False


def _columns(text: str) -> tuple[Column, ...]:
    """Read "TITLE=key" words; a + before one shows it with `-o wide` only."""
    made = []
    for word in text.split():
        title, _, key = word.lstrip("+").partition("=")
        made.append(Column(title.replace("_", " "), key or title.lower(), word.startswith("+")))
    return tuple(made)


COLUMNS: Final[Mapping[str, tuple[Column, ...]]] = {
    "nodes": _columns(
        "NODE READY SESSIONS ROUTES=installed ANNOUNCED DRAIN +AS=local_asn +ROUTER_ID=router_id"
        " +AGENT_SINCE=agent_since +UPDATED=updated REASON=reason"
    ),
    "peers": _columns(
        "NODE PEER ADDRESS AS=remote_asn STATE SINCE FAMILY RECV=received ACC=accepted"
        " ANN=announced +BFD=bfd +HOLD=hold_time_s +DOWNS=times_down NOTE=note"
    ),
    "received": _columns(
        "NODE PREFIX PEER NEXT_HOP=next_hop AS_PATH=as_path +MED=med +LOCAL_PREF=local_preference"
        " +COMMUNITIES=communities NOTE=note"
    ),
    "announced": _columns("NODE PREFIX PEERS=peers"),
    "kernel": _columns("NODE PREFIX NEXT_HOPS=next_hops"),
    "pods": _columns(
        "NODE POD ADDRESSES=addresses INTERFACE=interface +CONTAINER=container_id"
        " +NETWORK=network NOTE=note"
    ),
    "events": _columns("TIME=at TYPE=type NODE REASON=reason +ACTION=action TEXT=text"),
    "doctor": _columns("NODE FINDING=name WHAT=text +EVIDENCE=evidence FIX=fix"),
}


def render(view: str, rows: Sequence[Row], *, is_wide: bool) -> str:
    """Return the table."""
    if not rows:
        return "nothing to show"
    columns = [c for c in COLUMNS[view] if is_wide or not c.is_wide]
    cells = [[_cell(row[column.key]) for column in columns] for row in rows]
    return table([column.title for column in columns], cells)


def _cell(value: object) -> str:
    return "-" if value in (None, "") else str(value)


def nodes(statuses: Iterable[Json], found: Iterable[Json]) -> list[Row]:
    """Return a row for each Node and each BGPNodeStatus; a Node without one has no agent's word."""
    told = {str(each["metadata"]["name"]): each.get("status") or {} for each in statuses}
    names = {str(node["metadata"]["name"]) for node in found}
    return [_node(name, told.get(name)) for name in sorted(names | told.keys())]


def _node(name: str, status: Json | None) -> Row:
    empty = dict.fromkeys(column.key for column in COLUMNS["nodes"])
    if status is None:
        return {**empty, "node": name, "ready": "unknown", "reason": "no BGPNodeStatus"}
    peers, routes = status.get("peers") or {}, status.get("routes") or {}
    readiness = status.get("readiness") or {}
    reasons = status.get("reasons") or ()
    return {
        **empty,
        **{key: status.get(key) for key in ("local_asn", "router_id", "agent_since", "updated")},
        "node": name,
        "ready": readiness.get("state") or "unknown",
        "sessions": f"{peers.get('established', 0)}/{peers.get('configured', 0)}",
        "installed": routes.get("installed"),
        "announced": routes.get("announced"),
        "drain": (status.get("drain") or {}).get("phase"),
        "reason": reasons[0] if reasons else readiness.get("text"),
    }


def peers(statuses: Iterable[Json]) -> list[Row]:
    """Return a row for each session and family."""
    rows: list[Row] = []
    for each in sorted(statuses, key=lambda one: str(one["metadata"]["name"])):
        node = str(each["metadata"]["name"])
        for session in (each.get("status") or {}).get("sessions") or ():
            families: Sequence[Json] = session.get("families") or ({},)
            rows += [_peer(node, session, counts) for counts in families]
    return rows


def _peer(node: str, session: Json, counts: Json) -> Row:
    is_up = session["state"] == "established"
    note = session.get("reason") or (None if is_up else session.get("last_down"))
    keys = ("address", "remote_asn", "state", "since", "hold_time_s", "times_down")
    return {
        "node": node,
        "peer": session["name"],
        **{key: session.get(key) for key in keys},
        **{key: counts.get(key) for key in ("family", "received", "accepted", "announced")},
        "bfd": (session.get("bfd") or {}).get("state"),
        "note": note,
    }


def received(answers: Mapping[str, Json], *, accepted_only: bool = False) -> list[Row]:
    """Return a row for each path that a peer told."""
    rows: list[Row] = []
    for node, answer in answers.items():
        for route in answer["routes"]:
            for path in route["paths"]:
                flags = [name for name in ("best", "stale") if path[name]]
                why = [route["why_not"]] if route["why_not"] else []
                rows.append(_path(node, route["prefix"], path, "; ".join([*flags, *why])))
            for path in () if accepted_only else route["rejected"]:
                rows.append(_path(node, route["prefix"], path, f"rejected: {path['reason']}"))
    return rows


def accepted(answers: Mapping[str, Json]) -> list[Row]:
    """Return a row for each path that was accepted."""
    return received(answers, accepted_only=True)


def _path(node: str, prefix: str, path: Json, note: str) -> Row:
    keys = ("peer", "next_hop", "med", "local_preference")
    return {
        "node": node,
        "prefix": prefix,
        **{key: path.get(key) for key in keys},
        "as_path": " ".join(map(str, path.get("as_path") or ())),
        "communities": " ".join(path.get("communities") or ()),
        "note": note,
    }


def announced(answers: Mapping[str, Json]) -> list[Row]:
    """Return a row for each prefix that a node announces, from its status."""
    return [
        {"node": node, "prefix": prefix, "peers": answer["peers"]["established"]}
        for node, answer in answers.items()
        for prefix in answer["announcing"]
    ]


def kernel(answers: Mapping[str, Json]) -> list[Row]:
    """Return a row for each learned prefix that a node's kernel has."""
    return [
        {"node": node, "prefix": r["prefix"], "next_hops": ", ".join(r["next_hops"])}
        for node, answer in answers.items()
        for r in answer["routes"]
        if r["installed"]
    ]


def pods(answers: Mapping[str, Json]) -> list[Row]:
    """Return a row for each pod link and lease."""
    rows = []
    for node, answer in answers.items():
        for pod in answer["pods"]:
            notes = [] if pod["kind"] == "pod link" else [pod["kind"]]
            notes += [f"no host route to {each}" for each in pod["no_host_route"]]
            notes += [f"orphaned {each}" for each in pod["orphaned"]]
            rows.append(
                {
                    "node": node,
                    "pod": f"{pod['namespace']}/{pod['pod']}" if pod["pod"] else None,
                    "addresses": ",".join(pod["addresses"]),
                    **{key: pod[key] for key in ("interface", "container_id", "network")},
                    "note": ", ".join(notes),
                }
            )
    return rows


def events(found: Iterable[Json]) -> list[Row]:
    """Return a row for each Event."""
    return [
        {
            "at": str(event.get("eventTime") or "")[:19] + "Z",
            "type": event.get("type"),
            "node": (event.get("regarding") or {}).get("name"),
            "reason": event.get("reason"),
            "action": event.get("action"),
            "text": event.get("note"),
        }
        for event in found
    ]


def doctor(answers: Mapping[str, Json]) -> list[Row]:
    """Return a row for each finding."""
    return [{"node": node, **found} for node, a in answers.items() for found in a["findings"]]


def having(rows: Iterable[Row], tests: Iterable[Callable[[Row], bool]]) -> list[Row]:
    """Return the rows for which all tests hold."""
    every = tuple(tests)
    return [row for row in rows if all(test(row) for test in every)]


def inside(prefix: str) -> Callable[[Row], bool]:
    """Return a test for prefixes that are this one or lie in it. Raises ValueError."""
    wanted = ip_network(prefix)

    def test(row: Row) -> bool:
        found = ip_network(row["prefix"])
        return found.version == wanted.version and found.subnet_of(wanted)  # type: ignore[arg-type]

    return test


def equal(key: str, values: Sequence[str]) -> Iterator[Callable[[Row], bool]]:
    """Give a test for a key's value, if there are values to be one of."""
    if values:
        yield lambda row: str(row[key]) in values
