"""Anti-spoofing: a pod sends from its own addresses only (ADR 0060). SHELL.

One table of ours, one element per pod link and address. The element is there before the pod's link
works, so that a pod never has a moment without; what comes from a link of ours without an element
is dropped, so that whatever gets lost here closes, and opens nothing. Somebody's ``nft flush
ruleset`` is noticed and undone.

Never more than 50 pods in one transaction: while the kernel commits one, it runs nothing else on
that processor (ADR 0060).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from cni.attachment.plan import Address
from router.kernel import podlink_filter_wire as wire
from router.kernel.channel import Channel
from router.kernel.errors import KernelError
from router.kernel.nf_tables import BEGIN, END, NETLINK_NETFILTER, NOT_THERE
from router.kernel.nf_tables_watch import drain, watch_others
from router.kernel.podlink_stencil import admission

log = logging.getLogger(__name__)

_BATCH: Final = 50

Key = tuple[str, bytes]


class FilterUnavailableError(Exception):
    """This kernel has no nf_tables."""

    def __init__(self, cause: KernelError) -> None:
        super().__init__(
            "anti-spoofing is not possible, this kernel has no nf_tables with the inet family "
            f"({cause}); load nf_tables and restart the CNI server, or set "
            '"antiSpoofing": false in the network configuration'
        )


class SourceFilter:
    """The table, and which element belongs to which link."""

    def __init__(self) -> None:
        """Open the sockets; the table comes with ``assert_links``. No error on a poor kernel."""
        self._keys: dict[int, tuple[Key, ...]] = {}
        self._unavailable: KernelError | None = None
        self._channel: Channel | None = None
        self._watch: socket.socket | None = None
        try:
            self._channel = Channel(protocol=NETLINK_NETFILTER)
            self._watch = watch_others(self._channel.port_id)
        except KernelError as error:
            self._give_up(error)

    def _give_up(self, error: KernelError) -> None:
        self._unavailable = error
        log.warning("anti-spoofing not possible", extra={"error": str(error)})

    def fileno(self) -> int | None:
        """Return a descriptor that polls readable when somebody else changed nf_tables, if any."""
        return None if self._watch is None else self._watch.fileno()

    def close(self) -> None:
        """Close the sockets; the table stays, and with it the protection."""
        for each in (self._channel, self._watch):
            if each is not None:
                each.close()

    def assert_links(self, links: Mapping[int, Collection[Address]]) -> None:
        """Make the table say this: link index -> the addresses it may send from.

        Links that were open stay so. Elements of links that are not there go.
        """
        present = self._listed()
        self._keys = {}
        for index, addresses in links.items():
            is_open = wire.open_key(index) in present
            self._keys[index] = _keys(index, None if is_open else addresses)
        if self._unavailable is None:
            self._write(present)

    @property
    def problem(self) -> str:
        """Return why no link can be held to its addresses; "" if every link can."""
        return "" if self._unavailable is None else str(FilterUnavailableError(self._unavailable))

    def admit(self, index: int, sources: Collection[Address] | None) -> None:
        """Let a link send from these addresses only, or from any (None).

        Raises FilterUnavailableError where the kernel has no means to, or KernelError.
        """
        if self._unavailable is not None:
            if sources is None:
                return
            raise FilterUnavailableError(self._unavailable)
        keys = _keys(index, sources)
        self._keys[index] = keys
        try:
            self._admit(index, sources)
        except KernelError as error:
            if error.errno != errno.ENOENT:
                del self._keys[index]
                raise
            # Somebody removed the table, or a set in it.
            self._rebuild()

    def _admit(self, index: int, sources: Collection[Address] | None) -> None:
        what = "admit a pod's addresses"
        if sources is None:
            self._transact([wire.add_element(*wire.open_key(index))], what)
        elif self._channel is not None:
            for failure in self._channel.send(admission(index, tuple(sources)), what):
                raise KernelError(failure.errno, what, failure.detail)

    def missing_of(self, index: int, sources: Collection[Address] | None) -> tuple[str, ...]:
        """Return one line for each of these that the kernel does not admit."""
        if self._channel is None or self._unavailable is not None:
            return () if sources is None else (self.problem,)
        missing = []
        for name, key in _keys(index, sources):
            try:
                self._channel.read((wire.get_element(name, key),), "find an element")
            except KernelError:
                missing.append(f"filter: nothing for link {index} in set {name}")
        return tuple(missing)

    def forget(self, indexes: Iterable[int]) -> None:
        """Remove the elements of links that are gone. What is gone already is fine."""
        keys = [key for index in indexes for key in self._keys.pop(index, ())]
        for start in range(0, len(keys), _BATCH):
            self._delete(keys[start : start + _BATCH])

    def look(self) -> bool:
        """Read what ``fileno`` told of; return whether the table was gone and is back."""
        if self._watch is None or self._channel is None or not drain(self._watch):
            return False
        try:
            self._channel.read((wire.get_table(),), "look for our table")
        except KernelError:
            self._rebuild()
            log.error("anti-spoofing table restored", extra={"links": len(self._keys)})
            return True
        return False

    def _listed(self) -> frozenset[Key]:
        """Return the elements that are there; make the table if it is not."""
        if self._channel is None or self._unavailable is not None:
            return frozenset()
        try:
            return frozenset(
                (name, key)
                for name in wire.SETS
                for _, payload in self._channel.dump(wire.list_elements(name), f"list {name}")
                for key in wire.parse_elements(payload)
            )
        except KernelError as error:
            if error.errno != errno.ENOENT:
                self._give_up(error)
                return frozenset()
        self._create()
        return frozenset()

    def _create(self) -> None:
        """Make the table anew."""
        with contextlib.suppress(KernelError):
            self._transact([wire.delete_table()], "remove what is left of our table")
        try:
            self._transact(wire.create_table(), "make our table")
        except KernelError as error:
            if error.errno not in NOT_THERE:
                raise
            self._give_up(error)

    def _rebuild(self) -> None:
        self._create()
        self._write(frozenset())

    def _write(self, present: frozenset[Key]) -> None:
        """Add what is missing of ``present`` and remove what is too much, 50 at a time."""
        wanted = {key for keys in self._keys.values() for key in keys}
        missing = sorted(wanted - present)
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            self._transact([wire.add_element(*key) for key in batch], "admit pods' addresses")
        stale = sorted(present - wanted)
        for start in range(0, len(stale), _BATCH):
            self._delete(stale[start : start + _BATCH])

    def _delete(self, keys: Sequence[Key]) -> None:
        try:
            self._transact([wire.delete_element(*key) for key in keys], "remove elements")
        except KernelError:
            # One that is missing fails them all: each on its own.
            for key in keys:
                with contextlib.suppress(KernelError):
                    self._transact([wire.delete_element(*key)], "remove an element")

    def _transact(self, requests: Sequence[bytes], what: str) -> None:
        if self._channel is not None and requests:
            self._channel.transact(BEGIN, requests, END, what)


def _keys(index: int, sources: Collection[Address] | None) -> tuple[Key, ...]:
    if sources is None:
        return (wire.open_key(index),)
    return tuple(wire.source_key(index, address) for address in sources)
