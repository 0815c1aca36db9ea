"""Keep the kernel's forwarding table equal to what BGP taught us (invariant 5).

Level-triggered: `reconcile` observes what may have changed, plans for the prefixes that may
be concerned, applies, and keeps the mirror in step. Calling it twice changes nothing.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Collection, Iterable
from itertools import repeat
from typing import Final, Protocol

from bgp.nlri import Prefix
from bgp.rib import Rib
from router.agent.circumstances import Circumstances
from router.kernel.errors import KernelError
from router.kernel.fib import Refusal
from router.kernel.monitor import Noticed
from router.model.fib import Fib, Hop
from router.model.link import Address, Links
from router.reconcile import learned
from router.reconcile.fib import plan_own, plan_prune, plan_routes, plan_unused
from router.reconcile.form import Want
from router.reconcile.operation import (
    Operation,
    WriteGroup,
    WriteHop,
    WriteRoutes,
    record,
    routes_in,
    without,
)

_log = logging.getLogger(__name__)
_LOGGED_OPERATIONS: Final = 5
_KNOWN_WANTS: Final = 4096


class FibShell(Protocol):
    """What forwarding needs of the kernel; `router.kernel.fib.FibTable` is the real one."""

    def observe(self) -> Fib:
        """Return everything of ours."""

    def apply(self, plan: list[Operation]) -> list[Refusal]:
        """Carry out a plan; return what was refused."""


class Forwarding:
    """The learned routes and own-CIDR routes of one node."""

    def __init__(
        self,
        shell: FibShell,
        rib: Rib,
        circumstances: Circumstances,
        node_addresses: tuple[Address, ...],
    ) -> None:
        """Observe nothing yet: the first `reconcile` does."""
        self.form = circumstances.form
        self._shell = shell
        self._rib = rib
        self._metrics = circumstances.metrics
        self._node_addresses = node_addresses
        self._links = Links.of(())
        self._resolver = learned.Resolver(self._links)
        self._sources: dict[int, int] = {}
        self._sourced: frozenset[int] = frozenset()
        """Links that hold a preferred source."""
        self._wanted: dict[Prefix, Want] = {}
        self._wants: dict[Want, Want] = {}
        self._dirty: dict[Prefix, None] = {}
        """A set in order, for the reason of `bgp.intake`."""
        self._observed = False
        self._found: set[Prefix] | None = None
        """Routes found at start and not learned again yet; None before the first look."""
        self.fib = Fib()
        self.refused: dict[Prefix, str] = {}
        """Prefixes the kernel did not take, and why."""
        self._refused_hops: dict[Hop, str] = {}
        """Next hops the kernel did not take, and why: without them until the next look at it."""
        self._warned: set[Hop] = set()
        self._resolve_again = False
        self._untidy = False
        """Something was written since unused objects were looked for last."""
        self.repairs = 0
        """Routes written or removed because the kernel was not as we had left it."""

    def see_links(self, links: Links) -> None:
        """Take a new observation of the links; what the kernel removed with one is re-read."""
        if links == self._links:
            return
        # To read a full table again takes half a second.
        if links.has_lost(self._links):
            self._observed = False
        self._links = links
        self._refused_hops = {}
        self._resolver = learned.Resolver(links)
        self._sources = learned.preferred_sources(self._node_addresses, links)
        sources = set(self._sources.values())
        self._sourced = frozenset(
            link.index for link in links.all if any(int(a.ip) in sources for a in link.addresses)
        )
        self._refresh(self._rib.prefixes())

    def notice(self, noticed: Noticed) -> None:
        """Re-read the kernel at the next `reconcile` if it may have taken something of ours.

        So it has with a link that was down between two looks at the links; those of pods, which
        carry nothing of ours, do not matter.
        """
        lost = noticed.lost
        if noticed.fib or self.fib.is_on(lost, self.form) or not lost.isdisjoint(self._sourced):
            self._observed = False
            if self._refused_hops:
                self._refused_hops, self._resolve_again = {}, True

    def reconfigure(self, node_addresses: tuple[Address, ...]) -> None:
        """Take new preferred sources; the next observation of links applies them."""
        if node_addresses != self._node_addresses:
            self._node_addresses = node_addresses
            self._links = Links.of(())

    def prune(self, dead: Callable[[Hop], bool]) -> None:
        """Take next hops out of every group at once, before deciding anything.

        The routes behind those groups are decided anew at the next `reconcile`: another peer
        may still give the same next hop. Raises KernelError.
        """
        plan = plan_prune(self.fib, dead, self.form)
        try:
            self._apply(plan)
        except KernelError:
            self._observed = False
            raise
        for operation in plan:
            if isinstance(operation, WriteRoutes):
                self._mark(operation.prefixes)
        groups = {operation.id for operation in plan if isinstance(operation, WriteGroup)}
        if groups:
            self._mark([p for p, route in self.fib.routes.items() if route.group in groups])

    def reconcile(self, own: frozenset[Prefix], *, keep_found: bool) -> list[Operation]:
        """Make the kernel as the RIB wants it; return what was carried out.

        `own` are the pod CIDRs that need an `unreachable` route. With `keep_found`, routes
        found at start stay although no peer has told them again yet. Raises KernelError when
        the kernel's answer is unknown; the next call observes again.
        """
        try:
            done = self._reconcile(own, keep_found=keep_found)
            if self._resolve_again:
                done += self._reconcile(own, keep_found=keep_found, is_repairing=False)
            return done
        except KernelError:
            self._observed = False
            raise

    def _reconcile(
        self, own: frozenset[Prefix], *, keep_found: bool, is_repairing: bool = True
    ) -> list[Operation]:
        if self._resolve_again:
            self._resolve_again = False
            self._resolver = learned.Resolver(self._links, self._refused_hops)
            self._refresh(self._rib.prefixes())
        self._refresh(self._rib.take_changed())
        repairing = False
        looked = not self._observed
        if looked:
            before, self.fib = self.fib, self._shell.observe()
            self._observed = True
            if self._found is None:
                self._found = set(self.fib.routes)
            else:
                repairing = is_repairing
            for prefixes in (self._wanted, self.fib.routes, before.routes):
                self._mark(prefixes)
        found = self._found or set()
        if found and not keep_found:
            self._mark(found)
            found.clear()
        if found:
            found -= self._wanted.keys() & self._dirty.keys()
        write_own, remove_own = plan_own(self.fib, own)
        plan = plan_routes(self.fib, self._wanted, self._dirty, keep=found, form=self.form)
        self._dirty = {}
        done = self._apply([*write_own, *plan, *remove_own])
        if looked or self._untidy:
            done += self._apply(plan_unused(self.fib))
            self._untidy = False
        if repairing:
            self.repairs += routes_in(done)
        return done

    def _refresh(self, prefixes: Collection[Prefix]) -> None:
        wanted, refused = self._wanted, self.refused
        for hops, group in self._rib.next_hops(prefixes):
            want = learned.want(group[0], hops, self._resolver, self._metrics, self._sources)
            if want is not None:
                # Equal wants are one object, now and later.
                want = self._wants.setdefault(want, want)
                wanted.update(zip(group, repeat(want), strict=False))
                continue
            for prefix in group:
                wanted.pop(prefix, None)
                refused.pop(prefix, None)
        if len(self._wants) > _KNOWN_WANTS:
            self._wants.clear()
        self._mark(prefixes)

    def _mark(self, prefixes: Iterable[Prefix]) -> None:
        self._dirty.update(zip(prefixes, repeat(None), strict=False))

    def _apply(self, plan: list[Operation]) -> list[Operation]:
        if not plan:
            return []
        refusals = self._shell.apply(plan)
        done = without(plan, [r.operation for r in refusals]) if refusals else plan
        for operation in done:
            record(self.fib, operation)
        if self.refused:
            for operation in done:
                if isinstance(operation, WriteRoutes):
                    for prefix in operation.prefixes:
                        self.refused.pop(prefix, None)
        hops = [(r.operation.hop, r) for r in refusals if isinstance(r.operation, WriteHop)]
        for hop, refusal in hops:
            self._note_refused_hop(hop, refusal)
        # What was to use such a hop was refused for it, and is decided again without it.
        for refusal in () if hops else refusals:
            self._note_refusal(refusal)
        shown = [operation.describe() for operation in done[:_LOGGED_OPERATIONS]]
        if done:
            self._untidy = True
            fields = {"operations": len(done), "routes": routes_in(done), "first": shown}
            _log.info("forwarding changed", extra=fields)
        return done

    def _note_refused_hop(self, hop: Hop, refusal: Refusal) -> None:
        reason = refusal.detail or errno.errorcode.get(refusal.errno, str(refusal.errno))
        self._refused_hops[hop] = reason
        self._resolve_again, self._observed = True, False
        if hop not in self._warned:
            self._warned.add(hop)
            _log.warning("kernel refused a next hop", extra={"hop": str(hop), "reason": reason})

    def _note_refusal(self, refusal: Refusal) -> None:
        operation = refusal.operation
        if isinstance(operation, WriteRoutes) and refusal.errno == errno.EEXIST:
            reason = "a route of the same prefix and metric is there and not ours"
        else:
            reason = refusal.detail or errno.errorcode.get(refusal.errno, str(refusal.errno))
            # The mirror was wrong about something: look again.
            self._observed = False
        if isinstance(operation, WriteRoutes):
            (prefix,) = operation.prefixes
            if self.refused.get(prefix) == reason:
                return
            self.refused[prefix] = reason
        _log.warning(
            "kernel refused an operation",
            extra={"operation": operation.describe(), "reason": reason},
        )

    def why_not(self, prefix: Prefix) -> str:
        """Return in words why a prefix with accepted paths is not in the kernel; '' if it is."""
        if prefix in self.fib.routes and prefix in self._wanted:
            return ""
        if prefix in self.refused:
            return self.refused[prefix]
        best = self._rib.best(prefix)
        reasons = [
            answer
            for path in best or self._rib.paths(prefix)
            if isinstance(answer := self._resolver(path.attributes.next_hop), str)
        ]
        if not best and not reasons:
            return "BFD lost the way to every peer that has a path"
        return "; ".join(dict.fromkeys(reasons)) or "not written yet"
