"""What a node knows of itself besides its document: from the API and from the kernel. PURE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bgp.nlri import Prefix
from bgp.secret import Secret
from router.model.link import Address
from router.model.node import NodeView, SecretRef
from router.model.unnumbered import Discovered

HOSTNAME_LABEL: Final = "kubernetes.io/hostname"

ReadPassword = Callable[[str], Secret]
"""Path to secret; raises OSError, SecretError for a wrong configuration, or MissingSecretError.

Their texts never hold the password."""


class MissingSecretError(Exception):
    """A Secret that is not at hand; the text says why. Its peer waits, the others do not."""


ReadSecret = Callable[[SecretRef], Secret]
"""Raises MissingSecretError."""


def no_secrets(ref: SecretRef) -> Secret:
    """Answer for an agent without an API server."""
    raise MissingSecretError(f"{ref}: there is no API server to read Secrets from")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Inputs of the settings besides the document; values of the document go first."""

    host_name: str
    read_password: ReadPassword
    read_secret: ReadSecret = field(default=no_secrets)
    node: NodeView | None = None
    """Our Node object, in cluster mode."""
    is_here: bool = True
    """False while a block for other nodes is read to find what is wrong in it."""
    gateways: tuple[Address, ...] = ()
    """Next hops of the node's default routes, both families."""
    discovered: tuple[Discovered, ...] = ()
    """Both ends on the links of peers by interface, as far as they are known."""

    @property
    def name(self) -> str:
        """Name of the node, unless the document gives one."""
        return self.node.name if self.node is not None else self.host_name

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels that blocks select by; without an API there is the host name alone."""
        return self.node.labels if self.node is not None else {HOSTNAME_LABEL: self.host_name}

    @property
    def pod_cidrs(self) -> tuple[Prefix, ...]:
        """The Node's pod CIDRs in the API's order."""
        return self.node.pod_cidrs if self.node is not None else ()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The Node's internal addresses in the API's order."""
        return self.node.addresses if self.node is not None else ()
