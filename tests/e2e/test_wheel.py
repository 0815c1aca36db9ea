"""The wheel, built and installed away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PIP = (sys.executable, "-m", "pip", "--no-input")


def build(target: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    options = ("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", target, ROOT)
    return subprocess.run(
        [*PIP, *options],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    done = build(target)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = target.iterdir()
    return made


def test_it_holds_the_packages_and_the_shim(wheel: Path) -> None:
    assert wheel.name.startswith("podroute-")
    assert "-py3-none-linux_" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = {entry.filename: entry for entry in archive.infolist()}
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"router", "cni", "bgp"}
    for package in ("router", "cni", "bgp"):
        assert f"{package}/py.typed" in names
    pages = {path.name for path in (ROOT / "router/agent/page/static").iterdir()}
    assert pages == {Path(n).name for n in names if n.startswith("router/agent/page/static/")}
    assert names["cni/shim/podroute"].external_attr >> 16 & 0o111 == 0o111


def test_it_works_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "clean environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin/python"
    lock = ROOT / "requirements/runtime.txt"
    for install in (("--require-hashes", "-r", lock), ("--no-deps", wheel)):
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--no-input", *install], check=True, cwd=tmp_path
        )
    subprocess.run([python, "-m", "pip", "check"], check=True, cwd=tmp_path)
    source = (
        "import importlib.metadata as m, cni, router, bgp\n"
        "names = m.packages_distributions()\n"
        "print([names[n] for n in ('router', 'cni', 'bgp')], cni.__file__)"
    )
    shown = subprocess.run(
        [python, "-I", "-c", source], check=True, cwd=tmp_path, capture_output=True, text=True
    ).stdout
    assert shown.startswith("[['podroute'], ['podroute'], ['podroute']]")
    assert str(environment) in shown
    script = environment / "bin/podroute"
    usage = subprocess.run(
        [script, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert usage.returncode == 0, usage.stderr
    assert "router" in usage.stdout
    (shim,) = environment.glob("lib/python3*/site-packages/cni/shim/podroute")
    version = subprocess.run(
        [shim],
        env={"CNI_COMMAND": "VERSION"},
        input="{}",
        capture_output=True,
        text=True,
        check=False,
    )
    assert '"supportedVersions"' in version.stdout or '"code"' in version.stdout, version


def test_without_a_compiler_it_fails_in_one_sentence(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python3", "sh", "env"):
        (programs / name).symlink_to(shutil.which(name) or name)
    done = build(tmp_path / "out", PATH=str(programs))
    assert done.returncode != 0
    assert "no C compiler was found" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
