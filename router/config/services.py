"""`announce.services`: which addresses of which Services. PURE."""

from __future__ import annotations

from router.config import words
from router.config.document import Section
from router.reconcile.services import ServiceSettings


def read_services(announce: Section) -> ServiceSettings:
    """Read the section; what is wrong is noted there."""
    section = announce.section("services")
    settings = ServiceSettings(
        load_balancer=section.value("load_balancer", words.boolean, False),
        external=section.value("external", words.boolean, False),
        cluster=section.value("cluster", words.boolean, False),
        selector=tuple(sorted(section.texts("selector", words.label_key).items())),
    )
    if settings.selector and not settings.is_wanted:
        section.problem(
            "nothing of these Services is announced: set load_balancer, external or cluster",
            section.node_of("selector"),
            "selector",
        )
    section.finish()
    return settings
