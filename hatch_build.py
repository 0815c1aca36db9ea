"""Build hook of the wheel: compile the CNI shim and put it in as cni/shim/podroute.

The shim is one static C program without any tie to a Python version, so the wheel is tagged
py3-none-<platform>. An editable install builds nothing here: ./dev compiles the shim in place.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPILERS = ("musl-gcc", "gcc", "cc")


class ShimBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Compile the shim for each wheel; a machine without a compiler gets one clear sentence."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the compiled shim and the platform tag into *build_data*; exit without compiler."""
        if version == "editable":
            return
        if not any(shutil.which(compiler) for compiler in COMPILERS):
            sys.exit(
                "podroute: a wheel contains the CNI shim, a C program, and no C compiler was found"
                f" (looked for {', '.join(COMPILERS)}); install gcc, or musl-tools for a small shim"
            )
        sys.path.insert(0, self.root)
        from cni.shim.build import build  # noqa: PLC0415  the project is importable only from here on

        self._scratch = tempfile.TemporaryDirectory(prefix="podroute-shim-")
        shim = Path(self._scratch.name) / "podroute"
        build(shim)
        shim.chmod(0o755)
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["force_include"][str(shim)] = "cni/shim/podroute"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the scratch directory once the wheel is written."""
        if version != "editable":
            self._scratch.cleanup()
