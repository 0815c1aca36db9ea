"""launch: prepares what the speaker's process needs, and its command line. SHELL.

ExaBGP parses what peers send, so it runs as a user of its own, without capabilities and
without a way back (no_new_privs), with a configuration that only it can read. That user may
not be able to reach a virtual environment (below a home directory, say): ExaBGP's package is
then copied, unchanged, to where it can.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bgp.errors import PermanentError
from bgp.peer import Receive

DEFAULT_UID = 61179
"""User and group of the speaker; needs no entry in /etc/passwd."""

_SYSTEM_PYTHONS = (Path("/usr/bin/python3"), Path("/usr/local/bin/python3"))
"""ExaBGP runs on any Python from 3.8 on; ours may be out of reach of the speaker's user."""
_CAPABILITY_SETS = (("inh", "caps"), ("ambient", "caps"), ("bounding", "set"))
_NET_BIND_SERVICE = 10
"""linux/capability.h"""
_RELAY = Path(__file__).with_name("relay.py")
_LAUNCHER = Path(__file__).with_name("launcher")


class LaunchError(PermanentError):
    """The speaker cannot be started on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerProcessSettings:
    """Where and as whom the speaker runs."""

    run_dir: Path = Path("/run/podroute/speaker")
    """Made by us, mode 0711: configuration (0440, its group's to read), API socket, relay."""
    uid: int = DEFAULT_UID
    gid: int = DEFAULT_UID
    receive: Receive = Receive.AUTO
    low_ports: bool = False
    """Whether the speaker may listen below port 1024, for passive peers: CAP_NET_BIND_SERVICE,
    its only one, and as every other for as long as it runs."""
    heartbeat_s: float = 1.0
    """How often the speaker is asked for a sign of life."""

    @property
    def config_path(self) -> Path:
        """The generated configuration."""
        return self.run_dir / "exabgp.conf"

    @property
    def socket_path(self) -> Path:
        """Where the relay meets the agent."""
        return self.run_dir / "api.sock"

    @property
    def relay_path(self) -> Path:
        """The relay's copy, readable by the speaker's user."""
        return self.run_dir / "relay.py"

    @property
    def launcher_dir(self) -> Path:
        """Where the launcher's copy is imported from, readable by the speaker's user."""
        return self.run_dir / "launcher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Interpreter and ExaBGP, as the speaker's user reaches them."""

    python: Path
    library: Path
    known_user: str

    @classmethod
    def prepare(cls, settings: SpeakerProcessSettings) -> Installation:
        """Make the run directory and find or copy the code. Raises LaunchError.

        Idempotent; copies about 4 MB when the installed package cannot be reached.
        """
        own = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
        python = next((p for p in (own, *_SYSTEM_PYTHONS) if _reaches(settings, p)), None)
        if python is None:
            raise LaunchError(f"user {settings.uid} cannot run {own}")
        known_user = _known_user()
        spec = find_spec("exabgp")
        if spec is None or spec.origin is None:
            raise LaunchError("the exabgp package is not installed")
        settings.run_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        settings.run_dir.chmod(0o711)
        write(settings.relay_path, _RELAY.read_bytes(), 0o444)
        _copy_launcher(settings.launcher_dir)
        if not _reaches(settings, settings.relay_path):
            raise LaunchError(f"user {settings.uid} cannot reach {settings.run_dir}")
        package = Path(spec.origin).parent
        if _reaches(settings, package / "__init__.py"):
            return cls(python=python, library=package.parent, known_user=known_user)
        library = settings.run_dir / "lib"
        shutil.rmtree(library, ignore_errors=True)
        shutil.copytree(package, library / "exabgp")
        _open_up(library)
        return cls(python=python, library=library, known_user=known_user)

    def relay_command(self, settings: SpeakerProcessSettings) -> tuple[str, ...]:
        """Give the words of ExaBGP's `run` statement."""
        return (
            str(self.python),
            "-I",
            "-S",
            str(settings.relay_path),
            str(settings.socket_path),
        )

    def command(self, settings: SpeakerProcessSettings) -> tuple[str, ...]:
        """Give the argument vector that drops all privileges and becomes ExaBGP.

        setpriv sets the parent death signal after the user change (which clears it).
        """
        keep = ",+net_bind_service" if settings.low_ports else ""
        return (
            "setpriv",
            f"--reuid={settings.uid}",
            f"--regid={settings.gid}",
            "--clear-groups",
            "--no-new-privs",
            *(f"--{kind}-{word}=-all{keep}" for kind, word in _CAPABILITY_SETS),
            "--pdeathsig=KILL",
            "--",
            str(self.python),
            "-P",
            "-s",
            *self._program(settings),
        )

    @staticmethod
    def _program(settings: SpeakerProcessSettings) -> tuple[str, ...]:
        config, path = str(settings.config_path), str(settings.socket_path)
        return ("-m", "bgp.speaker.launcher", config, path, settings.receive.value)

    def environment(self, settings: SpeakerProcessSettings) -> dict[str, str]:
        """Give the whole environment; nothing of the agent's is passed on.

        ExaBGP's acknowledgement of API commands would fill the pipe when nobody reads it; its
        command line pipes are not wanted. Level INFO, because "loaded new configuration
        successfully" is its only acknowledgement of a reload. The user is not changed to, but must
        exist; its default, nobody, is not in every image. A connection whose other end sends no
        OPEN (its packets come with too low a TTL, say) is given up after 10 s, not 60.
        """
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{settings.launcher_dir}:{self.library}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "EXABGP_ROOT": "/",
            "exabgp_api_ack": "false",
            "exabgp_api_cli": "false",
            "exabgp_api_respawn": "false",
            "exabgp_bgp_openwait": "10",
            "exabgp_daemon_drop": "false",
            "exabgp_daemon_user": self.known_user,
            "exabgp_log_destination": "stderr",
            "exabgp_log_level": "INFO",
            "exabgp_log_processes": "false",
            "exabgp_log_statistics": "false",
            # glibc: one heap, and large buffers back to the kernel as soon as they are free.
            "MALLOC_ARENA_MAX": "1",
            "MALLOC_MMAP_THRESHOLD_": "65536",
            "MALLOC_TRIM_THRESHOLD_": "131072",
        }


