"""Whether a sandbox still is where the runtime said. SHELL: stat, nothing else.

An open descriptor would tell, too, but it keeps the sandbox alive.
"""

from __future__ import annotations

import os
from pathlib import Path

from cni.attachment.lease import FileIdentity, Sandbox


def find_sandbox(path: str, descriptor: int) -> Sandbox:
    """Return what is known of the sandbox behind an open descriptor and the runtime's path.

    Raises OSError only if the descriptor is none.
    """
    identity = _identity(os.fstat(descriptor))
    try:
        seen = _identity(Path(path).stat()) == identity
        directory = _identity(_anchor(path).stat()) if seen else None
    except (OSError, ValueError):
        directory = None
    return Sandbox(path=path, identity=identity, directory=directory)


def is_gone(sandbox: Sandbox) -> bool:
    """Return whether the sandbox ended: its path is free or another's, its directory still there.

    With the directory gone or another one (a server in a new container, without the mount), nothing
    is known and the answer is no.
    """
    if sandbox.directory is None:
        return False
    try:
        if _identity(_anchor(sandbox.path).stat()) != sandbox.directory:
            return False
    except OSError:
        return False
    try:
        return _identity(Path(sandbox.path).stat()) != sandbox.identity
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def _anchor(path: str) -> Path:
    """Return the directory whose identity shows that we look at the same tree as before.

    A process's directory ends with it, so for those it is /proc itself.
    """
    return Path("/proc") if path.startswith("/proc/") else Path(path).parent


def _identity(status: os.stat_result) -> FileIdentity:
    return FileIdentity(device=status.st_dev, inode=status.st_ino)
