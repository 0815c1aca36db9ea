"""Put the CNI plugin where runtimes look for it, and take it away. SHELL.

The binaries first, the network configuration last, each by rename: a runtime sees the old or the
new, never a part, and never a configuration without its plugin. Nothing here depends on a running
server, and nothing is removed when one stops: a node whose server is away must not fall back to
another network (pods then wait, see ADR 0024).
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cni.shim
from cni.shim.names import PLUGIN_NAMES

CONFLIST_NAME: Final = "05-podroute.conflist"

_DEFAULT: Final = {
    # Not 1.1.0: containerd 1.6 and podman 4.3 refuse it.
    "cniVersion": "1.0.0",
    "name": "podroute",
    "plugins": [
        {"type": "podroute", "capabilities": {"ips": True, "mac": True, "dns": True}},
        {"type": "portmap", "snat": True, "capabilities": {"portMappings": True}},
    ],
}
_SUFFIXES: Final = (".conf", ".conflist", ".json")
"""What libcni takes for a network configuration (ConfFiles in libcni/api.go and its callers)."""


class InstallError(Exception):
    """Nothing was changed; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What was changed, and what the operator should know, one line each."""

    changes: tuple[str, ...]
    warnings: tuple[str, ...]


def install(bin_dir: Path, conf_dir: Path, conflist: Path | None) -> Installed:
    """Install; idempotent. Raises InstallError before anything is changed, or OSError."""
    shim = Path(cni.shim.__file__).with_name("podroute")
    try:
        binary = shim.read_bytes()
    except FileNotFoundError:
        raise InstallError(f"{shim} is not there: build it with python -m cni.shim.build") from None
    configuration = _configuration(bin_dir, conflist)
    changes: list[str] = []
    for directory in (bin_dir, conf_dir):
        directory.mkdir(parents=True, exist_ok=True)
    for name in PLUGIN_NAMES:
        if _place(bin_dir / name, binary, 0o755):
            changes.append(f"installed {bin_dir / name}")
    if _place(conf_dir / CONFLIST_NAME, configuration, 0o644):
        changes.append(f"installed {conf_dir / CONFLIST_NAME}")
    return Installed(changes=tuple(changes), warnings=_warnings(bin_dir, conf_dir, configuration))


def uninstall(bin_dir: Path, conf_dir: Path) -> tuple[str, ...]:
    """Remove what ``install`` places; return one line per file. The configuration goes first."""
    removed: list[str] = []
    for path in (conf_dir / CONFLIST_NAME, *(bin_dir / name for name in PLUGIN_NAMES)):
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        removed.append(f"removed {path}")
    return tuple(removed)


def _configuration(bin_dir: Path, conflist: Path | None) -> bytes:
    """Return the configuration to install: the operator's, checked, or the default.

    Without a portmap binary on the node, the default has no portmap: a plugin that is missing
    fails every ADD.
    """
    if conflist is None:
        body: dict[str, Any] = dict(_DEFAULT)
        if not (bin_dir / "portmap").exists():
            body["plugins"] = _DEFAULT["plugins"][:1]
        return (json.dumps(body, indent=2) + "\n").encode()
    content = conflist.read_bytes()
    try:
        raw = json.loads(content)
        first = raw["plugins"][0]["type"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise InstallError(f"{conflist} is no network configuration list: {error!r}") from None
    if first != "podroute":
        raise InstallError(f"{conflist}: the first plugin is {first!r}, it must be podroute")
    _check_options(conflist, raw["plugins"][0])
    return content


def _check_options(conflist: Path, raw: dict[str, Any]) -> None:
    from cni.spec.errors import CniError
    from cni.spec.options import parse_options

    try:
        parse_options(raw)
    except CniError as error:
        raise InstallError(f"{conflist}: {error}") from None


def _place(path: Path, content: bytes, mode: int) -> bool:
    """Write a file by rename unless it is there already; return whether it was written."""
    try:
        if path.read_bytes() == content and path.stat().st_mode & 0o7777 == mode:
            return False
    except FileNotFoundError:
        pass
    # A name libcni does not take for a configuration, whatever happens to us.
    descriptor, temporary = tempfile.mkstemp(
        prefix=f".{path.name}.", suffix=".new", dir=path.parent
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True


def shadowing(conf_dir: Path) -> list[str]:
    """Return the names that runtimes take before ours; none without ours. Raises OSError."""
    names = sorted(path.name for path in conf_dir.iterdir() if path.suffix in _SUFFIXES)
    return names[: names.index(CONFLIST_NAME)] if CONFLIST_NAME in names else []


def _warnings(bin_dir: Path, conf_dir: Path, configuration: bytes) -> tuple[str, ...]:
    warnings: list[str] = []
    before = shadowing(conf_dir)
    if before:
        warnings.append(
            f"runtimes take the first name in {conf_dir}, and that is {before[0]}, "
            f"not {CONFLIST_NAME}: remove or rename it"
        )
    for plugin in json.loads(configuration)["plugins"]:
        if not (bin_dir / plugin["type"]).exists():
            warnings.append(f"the configuration names {plugin['type']}, which {bin_dir} has not")
    return tuple(warnings)
