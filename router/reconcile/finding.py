"""What `podroute doctor` has looked at, and what it finds. Values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from router.reconcile.hearing import Heard

Json = Mapping[str, Any]


class Finding(NamedTuple):
    """One thing that is wrong; `name` is for scripts and never changes its meaning."""

    name: str
    text: str
    evidence: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was looked at; None or empty where there was nothing to see."""

    agent: Json | None
    """The agent's facts (`router.agent.facts`)."""
    agent_problem: str = ""
    full_disks: Mapping[str, str] = field(default_factory=dict)
    """Directory -> what there is not enough of, in words."""
    cni_lacks: Sequence[str] = ()
    """Capabilities that the CNI server needs and has not."""
    refused_there: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    """Peer -> our prefixes that it has no way to, each with what it said."""
    heard: Mapping[str, Heard] = field(default_factory=dict)
    """Peer without a session -> what was seen of it on the wire."""
    cni_problem: str = ""
    """Why the CNI server does not answer; "" if it does."""
    node_facts: bool = True
    """Whether node.json is there."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    dropping: Sequence[str] = ()
    """Chains that drop forwarded packets by policy, with nothing for our pods in their tables."""
    before_ours: Sequence[str] = ()
    """Network configurations that runtimes take in place of ours."""
    full_pools: Sequence[tuple[str, int]] = ()
    """Pools of pod addresses of which none is free, with how many there are."""
    small_mtu: Mapping[str, int] = field(default_factory=dict)
    """Peer -> packet size in bytes that it does not answer, though it answers small ones."""
