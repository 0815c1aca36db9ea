"""Unused addresses of Services are rejected in the forward path (invariant 6, ADR 0055). SHELL.

Never by a route: the node's own clients look up the route before kube-proxy's DNAT.
"""

from __future__ import annotations

import errno
import socket

from bgp.nlri import Prefix
from router.kernel import nf_tables
from router.kernel import service_filter_wire as wire
from router.kernel.channel import Channel
from router.kernel.errors import KernelError
from router.kernel.nf_tables import BEGIN, END, NETLINK_NETFILTER, NOT_THERE
from router.kernel.nf_tables_watch import drain, watch_others
from router.model.aggregate import Rejections
from router.reconcile.rejections import RejectionPlan


class ServiceFilter:
    """The table of the network namespace of the thread that makes this."""

    def __init__(self) -> None:
        """Open the sockets; touch nothing. No error on a kernel without nf_tables."""
        self.problem = ""
        """Why nothing can be rejected here; "" if it can."""
        self._channel: Channel | None = None
        self._watch: socket.socket | None = None
        try:
            self._channel = Channel(protocol=NETLINK_NETFILTER)
            self._watch = watch_others(self._channel.port_id)
        except KernelError as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the sockets; the table stays."""
        for each in (self._channel, self._watch):
            if each is not None:
                each.close()

    def was_disturbed(self) -> bool:
        """Tell whether somebody else changed nf_tables since the last call. Raises KernelError."""
        return self._watch is not None and drain(self._watch)

    def observe(self) -> Rejections:
        """Return what is there of our table. Raises KernelError."""
        if self._channel is None or self.problem:
            return Rejections()
        try:
            self._channel.read((nf_tables.get_table(wire.TABLE),), "look for our table")
        except KernelError as error:
            if error.errno not in NOT_THERE:
                raise
            return Rejections()
        chains = wire.chains_in(_list(self._channel, nf_tables.list_chains()))
        rules, packets = wire.rules_in(_list(self._channel, nf_tables.list_rules(wire.TABLE)))
        found: set[Prefix] = set()
        is_whole = (chains, rules) == (wire.CHAINS, wire.RULES)
        for family, name in wire.SETS.items():
            try:
                listed = _list(self._channel, nf_tables.list_elements(wire.TABLE, name))
            except KernelError as error:
                if error.errno != errno.ENOENT:
                    raise
                is_whole = False
            else:
                found |= wire.prefixes_in(family, listed)
        return Rejections(
            exists=True, is_whole=is_whole, prefixes=frozenset(found), packets=packets
        )

    def apply(self, plan: RejectionPlan) -> None:
        """Carry out a plan: all of it, or nothing and KernelError."""
        if self._channel is None or plan.is_empty:
            return
        requests = [
            *([nf_tables.delete_table(wire.TABLE)] if plan.remove_table else []),
            *(wire.create_table() if plan.make_table else ()),
            *map(wire.delete_prefix, plan.remove),
            *map(wire.add_prefix, plan.add),
        ]
        try:
            self._channel.transact(BEGIN, requests, END, "reject unused addresses of Services")
        except KernelError as error:
            if not plan.make_table or error.errno not in NOT_THERE:
                raise
            self._give_up(error)

    def _give_up(self, error: KernelError) -> None:
        self.problem = f"this kernel has no nf_tables with inet and reject ({error})"


def _list(channel: Channel, request: bytes) -> list[bytes]:
    return [payload for _, payload in channel.dump(request, "list our table")]
