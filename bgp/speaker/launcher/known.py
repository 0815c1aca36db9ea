"""known: whether the ExaBGP that is installed is the one that `takeover` was written for."""

from __future__ import annotations

import inspect
from typing import Any

VERSION = "5.0.15"

# Whatever of ExaBGP is taken over or relied upon, and how it is called.
SIGNATURES = {
    "exabgp.reactor.network.connection:Connection.reader": "(self)",
    "exabgp.reactor.network.connection:Connection.close": "(self)",
    "exabgp.reactor.protocol:Protocol.read_message": "(self)",
    "exabgp.reactor.api.processes:Processes._start": "(self, process)",
    "exabgp.reactor.api.processes:Processes._update_fds": "(self)",
    "exabgp.reactor.api.processes:Processes.write": "(self, process, string, neighbor=None)",
    "exabgp.reactor.api.command.command:Command.register": (
        "(name, neighbor=True, options=None, json_support=False)"
    ),
    "exabgp.reactor.api.command.limit:extract_neighbors": "(command)",
    "exabgp.reactor.api.command.limit:match_neighbor": "(description, name)",
    "exabgp.reactor.network.outgoing:create": "(afi, interface=None)",
    "exabgp.reactor.peer:Peer._close": "(self, message='', error='')",
    "exabgp.reactor.peer:Peer.__init__": "(self, neighbor, reactor)",
    "exabgp.reactor.delay:Delay.increase": "(self)",
    "exabgp.reactor.delay:Delay.backoff": "(self)",
    "exabgp.bgp.timer:ReceiveTimer.__init__": (
        "(self, session, holdtime, code, subcode, message='')"
    ),
    "exabgp.bgp.timer:SendTimer.__init__": "(self, session, holdtime)",
    "exabgp.bgp.timer:SendTimer.need_ka": "(self)",
    "exabgp.bgp.message.open.capability.negotiated:Negotiated.validate": "(self, neighbor)",
    "exabgp.reactor.listener:Listener._new_socket": "(self, ip)",
    "exabgp.reactor.listener:Listener._listen": (
        "(self, local_ip, peer_ip, local_port, use_md5, md5_base64, ttl_in)"
    ),
    "exabgp.reactor.listener:Listener._connected": "(self)",
    "exabgp.reactor.network.tcp:set_sending_ttl": "(io, afi, ip, value)",
    "exabgp.reactor.loop:Reactor._listen_for_neighbors": "(self)",
    "exabgp.reactor.loop:Reactor.established_peers": "(self)",
    "exabgp.reactor.loop:Reactor.active_peers": "(self)",
    "exabgp.reactor.loop:Reactor._pending_adjribout": "(self)",
    "exabgp.reactor.loop:Reactor._wait_for_io": "(self, sleeptime)",
    "exabgp.reactor.asynchronous:ASYNC.ready": "(self)",
    "exabgp.bgp.message.notification:Notify.__init__": "(self, code, subcode, data=None)",
}


def why_not(expected: dict[str, str] = SIGNATURES, version: str = VERSION) -> str:
    """Say in words why this ExaBGP cannot be taken over; "" if it can."""
    try:
        from exabgp.version import release

        if release != version:
            return f"ExaBGP is {release}, not {version}"
        for place, signature in expected.items():
            module, _, path = place.partition(":")
            found: Any = __import__(module, fromlist=["*"])
            for name in path.split("."):
                found = getattr(found, name)
            if str(inspect.signature(found)) != signature:
                return f"{place} takes {inspect.signature(found)}, not {signature}"
    except (ImportError, AttributeError, ValueError) as error:
        return str(error)
    return ""
