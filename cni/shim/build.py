"""Compile the shim: one static executable, warnings are errors.

musl where there is one (17 KB, starts in 0.15 ms), else the system's compiler with ``-static``
(glibc: larger, 0.5 ms). The limits and versions come from ``cni.wire`` and ``cni.spec.version``, so
that the C side cannot differ from the Python side.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cni import wire
from cni.shim.names import IPAM_NAME
from cni.spec.version import NEWEST, SUPPORTED

SOURCES: Final = tuple(sorted(Path(__file__).parent.glob("*.c")))
COMPILERS: Final = ("musl-gcc", "gcc", "cc")

_WARNINGS: Final = (
    *("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wconversion", "-Wformat=2"),
    *("-Wstrict-prototypes", "-Wvla", "-Wcast-qual", "-Wundef"),
)
_HARDENING: Final = (
    *("-fstack-protector-strong", "-fno-delete-null-pointer-checks", "-fno-strict-overflow"),
    *("-D_FORTIFY_SOURCE=2", "-Wl,-z,relro,-z,now,-z,noexecstack"),
)
_RELEASE: Final = ("-Os", "-flto", "-static", "-s")


class ShimBuildError(Exception):
    """The shim was not built: no compiler, or what the compiler says."""


def build(output: Path, *, compiler: str | None = None, flags: Sequence[str] = _RELEASE) -> None:
    """Compile the shim to ``output`` (replaced atomically); raise ShimBuildError.

    ``flags`` replaces the optimisation and link mode, for a build under sanitizers.
    """
    program = compiler or next((name for name in COMPILERS if shutil.which(name)), None)
    if program is None:
        raise ShimBuildError(f"no C compiler (looked for {', '.join(COMPILERS)})")
    temporary = output.with_name(f".{output.name}.new")
    argv = [
        *(program, *_WARNINGS, *_HARDENING, *flags, *_definitions()),
        *("-o", str(temporary), *map(str, SOURCES)),
    ]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        temporary.unlink(missing_ok=True)
        raise ShimBuildError(f"{program}: exit {done.returncode}\n{done.stderr}")
    temporary.replace(output)


def _definitions() -> tuple[str, ...]:
    """Return what the C side takes from the Python side."""
    versions = ",".join(f'\\"{version}\\"' for version in SUPPORTED)
    return (
        f'-DPLUGIN_MAGIC="{wire.Door.PLUGIN.value.decode()}"',
        f'-DIPAM_MAGIC="{wire.Door.IPAM.value.decode()}"',
        f'-DIPAM_NAME="{IPAM_NAME}"',
        f"-DMAX_ENVIRONMENT_BYTES={wire.MAX_ENVIRONMENT_BYTES}",
        f"-DMAX_STDIN_BYTES={wire.MAX_STDIN_BYTES}",
        f"-DMAX_REPLY_BYTES={wire.MAX_REPLY_BYTES}",
        f'-DNEWEST_VERSION="{NEWEST}"',
        f'-DSUPPORTED_VERSIONS="{versions}"',
    )


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("podroute"))
