"""One CNI call, from raw request to checked values, and who waits for its answer. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from cni.attachment.identity import AttachmentKey
from cni.spec.environment import Command, Environment, parse_environment
from cni.spec.errors import CommandTooNewError, DecodeError, InvalidEnvironmentError
from cni.spec.netconf import NetworkConfiguration, decode, parse_configuration
from cni.spec.version import NEWEST
from cni.wire import Request

_REPEATED_BYTES: Final = 4096
_decode_repeated: Final = lru_cache(maxsize=16)(decode)
"""A runtime sends the same configuration for most pods: it is the same object then."""


@lru_cache(maxsize=16)
def _configuration_repeated(stdin: bytes) -> NetworkConfiguration:
    return parse_configuration(_decode_repeated(stdin))


_PLAIN_VERSION: Final = re.compile(r"[0-9.]{1,15}")


class Caller(Protocol):
    """Who made a call: a connected shim, or a spooled request."""

    @property
    def sandbox(self) -> int | None:
        """Return the open descriptor of CNI_NETNS, if the shim could open it."""

    def answer(self, exit_code: int, stdout: bytes) -> bool:
        """Give the answer, once; return False when nobody is there to take it."""

    def gone(self) -> bool:
        """Return whether the caller has left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call, checked as far as every command needs it; ``raw`` is the whole configuration."""

    environment: Environment
    configuration: NetworkConfiguration
    raw: Mapping[str, object]

    @property
    def key(self) -> AttachmentKey:
        """Return the full key, as the runtime knows the attachment."""
        return AttachmentKey(
            network=self.configuration.name,
            container_id=self.environment.container_id,
            ifname=self.environment.ifname,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A request whose JSON has been looked at: enough to answer errors in its own version."""

    request: Request
    raw: Mapping[str, object]
    failure: DecodeError | None

    @property
    def version_text(self) -> str:
        """Return ``cniVersion`` for an answer: the request's where it is one, else our newest."""
        value = self.raw.get("cniVersion")
        return value if isinstance(value, str) and _PLAIN_VERSION.fullmatch(value) else NEWEST


def decode_request(request: Request) -> Decoded:
    """Decode the configuration; a failure is kept, because the environment is checked first."""
    try:
        stdin = request.stdin
        raw = _decode_repeated(stdin) if len(stdin) <= _REPEATED_BYTES else decode(stdin)
        return Decoded(request=request, raw=raw, failure=None)
    except DecodeError as error:
        return Decoded(request=request, raw={}, failure=error)


def is_version_command(decoded: Decoded) -> bool:
    """Return whether this is VERSION, which works without a configuration."""
    return decoded.request.variables.get("CNI_COMMAND") == Command.VERSION


def check_call(decoded: Decoded) -> Call:
    """Check environment, configuration and version; raise the CniError of the first that fails."""
    environment = parse_environment(decoded.request.variables)
    if decoded.failure is not None:
        raise decoded.failure
    stdin = decoded.request.stdin
    if len(stdin) <= _REPEATED_BYTES:
        configuration = _configuration_repeated(stdin)
    else:
        configuration = parse_configuration(decoded.raw)
    version, command = configuration.version, environment.command
    if command is Command.CHECK and not version.has_check:
        raise CommandTooNewError(f"{version} has no CHECK")
    if command in (Command.GC, Command.STATUS) and not version.has_gc_and_status:
        raise CommandTooNewError(f"{version} has no {command}")
    return Call(environment=environment, configuration=configuration, raw=decoded.raw)


def open_sandbox(call: Call, caller: Caller) -> int:
    """Return the descriptor of the sandbox; raise InvalidEnvironmentError if there is none."""
    if caller.sandbox is None:
        raise InvalidEnvironmentError(
            (("CNI_NETNS", f"cannot be opened: {call.environment.netns[:200]!r}"),)
        )
    return caller.sandbox
