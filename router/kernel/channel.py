"""A netlink socket for packed messages: batches, single requests, dumps, nf_tables transactions.

SHELL. A channel stays bound to the network namespace of the thread that opened it
(net/netlink/af_netlink.c takes it from current at socket creation), so one opened
inside a pod's namespace keeps speaking to the pod after the thread has left.

A batch costs one sendmsg per 64 KiB and one acknowledgement: errors come back even for
messages without NLM_F_ACK, and the kernel goes on after a message that failed. So the
caller gets every failure with its index, and nothing for what worked.
Not thread-safe: one channel, one thread. An acknowledgement costs two system calls and no memory:
the kernel keeps the timeout (Python's own would poll before each call), and one buffer is reused.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, Self

from router.kernel.errors import DumpInterruptedError, KernelError
from router.kernel.message import (
    HEADER_FLAGS_OFFSET,
    HEADER_SEQ_OFFSET,
    NLM_F_ACK,
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    messages,
)
from router.kernel.netlink_socket import open_brief, open_lasting
from router.kernel.refusal import Failure, extended_ack, translate
from router.kernel.runs import Run, datagrams
from router.kernel.stencil import Batch

_BATCH_BYTES: Final = 64 * 1024
_RECEIVE_BYTES: Final = 64 * 1024
"""A dump's datagrams have at most 32 KiB, or one larger object (netlink_dump in af_netlink.c)."""
_BRIEF_RECEIVE_BYTES: Final = 8 * 1024
_DUMP_ATTEMPTS: Final = 8
_U16: Final = struct.Struct("=H")
_U32: Final = struct.Struct("=I")
_I32: Final = struct.Struct("=i")
_ACKNOWLEDGEMENT: Final = struct.Struct("=IHHIIi")
"""struct nlmsghdr, nlmsgerr.error."""


