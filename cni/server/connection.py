"""One connected shim: receives its request, hands it on, sends the answer. SHELL.

Every step has a deadline and every size a bound. Only root is heard: the socket is 0600 already,
and SO_PEERCRED says so once more where somebody changed that.
"""

from __future__ import annotations

import array
import logging
import os
import socket
import struct
from collections.abc import Callable
from typing import Final

from cni.spec.errors import DecodeError, render_error
from cni.spec.version import NEWEST
from cni.wire import MalformedFrameError, Request, frame_bytes, parse_request, render_reply

log = logging.getLogger(__name__)

REQUEST_DEADLINE_S: Final = 5.0
ANSWER_DEADLINE_S: Final = 60.0
"""The shim itself gives up after a minute."""

_FIRST_BYTES: Final = 4 * 1024
"""What nearly every request fits in."""
_RECEIVE_BYTES: Final = 64 * 1024
_RECEIVE_FLAGS: Final = socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
_SEND_FLAGS: Final = socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT
_ONE_DESCRIPTOR: Final = socket.CMSG_LEN(struct.calcsize("i"))
"""CMSG_LEN, not CMSG_SPACE: its padding would make room for a second descriptor."""
_UCRED: Final = struct.Struct("=iII")


def is_root(connection: socket.socket) -> bool:
    """Return whether the process that connected runs as root (SO_PEERCRED, unix(7))."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return bool(_UCRED.unpack(credentials)[1] == 0)


class Connection:
    """Implements ``cni.server.call.Caller`` for a connected shim."""

    def __init__(
        self, connection: socket.socket, now_s: float, on_reply: Callable[[Connection], None]
    ) -> None:
        """Take over a connected socket; ``on_reply`` is told when it has an answer.

        It is never waited for: each call says so itself, which spares making it non-blocking.
        """
        self._socket = connection
        self._on_reply = on_reply
        self._received = bytearray()
        self._unsent = b""
        self._sandbox: int | None = None
        self._gone = False
        self.deadline_s = now_s + REQUEST_DEADLINE_S
        self.asked = False
        self.answered = False

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    @property
    def sandbox(self) -> int | None:
        """Return the descriptor that came with the request; it is closed with the connection."""
        return self._sandbox

    @property
    def finished(self) -> bool:
        """Return whether nothing is left to do but close."""
        return self._gone or (self.answered and not self._unsent)

    def gone(self) -> bool:
        """Return whether the shim has left. It never shuts down its sending side before."""
        if not self._gone:
            try:
                self._gone = self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
            except BlockingIOError:
                pass
            except OSError:
                self._gone = True
        return self._gone

    def receive(self, now_s: float) -> Request | None:
        """Read what is there; return the request when it is whole. Answers a malformed one."""
        try:
            while (size := frame_bytes(self._received)) is None or len(self._received) < size:
                if not self._receive_some(size):
                    return None
            self.asked = True
            self.deadline_s = now_s + ANSWER_DEADLINE_S
            return parse_request(self._received)
        except BlockingIOError:
            return None
        except MalformedFrameError as error:
            self.asked = True
            log.warning("malformed request", extra={"error": str(error)})
            self.answer(1, render_error(DecodeError(str(error)), NEWEST))
        except OSError:
            self._gone = True
        return None

    def _receive_some(self, size: int | None) -> bool:
        wanted = _FIRST_BYTES if size is None else min(size - len(self._received), _RECEIVE_BYTES)
        data, ancillary, _, _ = self._socket.recvmsg(wanted, _ONE_DESCRIPTOR, _RECEIVE_FLAGS)
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._keep_descriptor(payload)
        if not data:
            self._gone = True
            return False
        self._received += data
        return True

    def _keep_descriptor(self, payload: bytes) -> None:
        descriptors = array.array("i")
        descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
        for descriptor in descriptors:
            if self._sandbox is None:
                self._sandbox = descriptor
            else:
                os.close(descriptor)

    def answer(self, exit_code: int, stdout: bytes) -> bool:
        """Send the answer, or as much as fits; return False when the shim has left."""
        self.answered = True
        self._unsent = render_reply(exit_code, stdout)
        self.send()
        delivered = not self._gone
        self._on_reply(self)
        return delivered

    def send(self) -> None:
        """Send what is left of the answer, as far as it fits."""
        try:
            while self._unsent:
                sent = self._socket.send(self._unsent, _SEND_FLAGS)
                self._unsent = self._unsent[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._gone = True

    def close(self) -> None:
        """Close the socket and the sandbox; idempotent."""
        self._gone = True
        if self._sandbox is not None:
            os.close(self._sandbox)
            self._sandbox = None
        self._socket.close()
