"""The CNI server's parsers, and the server's decisions behind them, as targets."""

from __future__ import annotations

from typing import Final

from tests.support.fuzz.cni_seeds import (
    ADD,
    CALLS,
    CHECK,
    COMMANDS,
    CONFIG,
    ENV_TOKENS,
    FACTS,
    FRAMES,
    GC,
    IPAM,
    JSON_TOKENS,
    KEYS,
    LABEL,
    LEASE,
    RESULT,
    SEPARATOR,
)
from tests.support.fuzz.target import Target

_RUNS: Final = "tests.support.fuzz.cni_runs"
_SPEC: Final = ("cni.spec.errors", "cni.spec.version", "cni.spec.fields")

TARGETS: Final = (
    Target(
        name="cni-wire",
        modules=("cni.wire",),
        load=f"{_RUNS}:load_wire",
        seeds=FRAMES,
        tokens=(b"PRS1", b"PRI1", b"PRO1", b"CNI_A=b\0", b"\0", b"=", b"\0\0\0\0", b"\x0c\0\0\0"),
        weight=3,
    ),
    Target(
        name="cni-environment",
        modules=("cni.spec.errors", "cni.spec.environment"),
        load=f"{_RUNS}:load_environment",
        seeds=tuple(ADD.replace(b"=ADD", b"=" + name.encode()) for name in COMMANDS),
        tokens=ENV_TOKENS,
        weight=3,
    ),
    Target(
        name="cni-configuration",
        modules=(
            *_SPEC,
            *("cni.spec.environment", "cni.spec.netconf", "cni.spec.options"),
            "cni.spec.requested",
        ),
        load=f"{_RUNS}:load_configuration",
        seeds=(CONFIG, GC, IPAM, CHECK),
        tokens=(*JSON_TOKENS, *KEYS, b"IP", b"MAC"),
        is_json=True,
        weight=3,
    ),
    Target(
        name="cni-result",
        modules=("cni.spec.result",),
        load=f"{_RUNS}:load_result",
        seeds=(RESULT,),
        tokens=(*JSON_TOKENS, *KEYS),
        is_json=True,
    ),
    Target(
        name="cni-alias",
        modules=("cni.attachment.alias",),
        load=f"{_RUNS}:load_alias",
        seeds=(
            b"podroute/1 net c1 eth0 10.0.0.1 fd00::1",
            b"podroute/1 net " + b"c" * 90 + b" eth0 10.0.0.1 -",
            b"podroute/1 net c1 eth0 - fd00::1",
        ),
        tokens=(b" ", b"-", b"#", b"podroute/1", b"10.0.0.1", b"::", b"%1", b"net", b"\xff"),
        weight=2,
    ),
    Target(
        name="cni-node-facts",
        modules=("cni.node_facts",),
        load=f"{_RUNS}:load_facts",
        seeds=(FACTS,),
        tokens=(*JSON_TOKENS, b"version", b"generation", b"node", b"pod_cidrs", b"ready"),
        is_json=True,
    ),
    Target(
        name="cni-records",
        modules=("cni.attachment.lease", "cni.attachment.label"),
        load=f"{_RUNS}:load_records",
        seeds=(LEASE, LABEL),
        tokens=(*JSON_TOKENS, *KEYS),
        is_json=True,
    ),
    Target(
        name="cni-server",
        modules=(
            *(*_SPEC, "cni.spec.environment", "cni.spec.netconf", "cni.spec.options"),
            *("cni.spec.requested", "cni.spec.result", "cni.attachment.alias", "cni.wire"),
            *("cni.server.call", "cni.server.service", "cni.server.attach"),
            *("cni.server.pod_link_calls", "cni.server.lease_calls", "cni.server.collection"),
        ),
        load=f"{_RUNS}:load_server",
        seeds=CALLS,
        is_json=True,
        separator=SEPARATOR,
        tokens=(*JSON_TOKENS, *KEYS, *ENV_TOKENS),
        weight=4,
    ),
)
