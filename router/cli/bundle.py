"""Collect the parts of a support bundle, and write it. SHELL: reads, asks, changes nothing."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from router.agent.cni_door import ask_server
from router.cli.client import AgentUnreachableError, LocalClient, UnixConnection
from router.cli.doctor import examine_in
from router.config.file import LAST_GOOD, LastGood
from router.config.yaml_text import password_files, to_yaml
from router.kernel.protocols import RouteProtocol

_TIMEOUT_S: Final = 20.0
_LOG_LINES: Final = "5000"
_LOG_BYTES: Final = 4 * 1024 * 1024
_UNREAD: Final = "not-read.txt"
_ROOT_ONLY: Final = 0o600
_PACKAGES: Final = ("podroute", "exabgp", "pyroute2", "kubernetes", "netaddr", "PyYAML")
_UNITS: Final = ("podroute-router", "podroute-cni", "podroute-bfd")
_COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "kernel/nexthops.txt": ("ip", "nexthop", "show", "proto", "74"),
    "kernel/nft.txt": ("nft", "list", "ruleset"),
    "journal.txt": (
        *("journalctl", "--no-pager", "-o", "short-iso", "-n", _LOG_LINES),
        *(word for unit in _UNITS for word in ("-u", unit)),
    ),
}
_SYSCTLS: Final = (
    "net/ipv4/ip_forward",
    "net/ipv4/fib_multipath_hash_policy",
    "net/ipv6/fib_multipath_hash_policy",
    "net/ipv6/conf/all/forwarding",
    "net/ipv4/conf/*/rp_filter",
    "net/ipv4/conf/*/forwarding",
    "net/ipv6/conf/*/accept_ra",
    "net/ipv6/conf/*/disable_ipv6",
)


def collect(options: argparse.Namespace) -> dict[str, str]:
    """Return file name -> text; what could not be had stands in one file, with the reason."""
    files: dict[str, str] = {}
    unread: list[str] = []
    for name, read in _parts(options):
        try:
            files[name] = read()
        except (OSError, ValueError, AgentUnreachableError, subprocess.SubprocessError) as error:
            unread.append(f"{name}: {str(error).partition(chr(10))[0]}")
    files[_UNREAD] = "\n".join(unread) + "\n" if unread else "everything was read\n"
    return files


def _parts(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], str]]]:
    from router.kernel.inventory import readers

    client = LocalClient(options.run_dir)
    yield "versions.json", lambda: _json(_versions())
    for name in ("status", "peers", "services"):
        yield f"{name}.json", lambda name=name: _json(client.get(f"/v1/{name}"))  # type: ignore[misc]
    yield "routes-summary.json", lambda: _json(summary(client.get("/v1/routes")))
    yield "doctor.json", lambda: _json(examine_in(options, options.conf_dir))
    yield "pods.json", lambda: _json(ask_server(options.run_dir))
    yield "metrics.txt", lambda: _metrics(options.run_dir / "router.sock")
    yield "configuration/config.yaml", options.config.read_text
    yield "configuration/in-force.yaml", lambda: _in_force(options.state_dir)
    for path in sorted(options.conf_dir.glob("*.conf*")):
        yield f"configuration/net.d/{path.name}", path.read_text
    for path in (
        options.run_dir / "node.json",
        options.run_dir / "sysctls.json",
        options.state_dir / "drain.json",
    ):
        yield f"state/{path.name}", path.read_text
    yield "environment.txt", _environment
    yield "kernel/sysctls.txt", lambda: _sysctls(options.proc_sys)
    for name, objects in readers(sorted(RouteProtocol)).items():
        yield f"kernel/{name}.jsonl", lambda objects=objects: _lines(objects())  # type: ignore[misc]
    for name, words in _COMMANDS.items():
        yield name, lambda words=words: _output(words)  # type: ignore[misc]
    for number, path in enumerate(options.log):
        yield f"logs/{number}-{path.name}", lambda path=path: _tail(path)  # type: ignore[misc]


def summary(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return numbers of routes, and every prefix that is not in use, with why."""
    routes = answer["routes"]
    why_not = {
        route["prefix"]: {
            "why_not": route["why_not"],
            "rejected": [f"{path['peer']}: {path['reason']}" for path in route["rejected"]],
        }
        for route in routes
        if not route["installed"]
    }
    return {
        "prefixes": len(routes),
        "paths": sum(len(route["paths"]) for route in routes),
        "installed": sum(route["installed"] for route in routes),
        "not_installed": why_not,
    }


def secrets_of(options: argparse.Namespace) -> list[bytes]:
    """Return the passwords that this node knows, from the files where they are kept."""
    from router.kube.memory import MemoryFile

    found = []
    paths: set[str] = set()
    for read in (options.config.read_text, lambda: _in_force(options.state_dir)):
        with contextlib.suppress(OSError, ValueError):
            paths |= set(password_files(read()))
    for path in sorted(paths):
        try:
            found.append(Path(path).read_bytes().splitlines()[0])
        except (OSError, IndexError):
            continue
    remembered = MemoryFile(options.run_dir / "api.json").load().secrets
    return [*found, *(secret.reveal() for secret in remembered.values())]


def write(path: Path | None, files: Mapping[str, str]) -> Path:
    """Write the archive, readable by its owner alone; return where. Raises OSError."""
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    made = path or Path(f"podroute-{os.uname().nodename}-{at}.tar.gz")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _ROOT_ONLY)
    with os.fdopen(descriptor, "wb") as out, tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in sorted(files.items()):
            data = text.encode(errors="replace")
            member = tarfile.TarInfo(f"podroute/{name}")
            member.size, member.mtime, member.mode = len(data), int(time.time()), _ROOT_ONLY
            archive.addfile(member, io.BytesIO(data))
    return made


def _in_force(state_dir: Path) -> str:
    """Return the configuration of a ConfigMap or objects that was in force last."""
    origin = LastGood(state_dir / LAST_GOOD).load()
    if origin is None:
        raise OSError("no configuration of a ConfigMap or objects was in force here")
    objects = to_yaml([each.packed() for each in origin.objects])
    return f"# from {origin.name}\n" + (objects if origin.text is None else origin.text)


def _lines(objects: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(each) + "\n" for each in objects)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def _versions() -> dict[str, Any]:
    found: dict[str, Any] = {"python": sys.version, "kernel": platform.release()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _metrics(path: Path) -> str:
    connection = UnixConnection(path)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def _environment() -> str:
    ours = sorted(each for each in os.environ.items() if each[0].startswith("PODROUTE"))
    return "".join(f"{name}={value}\n" for name, value in ours)


def _sysctls(root: Path) -> str:
    lines = []
    for pattern in _SYSCTLS:
        for path in sorted(root.glob(pattern)):
            lines.append(f"{path.relative_to(root)} = {path.read_text().strip()}\n")
    return "".join(lines)


def _output(words: tuple[str, ...]) -> str:
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S, errors="replace"
    )
    if done.returncode:
        raise OSError(done.stderr.strip() or f"{words[0]}: exit status {done.returncode}")
    return done.stdout


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LOG_BYTES))
        return file.read().decode(errors="replace")
