"""What the runtime said about an attachment that its link cannot hold: for people only. PURE.

The kernel's record (``cni.attachment.alias``) is complete without: a label that is lost costs a
name in ``podroute pods``, nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# Kubernetes names have at most 253 bytes; whatever else comes is cut.
_MAX_CHARS: Final = 253


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """``since`` is wall-clock seconds (Unix time); empty strings where not known."""

    namespace: str = ""
    pod: str = ""
    netns: str = ""
    since: float = 0.0


def make_label(arguments: Mapping[str, str], netns: str, since: float) -> Label:
    """Return the label of an ADD; kubelet's runtimes name the pod in CNI_ARGS."""
    return Label(
        namespace=arguments.get("K8S_POD_NAMESPACE", "")[:_MAX_CHARS],
        pod=arguments.get("K8S_POD_NAME", "")[:_MAX_CHARS],
        netns=netns[:4096],
        since=since,
    )


def render_label(label: Label) -> bytes:
    """Render one JSON object."""
    return json.dumps(
        {
            "namespace": label.namespace,
            "pod": label.pod,
            "netns": label.netns,
            "since": label.since,
        }
    ).encode()


def parse_label(content: bytes) -> Label:
    """Parse what ``render_label`` writes; anything else is an empty label."""
    try:
        body = json.loads(content)
        return Label(
            namespace=str(body["namespace"]),
            pod=str(body["pod"]),
            netns=str(body["netns"]),
            since=float(body["since"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return Label()
