"""A cluster on the dual-tor fabric: the shipped manifest on three nodes, each with a containerd.

What a control plane does is done here in its smallest form: Nodes registered as kubelet does, pod
CIDRs given by a controller, the DaemonSet's pods made and rolled one by one.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import yaml

from containerlab.demo.daemon import Daemon
from containerlab.demo.fabric import CONFIG, NODES, ROOT, TORS, Fabric, Host, wait_for
from containerlab.demo.kubernetes_api import (
    URL,
    ApiServer,
    condition,
    join_management_network,
    token_of,
)
from containerlab.demo.kubernetes_pod import CriPod
from containerlab.demo.pod import Runtime
from containerlab.demo.tor import Tor
from containerlab.netlab import Lab
from containerlab.netlab.node import Node
from containerlab.runtime.containerd import PAUSE, Containerd
from containerlab.runtime.image import CACHE, build_image, build_pause
from containerlab.runtime.kubelet import Kubelet, KubePod
from containerlab.runtime.kustomize import one, render
from containerlab.runtime.podspec import tolerates

BASE: Final = ROOT / "deploy/kustomize/base"
IMAGE: Final = "localhost/podroute:dev"
NAMESPACE: Final = "podroute"
CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ASN_LABEL: Final = "example.com/asn"
TAINT: Final = {"key": "podroute.dev/not-ready", "effect": "NoSchedule"}
NOT_READY: Final = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
READY_S: Final = 40.0
# Loss of all ToRs is told after this long; 30 s by default.
NOT_READY_AFTER_S: Final = 2
NODES_OWN_PLUGINS: Final = ("loopback", "portmap")
CNI_DIRS: Final = ("/opt/cni/bin", "/etc/cni/net.d")


class Cluster(Fabric):
    """The fabric, with a cluster on it."""

    def __init__(self, lab: Lab, cgroup_parent: str) -> None:
        """Start the API server and the runtimes; no pod runs yet."""
        self.lab = lab
        self.hosts = tuple(_host(lab.nodes[name]) for name in NODES)
        self.tors = tuple(Tor(lab.nodes[name]) for name in TORS)
        self.client = lab.nodes["client"]
        self.manifests = render(BASE)
        self.daemon_set = one(self.manifests, "DaemonSet", "podroute")
        self.daemons: dict[str, KubePod] = {}
        self._rollouts = 0
        join_management_network(lab)
        self.api = ApiServer(self.client)
        pause = CACHE / "pause.tar"
        image = build_image(IMAGE)
        build_pause(PAUSE, pause)
        self.kubelets = {
            host.name: Kubelet(
                Containerd(host.node),
                f"{cgroup_parent}/{host.name}",
                config_maps=self.api.config_maps,
                token=token_of(host.name),
            )
            for host in self.hosts
        }
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda k: k.containerd.start([pause, image]), self.kubelets.values()))

    def close(self) -> None:
        """End kubelets and API server; what runs in the nodes ends with them."""
        for kubelet in self.kubelets.values():
            kubelet.close()
        self.api.close()

    # --- the control plane ----------------------------------------------------------------------

    def apply_manifests(self) -> None:
        """Create resources, namespace and configuration; RBAC is checked by a test instead."""
        for each in self.manifests:
            if each["kind"] == "CustomResourceDefinition":
                self.api.request("POST", CRDS, each)
        self.api.request("POST", "/api/v1/namespaces", one(self.manifests, "Namespace", NAMESPACE))
        config_maps = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
        shipped = one(self.manifests, "ConfigMap", "podroute")
        shipped["data"] = {"api": URL, "config.yaml": yaml.safe_dump(self.document())}
        self.api.request("POST", config_maps, shipped)
        ca = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": self.api.ca}}
        self.api.request("POST", config_maps, {"apiVersion": "v1", "kind": "ConfigMap", **ca})

    def document(self, **for_node1: Any) -> dict[str, Any]:
        """Return the configuration of all nodes, with fields for node1 only."""
        first = self.hosts[0].config
        document: dict[str, Any] = {
            "local_asn_label": ASN_LABEL,
            **{key: first[key] for key in ("announce", "cluster", "import", "graceful_restart_s")},
            "readiness": {"not_ready_after_s": NOT_READY_AFTER_S},
            "nodes": [
                {"select": _only(host.name), "peers": host.config["peers"]} for host in self.hosts
            ],
        }
        if for_node1:
            document["nodes"].append({"select": _only(NODES[0]), **for_node1})
            for field in for_node1:
                document.pop(field, None)
        return document

    def configure(self, document: Mapping[str, Any]) -> None:
        """Change the ConfigMap, as `kubectl apply` would."""
        self.api.merge(
            f"/api/v1/namespaces/{NAMESPACE}/configmaps/podroute",
            {"data": {"config.yaml": yaml.safe_dump(dict(document))}},
        )

    def register_nodes(self) -> None:
        """Register the Nodes as kubelet does with --register-with-taints; then give pod CIDRs."""
        for host in self.hosts:
            labels = {"kubernetes.io/hostname": host.name, ASN_LABEL: str(host.asn)}
            node = {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": host.name, "labels": labels},
                "spec": {"taints": [NOT_READY, TAINT]},
            }
            self.api.request("POST", "/api/v1/nodes", node)
            addresses = [
                {"type": "InternalIP", "address": address}
                for address in host.config["node_addresses"]
            ]
            self.api.merge(
                f"/api/v1/nodes/{host.name}/status", {"status": {"addresses": addresses}}
            )

    def give_pod_cidrs(self) -> None:
        """Do what the controller manager's node IPAM controller does, some time later."""
        for host in self.hosts:
            cidrs = [str(network) for network in host.pod_cidrs]
            spec = {"podCIDR": cidrs[0], "podCIDRs": cidrs}
            self.api.merge(f"/api/v1/nodes/{host.name}", {"spec": spec})

    def report_ready(self, host: Host) -> str:
        """Write kubelet's Ready from what the runtime says; return why it is not, or ""."""
        problem = self.kubelets[host.name].containerd.network_problem()
        ready = {
            "type": "Ready",
            "status": str(not problem),
            "reason": "KubeletNotReady" if problem else "KubeletReady",
            "message": problem,
        }
        self.api.set_condition(host.name, ready)
        if not problem:
            taints = self.api.node(host.name)["spec"].get("taints", [])
            left = [taint for taint in taints if taint["key"] != NOT_READY["key"]]
            if left != taints:
                self.api.merge(f"/api/v1/nodes/{host.name}", {"spec": {"taints": left or None}})
        return problem

    def why_not_schedulable(self, name: str) -> str:
        """Return why an ordinary pod would not be put on a node, "" if it would."""
        node = self.api.node(name)
        problems = [f"taint {taint['key']}" for taint in node["spec"].get("taints") or ()]
        if condition(node, "Ready").get("status") != "True":
            problems.append("not Ready")
        network = condition(node, "NetworkUnavailable")
        if network.get("status") != "False":
            problems.append(f"NetworkUnavailable: {network.get('message', 'not told')}")
        return f"{name}: {', '.join(problems)}" if problems else ""

    # --- the DaemonSet --------------------------------------------------------------------------

    def start_daemon_set(self) -> None:
        """Put its pod on every node that it tolerates, all at once as the controller does."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self.start_daemons, NODES))

    def start_daemons(self, name: str) -> None:
        """Make a node's pod, if the DaemonSet tolerates its taints."""
        template = copy.deepcopy(self.daemon_set["spec"]["template"])
        taints = self.api.node(name)["spec"].get("taints") or ()
        refused = [t for t in taints if not tolerates(template["spec"]["tolerations"], t)]
        if refused:
            raise RuntimeError(f"{name}: the DaemonSet does not tolerate {refused}")
        template["metadata"]["namespace"] = NAMESPACE
        self._rollouts += 1
        kubelet = self.kubelets[name]
        self.daemons[name] = kubelet.run_pod(template, f"podroute-{name}-{self._rollouts}")

    def wait_daemons_ready(self, name: str, *, deadline_s: float = READY_S) -> None:
        """Wait until the pod's containers are ready, as the controller does before the next one."""
        pod = self.daemons[name]
        wait_for(
            lambda: "" if pod.is_ready else f"{pod.why_not_ready()}\n{self.logs(name)}",
            deadline_s=deadline_s,
            what=f"{name}'s daemons ready",
        )

    def replace_daemons(self, name: str) -> float:
        """Replace a node's pod as RollingUpdate does; return how many seconds it took."""
        start = time.monotonic()
        self.stop_daemons(name)
        self.start_daemons(name)
        self.wait_daemons_ready(name)
        return time.monotonic() - start

    def stop_daemons(self, name: str) -> None:
        """Delete a node's pod."""
        self.kubelets[name].remove_pod(self.daemons.pop(name))

    def crash_agent(self, name: str) -> None:
        """Kill the agent of a node with -9; return when kubelet has it ready again."""
        pod = self.daemons[name]
        kubelet = self.kubelets[name]
        router = next(each for each in pod.containers if each.spec["name"] == "router")
        before = router.restarts
        self.lab.nodes[name].run(["kill", "-9", str(kubelet.containerd.pid(router.id))])
        wait_for(
            lambda: "" if router.restarts > before and router.ready else router.said or "not yet",
            deadline_s=READY_S,
            what=f"{name}'s agent is back",
        )

    def restarts(self) -> int:
        """Return how many containers of daemons were started again."""
        return sum(pod.restarts for pod in self.daemons.values())

    def logs(self, name: str) -> str:
        """Return the last words of a node's daemons."""
        pod = self.daemons[name]
        kubelet = self.kubelets[name]
        return "\n".join(kubelet.log(pod, each.spec, lines=8) for each in pod.containers)

    # --- pods -----------------------------------------------------------------------------------

    def make_pod(self, host: Host, name: str) -> CriPod:
        """RunPodSandbox, as for a pod with a network of its own."""
        kubelet = self.kubelets[host.name]
        config = {
            "metadata": {"name": name, "uid": f"uid-{name}", "namespace": "demo"},
            "hostname": name,
            "log_directory": "/var/log/pods/demo",
            "linux": {
                "cgroup_parent": kubelet.cgroup_parent,
                "security_context": {"namespace_options": {"network": 0, "pid": 1}},
            },
        }
        sandbox = kubelet.containerd.run_sandbox(config)
        return CriPod(
            node=host.node,
            name=name,
            container_id=sandbox,
            pid=kubelet.containerd.sandbox_pid(sandbox),
            addresses=kubelet.containerd.addresses(sandbox),
        )

    def remove_pod(self, pod: CriPod) -> None:
        """Stop and remove a pod's sandbox: the runtime calls DEL."""
        self.kubelets[pod.node.name].containerd.remove_sandbox(pod.container_id)


def _only(name: str) -> dict[str, Any]:
    return {"matchLabels": {"kubernetes.io/hostname": name}}


def _host(node: Node) -> Host:
    """Return a node; its file says what the fabric expects of it, its daemons do not read it."""
    config = yaml.safe_load(node.run(["cat", CONFIG]).stdout)
    script = "".join(f"mkdir -p {d}; rm -rf {d}/*; " for d in CNI_DIRS)
    # The package kubernetes-cni brings these, among others; containerd itself needs loopback.
    script += "".join(f"ln -s /usr/lib/cni/{name} {CNI_DIRS[0]}/; " for name in NODES_OWN_PLUGINS)
    # systemd shares mounts. The first `ip netns` mounts /run/netns over itself, which must come
    # before containerd's own use of it.
    script += "mount --make-rshared /; ip netns add first; ip netns delete first"
    node.run(["sh", "-ec", script])
    return Host(
        node=node,
        config=config,
        cni=Daemon(node, "cni", []),
        agent=Daemon(node, "router", []),
        runtime=Runtime(node),
    )
