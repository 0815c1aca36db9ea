"""deploy/: valid for the API, and exactly the rights that the daemons need."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client as kubernetes_client

from containerlab.runtime.kustomize import KustomizeError, apply_json_patch, one, render
from containerlab.runtime.podspec import tolerates
from router.kube.objects import PLURALS
from router.reconcile.node_status import TAINT_EFFECT, TAINT_KEY
from tests.support.rights import BASE, rights

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
OVERLAYS = ("base", "overlays/bare-metal", "overlays/bfd", "overlays/kind", "overlays/k3s")
JOB = DEPLOY / "kustomize/uninstall/job.yaml"
DAEMON_SET = one(BASE, "DaemonSet", "podroute")
POD = DAEMON_SET["spec"]["template"]["spec"]
WITH_BFD = one(render(DEPLOY / "kustomize/overlays/bfd"), "DaemonSet", "podroute")
BFD_POD = WITH_BFD["spec"]["template"]["spec"] | {"initContainers": []}
BFD_POD["containers"] = [c for c in BFD_POD["containers"] if c["name"] == "bfd"]
JOB_POD = yaml.safe_load(JOB.read_text())["spec"]["template"]["spec"]

# What each container may do, and why: docs/operations.md, "In containers".
CAPABILITIES = {
    "install": set(),
    "cni": {"NET_ADMIN", "SYS_ADMIN"},
    "bfd": {"SYS_NICE", "IPC_LOCK"},
    "router": {"NET_ADMIN", "NET_RAW", "SETUID", "SETGID", "KILL"},
    "uninstall": {"NET_ADMIN"},
}
WRITABLE = {
    "install": {"/host/opt/cni/bin", "/host/etc/cni/net.d"},
    "cni": {"/run/podroute", "/host/proc/sys/net"},
    "bfd": {"/run/podroute"},
    "router": {"/run/podroute", "/var/lib/podroute", "/host/proc/sys/net"},
    "uninstall": {
        "/run/podroute",
        "/var/lib/podroute",
        "/host/proc/sys/net",
        "/host/opt/cni/bin",
        "/host/etc/cni/net.d",
    },
}
CONTAINERS = [
    pytest.param(pod, container, id=container["name"])
    for pod in (POD, BFD_POD, JOB_POD)
    for container in (*pod.get("initContainers", ()), *pod["containers"])
]


def objects() -> list[Any]:
    found = [
        pytest.param(each, id=f"{folder}: {each['kind']} {each['metadata']['name']}")
        for folder in OVERLAYS
        for each in render(DEPLOY / "kustomize" / folder)
    ]
    return [*found, pytest.param(yaml.safe_load(JOB.read_text()), id="the Job")]


@pytest.mark.parametrize("manifest", objects())
def test_the_api_knows_every_field(manifest: dict[str, Any]) -> None:
    """A field that the API's model does not have is lost on the way through it."""
    model = getattr(kubernetes_client, f"V1{manifest['kind']}").from_dict(manifest)
    assert kubernetes_client.ApiClient().sanitize_for_serialization(model) == manifest


