"""What a demo left on the machine: the root namespace before and after, compared."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Where a daemon, a plugin or a lab could have written by mistake. What other programs do there
# while the demo runs is told apart by name below. Folder: how many levels of it.
_WATCHED = {"/run": 3, "/etc": 3, "/opt": 3, "/var/lib": 2, "/var/log": 2, "/tmp": 1, "/dev/shm": 1}
_OURS = ("podroute", "cni", "frr", "bird", "exabgp", "netns", "netlab", "iproute2", "demo")
# Counters and ages, which change by themselves.
_VOLATILE = frozenset({"expires", "used", "age", "cacheinfo", "stats", "stats64", "metrics"})
_NAMESPACES = ("net", "mnt", "pid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Links, routes, rules, next hops, files and mounts of the root namespace, as plain words."""

    things: frozenset[str]

    @classmethod
    def take(cls) -> Snapshot:
        """Look at the machine as it is now."""
        found = [*_network(), *_files(), *_mounts()]
        return cls(things=frozenset(found))


def namespaces_of(pids: Iterable[int]) -> frozenset[str]:
    """Return the namespaces these processes are in, other than our own.

    Whatever runs in one of them later was started by the lab.
    """
    return frozenset(space for pid in pids for space in _spaces(str(pid))) - set(_spaces("self"))


def left_behind(before: Snapshot, lab: frozenset[str]) -> tuple[str, ...]:
    """Return what is there now and was not before, and processes still in the lab's namespaces."""
    new = sorted(Snapshot.take().things - before.things)
    return (*new, *(f"process {name}" for name in _processes_in(lab)))


def _network() -> Iterator[str]:
    commands = {
        "link": ["ip", "-j", "link"],
        "address": ["ip", "-j", "addr"],
        "route": ["ip", "-j", "route", "show", "table", "all"],
        "route6": ["ip", "-6", "-j", "route", "show", "table", "all"],
        "rule": ["ip", "-j", "rule"],
        "rule6": ["ip", "-6", "-j", "rule"],
        "next hop": ["ip", "-j", "nexthop"],
        "namespace": ["ip", "-j", "netns"],
    }
    for what, command in commands.items():
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for entry in json.loads(text or "[]"):
            kept = {key: value for key, value in entry.items() if key not in _VOLATILE}
            yield f"{what} {_named(what, kept)}"


def _named(what: str, entry: dict[str, object]) -> str:
    if what == "link":
        return str(entry.get("ifname"))
    if what == "address":
        addresses = entry.get("addr_info")
        shown = (
            [a.get("local") for a in addresses if isinstance(a, dict)]
            if isinstance(addresses, list)
            else []
        )
        return f"{entry.get('ifname')} {shown}"
    return json.dumps(entry, sort_keys=True)


def _files() -> Iterator[str]:
    for top, depth in _WATCHED.items():
        for path in _walk(Path(top), depth):
            if any(word in path.lower() for word in _OURS):
                yield f"file {path}"


def _walk(folder: Path, depth: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            yield entry.path
            if depth > 1 and entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), depth - 1)


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        yield f"mount {fields[4]} from {fields[3]}"


def _processes_in(spaces: frozenset[str]) -> Iterator[str]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and spaces & set(_spaces(folder.name)):
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                yield f"{folder.name} {command.decode(errors='replace').strip()}"


def _spaces(pid: str) -> Iterator[str]:
    for kind in _NAMESPACES:
        with contextlib.suppress(OSError):
            yield str(Path(f"/proc/{pid}/ns/{kind}").readlink())
