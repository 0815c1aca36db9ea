"""CNI protocol versions: which we speak, and what each of them knows.

Reference: CNI SPEC.md, "Version considerations"; the VERSION command.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Final

from cni.spec.errors import IncompatibleVersionError


class SpecVersion(StrEnum):
    """A version of the CNI protocol we speak; members are in ascending order."""

    V0_3_1 = "0.3.1"
    V0_4_0 = "0.4.0"
    V1_0_0 = "1.0.0"
    V1_1_0 = "1.1.0"

    @property
    def ips_carry_version(self) -> bool:
        """Return whether ``ips[].version`` is mandatory (dropped by 1.0.0)."""
        return self in (SpecVersion.V0_3_1, SpecVersion.V0_4_0)

    @property
    def interfaces_carry_mtu(self) -> bool:
        """Return whether ``interfaces[].mtu`` exists (since 1.1.0)."""
        return self is SpecVersion.V1_1_0

    @property
    def has_check(self) -> bool:
        """Return whether the CHECK command exists (since 0.4.0)."""
        return self is not SpecVersion.V0_3_1

    @property
    def has_gc_and_status(self) -> bool:
        """Return whether the GC and STATUS commands exist (since 1.1.0)."""
        return self is SpecVersion.V1_1_0


SUPPORTED: Final = tuple(SpecVersion)
NEWEST: Final = SUPPORTED[-1]

IMPLIED: Final = "0.1.0"
"""What a configuration without ``cniVersion`` asks for (libcni, ``ConfigDecoder``)."""


def negotiate(requested: str) -> SpecVersion:
    """Return the version asked for; raise IncompatibleVersionError (code 1) if not ours."""
    try:
        return SpecVersion(requested)
    except ValueError:
        raise IncompatibleVersionError(requested=requested, supported=tuple(SUPPORTED)) from None


def version_result(requested: str | None) -> bytes:
    """Render the answer to VERSION; ``cniVersion`` is the request's where it named one."""
    return json.dumps(
        {"cniVersion": requested or NEWEST, "supportedVersions": list(SUPPORTED)},
        separators=(",", ":"),
    ).encode()
