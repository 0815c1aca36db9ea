"""PID 1 of a node: builds the node's view of the file system, then reaps and waits to end.

Run as a script by namespaces.py with `python -I -S`, so it imports the standard library only. It
starts inside new network, mount, pid, UTS and IPC namespaces and holds them: when it ends, the
kernel kills every process of the pid namespace and with the last of them the rest goes. It ends

- when the runner's process is gone, by whatever signal: it polls a pidfd of it. Unlike PDEATHSIG
  this is about the process, not about the thread that happened to start us, and survives setuid;
- when the runner closes its end of the control socket.

Orphans of the pid namespace become our children (pid_namespaces(7)); each is reaped.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import zlib
from pathlib import Path
from typing import Any

# linux/mount.h
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC = 32, 4096, 16384
MNT_DETACH = 2

LIBC = ctypes.CDLL(None, use_errno=True)

HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t{hostname}\n"


class SetupError(Exception):
    """The node cannot be built; the message says which part and why."""


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """Call mount(2); SetupError names the target and the reason."""
    words = (source.encode(), target.encode(), kind.encode())
    if LIBC.mount(*words, ctypes.c_ulong(flags), options.encode() or None):
        reason = os.strerror(ctypes.get_errno())
        raise SetupError(f"cannot mount {kind or source} on {target}: {reason}")


class Shown:
    """A path of this machine, held open so that it can be shown later wherever it is hidden."""

    def __init__(self, path: str) -> None:
        try:
            self.fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            raise SetupError(f"bind source {path}: {error.strerror}") from error
        self.path = path
        self.is_folder = Path(path).is_dir()

    def show(self, target: Path, *, read_only: bool = False, private: tuple[str, ...]) -> None:
        """Bind it on `target`, which is made if it lies in one of the `private` folders."""
        if not target.exists():
            if not any(target.is_relative_to(folder) for folder in private):
                where = ", ".join(private)
                raise SetupError(f"bind target {target} does not exist (made only in {where})")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.mkdir() if self.is_folder else target.touch()
        mount(f"/proc/self/fd/{self.fd}", str(target), "", MS_BIND | MS_REC)
        if read_only:
            mount("none", str(target), "", MS_REMOUNT | MS_BIND | MS_RDONLY)
        os.close(self.fd)


def build(setup: dict[str, Any]) -> None:
    """Build the file system, names and sysctls of the node."""
    release_namespaces()
    # Opened first: the sources may lie below what is covered in a moment.
    visible = [Shown(path) for path in setup["visible"]]
    binds = [(Shown(bind["source"]), bind) for bind in setup["binds"]]
    cgroup = Shown("/sys/fs/cgroup") if Path("/sys/fs/cgroup").is_dir() else None

    # sysfs shows the devices of the network namespace that mounts it.
    mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    private = (*setup["private_trees"], "/run")
    if cgroup:
        cgroup.show(Path("/sys/fs/cgroup"), private=private)
    cover(setup["private_trees"])
    for shown in visible:
        shown.show(Path(shown.path), private=private)
    for shown, bind in binds:
        shown.show(Path(bind["target"]), read_only=bind["read_only"], private=private)

    socket.sethostname(setup["hostname"])
    Path("/etc/hostname").write_text(f"{setup['hostname']}\n")
    Path("/etc/hosts").write_text(HOSTS.format(hostname=setup["hostname"]))
    choose_paths_alone(setup["hostname"])
    for key, value in setup["sysctls"]:
        write_sysctl(key, value)


def choose_paths_alone(hostname: str) -> None:
    """Let the node spread flows over equal paths by a hash of its own, as a machine does.

    All namespaces of one kernel share a seed (fib_multipath_hash_seed, Linux 6.11): the second
    router in a row would send everything that the first gave it by the same of its paths, and
    whole links would carry nothing.
    """
    seed = Path("/proc/sys/net/ipv4/fib_multipath_hash_seed")
    if seed.exists():
        write_sysctl("net.ipv4.fib_multipath_hash_seed", str(zlib.crc32(hostname.encode()) | 1))


def release_namespaces() -> None:
    """Give up our copies of names such as /run/netns/x, each of which keeps a namespace alive."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        if words[words.index("-") + 1] == "nsfs":
            LIBC.umount2(words[4].encode(), MNT_DETACH)


def cover(trees: list[str]) -> None:
    """Put an overlay with its writes in memory over each tree, and an empty /run.

    The first tmpfs on /run holds the overlays' upper folders and is itself covered by the second:
    nothing of it shows, and no folder of this machine is needed to mount it on.
    """
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    for tree in trees:
        scratch = Path("/run") / tree.replace("/", "_")
        (scratch / "upper").mkdir(parents=True)
        (scratch / "work").mkdir()
        # The upper folder is the root of the merged one: its mode and owner are what is seen.
        state = Path(tree).stat()
        (scratch / "upper").chmod(state.st_mode & 0o7777)
        os.chown(scratch / "upper", state.st_uid, state.st_gid)
        options = f"lowerdir={tree},upperdir={scratch}/upper,workdir={scratch}/work"
        mount("overlay", tree, "overlay", 0, options)
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    Path("/run/lock").mkdir()


def write_sysctl(key: str, value: str) -> None:
    """Write one sysctl of our network namespace."""
    try:
        Path("/proc/sys", *key.split(".")).write_text(value)
    except OSError as error:
        raise SetupError(f"sysctl {key}={value}: {error.strerror}") from error


def reap() -> None:
    """Collect every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def serve(control: socket.socket, runner: int) -> None:
    """Reap until the runner says end, by closing the socket or by being gone."""
    woken, waker = socket.socketpair()
    woken.setblocking(False)
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    poller = select.poll()
    for descriptor in (control.fileno(), runner, woken.fileno()):
        poller.register(descriptor, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poller.poll()}
        if runner in ready:
            return
        if woken.fileno() in ready:
            woken.recv(4096)
            reap()
        if control.fileno() in ready and not answer(control):
            return


def answer(control: socket.socket) -> bool:
    """Read the one message there is, the setup, and answer it; False at the end of the socket."""
    message = control.recv(1 << 20)
    if not message:
        return False
    try:
        build(json.loads(message))
    except Exception as error:  # whatever it is, the runner must hear it
        known = isinstance(error, SetupError | OSError)
        control.send((str(error) if known else repr(error)).encode())
        return False
    control.send(b"ready")
    return True


def main() -> None:
    """Take the control socket and the runner's pidfd by number and serve."""
    control = socket.socket(fileno=int(sys.argv[1]))
    serve(control, int(sys.argv[2]))


if __name__ == "__main__":
    main()
