"""A lease: the addresses podroute-ipam gave to another plugin's attachment. PURE.

Such an attachment has no link of ours to be its record, so that the lease is kept as a file
(ADR 0026). It names the sandbox by path and inode: with the sandbox gone, so is the lease.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from cni.attachment.alias import Addresses
from cni.attachment.identity import AttachmentKey

_FORMAT_VERSION: Final = 1
_NOT_JSON: Final = (ValueError, RecursionError, OverflowError)
"""OverflowError: JSON knows numbers that no float or integer has, 1e999 and 400 digits."""


class MalformedLeaseError(ValueError):
    """Bytes that ``render_lease`` does not write."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LeaseKey(AttachmentKey):
    """The key of a lease; never equal to that of a pod link."""

    @property
    def is_gateway(self) -> bool:
        """Return whether it holds a network's gateway addresses, which no container has."""
        return not self.container_id


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIdentity:
    """``st_dev`` and ``st_ino``: for a namespace file, which namespace it is."""

    device: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """Where the sandbox was found, and what it was.

    ``directory`` is that of the path's directory, None where the server could not see the path as
    the runtime does (another mount or pid namespace): nothing can be said from there.
    """

    path: str
    identity: FileIdentity
    directory: FileIdentity | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """``sandbox`` is None for a gateway; ``since`` is Unix time."""

    key: LeaseKey
    addresses: Addresses
    sandbox: Sandbox | None
    since: float


def lease_name(key: LeaseKey) -> str:
    """Return the file name of a lease: by hash, as a container id may be longer than a name."""
    # None of the three can contain NUL, so the joint is unambiguous.
    joint = f"{key.network}\0{key.container_id}\0{key.ifname}".encode("utf-8", "surrogatepass")
    return base64.b32encode(hashlib.sha256(joint).digest()).decode().lower().rstrip("=")


def render_lease(lease: Lease) -> bytes:
    """Render one JSON object."""
    body: dict[str, object] = {
        "version": _FORMAT_VERSION,
        "network": lease.key.network,
        "container_id": lease.key.container_id,
        "ifname": lease.key.ifname,
        "addresses": [str(address) for address in lease.addresses.each()],
        "since": lease.since,
    }
    if lease.sandbox is not None:
        directory = lease.sandbox.directory
        body["sandbox"] = {
            "path": lease.sandbox.path,
            "identity": _render_identity(lease.sandbox.identity),
            "directory": None if directory is None else _render_identity(directory),
        }
    return json.dumps(body, sort_keys=True).encode()


def parse_lease(content: bytes) -> Lease:
    """Parse what ``render_lease`` writes; raise MalformedLeaseError for anything else."""
    try:
        body = json.loads(content)
        if body["version"] != _FORMAT_VERSION:
            raise ValueError(f"version {body['version']}")
        addresses = Addresses.of(map(_address, body["addresses"]))
        if not addresses.each():
            raise ValueError("no address")
        return Lease(
            key=LeaseKey(
                network=str(body["network"]),
                container_id=str(body["container_id"]),
                ifname=str(body["ifname"]),
            ),
            addresses=addresses,
            sandbox=_parse_sandbox(body.get("sandbox")),
            since=float(body["since"]),
        )
    except (LookupError, TypeError, AttributeError, *_NOT_JSON) as error:
        raise MalformedLeaseError(f"not a lease: {error!r}") from None


def _address(text: str) -> IPv4Address | IPv6Address:
    return IPv6Address(text) if ":" in text else IPv4Address(text)


def _render_identity(identity: FileIdentity) -> list[int]:
    return [identity.device, identity.inode]


def _parse_identity(value: list[int]) -> FileIdentity:
    device, inode = value
    return FileIdentity(device=int(device), inode=int(inode))


def _parse_sandbox(value: dict[str, object] | None) -> Sandbox | None:
    if value is None:
        return None
    identity, directory = value["identity"], value["directory"]
    if not isinstance(identity, list) or not isinstance(directory, list | None):
        raise TypeError("identity")
    return Sandbox(
        path=str(value["path"]),
        identity=_parse_identity(identity),
        directory=None if directory is None else _parse_identity(directory),
    )
