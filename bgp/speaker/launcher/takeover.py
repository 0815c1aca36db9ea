"""takeover: replaces what `bgp.speaker.launcher` says, in the ExaBGP of this process. SHELL.

Call only after `known.why_not` found nothing; ExaBGP is imported then, not with this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from bgp.speaker.launcher.agent import Agent
from bgp.speaker.launcher.frame import pack
from bgp.speaker.launcher.inbox import HEADER_BYTES, MARKER, inbox_of

SIGN_OF_LIFE_S = 1.0
LINK_LOCAL = ("fe8", "fe9", "fea", "feb")
_FAMILIES = {1: 4, 2: 6}


def take_over(path: str) -> None:
    """Replace the receive path; the agent listens at `path`."""
    replace_reader()
    replace_read_message(replace_start(path))


def replace_reader() -> None:
    """Read a connection through its inbox; yields what `Connection.reader` does."""
    from exabgp.bgp.message import Message
    from exabgp.reactor.network import connection as home
    from exabgp.reactor.network.error import NotifyError, error

    def check(header: bytes, length: int, limit: int) -> Exception | None:
        problem: Exception | None = None
        if not header.startswith(MARKER):
            problem = NotifyError(1, 1, "The packet received does not contain a BGP marker")
            return problem
        validator = Message.Length.get(header[18], lambda _: True)
        if not HEADER_BYTES <= length <= limit or not validator(length):
            name = Message.CODE.name(header[18])
            problem = NotifyError(1, 2, f"{name} has an invalid message length of {length}")
        return problem

    def reader(self: Any) -> Iterator[tuple[int, int, bytes, bytes, Exception | None]]:
        if not self.io:
            raise home.NotConnected("Trying to read on a closed TCP connection")
        inbox = inbox_of(self)
        while not (taken := inbox.length(self.msg_size)):
            if not self.io:
                raise home.NotConnected("Trying to read on a closed TCP connection")
            inbox.fill(self, home.LostConnection, error.block)
            if inbox.failure is not None and not inbox.length(self.msg_size):
                self.close()
                raise inbox.failure
            if not inbox.length(self.msg_size):
                yield 0, 0, b"", b"", None
        header = bytes(inbox.data[:HEADER_BYTES])
        body = bytes(inbox.data[HEADER_BYTES:taken])
        del inbox.data[:taken]
        length = header[16] << 8 | header[17]
        problem = check(header, length, self.msg_size)
        yield length, 0 if problem else header[18], header, body, problem

    home.Connection.reader = reader


def replace_read_message(agent: Callable[[], Agent | None]) -> None:
    """Pass on UPDATEs of established sessions; leave everything else to ExaBGP."""
    from exabgp.bgp.fsm import FSM
    from exabgp.bgp.message import _NOP
    from exabgp.reactor import protocol as home
    from exabgp.reactor.network.error import LostConnection, error

    stock = home.Protocol.read_message
    nothing = home._UPDATE

    def read_message(self: Any) -> Iterator[Any]:
        signed_at = time.monotonic()
        while True:
            link, connection = agent(), self.connection
            established = self.peer.fsm == FSM.ESTABLISHED
            if link is None or connection is None or not connection.io or not established:
                yield from stock(self)
                return
            inbox = inbox_of(connection)
            if link.is_congested:
                link.wait()
                if time.monotonic() - signed_at >= SIGN_OF_LIFE_S and connection.reading():
                    # The peer is alive: it is we who do not read.
                    yield nothing
                    return
                yield _NOP
                continue
            inbox.fill(connection, LostConnection, error.block)
            messages, count = inbox.take_updates(connection.msg_size)
            if count:
                link.write(_frame(self, messages))
                link.flush()
                self.peer.stats["receive-update"] += count
                yield nothing
                return
            if inbox.failure is not None or inbox.length(connection.msg_size):
                yield from stock(self)
                return
            yield _NOP

    home.Protocol.read_message = read_message


def replace_start(path: str) -> Callable[[], Agent | None]:
    """Connect to the agent where ExaBGP would start its helper; give a way to that connection."""
    from exabgp.reactor.api import processes as home

    made: list[Agent] = []

    def start(self: Any, process: str) -> None:
        if process in self._process or process not in self._configuration:
            return
        if not made:
            made.append(Agent(path))
        self._encoder[process] = home.Response.JSON(home.json_version)
        self._ackjson[process] = self._ack[process] = False
        self._process[process] = made[0]
        self._restart[process] = False
        self._update_fds()

    home.Processes._start = start
    return lambda: made[0] if made else None


def _address(neighbor: Any) -> str:
    """Name the peer; with our own address where its own may be on several links."""
    peer = str(neighbor["peer-address"])
    return f"{peer} {neighbor['local-address']}" if peer.startswith(LINK_LOCAL) else peer


def _frame(protocol: Any, messages: bytes) -> bytes:
    negotiated = protocol.negotiated
    unicast = {int(afi) for afi, safi in negotiated.families if int(safi) == 1}
    return pack(
        _address(protocol.neighbor),
        messages,
        families={_FAMILIES[afi] for afi in unicast & _FAMILIES.keys()},
        four_octet_asns=bool(negotiated.asn4),
        internal=int(negotiated.local_as) == int(negotiated.peer_as),
    )
