"""Which keys of a containerlab topology file exist, and which of them this runner honours. PURE.

The full lists are containerlab's own (`schemas/clab.schema.json`, v0.7x). Three classes of key:
*applied* does here what it does there; *accepted* has no effect here and cannot change what a test
sees; everything else is refused, so that one file never silently means two things.
"""

import difflib
from collections.abc import Iterable

TOP_APPLIED = frozenset({"name", "topology"})
TOP_ACCEPTED = frozenset({"prefix"})
TOP_KNOWN = frozenset({"name", "prefix", "mgmt", "topology", "settings", "debug"})

TOPOLOGY_APPLIED = frozenset({"defaults", "kinds", "groups", "nodes", "links"})

NODE_APPLIED = frozenset(
    {"kind", "group", "image", "hostname", "binds", "exec", "env", "sysctls", "network-mode"}
)
# Container privileges and image handling: a namespace node is root on this machine and pulls
# nothing. `restart-policy` is about the container's main process, which here is our own init.
NODE_ACCEPTED = frozenset(
    {"cap-add", "image-pull-policy", "labels", "privileged", "restart-policy"}
)
NODE_KNOWN = frozenset(
    {
        "aliases", "auto-remove", "binds", "cap-add", "certificate", "cgroup-parent",
        "cgroupns-mode", "cmd", "components", "config", "cpu", "cpu-set", "credentials", "devices",
        "dns", "enforce-startup-config", "entrypoint", "env", "env-files", "exec", "extras",
        "group", "healthcheck", "hostname", "image", "image-pull-policy", "kind", "labels",
        "license", "link-apply-mode", "memory", "mgmt-ipv4", "mgmt-ipv6", "network-mode",
        "pid-mode", "ports", "privileged", "restart-policy", "runtime", "security-opts",
        "shm-size", "stages", "startup-config", "startup-delay", "suppress-startup-config",
        "sysctls", "tmpfs", "type", "user", "volumes",
    }
)  # fmt: skip

LINK_APPLIED = frozenset({"endpoints", "mtu"})
LINK_KNOWN = frozenset(
    {"endpoints", "mtu", "type", "vars", "labels", "ipv4", "ipv6", "endpoint", "host-interface",
     "mode", "remote", "vni", "dst-port", "src-port"}
)  # fmt: skip

KINDS = frozenset({"linux", "bridge"})
# A bridge is no container: whatever else containerlab would take there does nothing there, too.
BRIDGE_APPLIED = frozenset({"kind", "group", "labels"})

# What containerlab gives a veth when the file says nothing (links/link.go, DefaultLinkMTU).
DEFAULT_LINK_MTU = 9500


def hint(word: str, choices: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the nearest of `choices`, or nothing."""
    near = difflib.get_close_matches(word, sorted(choices), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def key_problem(
    key: str, *, applied: frozenset[str], accepted: frozenset[str], known: frozenset[str]
) -> str | None:
    """Say why `key` cannot stand here, or None if it can."""
    if key in applied or key in accepted:
        return None
    if key in known:
        return f"key {key!r} is containerlab's, but this runner does not support it"
    return f"unknown key {key!r}{hint(key, known)}"
