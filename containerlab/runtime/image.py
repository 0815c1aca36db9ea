"""The image, built without any registry: deploy/Dockerfile's steps on this machine's packages.

The Dockerfile's base is taken from the Debian packages that are installed here (the interpreter,
its standard library, setpriv, and the libraries they load); the virtual environment from the
distributions of requirements/runtime.txt in ours; and our own part is the wheel. Everything
the containers run comes from the result, an OCI archive of one layer.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
CACHE: Final = ROOT / ".dev"
VERSION: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
INTERPRETER: Final = f"usr/bin/{VERSION}"
HOME: Final = "opt/podroute"

_PACKAGES: Final = (f"lib{VERSION}-minimal", f"lib{VERSION}-stdlib", f"{VERSION}-minimal")
_PROGRAMS: Final = ("/usr/bin/setpriv",)
_NO_NEED: Final = re.compile(
    r"/(doc|man|lintian|test|tests|idlelib|lib2to3|ensurepip|tkinter|turtledemo|pydoc_data)(/|$)"
)
_USERS: Final = (
    "root:x:0:0:root:/root:/usr/sbin/nologin\n"
    "podroute-bgp:x:61179:61179::/nonexistent:/usr/sbin/nologin\n"
)
_GROUP: Final = "root:x:0:\npodroute-bgp:x:61179:\n"
_MOUNT_POINTS: Final = ("dev", "proc", "sys", "run", "tmp", "var/run", "host", "root")


class ImageError(RuntimeError):
    """The image cannot be built here; the text says what is missing."""


def build_pause(name: str, target: Path) -> None:
    """Write the archive of an image that sleeps, for sandboxes."""
    with tempfile.TemporaryDirectory(prefix="podroute-pause-") as folder:
        binary = Path(folder) / "bin/busybox"
        binary.parent.mkdir()
        shutil.copy2("/bin/busybox", binary)
        for place in ("dev", "etc", "proc", "sys"):
            (Path(folder) / place).mkdir()
        write_archive(Path(folder), name, target, ["/bin/busybox", "sleep", "1000000"])


def build_image(name: str) -> Path:
    """Return the path of the OCI archive, which holds *name*; built anew only after a change."""
    target = CACHE / f"image-{_digest(name)}.tar"
    if not target.exists():
        CACHE.mkdir(exist_ok=True)
        for old in CACHE.glob("image-*.tar"):
            old.unlink()
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="rootfs-") as folder:
            rootfs = Path(folder) / "rootfs"
            _build_rootfs(rootfs, Path(folder))
            partial = Path(folder) / "image.tar"
            write_archive(rootfs, name, partial, ["podroute"])
            partial.rename(target)
    return target


def _digest(name: str) -> str:
    """Return what the image depends on, as a number."""
    state = hashlib.sha256(name.encode())
    paths = [ROOT / "requirements/runtime.txt", ROOT / "deploy/prune.txt", Path(__file__)]
    for top in ("router", "cni", "bgp"):
        paths += sorted(p for p in (ROOT / top).rglob("*") if p.suffix in (".py", ".c", ".h"))
    for path in paths:
        state.update(str(path.relative_to(ROOT)).encode())
        state.update(path.read_bytes())
    return state.hexdigest()[:16]


def _build_rootfs(rootfs: Path, scratch: Path) -> None:
    for folder in _MOUNT_POINTS:
        (rootfs / folder).mkdir(parents=True, exist_ok=True)
    # Merged /usr, as Debian has it.
    for link in ("bin", "sbin", "lib", "lib64"):
        (rootfs / "usr" / link).mkdir(parents=True, exist_ok=True)
        (rootfs / link).symlink_to(f"usr/{link}")
    (rootfs / "etc").mkdir()
    (rootfs / "etc/passwd").write_text(_USERS)
    (rootfs / "etc/group").write_text(_GROUP)
    files = [path for package in _PACKAGES for path in _files_of(package)]
    _copy([*files, *map(Path, _PROGRAMS)], rootfs)
    (rootfs / "usr/bin/python3").symlink_to(VERSION)
    packages = _make_environment(rootfs, scratch)
    _copy(_libraries(rootfs), rootfs)
    _compile(rootfs, packages)


def _files_of(package: str) -> Iterator[Path]:
    """Return the regular files and links of an installed Debian package that we need."""
    try:
        listed = subprocess.run(
            ["dpkg", "-L", package], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ImageError(f"Debian's package {package} is needed: {error}") from None
    for line in listed.splitlines():
        path = Path(line)
        if not _NO_NEED.search(line) and (path.is_symlink() or path.is_file()):
            yield path


def _copy(paths: Iterable[Path], rootfs: Path) -> None:
    for path in paths:
        text = str(path)
        # /lib/x is /usr/lib/x.
        place = text if text.startswith(("/usr/", "/etc/")) else f"/usr{text}"
        target = rootfs / place.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() and not target.is_symlink():
            shutil.copy2(path, target, follow_symlinks=False)


def _make_environment(rootfs: Path, scratch: Path) -> Path:
    """Make /opt/podroute as `python -m venv` and pip would; return its site-packages."""
    home = rootfs / HOME
    packages = home / "lib" / VERSION / "site-packages"
    packages.mkdir(parents=True)
    (home / "bin").mkdir()
    (home / "bin/python").symlink_to(f"/{INTERPRETER}")
    (home / "bin/python3").symlink_to("python")
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    for name in _locked():
        _install(name, home, packages)
    _install_wheel(scratch, packages)
    script = "import sys\nfrom router.__main__ import main\nsys.exit(main())\n"
    (home / "bin/podroute").write_text(f"#!/{HOME}/bin/python\n{script}")
    (home / "bin/podroute").chmod(0o755)
    for pattern in (ROOT / "deploy/prune.txt").read_text().split():
        for path in packages.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return packages


def _locked() -> Iterator[str]:
    for line in (ROOT / "requirements/runtime.txt").read_text().splitlines():
        if match := re.match(r"([A-Za-z0-9_.-]+)==", line):
            yield match[1]


def _install(name: str, home: Path, packages: Path) -> None:
    """Copy an installed distribution, its scripts for the interpreter in the image."""
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return  # for another platform
    for file in found.files or ():
        source = Path(str(found.locate_file(file)))
        if source.suffix == ".pyc" or not source.is_file():
            continue
        if ".." not in file.parts:
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        elif file.parent.name == "bin":
            _, _, rest = source.read_bytes().partition(b"\n")
            target = home / "bin" / file.name
            target.write_bytes(f"#!/{HOME}/bin/python\n".encode() + rest)
            target.chmod(0o755)


def _install_wheel(scratch: Path, packages: Path) -> None:
    """Build our own wheel, shim included, and unpack it."""
    pip = [sys.executable, "-m", "pip", "--no-input"]
    wheel = ["wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(scratch), str(ROOT)]
    done = subprocess.run([*pip, *wheel], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(f"the wheel cannot be built: {done.stderr}")
    (made,) = scratch.glob("podroute-*.whl")
    install = [
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--no-compile",
        "--target",
        str(packages),
    ]
    subprocess.run(
        [*pip, *install, "--root-user-action", "ignore", str(made)],
        capture_output=True,
        check=True,
    )
    shutil.rmtree(packages / "bin", ignore_errors=True)


def _libraries(rootfs: Path) -> Iterator[Path]:
    """Return the shared libraries of every program and module, the loader included."""
    elves = [
        path
        for path in rootfs.rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_size > 64 and _is_elf(path)
    ]
    listed = subprocess.run(
        ["ldd", *map(str, elves)], capture_output=True, text=True, check=False
    ).stdout
    names = set(re.findall(r"(?:=> )?(/\S+) \(0x", listed))
    # Loaded by name at run time: users and groups.
    names |= {str(p) for p in Path("/lib/x86_64-linux-gnu").glob("libnss_files.so.2")}
    for name in sorted(names):
        path = Path(name)
        yield path
        if path.is_symlink():
            yield path.parent / path.readlink()


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _compile(rootfs: Path, packages: Path) -> None:
    """Compile in advance: the root file system is read-only."""
    subprocess.run(
        [
            *(sys.executable, "-m", "compileall", "-q", "-j", "2"),
            *("--invalidation-mode", "unchecked-hash", "-s", str(rootfs), "-p", "/"),
            *(str(rootfs / "usr/lib" / VERSION), str(packages)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,  # files written for other versions of Python do not compile
    )


def write_archive(rootfs: Path, name: str, target: Path, entrypoint: Sequence[str]) -> None:
    """Write an OCI image archive of one layer (opencontainers/image-spec, image-layout.md)."""
    layer = target.with_suffix(".layer")
    with tarfile.open(layer, mode="w") as tar:
        tar.add(rootfs, arcname=".", filter=_as_root)
    files: dict[str, bytes] = {}

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        files[f"blobs/sha256/{digest}"] = content
        return {
            "mediaType": f"application/vnd.oci.image.{kind}",
            "digest": f"sha256:{digest}",
            "size": len(content),
        }

    layer_entry = blob(layer.read_bytes(), "layer.v1.tar")
    layer.unlink()
    image = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, ""),
        "os": "linux",
        "config": {
            "Entrypoint": list(entrypoint),
            "Env": [
                f"PATH=/{HOME}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "PYTHONDONTWRITEBYTECODE=1",
            ],
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [layer_entry["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "config": blob(json.dumps(image).encode(), "config.v1+json"),
        "layers": [layer_entry],
    }
    entry = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    entry["annotations"] = {"io.containerd.image.name": name}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    with tarfile.open(target, mode="w") as tar:
        for file_name, content in files.items():
            part = target.with_suffix(".part")
            part.write_bytes(content)
            tar.add(part, arcname=file_name, filter=_as_root)
            part.unlink()


def _as_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info
