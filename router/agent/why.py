"""The answer to `podroute why`: all there is to say of one prefix or address. PURE.

Everything comes from the agent's memory and, for pods, from the CNI server's overview. The answer
has one verdict and its grounds; keys are an interface like those of `view`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from bgp.explaining import ending_term, why_not_chosen
from bgp.nlri import BITS, Prefix
from bgp.path import Attributes
from bgp.peer import PeerSettings
from bgp.policy import AcceptRule, cluster_rule
from router.agent import view
from router.agent.core import RouteAgent
from router.agent.why_announced import AGGREGATE, announced, own_fields
from router.config.settings import AgentSettings
from router.model.place import MAIN_TABLE

Json = dict[str, Any]


class Outcome(StrEnum):
    """The verdict in one word."""

    WORKS = "works"
    """Learned and in the kernel; or ours and announced to a peer; or a pod with its routes."""
    DOES_NOT = "does-not"
    """Known, and not in use."""
    UNKNOWN = "unknown"
    """Nobody has told us of it, and it is not ours."""


class Subject(NamedTuple):
    """What is asked about."""

    prefix: Prefix
    is_address: bool

    @classmethod
    def parse(cls, text: str) -> Subject:
        """Read PREFIX or IP. Raises PrefixError."""
        return cls(Prefix.parse(text), "/" not in text)

    def __str__(self) -> str:
        text = str(self.prefix)
        return text.partition("/")[0] if self.is_address else text


class Pods(NamedTuple):
    """What the CNI server says of the pods of this node."""

    overview: Mapping[str, Any] | None
    problem: str = ""
    """Why there is no overview."""


def why(agent: RouteAgent, subject: Subject, pods: Pods) -> Json:
    """Return everything known of the subject."""
    own = own_fields(agent)
    ours = _longest(subject, own)
    mine = announced(agent, ours, own[ours]) if ours is not None else None
    found = _match(agent, subject)
    if found is not None and ours is not None and found.length < ours.length:
        found = None
    learned = _learned(agent, found) if found is not None else None
    pod = _pod(subject, pods)
    answer: Json = {
        "node": agent.settings.node,
        "asked": str(subject),
        "pod": pod,
        "pods_problem": pods.problem or None if ours is not None else None,
        "announced": mine,
        "learned": learned,
        "kernel": _kernel(agent, found, ours),
    }
    outcome, text = _verdict(agent, subject, answer)
    return {"outcome": outcome.value, "verdict": text, **answer}


def _covering(subject: Subject) -> list[Prefix]:
    """Return the prefixes that answer for the subject, longest first."""
    family, network, length = subject.prefix
    if not subject.is_address:
        return [subject.prefix]
    bits = BITS[family]
    return [
        Prefix(family, network >> (bits - size) << (bits - size), size)
        for size in range(length, -1, -1)
    ]


def _longest(subject: Subject, among: Mapping[Prefix, str]) -> Prefix | None:
    return next((prefix for prefix in _covering(subject) if prefix in among), None)


def _match(agent: RouteAgent, subject: Subject) -> Prefix | None:
    """Return what the kernel would use, else the longest prefix that a peer announced."""
    told: Prefix | None = None
    for prefix in _covering(subject):
        if prefix in agent.forwarding.fib.routes:
            return prefix
        if told is None and (agent.rib.paths(prefix) or agent.rib.rejections(prefix)):
            told = prefix
    return told


def _learned(agent: RouteAgent, prefix: Prefix) -> Json:
    best = agent.rib.best(prefix)
    internal = frozenset(peer.name for peer in agent.settings.peers if peer.is_internal)
    peers = {peer.name: peer for peer in agent.settings.peers}
    shown = view.route(agent, prefix)
    since = {session.peer: view.time_text(session.since) for _, session in agent.sessions.all}
    for path, made in zip(agent.rib.paths(prefix), shown["paths"], strict=True):
        made["session_since"] = since.get(path.peer)
        made["accepted_by"] = _accepted_by(peers[path.peer], prefix, path.attributes)
        made["why_not_best"] = (
            agent.liveness.why_held(path.peer) or why_not_chosen(path, best, internal)
        ) or None
    for refusal, made in zip(agent.rib.rejections(prefix), shown["rejected"], strict=True):
        made["as_path"] = list(refusal.attributes.as_path)
        made["by"] = _rejected_by(agent, peers[refusal.peer], prefix, refusal.attributes)
    kept = prefix in agent.forwarding.fib.routes and not shown["paths"] and not shown["rejected"]
    return {
        "prefix": shown["prefix"],
        "asked_for_by": _rule(agent.settings, prefix),
        "paths": shown["paths"],
        "rejected": shown["rejected"],
        "kept_from_before": kept,
    }


def _rule(settings: AgentSettings, prefix: Prefix) -> str | None:
    """Return the field of the configuration that lets the prefix in."""
    if not prefix.length:
        return "import.accept_default" if settings.accept_default else None
    rules: list[tuple[str, AcceptRule]] = [
        *(("cluster.pod_prefixes", cluster_rule(each)) for each in settings.pod_prefixes),
        *(
            ("cluster.node_prefixes", cluster_rule(each, hosts_only=True))
            for each in settings.node_prefixes
        ),
        *(("import.also_accept", each) for each in settings.also_accept),
    ]
    return next((f"{name} {rule.prefix}" for name, rule in rules if rule.takes(prefix)), None)


def _accepted_by(peer: PeerSettings, prefix: Prefix, attributes: Attributes) -> str:
    wanted = peer.import_filter
    if wanted is None:
        return "import guard"
    ended = ending_term(wanted, peer.name, prefix, attributes)
    term = f"term {ended[0]}" if ended is not None else "no term rejects"
    return f"import guard, then filter {wanted.name}: {term}"


def _rejected_by(
    agent: RouteAgent, peer: PeerSettings, prefix: Prefix, attributes: Attributes
) -> str:
    guard = agent.settings.import_policy(agent.serving.addresses)
    verdict = guard.evaluate(prefix, attributes, peer.local_asn, peer.allow_own_asn)
    wanted = peer.import_filter
    if not verdict.accepted or wanted is None:
        return "import guard"
    ended = ending_term(wanted, peer.name, prefix, attributes)
    return f"filter {wanted.name}" + (f", term {ended[0]}" if ended is not None else "")


def _pod(subject: Subject, pods: Pods) -> Json | None:
    if not subject.is_address or pods.overview is None:
        return None
    for pod in pods.overview["pods"]:
        if str(subject) in pod["addresses"]:
            return dict(pod)
    return None


def _kernel(agent: RouteAgent, learned: Prefix | None, ours: Prefix | None) -> Json:
    fib = agent.forwarding.fib
    route = fib.routes.get(learned) if learned is not None else None
    if learned is None or route is None:
        why_not = None
        if learned is not None and agent.rib.paths(learned):
            why_not = agent.forwarding.why_not(learned)
        elif learned is not None and ours is None:
            why_not = "no accepted path"
        return {
            "installed": False,
            "why_not": why_not,
            "unreachable_route": ours in fib.unreachables,
        }
    return {
        "installed": True,
        "why_not": None,
        "prefix": str(learned),
        "next_hops": view.hops(agent, learned) or [],
        "metric": route.metric,
        "table": agent.settings.place.table_of(learned.length) or MAIN_TABLE,
        "unreachable_route": ours in fib.unreachables,
    }


def _verdict(agent: RouteAgent, subject: Subject, answer: Json) -> tuple[Outcome, str]:
    mine, learned, kernel = (answer[key] for key in ("announced", "learned", "kernel"))
    if mine is not None:
        told = [each["peer"] for each in mine["peers"] if each["announced"]]
        return _verdict_of_ours(subject, answer, told)
    if answer["pod"] is not None:
        what = (
            f"{subject} is {_pod_name(answer['pod'])} on this node, in no pod CIDR of it any more"
        )
        return Outcome.DOES_NOT, f"{what}: nothing announces it; delete the pod"
    if learned is None:
        what = f"no peer has announced {subject}, and it is not this node's"
        silent = "" if agent.sessions.established else "; no session is established now"
        return Outcome.UNKNOWN, what + silent
    prefix = learned["prefix"]
    if learned["kept_from_before"]:
        return Outcome.WORKS, f"{prefix} is kept from before the start; no peer has told it again"
    if kernel["installed"]:
        used = [path["peer"] for path in learned["paths"] if path["best"]]
        return Outcome.WORKS, f"{prefix} is in the kernel, learned from {', '.join(used)}"
    if not learned["paths"]:
        reasons = dict.fromkeys(f"{r['reason']} ({r['by']})" for r in learned["rejected"])
        return Outcome.DOES_NOT, f"{prefix} is rejected: {'; '.join(reasons)}"
    return Outcome.DOES_NOT, f"{prefix} is not in the kernel: {kernel['why_not']}"


def _pod_name(pod: Json) -> str:
    return f"{pod['namespace']}/{pod['pod']}" if pod["pod"] else str(pod["container_id"])[:13]


def _verdict_of_ours(subject: Subject, answer: Json, told: list[str]) -> tuple[Outcome, str]:
    mine, pod = answer["announced"], answer["pod"]
    what = f"{subject} is this node's ({mine['asked_for_by']})"
    is_idle = False
    if pod is not None:
        what = f"{subject} is {_pod_name(pod)} on this node"
        if str(subject) in pod["no_host_route"]:
            return Outcome.DOES_NOT, f"{what}, without a host route"
    elif subject.is_address and mine["asked_for_by"] == "pod_cidrs":
        is_idle = answer["pods_problem"] is None
        state = "no pod has it" if is_idle else "whether a pod has it is not known"
        what = f"{subject} is in this node's {mine['prefix']}, and {state}"
    elif subject.is_address and mine["asked_for_by"] == AGGREGATE:
        is_idle = True
        what = f"{subject} is no Service's, so this node rejects it"
    if told:
        outcome = Outcome.DOES_NOT if is_idle else Outcome.WORKS
        return outcome, f"{what}; {mine['prefix']} is announced to {', '.join(told)}"
    reasons = dict.fromkeys(each["why_not"] for each in mine["peers"])
    why_not = mine["why_not"] or "; ".join(reasons) or "there is no peer"
    return Outcome.DOES_NOT, f"{what}; {mine['prefix']} is announced to nobody: {why_not}"
