"""Fences that import-linter cannot hold: third-party homes, pure modules, file lengths."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("router", "cni", "bgp")

# third-party module -> the only places that may import it
HOMES = {
    "pyroute2": ("router/kernel/",),
    "kubernetes": ("router/kube/",),
    "aiohttp": ("router/kube/",),
    "netaddr": ("cni/ipam/", "bgp/policy.py"),
    "exabgp": ("bgp/speaker/launcher/",),  # a child process; the launcher becomes it
    "yaml": ("router/config/", "router/config.py"),
}
# Decide apart from do: these places hold no input, output, clock or chance.
PURE = (
    "bgp/",
    "cni/attachment/",
    "cni/capabilities.py",
    "cni/ipam/",
    "cni/histogram.py",
    "cni/node_facts.py",
    "cni/spec/",
    "router/agent/announced.py",
    "router/agent/exposition.py",
    "router/agent/facts.py",
    "router/agent/history.py",
    "router/agent/lately.py",
    "router/agent/metrics.py",
    "router/agent/page/overview.py",
    "router/agent/page/wire.py",
    "router/agent/why.py",
    "router/agent/why_announced.py",
    "router/kernel/message.py",
    "router/kernel/protocols.py",
    "router/kube/convert.py",
    "router/kube/errors.py",
    "router/kube/pace.py",
    "router/model/",
    "router/reconcile/",
)
SHELLS = (
    "bgp/speaker/launcher/",
    *(f"bgp/speaker/{n}.py" for n in ("child", "launch", "link", "output", "process", "relay")),
    *(f"bgp/bfd/{n}.py" for n in ("control", "daemon", "keeper", "priority", "sockets", "store")),
)
IMPURE = frozenset({
    "asyncio", "ctypes", "fcntl", "multiprocessing", "os", "pyroute2", "random", "secrets",
    "select", "selectors", "shutil", "signal", "socket", "subprocess", "tempfile", "threading",
    "time",
})  # fmt: skip

# Functions of values that happen to live beside input and output.
CONVERSIONS = {"socket.AF_INET", "socket.AF_INET6", "socket.inet_ntop", "socket.inet_pton"}

HARD_LIMIT = 500
SOFT_LIMIT = 300
# Files that may be longer than the soft limit; the list may only shrink.
LONG_FILES = frozenset({
    "tests/netns/test_cni_durability.py",
    "tests/unit/test_cni_server_service.py",
})  # fmt: skip


def sources(*tops: str) -> Iterator[Path]:
    for top in tops:
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".py", ".c", ".h", ".sh"):
                yield path


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from [(node.lineno, node.module)] if names - CONVERSIONS else []


def test_third_party_modules_stay_at_home() -> None:
    astray = [
        f"{relative(path)}:{line} imports {module}"
        for path in sources(*PRODUCT)
        if path.suffix == ".py"
        for line, module in imports(path)
        if (home := HOMES.get(module.partition(".")[0])) is not None
        if not relative(path).startswith(home or ("\0",))
    ]
    assert not astray, "\n".join(astray)


def test_pure_modules_stay_pure() -> None:
    impure = [
        f"{relative(path)}:{line} imports {module}"
        for path in sources(*PRODUCT)
        if path.suffix == ".py"
        if relative(path).startswith(PURE) and not relative(path).startswith(SHELLS)
        for line, module in imports(path)
        if module.partition(".")[0] in IMPURE or module == "logging.handlers"
    ]
    assert not impure, "\n".join(impure)


def test_files_stay_short() -> None:
    lengths = {
        relative(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(*PRODUCT, "containerlab", "tests")
    }
    too_long = {
        name: length
        for name, length in lengths.items()
        if length > (HARD_LIMIT if name in LONG_FILES else SOFT_LIMIT)
    }
    assert not too_long, f"split these (lines): {too_long}"
    stale = {name for name in LONG_FILES if lengths.get(name, 0) <= SOFT_LIMIT}
    assert not stale, f"no longer long, take them off LONG_FILES: {stale}"


@pytest.mark.parametrize("package", PRODUCT)
def test_packages_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
