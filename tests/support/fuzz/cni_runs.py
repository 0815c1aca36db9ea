"""How each target of ``cni_targets`` is executed, and what the code under test has promised.

Imported after the instrumentation of the modules it uses.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from cni import wire
from cni.attachment.alias import MalformedAliasError, parse_alias, render_alias, stored_key
from cni.attachment.label import parse_label, render_label
from cni.attachment.lease import MalformedLeaseError, lease_name, parse_lease, render_lease
from cni.node_facts import MalformedNodeFactsError, parse, render
from cni.server.service import Service
from cni.spec.environment import IDENTIFIER, parse_environment
from cni.spec.errors import (
    CniError,
    InvalidConfigurationError,
    InvalidEnvironmentError,
    render_error,
)
from cni.spec.netconf import decode, parse_configuration
from cni.spec.options import parse_ipam_options, parse_options
from cni.spec.requested import parse_requested
from cni.spec.result import previous_addresses
from cni.spec.version import version_result
from cni.wire import MalformedFrameError, parse_request
from tests.support.fake_dataplane import FakeDataplane
from tests.support.fuzz.cni_seeds import FACTS, framed
from tests.support.fuzz.target import require


def load_wire() -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        reply = "no reply"
        try:
            code, stdout = wire.parse_reply(data)
            require(wire.render_reply(code, stdout) == data, "a reply is not read back")
            reply = "reply"
        except wire.MalformedFrameError:
            pass
        try:
            size = wire.frame_bytes(data)
            begun = wire.frame_bytes(data[: wire.HEADER_BYTES - 1])
            require(begun is None, "a size before the header is whole")
            request = wire.parse_request(data)
        except wire.MalformedFrameError as error:
            return reply, str(error)[:12]
        require(size == len(data), "a frame of another size was taken")
        rendered = wire.render_request(request)
        items = data[wire.HEADER_BYTES :].count(b"\0", 0, len(rendered) - len(request.stdin) - 12)
        if items == len(request.variables):
            require(rendered == data, "a request is not read back")
        return reply, request.door, len(request.variables) > 1

    return run


def load_environment() -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        items = data.decode("utf-8", "surrogateescape").split("\0")
        variables = {key: value for key, _, value in (item.partition("=") for item in items)}
        try:
            found = parse_environment(variables)
        except InvalidEnvironmentError as error:
            json.loads(render_error(error, "1.0.0"))
            return error.variables
        if found.command.value in ("ADD", "DEL", "CHECK"):
            require(bool(IDENTIFIER.fullmatch(found.container_id)), "a wrong container id")
            require(0 < len(found.ifname.encode()) < 16, "a wrong interface name")
            require(not set(found.ifname) & set("/:% \t\n"), "a wrong interface name")
            require(found.ifname not in (".", ".."), "a wrong interface name")
        return found.command, bool(found.args)

    return run


def load_configuration() -> Callable[[bytes], object]:
    def outcome_of(parse: Callable[[], object]) -> object:
        try:
            made = parse()
        except CniError as error:
            require(error.code in (1, 2, 6, 7), f"code {error.code}")
            require(json.loads(render_error(error, "1.0.0"))["code"] == error.code, "another code")
            return error.code
        hash(made if not hasattr(made, "prev_result") else None)
        return 0

    def run(data: bytes) -> object:
        try:
            raw = decode(data)
        except CniError as error:
            return error.code
        version = raw.get("cniVersion")
        json.loads(version_result(version if isinstance(version, str) else None))
        arguments = {key: str(raw[key]) for key in ("IP", "MAC") if key in raw}
        outcomes = [
            outcome_of(lambda: parse_configuration(raw)),
            outcome_of(lambda: parse_options(raw)),
            outcome_of(lambda: parse_ipam_options(raw)),
            outcome_of(lambda: parse_requested(raw, arguments)),
            outcome_of(lambda: parse_requested(raw, arguments, delegated=True)),
        ]
        if outcomes[0] == 0:
            name = parse_configuration(raw).name
            require(bool(IDENTIFIER.fullmatch(name)), "a wrong network name")
        if outcomes[1] == 0:
            mtu = parse_options(raw).mtu
            require(mtu is None or 1280 <= mtu <= 65535, "a wrong MTU")
        return tuple(outcomes)

    return run


def load_result() -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        try:
            raw = json.loads(data)
        except (ValueError, RecursionError):
            return "no JSON"
        if not isinstance(raw, dict):
            return "no object"
        try:
            found = previous_addresses(raw, "eth0")
        except InvalidConfigurationError as error:
            return str(error)[:40]
        require(isinstance(found.mac, str), "a MAC that is no text")
        require(all(each.version in (4, 6) for each in found.addresses), "a wrong address")
        return len(found.addresses), bool(found.mac)

    return run


def load_alias() -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        try:
            key, addresses = parse_alias(data.decode("utf-8", "replace"))
        except MalformedAliasError as error:
            return str(error)[:16]
        require(all((key.network, key.container_id, key.ifname)), "an empty field")
        require(bool(addresses.each()), "no address")
        again = parse_alias(render_alias(key, addresses))
        require(again == (stored_key(key), addresses), "an alias is not read back")
        return len(addresses.each()), stored_key(key) == key

    return run


def load_facts() -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        try:
            facts = parse(data)
        except MalformedNodeFactsError as error:
            return str(error)[:12]
        require(parse(render(facts)) == facts, "facts are not read back")
        require(0 <= facts.mtu <= 65535, "an MTU that no link can have")
        return facts.ready, len(facts.pod_cidrs) > 1

    return run


def load_records() -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        label = parse_label(data)
        json.loads(render_label(label))
        try:
            lease = parse_lease(data)
        except MalformedLeaseError:
            return bool(label.pod)
        require(len(lease_name(lease.key)) < 64, "a long file name")
        rendered = render_lease(lease)
        if lease.since == lease.since:
            require(parse_lease(rendered) == lease, "a lease is not read back")
        return lease.key.is_gateway, len(lease.addresses.each())

    return run


class _Caller:
    """Implements ``cni.server.call.Caller``."""

    def __init__(self, sandbox: int) -> None:
        self.sandbox = sandbox
        self.answers: list[tuple[int, bytes]] = []

    def answer(self, exit_code: int, stdout: bytes) -> bool:
        self.answers.append((exit_code, stdout))
        return True

    def gone(self) -> bool:
        return False


def load_server() -> Callable[[bytes], object]:
    # Few enough addresses to run out of them.
    facts = parse(FACTS.replace(b"10.244.1.0/24", b"10.244.1.0/28"))

    class Facts:
        facts: Any = None
        problem = "none"

        def refresh(self) -> bool:
            changed = self.facts is None
            self.facts = facts
            return changed

    sandbox = os.open("/dev/null", os.O_RDONLY)
    world: list[Any] = []
    runs = 0

    def run(data: bytes) -> object:
        nonlocal runs
        if runs % 1000 == 0:
            dataplane = FakeDataplane()
            world[:] = [dataplane, Service(dataplane, Facts())]  # type: ignore[arg-type]
        runs += 1
        dataplane, service = world
        try:
            request = parse_request(framed(data))
        except MalformedFrameError:
            return None
        caller = _Caller(sandbox)
        service.handle(request, caller)
        service.flush()
        dataplane.end_removals()
        service.collect()
        require(len(caller.answers) == 1, f"{len(caller.answers)} answers")
        ((exit_code, stdout),) = caller.answers
        body = json.loads(stdout) if stdout else {}
        code = body.get("code", 0) if exit_code else 0
        require(code != 999, "an internal error")
        require((exit_code == 0) != ("msg" in body and "code" in body), "neither result nor error")
        taken = [each for link in dataplane.links.values() for each in link.routes]
        require(len(taken) == len(set(taken)), "an address of two attachments")
        return exit_code, code, request.variables.get("CNI_COMMAND", "")[:7]

    return run
