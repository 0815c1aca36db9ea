"""Enter a pod's network namespace for the length of one system call or two. SHELL.

setns(2) moves the calling thread only, and a socket stays in the namespace it was opened in
(net/netlink/af_netlink.c), so the thread is home again before the first message is sent.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cni.spec.errors import InvalidEnvironmentError, SandboxIsHostError
from router.kernel.channel import Channel
from router.kernel.errors import KernelError

_CLONE_NEWNET: Final = 0x40000000
_NS_GET_NSTYPE: Final = 0xB703
"""_IO(NSIO, 0x3), include/uapi/linux/nsfs.h."""
_EXIT_LOST: Final = 70
"""EX_SOFTWARE."""


class Sandboxes:
    """Knows the node's own network namespace, that of the thread which made this."""

    def __init__(self) -> None:
        """Open the way back."""
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._home_file = _file(self._home)
        self._libc = ctypes.CDLL(None, use_errno=True)

    def close(self) -> None:
        """Close the way back."""
        os.close(self._home)

    def refuse_home(self, sandbox: int) -> None:
        """Raise SandboxIsHostError if the descriptor is the node's own network namespace."""
        if _file(sandbox) == self._home_file:
            raise SandboxIsHostError("CNI_NETNS is the node's own")

    def check(self, sandbox: int) -> None:
        """Raise a CniError unless the descriptor is a network namespace other than the node's."""
        try:
            kind = fcntl.ioctl(sandbox, _NS_GET_NSTYPE)
        except OSError:
            kind = 0
        if kind != _CLONE_NEWNET:
            raise InvalidEnvironmentError((("CNI_NETNS", "is not a network namespace"),))
        self.refuse_home(sandbox)

    @contextlib.contextmanager
    def entered(self, sandbox: int) -> Iterator[None]:
        """Run the block in the sandbox, on this thread. Raises KernelError if it cannot enter."""
        self._setns(sandbox)
        try:
            yield
        finally:
            self._go_home()

    def open_channel(self, sandbox: int, *, brief: bool = False) -> Channel:
        """Return a channel to the sandbox's kernel side. Raises KernelError."""
        # Not ``entered``: its machinery costs as much as the two system calls, in every ADD.
        self._setns(sandbox)
        try:
            return Channel(brief=brief)
        finally:
            self._go_home()

    def enable_ipv6(self, sandbox: int, ifname: str, proc_sys: Path) -> None:
        """Allow IPv6 addresses on a link of the sandbox: some runtimes disable them there.

        /proc/sys/net shows the namespace of the task that opens it.
        """
        path = proc_sys / "net/ipv6/conf" / ifname / "disable_ipv6"
        with self.entered(sandbox):
            try:
                path.write_text("0")
            except OSError as error:
                raise KernelError(error.errno or 0, f"write 0 to {path}") from error

    def _go_home(self) -> None:
        try:
            self._setns(self._home)
        except KernelError:
            # Serving the node from inside a pod's namespace would be far worse.
            os._exit(_EXIT_LOST)

    def _setns(self, namespace: int) -> None:
        if self._libc.setns(namespace, _CLONE_NEWNET) != 0:
            raise KernelError(ctypes.get_errno(), "enter a network namespace")


def _file(descriptor: int) -> tuple[int, int]:
    state = os.fstat(descriptor)
    return state.st_dev, state.st_ino
