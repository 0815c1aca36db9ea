"""listening: how ExaBGP waits for passive peers. SHELL.

* Whoever is not a passive peer at its own pair of addresses is hung up on. ExaBGP would hand the
  connection of a peer that it dials itself to that peer, too, and trip over one whose own address
  it does not know yet.
* An address that the node does not have yet, or a port that somebody else has, costs the passive
  peers their sessions; ExaBGP would not start at all.
* The answer to the first packet of a peer with GTSM carries TTL 255, not only what follows it.

Call only after `known.why_not` found nothing; ExaBGP is imported then, not with this module.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from typing import Any

IP_FREEBIND = 15
IPV6_FREEBIND = 78
"""linux/in.h, linux/in6.h; Python names neither."""
LONGEST_TTL = 255
DEAF = "launcher: cannot listen at: "
"""Begins the line that tells, after each reload, where we should listen and cannot."""


def listen_with_care() -> None:
    """Replace what is said above."""
    open_anywhere()
    answer_with_the_longest_ttl()
    let_only_passive_peers_in()
    start_all_the_same()


def open_anywhere() -> None:
    """Let a listening socket be bound to an address that the node does not have yet."""
    from exabgp.protocol.family import AFI
    from exabgp.reactor.listener import Listener

    stock = Listener._new_socket

    def _new_socket(self: Any, ip: Any) -> socket.socket:
        made: socket.socket = stock(self, ip)
        is_ipv6 = ip.afi == AFI.ipv6
        level = socket.IPPROTO_IPV6 if is_ipv6 else socket.IPPROTO_IP
        with contextlib.suppress(OSError):
            made.setsockopt(level, IPV6_FREEBIND if is_ipv6 else IP_FREEBIND, 1)
        return made

    Listener._new_socket = _new_socket


def answer_with_the_longest_ttl() -> None:
    """Send with TTL 255 from a socket that checks the TTL of what comes in."""
    from exabgp.reactor.listener import Listener
    from exabgp.reactor.network.tcp import set_sending_ttl

    stock = Listener._listen

    def _listen(self: Any, local_ip: Any, peer_ip: Any, local_port: int, *rest: Any) -> None:
        stock(self, local_ip, peer_ip, local_port, *rest)
        for made, (local, port, *_) in self._sockets.items():
            if rest[-1] and (local, port) == (local_ip.top(), local_port):
                set_sending_ttl(made, local_ip.afi, peer_ip.top(), LONGEST_TTL)

    Listener._listen = _listen


def let_only_passive_peers_in() -> None:
    """Hang up on everybody else."""
    from exabgp.reactor.listener import Listener

    stock = Listener._connected

    def _connected(self: Any) -> Iterator[Any]:
        peers = self._reactor._peers.values()
        wanted = {_pair(peer.neighbor) for peer in peers if peer.neighbor["passive"]}
        for connection in stock(self):
            # ExaBGP calls the far end of an accepted connection "local".
            if (connection.local, connection.peer) in wanted:
                yield connection
            else:
                connection.close()

    Listener._connected = _connected


def start_all_the_same() -> None:
    """Do not end because of a port that somebody else has, but say so."""
    from exabgp.reactor.loop import Reactor

    stock = Reactor._listen_for_neighbors

    def _listen_for_neighbors(self: Any) -> bool:
        stock(self)
        neighbors = [n for n in self.configuration.neighbors.values() if n["listen"]]
        wanted = {(str(n["local-address"]), int(n["listen"])) for n in neighbors}
        missing = wanted - {(local, port) for local, port, *_ in self.listener._sockets.values()}
        text = ", ".join(f"{address} port {port}" for address, port in sorted(missing))
        print(f"{DEAF}{text}", file=sys.stderr, flush=True)
        return True

    Reactor._listen_for_neighbors = _listen_for_neighbors


def _pair(neighbor: Any) -> tuple[str, str]:
    return neighbor["peer-address"].top(), str(neighbor["local-address"])
