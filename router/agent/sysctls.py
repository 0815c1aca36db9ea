"""The sysctls that routing needs, asserted at every look at the links (design D13)."""

from __future__ import annotations

import logging

from router.agent.shells import Shells
from router.model.fib import Form
from router.reconcile.sysctl import keys, plan_sysctls

_log = logging.getLogger(__name__)


def set_sysctls(
    shells: Shells, towards: tuple[str, ...], fabric: tuple[str, ...], form: Form
) -> None:
    """Write those that differ. Raises OSError.

    `towards` are links toward peers, `fabric` those of peers by interface, `form` that of
    learned routes.
    """
    advertised = shells.links.advertised()
    current = shells.sysctls.read(keys(towards, advertised, fabric, form))
    for write in plan_sysctls(current, towards, advertised, fabric, form):
        shells.sysctls.write(write.key, write.value)
        _log.info("sysctl set", extra={"sysctl": write.describe(), "was": current[write.key]})