@pytest.mark.parametrize("folder", OVERLAYS)
def test_kustomize_itself_makes_the_same_of_it(folder: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    path = DEPLOY / "kustomize" / folder
    text = subprocess.run(
        ["kubectl", "kustomize", path], capture_output=True, text=True, check=True
    ).stdout
    theirs = {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(text)}
    assert theirs == {(o["kind"], o["metadata"]["name"]): o for o in render(path)}


# --- the pods ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pod", [POD, JOB_POD], ids=["DaemonSet", "Job"])
def test_pod(pod: dict[str, Any]) -> None:
    assert pod["hostNetwork"] is True
    for shared in ("hostPID", "hostIPC", "shareProcessNamespace"):
        assert not pod.get(shared), shared
    assert pod["securityContext"] == {
        "seccompProfile": {"type": "RuntimeDefault"},
        "seLinuxOptions": {"type": "spc_t"},
        # No appArmorProfile: the default, and no reason for kubelet to refuse a node without.
    }
    assert pod["priorityClassName"] == "system-node-critical"
    assert pod["serviceAccountName"] == "podroute"
    assert pod["automountServiceAccountToken"] is False
    assert pod["dnsPolicy"] == "Default"
    for volume in pod["volumes"]:
        assert volume.keys() <= {"name", "hostPath", "projected"}
        path = volume.get("hostPath", {}).get("path", "")
        # Neither a runtime's socket, nor the root, nor another tree's parent.
        assert path in (
            "",
            "/run/podroute",
            "/var/lib/podroute",
            "/run/netns",
            "/opt/cni/bin",
            "/etc/cni/net.d",
            "/proc/sys/net",
        )


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_container(pod: dict[str, Any], container: dict[str, Any]) -> None:
    name = container["name"]
    context = container["securityContext"]
    assert context.keys() == {
        "allowPrivilegeEscalation",
        "readOnlyRootFilesystem",
        "runAsUser",
        "capabilities",
    }
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["runAsUser"] == 0
    assert context["capabilities"]["drop"] == ["ALL"]
    assert set(context["capabilities"].get("add", ())) == CAPABILITIES[name]
    mounts = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
    assert mounts == WRITABLE[name]
    token = "/var/run/secrets/kubernetes.io/serviceaccount"
    has_token = token in {m["mountPath"] for m in container["volumeMounts"]}
    assert has_token is (name in ("router", "uninstall"))
    assert "command" not in container


def test_only_the_router_listens_and_only_on_loopback() -> None:
    router = next(c for c in POD["containers"] if c["name"] == "router")
    (port,) = router["ports"]
    health = router["args"][router["args"].index("--health") + 1]
    assert health == f"127.0.0.1:{port['containerPort']}"
    assert port["hostPort"] == port["containerPort"]
    for kind, path in (
        ("startupProbe", "/healthz"),
        ("livenessProbe", "/healthz"),
        ("readinessProbe", "/readyz"),
    ):
        assert router[kind]["httpGet"] == {"host": "127.0.0.1", "port": "health", "path": path}


def test_a_rollout_replaces_one_node_at_a_time_within_the_restart_time() -> None:
    assert DAEMON_SET["spec"]["updateStrategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 1},
    }
    assert POD["terminationGracePeriodSeconds"] < 120


@pytest.mark.parametrize(
    "taint",
    [
        {"key": TAINT_KEY, "effect": TAINT_EFFECT},
        {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/network-unavailable", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"},
        {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
        {"key": "node.cloudprovider.kubernetes.io/uninitialized", "effect": "NoSchedule"},
    ],
    ids=lambda taint: str(taint["key"]),
)
@pytest.mark.parametrize("pod", [POD, JOB_POD], ids=["DaemonSet", "Job"])
def test_no_taint_keeps_it_away(pod: dict[str, Any], taint: dict[str, str]) -> None:
    assert tolerates(pod["tolerations"], taint)


# --- what it may ask the API ---------------------------------------------------------------------


def test_rbac_is_what_the_agent_asks_for_and_nothing_else() -> None:
    """What the agent asks in tests/contract is compared with this there."""
    ours, reads = "podroute.dev", ("get", "list", "watch")
    everywhere = {
        *(("", "nodes", verb) for verb in (*reads, "patch")),
        ("", "nodes/status", "patch"),
        ("events.k8s.io", "events", "create"),
        *(("", "services", verb) for verb in reads),
        *(("discovery.k8s.io", "endpointslices", verb) for verb in reads),
        *((ours, plural, verb) for plural in PLURALS.values() for verb in reads),
        *((ours, "bgpnodestatuses", verb) for verb in ("get", "create", "patch", "delete")),
        (ours, "bgpnodestatuses/status", "patch"),
    }
    here = {*(("", "configmaps", verb) for verb in reads), ("", "secrets", "get")}
    assert rights("ClusterRole") == everywhere
    assert rights("Role") == here


def test_another_node_than_its_own_is_refused() -> None:
    policy = one(BASE, "ValidatingAdmissionPolicy", "podroute-own-node-only")["spec"]
    assert policy["failurePolicy"] == "Fail"
    (rule,) = policy["matchConstraints"]["resourceRules"]
    assert rule["resources"] == ["nodes", "nodes/status"]
    assert "system:serviceaccount:podroute:podroute" in policy["matchConditions"][0]["expression"]
    assert "authentication.kubernetes.io/node-name" in policy["validations"][0]["expression"]
    binding = one(BASE, "ValidatingAdmissionPolicyBinding", "podroute-own-node-only")["spec"]
    assert binding == {"policyName": "podroute-own-node-only", "validationActions": ["Deny"]}


def test_another_status_than_its_own_is_refused() -> None:
    policy = one(BASE, "ValidatingAdmissionPolicy", "podroute-own-status-only")["spec"]
    (rule,) = policy["matchConstraints"]["resourceRules"]
    assert rule["resources"] == ["bgpnodestatuses", "bgpnodestatuses/status"]
    assert rule["operations"] == ["CREATE", "UPDATE", "DELETE"]
    assert "authentication.kubernetes.io/node-name" in policy["validations"][0]["expression"]
    binding = one(BASE, "ValidatingAdmissionPolicyBinding", "podroute-own-status-only")["spec"]
    assert binding == {"policyName": "podroute-own-status-only", "validationActions": ["Deny"]}


def test_the_shipped_configuration_is_valid_once_it_names_peers() -> None:
    document = yaml.safe_load(one(BASE, "ConfigMap", "podroute")["data"]["config.yaml"])
    assert document["peers"] == []
    assert document["cluster"]["service_prefixes"] == ["10.96.0.0/12"]


# --- overlays ------------------------------------------------------------------------------------


def host_paths(folder: str) -> dict[str, str]:
    daemon_set = one(render(DEPLOY / "kustomize" / folder), "DaemonSet", "podroute")
    volumes = daemon_set["spec"]["template"]["spec"]["volumes"]
    return {v["name"]: v["hostPath"]["path"] for v in volumes if "hostPath" in v}


def test_k3s_has_its_own_places_and_changes_nothing_else() -> None:
    base, k3s = host_paths("base"), host_paths("overlays/k3s")
    assert {name: path for name, path in k3s.items() if path != base[name]} == {
        "cni-bin": "/var/lib/rancher/k3s/data/cni",
        "cni-conf": "/var/lib/rancher/k3s/agent/etc/cni/net.d",
    }


def test_kind_pulls_nothing() -> None:
    kind = one(render(DEPLOY / "kustomize/overlays/kind"), "DaemonSet", "podroute")
    pod = kind["spec"]["template"]["spec"]
    policies = {c["imagePullPolicy"] for c in (*pod["initContainers"], *pod["containers"])}
    assert policies == {"Never"}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/a/b", "value": 1},
        {"op": "remove", "path": "/list/7"},
        {"op": "move", "path": "/a"},
    ],
    ids=["absent", "beyond the end", "not implemented"],
)
def test_a_patch_that_does_not_fit_is_an_error(operation: dict[str, Any]) -> None:
    with pytest.raises(KustomizeError):
        apply_json_patch({"a": {}, "list": [1]}, operation)
