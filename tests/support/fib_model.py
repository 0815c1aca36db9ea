"""A model of the kernel's FIB that refuses what the real one refuses."""

from __future__ import annotations

import errno
from copy import deepcopy
from typing import Protocol

from bgp.nlri import Prefix
from router.kernel.errors import KernelError
from router.kernel.fib import Refusal
from router.model.fib import Fib
from router.reconcile.operation import (
    Operation,
    WriteGroup,
    WriteHop,
    WriteRoutes,
    each,
    record,
)


class Kernel(Protocol):
    """What `tests.support.agent.ModelKernel` has of it."""

    fib: Fib
    foreign: set[Prefix]
    bad_gateways: set[str]
    broken: bool
    applied: list[str]


class FibModel:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def observe(self) -> Fib:
        if self._kernel.broken:
            raise KernelError(errno.ENOBUFS, "list routes")
        return deepcopy(self._kernel.fib)

    def apply(self, plan: list[Operation]) -> list[Refusal]:
        if self._kernel.broken:
            raise KernelError(errno.ENOBUFS, "write the FIB")
        refused = []
        for operation in each(plan):
            if isinstance(operation, WriteRoutes) and operation.prefixes[0] in self._kernel.foreign:
                refused.append(Refusal(operation=operation, errno=errno.EEXIST, detail=""))
                continue
            if self._lacks(operation):
                refused.append(Refusal(operation=operation, errno=errno.EINVAL, detail="bad"))
                continue
            record(self._kernel.fib, operation)
            self._kernel.applied.append(operation.describe())
        return refused

    def _lacks(self, operation: Operation) -> bool:
        fib = self._kernel.fib
        match operation:
            case WriteHop(_, hop):
                return str(hop.address) in self._kernel.bad_gateways
            case WriteGroup(_, members):
                return not fib.nexthops.keys() >= {*members}
            case WriteRoutes(_, route, _):
                return bool(route.group) and route.group not in fib.groups
        return False
