"""All targets that are written in Python. A component adds its own module and its line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.support.fuzz import bgp_targets, cni_targets
from tests.support.fuzz.target import Target

TARGETS: Final[Mapping[str, Target]] = {
    target.name: target for target in (*cni_targets.TARGETS, *bgp_targets.TARGETS)
}