def _copy_launcher(directory: Path) -> None:
    """Put the launcher and the packages around it, which are empty, where it can be imported."""
    shutil.rmtree(directory, ignore_errors=True)
    package = directory / "bgp" / "speaker" / "launcher"
    package.mkdir(parents=True)
    for parent in (package.parent, package.parent.parent):
        (parent / "__init__.py").touch()
    for source in _LAUNCHER.glob("*.py"):
        (package / source.name).write_bytes(source.read_bytes())
    _open_up(directory)


def _known_user() -> str:
    """Return the name of a user that exists. Raises LaunchError."""
    try:
        return pwd.getpwuid(0).pw_name
    except KeyError:
        raise LaunchError("user 0 has no entry in /etc/passwd, which ExaBGP needs") from None


def may_bind_low_ports() -> bool:
    """Tell whether this process could let the speaker listen below port 1024."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    held = int(fields["CapPrm"], 16) & int(fields["CapBnd"], 16)
    return bool(held >> _NET_BIND_SERVICE & 1)


def share(file: Path | int, gid: int) -> None:
    """Give a file of ours to the speaker's group.

    Needs no CAP_CHOWN: an owner may, for a group that he is in (chown(2)). To join it takes
    CAP_SETGID, which it takes to start the speaker too. Raises OSError.
    """
    try:
        os.chown(file, -1, gid)
    except PermissionError:
        os.setgroups([*os.getgroups(), gid])
        os.chown(file, -1, gid)


def write(path: Path, content: bytes, mode: int, gid: int | None = None) -> None:
    """Put a file in place atomically, never visible with another mode or group."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        if gid is not None:
            share(descriptor, gid)
        os.fchmod(descriptor, mode)
    temporary.replace(path)


def _reaches(settings: SpeakerProcessSettings, path: Path) -> bool:
    """Tell whether the speaker's user may read `path`, by the mode bits of it and its parents."""
    if settings.uid == 0:
        return path.exists()
    try:
        statuses = [path.stat(), *(parent.stat() for parent in path.resolve().parents)]
    except OSError:
        return False
    needed = [stat.S_IROTH] + [stat.S_IXOTH] * (len(statuses) - 1)
    return all(
        _mode_for(settings, status) & bit for status, bit in zip(statuses, needed, strict=True)
    )


def _mode_for(settings: SpeakerProcessSettings, status: os.stat_result) -> int:
    if status.st_uid == settings.uid:
        return status.st_mode >> 6
    if status.st_gid == settings.gid:
        return status.st_mode >> 3
    return status.st_mode


def _open_up(library: Path) -> None:
    for directory, _, files in os.walk(library):
        Path(directory).chmod(0o755)
        for name in files:
            (Path(directory) / name).chmod(0o644)
