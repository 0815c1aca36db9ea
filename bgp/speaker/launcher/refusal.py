"""refusal: ends sessions with the NOTIFICATION that the agent asks for. SHELL.

ExaBGP by itself closes a session with graceful restart without a word (reactor/peer.py, _main), so
that the peer keeps our routes; and `peer-as auto` takes any AS, our own too.

Call only after `known.why_not` found nothing; ExaBGP is imported then, not with this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

CEASE = 6
PAUSE_S = 2
"""How long ExaBGP waits before it dials a peer again that was told to cease: it learns with its
next reload that the peer is gone, and must not come back before."""
_WORDS = 3


def refuse_sessions() -> None:
    """Add the command `neighbor ADDRESS notify CODE SUBCODE [HEX]`, and the check of the AS."""
    add_notify()
    replace_read_message()
    replace_validate()


def add_notify() -> None:
    """Add the command; what it asks for happens when the session's next message is read."""
    from exabgp.reactor.api.command.command import Command
    from exabgp.reactor.api.command.limit import extract_neighbors, match_neighbor

    def notify(_: Any, reactor: Any, __: str, line: str, ___: bool) -> bool:
        descriptions, rest = extract_neighbors(line)
        words = rest.split()
        if len(words) < _WORDS or not all(word.isdigit() for word in words[1:_WORDS]):
            return False
        refusal = (int(words[1]), int(words[2]), bytes.fromhex("".join(words[_WORDS:])))
        for key in reactor.established_peers():
            if any(match_neighbor(description, key) for description in descriptions):
                reactor._peers[key].proto.podroute_refusal = refusal
        return True

    Command.register("notify")(notify)


def replace_read_message() -> None:
    """Let a session end before it reads on, if that was asked for."""
    from exabgp.bgp.message import Notify
    from exabgp.reactor import protocol as home

    stock = home.Protocol.read_message

    def read_message(self: Any) -> Iterator[Any]:
        for message in stock(self):
            yield message
            if refusal := self.__dict__.pop("podroute_refusal", None):
                if refusal[0] == CEASE:
                    delay = self.peer._delay
                    delay._next = max(delay._next, PAUSE_S)
                raise Notify(*refusal)

    home.Protocol.read_message = read_message


def replace_validate() -> None:
    """Refuse a peer of our own AS where any other is wanted (`peer-as auto`)."""
    from exabgp.bgp.message.open.capability import negotiated as home

    stock = home.Negotiated.validate

    def validate(self: Any, neighbor: Any) -> Any:
        if neighbor["peer-as"] is None and self.peer_as == neighbor["local-as"]:
            return (2, 2, f"AS {int(self.peer_as)} is ours, and an external one is expected")
        return stock(self, neighbor)

    home.Negotiated.validate = validate