class Channel:
    """One netlink socket in the network namespace of the opening thread."""

    def __init__(
        self,
        *,
        timeout_s: float = 10.0,
        protocol: int = socket.NETLINK_ROUTE,
        brief: bool = False,
    ) -> None:
        """Open the socket. Raises KernelError.

        ``brief`` is for one that lives for a few small messages and lists little: it spares the
        options and the memory that dumps and large batches need. The kernel answers while it
        is asked, so that what is not there then will not come.
        """
        self._socket = open_brief(protocol) if brief else open_lasting(protocol, timeout_s)
        self._sequence = 0
        self._receive_flags = socket.MSG_DONTWAIT if brief else 0
        self._buffer = bytearray(_BRIEF_RECEIVE_BYTES if brief else _RECEIVE_BYTES)
        self._view = memoryview(self._buffer)

    def _receive(self) -> bytes:
        size = self._socket.recv_into(self._buffer, 0, self._receive_flags)
        return bytes(self._view[:size])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port_id(self) -> int:
        """The netlink port of this socket: notifications of our own changes carry it."""
        port: int = self._socket.getsockname()[0]
        return port

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def request(self, request: bytes, what: str) -> None:
        """Send one message and wait for its acknowledgement.

        `what` names the operation in the KernelError raised when the kernel refuses.
        """
        for failure in self.batch((request,), what):
            raise KernelError(failure.errno, what, failure.detail)

    def batch(self, requests: Sequence[bytes], what: str = "netlink batch") -> list[Failure]:
        """Send messages in order, in chunks of 64 KiB; return the failures, in order.

        Raises KernelError when the socket itself fails (ENOBUFS: the answers overflowed,
        so the outcome is unknown and the caller must observe again).
        """
        if sum(map(len, requests)) <= _BATCH_BYTES:
            return self._send_chunk(requests, what) if requests else []
        failures: list[Failure] = []
        start = 0
        while start < len(requests):
            size = 0
            end = start
            while end < len(requests) and (
                end == start or size + len(requests[end]) <= _BATCH_BYTES
            ):
                size += len(requests[end])
                end += 1
            for failure in self._send_chunk(requests[start:end], what):
                failures.append(replace(failure, index=start + failure.index))
            start = end
        return failures

    def transact(self, begin: bytes, requests: Sequence[bytes], end: bytes, what: str) -> None:
        """Send a transaction of nf_tables: all of it happens, or nothing.

        Raises KernelError with the first refusal; ENOENT, say, where a table is gone.
        """
        failures = self._send_chunk((begin, *requests), what, end)
        if failures:
            # The kernel answers a batch it cannot begin, or commit, at its first message.
            raise KernelError(failures[0].errno, what, failures[0].detail)

    def send(self, batch: Batch, what: str) -> list[Failure]:
        """Send a batch that is packed and numbered already; return the failures, in order.

        Raises KernelError as `batch` does.
        """
        try:
            self._socket.sendto(batch.packed, (0, 0))
            failures = self._failures(1, batch.last, batch.transaction)
        except OSError as error:
            self._drain()
            raise translate(error, what) from error
        if failures:
            self._drain()
        return failures

    def ask(self, batch: Batch, what: str) -> list[tuple[int, bytes]]:
        """Return (type, payload) of the one object that each request of a batch asks for.

        Nothing else is waited for, so that none may be acknowledged. Raises KernelError for the
        first refusal.
        """
        listed: list[tuple[int, bytes]] = []
        try:
            self._socket.sendto(batch.packed, (0, 0))
            while len(listed) < batch.last:
                for kind, flags, _, payload in messages(self._receive()):
                    if kind == NLMSG_ERROR:
                        code = -_I32.unpack_from(payload)[0]
                        self._drain()
                        raise KernelError(code, what, extended_ack(flags, payload))
                    listed.append((kind, payload))
        except OSError as error:
            self._drain()
            raise translate(error, what) from error
        return listed

    def _drain(self) -> None:
        """Forget what has been answered: the next batch is numbered from 1 again."""
        for _ in range(2):
            # It ends with EAGAIN, or with an ENOBUFS that is told once.
            with contextlib.suppress(OSError):
                while self._socket.recv_into(self._buffer, 0, socket.MSG_DONTWAIT):
                    pass

    def _send_chunk(
        self, requests: Sequence[bytes], what: str, trailer: bytes = b""
    ) -> list[Failure]:
        """Send the messages in one datagram, the last acknowledged; ``trailer`` goes behind it."""
        chunk = bytearray(b"".join(requests))
        offset = 0
        for sequence, request in enumerate(requests, self._sequence + 1):
            _U32.pack_into(chunk, offset + HEADER_SEQ_OFFSET, sequence)
            offset += len(request)
        return self._exchange(chunk, len(requests), len(requests[-1]), what, trailer)

    def stream(self, runs: Iterable[Run], what: str) -> list[Failure]:
        """Send messages in order like `batch`; failures have the index over all runs."""
        failures: list[Failure] = []
        before = 0
        for datagram in datagrams(runs, self._sequence + 1, _BATCH_BYTES):
            for failure in self._exchange(*datagram, what):
                failures.append(replace(failure, index=before + failure.index))
            before += datagram.messages
        return failures

    def _exchange(
        self, chunk: bytearray, count: int, last_size: int, what: str, trailer: bytes = b""
    ) -> list[Failure]:
        """Send numbered messages, the last of so many octets acknowledged; see `_send_chunk`."""
        first = self._sequence + 1
        self._sequence += count
        last = self._sequence
        at = len(chunk) - last_size + HEADER_FLAGS_OFFSET
        _U16.pack_into(chunk, at, _U16.unpack_from(chunk, at)[0] | NLM_F_ACK)
        try:
            self._socket.sendto(chunk + trailer, (0, 0))
            return self._failures(first, last, bool(trailer))
        except OSError as error:
            raise translate(error, what) from error

    def _failures(self, first: int, last: int, transaction: bool) -> list[Failure]:
        """Receive the answers to messages of these numbers; return the refusals, in order."""
        size = self._socket.recv_into(self._buffer, 0, self._receive_flags)
        if size >= _ACKNOWLEDGEMENT.size:
            # Nearly always there is nothing but this.
            _, kind, _, sequence, _, code = _ACKNOWLEDGEMENT.unpack_from(self._buffer)
            if kind == NLMSG_ERROR and sequence == last and not code:
                return []
        failures: list[Failure] = []
        datagram = bytes(self._view[:size])
        while True:
            done = False
            for kind, flags, sequence, payload in messages(datagram):
                if kind != NLMSG_ERROR or not first <= sequence <= last:
                    continue
                done = done or sequence == last or (transaction and sequence == first)
                if code := -_I32.unpack_from(payload)[0]:
                    detail = extended_ack(flags, payload)
                    failures.append(Failure(index=sequence - first, errno=code, detail=detail))
            if done:
                return failures
            datagram = self._receive()

    def dump(self, request: bytes, what: str) -> list[tuple[int, bytes]]:
        """Return (type, payload) of every object a dump request lists.

        An interrupted dump is repeated; raises DumpInterruptedError after eight attempts.
        """
        for _ in range(_DUMP_ATTEMPTS):
            listed, interrupted = self._dump_once((request,), what)
            if not interrupted:
                return listed
        raise DumpInterruptedError(what, _DUMP_ATTEMPTS)

    def read(self, requests: Sequence[bytes], what: str) -> list[tuple[int, bytes]]:
        """Return (type, payload) of what several requests for one object each return.

        The last must ask for an acknowledgement. Raises KernelError for the first refusal.
        """
        return self._dump_once(requests, what)[0]

    def _dump_once(
        self, requests: Sequence[bytes], what: str
    ) -> tuple[list[tuple[int, bytes]], bool]:
        first = self._sequence + 1
        self._sequence += len(requests)
        last = self._sequence
        packed = bytearray(b"".join(requests))
        offset = 0
        for number, request in enumerate(requests):
            _U32.pack_into(packed, offset + HEADER_SEQ_OFFSET, first + number)
            offset += len(request)
        listed: list[tuple[int, bytes]] = []
        seen_flags = 0
        try:
            self._socket.sendto(packed, (0, 0))
            while True:
                for kind, flags, sequence, payload in messages(self._receive()):
                    if not first <= sequence <= last:
                        continue
                    seen_flags |= flags
                    if kind not in (NLMSG_DONE, NLMSG_ERROR):
                        listed.append((kind, payload))
                        continue
                    code = -_I32.unpack_from(payload)[0] if len(payload) >= 4 else 0
                    if code:
                        raise KernelError(code, what, extended_ack(flags, payload))
                    if sequence == last:
                        return listed, bool(seen_flags & NLM_F_DUMP_INTR)
        except KernelError:
            raise
        except OSError as error:
            raise translate(error, what) from error
